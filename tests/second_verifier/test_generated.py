"""The second verifier and check-cert agree on certificates of all strategies about random tiny models, and on mutants.

`pytest -s` prints how often what happened.
"""

import copy
import json
import random
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import certgen
from certgen.errors import UserError
from certgen.strategies import STRATEGIES
from checker.errors import Refusal, Rejected
from checker.facts import Accuracy
from checker.rules import RULES
from tests.support.agreement import Agreement
from tests.support.any_case import Case, any_case, certificate, counted
from tests.support.any_model import storable
from tests.support.any_problem import max_of_k
from tests.support.attacks import attack, sub_cubic_attack
from tests.support.checking import prove
from tests.support.derivations import Derivation, Statement, as_json, statement
from tests.support.fitted import fitted_case
from tests.support.generators import Sizes, TinyModel, margins, models, tensors_of
from tests.support.layer_cases import architectures, layer_case
from tests.support.mutations import MUTATIONS, choose, follow_through, one_more, raise_counts
from tests.support.one_rule import append, arbitrary, drawn, weakened
from tests.support.quick_and_slow import quick_and_slow
from tests.support.region_attacks import changed
from tests.support.region_cases import region_case
from tests.support.region_proofs import problem_of
from tests.support.region_proofs import prove as region_steps

KINDS = ("near", "ramp", "lattice", "normal", "wild", "near", "ramp", "normal")
ONE_HEAD = 16  # models
DTYPES = ("F64", "F32", "F16", "BF16")
MARGINS = (Fraction(0), Fraction(0), Fraction(1, 3), Fraction(1), Fraction(0))
MIN = {"inputs": [{"tokens": "0-3"}] * 3, "label": {"name": "min"}}
OF_MAX_OF_K = (raise_counts,)  # needs k


class Target(NamedTuple):
    """A model with certificates."""

    path: Path
    case: Case
    statements: list[Statement]


def written(given: Statement) -> bytes:
    """Numbers too long for this are no subject here."""
    try:
        return json.dumps(given).encode()
    except ValueError:
        assume(False)
        raise


