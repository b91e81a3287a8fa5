"""Mutations of valid certificates are refused or true. `pytest -s` prints how often what happened."""

import copy
import json
import random
from collections import Counter
from contextlib import suppress
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import certgen
from certgen.errors import UserError
from certgen.strategies import STRATEGIES
from checker.errors import Refusal, Rejected
from checker.kernel import Verdict
from tests.support.any_case import Case
from tests.support.any_problem import max_of_k
from tests.support.attacks import attack
from tests.support.checking import PLAIN, outcome, prove
from tests.support.generators import Sizes, TinyModel, margins, models, tensors_of
from tests.support.losses import profile_holds
from tests.support.mutations import MUTATIONS, all_bits, choose, conclusions, follow_through, raise_counts
from tests.support.oracle import Oracle, Truth
from tests.support.quick_and_slow import quick_and_slow


class Target:
    """A model with certificates of several strategies, and its truth for any margin."""

    def __init__(self, model: TinyModel, path: Path, margin: Fraction, seed: int) -> None:
        self.path, self.margin = path, margin
        v, k = (len(model.tensors[name]) for name in ("embed.W_E", "pos_embed.W_pos"))
        self.case = Case(model.tensors, None, max_of_k(v, k))
        others = [name for name in sorted(STRATEGIES) if name not in PLAIN]
        chosen = [*PLAIN, *random.Random(seed).sample(others, min(3, len(others)))]
        self.statements = [prove(path, name, margin) for name in chosen]
        if seed % 4 == 0:  # at several margins, down to one where every sequence is correct
            with suppress(UserError):
                certificate = certgen.prove(path, "brute-force", margin=margin, margins=["1/7"])
                self.statements += [json.loads(certificate.to_bytes())] * 2
        self.oracle = Oracle(path)

    @lru_cache(maxsize=64)  # noqa: B019 - few targets, as long as the tests
    def truth(self, margin: Fraction) -> Truth:
        return self.oracle.truth(margin)


@pytest.fixture(scope="module")
def targets(workspace: Path) -> list[Target]:
    """Models on which certificates say something, from nothing to everything being correct."""
    made = []
    for seed in range(28):
        rng = np.random.default_rng(1000 + seed)
        kind = ("near", "ramp", "near", "ramp", "lattice", "normal", "wild")[seed % 7]
        sizes = Sizes(
            int(rng.integers(1 + (seed > 3), 5)), int(rng.integers(1 + (seed > 3), 4)), 4, int(rng.integers(2, 5))
        )
        model = TinyModel(kind, "F64", tensors_of(kind, sizes, seed))
        made.append(
            Target(
                model,
                model.write(workspace / f"target-{seed}"),
                [Fraction(0), Fraction(1, 3), Fraction(1)][seed % 3],
                seed,
            )
        )
    return made


@quick_and_slow(700, 15000)
def test_mutated_certificates_are_refused_or_true(run: settings, targets: list[Target]) -> None:
    seen: Counter[str] = Counter()

    @run
    @given(data=st.data())
    def refused_or_true(data: st.DataObject) -> None:
        target = choose(data.draw, targets)
        statement = copy.deepcopy(choose(data.draw, target.statements))
        original = statement["predicate"]["claim"]["correct"]
        for mutate in data.draw(st.lists(st.sampled_from(MUTATIONS), min_size=1, max_size=3)):
            mutate(data.draw, statement)
        if data.draw(st.booleans()):
            follow_through(statement)
        try:
            result = outcome(target.path, statement)
        except ValueError:  # a number too long for json.dumps
            assume(False)
        seen["cases"] += 1
        seen[result.word if isinstance(result, Refusal) else "VERIFIED"] += 1
        if isinstance(result, Verdict):
            truth = target.truth(Fraction(*result.margin))
            assert result.correct <= truth.correct
            assert result.wrong <= truth.total - truth.correct
            seen["VERIFIED and stronger than the original"] += result.correct > original
            if result.mean_loss is not None:
                assert profile_holds(result, target.case)
                seen["VERIFIED with a profile"] += 1
        elif isinstance(result, Rejected):
            seen[result.code] += 1

    refused_or_true()
    print(f"\nmutations: {dict(seen)}")
    assert seen["VERIFIED"] > 0.05 * seen["cases"]
    assert seen["REJECTED"] > 0.2 * seen["cases"]
    codes = "bound-too-small token-not-accepted count-too-large wrong-region wrong-shape bad-premise wrong-premises"
    assert all(seen[code] for code in [*codes.split(), "region-covered-twice", "nothing-proved"])
    assert seen["VERIFIED with a profile"] and seen["wrong-margin"]


@quick_and_slow(120)
def test_maximal_facts_are_refused_or_true(run: settings, workspace: Path) -> None:
    """Certificates that accept every token and count every sequence of every region."""
    seen: Counter[str] = Counter()

    @run
    @given(model=models(), margin=margins(), data=st.data())
    def refused_or_true(model: TinyModel, margin: Fraction, data: st.DataObject) -> None:
        path = model.write(workspace / "model")
        try:
            statement = attack(path, margin, data.draw)
        except Refusal:  # a hint is out of range, or a rule derives nothing from it
            assume(False)
        if conclusions(statement, "masks"):
            all_bits(data.draw, statement)
        raise_counts(data.draw, statement)
        follow_through(statement)
        result = outcome(path, statement)
        if isinstance(result, Verdict):
            truth = Oracle(path).truth(margin)
            assert result.correct <= truth.correct
            assert result.wrong <= truth.total - truth.correct
        else:
            assert isinstance(result, Rejected)
            assert result.code in ("token-not-accepted", "count-too-large")
        seen[result.code if isinstance(result, Refusal) else "VERIFIED"] += 1

    refused_or_true()
    print(f"\nmaximal facts: {dict(seen)}")
    assert seen["token-not-accepted"] and seen["count-too-large"] and seen["VERIFIED"]