def one_head(folder: Path, seed: int) -> Target:
    """A model of one head, brute-force, cubic, and a few others; profiles and claims about float32 now and then."""
    rng = np.random.default_rng(3000 + seed)
    kind, dtype = KINDS[seed % len(KINDS)], DTYPES[seed // 2 % 4]
    v, k = (int(rng.integers(1 + (seed > 5), top)) for top in (5, 4))
    dtype = "F64" if kind == "wild" else dtype
    drawn_tensors = tensors_of(kind, Sizes(v, k, 4, int(rng.integers(2, 5))), seed)
    tensors = {name: storable(values, dtype) for name, values in drawn_tensors.items()}
    model = TinyModel(kind, dtype, tensors)
    path, margin = model.write(folder / f"one-head-{seed}"), MARGINS[seed % len(MARGINS)]
    chosen = {"cubic", "exact", *sorted(STRATEGIES)[seed::ONE_HEAD]}  # each somewhere
    statements = [prove(path, name, margin) for name in sorted(chosen)]
    options: list[dict[str, Any]] = [{"margins": ["1/7"]}, {"semantics": "float32-any-order"}]
    for more in options:
        with suppress(UserError):
            statements.append(data_of(certgen.prove(path, "brute-force", margin=margin, **more)))
    return Target(path, Case(tensors, None, max_of_k(v, k), margin), statements)


def data_of(given: certgen.Certificate) -> Statement:
    made: Statement = json.loads(given.to_bytes())
    return made


def one_layer(folder: Path, seed: int) -> Target:
    """Any heads, an MLP or LayerNorm, and a task that is not max-of-k."""
    forms = [given for given in architectures() if given.get("heads", 1) < 3]
    case = fitted_case(seed, MIN, **forms[seed % len(forms)])
    path = case.write(folder / f"one-layer-{seed}")
    task = folder / f"problem-{seed}.json"
    task.write_text(json.dumps(MIN))
    return Target(path, case, [data_of(certgen.prove(path, "adaptive", problem=task))])


def any_model(folder: Path, seed: int) -> Target:
    """Any architecture and problem, evaluated."""
    case = any_case(seed)
    path = case.write(folder / f"any-{seed}")
    regions = case.oracle.regions(case.problem, case.margin)
    return Target(path, case, [certificate(case, [40, 200], counted(case, regions))])


@pytest.fixture(scope="module")
def targets(workspace: Path) -> list[Target]:
    return [
        *[one_head(workspace, seed) for seed in range(ONE_HEAD)],
        *[one_layer(workspace, seed) for seed in range(3)],
        *[any_model(workspace, seed) for seed in range(8)],
    ]


@pytest.fixture(scope="module")
def agreement() -> Iterator[Agreement]:
    made = Agreement()
    yield made
    print(f"\nagreement: {dict(made.seen)}")


@quick_and_slow(150, 3000)
def test_they_agree_on_strategies_and_mutants(run: settings, targets: list[Target], agreement: Agreement) -> None:
    for target in targets:
        for one in target.statements:
            said = agreement.on(target.path, written(one), target.case, one["predicate"]["strategy"])
            assert said.exit_code == 0 or target.path.name.startswith("any-"), said

    @run
    @given(data=st.data())
    def agreed(data: st.DataObject) -> None:
        target = choose(data.draw, targets)
        mutant = copy.deepcopy(choose(data.draw, target.statements))
        plain = "k" in mutant["predicate"]["task"]
        mutations = [mutation for mutation in MUTATIONS if plain or mutation not in OF_MAX_OF_K]
        for mutate in data.draw(st.lists(st.sampled_from([*mutations, one_more]), min_size=1, max_size=2)):
            mutate(data.draw, mutant)
        if plain and data.draw(st.booleans()):
            follow_through(mutant)
        agreement.on(target.path, written(mutant), target.case, target.path.name)

    before = agreement.seen.copy()
    agreed()
    seen = agreement.seen - before
    assert seen["VERIFIED"] > 20
    assert seen["same code"] > 5 * seen["another code"]


@quick_and_slow(60)
def test_they_agree_on_arbitrary_hints(run: settings, workspace: Path, agreement: Agreement) -> None:
    """Every model, any arguments, what the rules then derive; rounding is coarse and margins are near what decides."""

    @run
    @given(model=models(), margin=margins(), data=st.data())
    def agreed(model: TinyModel, margin: Fraction, data: st.DataObject) -> None:
        path = model.write(workspace / "model")
        make = data.draw(st.sampled_from([attack, sub_cubic_attack]))
        try:
            proof = make(path, margin, data.draw)
        except Refusal:  # a rule derives nothing from these, or takes none of this size
            assume(False)
        v, k = (len(model.tensors[name]) for name in ("embed.W_E", "pos_embed.W_pos"))
        case = Case(model.tensors, None, max_of_k(v, k), margin)
        said = agreement.on(path, written(proof), case, make.__name__)
        assert said.exit_code == 0

    agreed()


@pytest.mark.parametrize("seeds", [range(9), pytest.param(range(100, 220), marks=pytest.mark.slow)], ids=str)
def test_they_agree_on_regions(seeds: range, workspace: Path, agreement: Agreement) -> None:
    """Any layer, any task, groups that overlap, with few bits and many; and something else somewhere in the steps."""
    before = agreement.seen.copy()
    for seed in seeds:
        rng = random.Random(seed)
        case, groups = region_case(seed)
        whole = certificate(case, [40], [])
        try:
            steps = region_steps(problem_of(case), groups, rng.choice([12, 24, 60]), rng.choice([1, 9, 400]), rng)
        except Rejected:  # too coarse
            continue
        tally = steps[-1]["conclusion"]["counts"]
        sums = {"correct": sum(count[3] for count in tally), "wrong": 0}
        last = {"rule": "total", "premises": [len(steps) - 1], "args": {}, "conclusion": sums}
        whole["predicate"] |= {"steps": [*steps, last], "claim": {**whole["predicate"]["claim"], **sums}}
        path = case.write(workspace / "layer")
        said = agreement.on(path, written(whole), case, seed)
        assert said.exit_code == 0 or said.code == "region-covered-twice", said
        for _ in range(3):
            mutant = copy.deepcopy(whole)
            number = rng.randrange(3)
            mutant["predicate"]["steps"][number] = changed(rng, mutant["predicate"]["steps"][number])
            agreement.on(path, written(mutant), case, (seed, number))
    seen = agreement.seen - before
    assert seen["VERIFIED"] > len(seeds) // 2 and seen["same code"] > 2 * seen["another code"], seen


def test_they_agree_where_a_label_is_no_output(workspace: Path, agreement: Agreement) -> None:
    """Such inputs are not correct, and evaluate_inputs refuses the problem."""
    label = {"name": "automaton", "states": 1, "start": 0, "next": [[0, 0, 0]], "output": [3]}
    case = layer_case(1, {"inputs": [{"tokens": "0-2"}] * 2, "label": label}, outputs=3)
    path = case.write(workspace / "no-output")
    empty = certificate(case, [40], [])
    assert agreement.on(path, written(empty), case).code == "wrong-task"
    hints: dict[str, list[int]] = {"hints": []}
    args, regions = {"bits": 40, "groups": [], **hints}, {"bits": 40, "groups": [], "ranges": []}
    zero = {"correct": 0, "wrong": 0}
    empty["predicate"]["steps"] = [
        {"rule": "regions", "premises": [], "args": args, "conclusion": regions},
        {"rule": "region_gaps", "premises": [0], "args": hints, "conclusion": {"regions": regions, "gaps": []}},
        {"rule": "region_counts", "premises": [1], "args": hints, "conclusion": {"counts": []}},
        {"rule": "total", "premises": [2], "args": {}, "conclusion": zero},
    ]
    assert agreement.on(path, written(empty), case).exit_code == 0


@pytest.mark.parametrize("seeds", [5, pytest.param(60, marks=pytest.mark.slow)])
@pytest.mark.parametrize("rule", [rule for rule in RULES if rule != "expected_loss"])
def test_they_agree_on_every_rule(rule: str, seeds: int, agreement: Agreement) -> None:
    """On what a rule derives from arbitrary arguments, of premises that are weakened: such a proof proves nothing, but
    its steps hold."""
    granted, tried = 0, count()
    while granted < seeds:
        seed = next(tried)
        rng, model = random.Random(seed), drawn(seed)
        proof, margin = Derivation(model.path, model.meaning.margin), {"margin": str(model.meaning.margin)}
        weaker = weakened(rng)
        with suppress(Rejected):
            append(proof, rule, lambda name: arbitrary(proof, name, rng), weaker)  # noqa: B023 - called at once
            granted += 1
        pairs = zip(proof.steps, proof.facts, strict=True)
        steps = [{**margin, **step, "conclusion": as_json(fact)} for step, fact in pairs]
        whole = statement(proof.weights, Fraction(0), steps, Accuracy(0, 0))
        case = Case(model.tensors, None, max_of_k(model.meaning.v, model.meaning.k))
        before = agreement.seen["another code"]
        said = agreement.on(model.path, written(whole), case, (rule, seed))
        assert said.code in ("nothing-proved", "wrong-margin", "") and agreement.seen["another code"] == before, said
