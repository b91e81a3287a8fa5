"""The sub-cubic family: every member proves true things, and so does every proof whose hints an attacker chose.

Hints (projectors, bases, centres, gaps, witnesses, precisions) are arguments of rules. Whatever they are, the fact that
a rule derives from them has to be true; here each fact is compared with its meaning on tiny models, not only the claim.
`pytest -s` prints how often what happened.
"""

import copy
import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from derivations import (
    AttentionRanges,
    Derivation,
    DirectPathSpread,
    MaxTokenPath,
    Meaning,
    ScoreApproximation,
    Statement,
    tally_holds,
)
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from oracle import Oracle
from strategies_for_models import Sizes, TinyModel, tensors_of
from tiny import BIASES, Tensors, short, tiny_model

from certgen.circuits import Circuits
from certgen.models import load_model
from certgen.progress import quiet
from certgen.strategies import STRATEGIES
from checker.errors import Refusal, Rejected
from checker.judgement import Count, Tally, UpperTable
from checker.kernel import Verdict

FAMILY = sorted(name for name in STRATEGIES if name.startswith("sub-cubic/"))
SCORE_RULES = ("score_residual_spread", "score_product_spread", "score_recursive_spread", "score_singular_value")


def quick_and_slow(examples: int) -> pytest.MarkDecorator:
    """`run` is how hypothesis runs: always the same examples by default, ten times as many random ones when slow."""
    common: dict[str, Any] = {"deadline": None, "suppress_health_check": list(HealthCheck), "database": None}
    common["phases"] = (Phase.explicit, Phase.generate)
    quick = settings(max_examples=examples, derandomize=True, **common)
    slow = settings(max_examples=10 * examples, **common)
    return pytest.mark.parametrize(
        "run", [pytest.param(quick, id="quick"), pytest.param(slow, id="slow", marks=pytest.mark.slow)]
    )


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sub-cubic")


# Models.


def regauged(tensors: Tensors, residual: int, scores: int, values: int) -> Tensors:
    """The same function, written in other units: powers of two that cancel between the tensors."""
    powers = {"W_E": residual, "W_pos": residual, "b_O": residual, "W_U": -residual}
    powers |= {"W_Q": scores - residual, "b_Q": scores, "W_K": -scores - residual, "b_K": -scores}
    powers |= {"W_V": values - residual, "b_V": values, "W_O": residual - values}
    return {name: np.ldexp(x, powers.get(name.rpartition(".")[2], 0)) for name, x in tensors.items()}


def trained_looking(seed: int, kind: str = "") -> TinyModel:
    """Often correct, all six biases nonzero, F32 or F64, in usual or wild units; sizes down to 1."""
    rng = np.random.default_rng(seed)
    kind = kind or ("near", "ramp", "near", "ramp", "normal", "lattice")[rng.integers(6)]
    smallest = 2 if kind == "ramp" else 1
    sizes = Sizes(*(int(rng.integers(*ends)) for ends in ((1, 5), (1, 5), (smallest, 6), (smallest, 5))))
    if kind == "ramp" and rng.integers(4) == 0:  # as many dimensions as tokens, and positions
        sizes = Sizes(3, 3, 3, 3)
    tensors = tensors_of(kind, sizes, seed)
    for name in BIASES:
        if not tensors[name].any():
            tensors[name] = short(rng.normal(scale=0.05, size=tensors[name].shape))
            tensors[name].flat[0] = 2.0**-6
    dtype = ("F64", "F32")[rng.integers(2)]
    if dtype == "F32":
        tensors = {name: np.asarray(x, dtype=np.float32).astype(float) for name, x in tensors.items()}
    if rng.integers(3) == 0:
        most = 20 if dtype == "F32" else 60
        tensors = regauged(tensors, *(int(x) for x in rng.integers(-most, most + 1, size=3)))
    return TinyModel(kind, dtype, tensors)


def margin_of(seed: int) -> Fraction:
    """Zero half of the time."""
    return [Fraction(0), Fraction(1, 7), Fraction(0), Fraction(1, 10**9), Fraction(0), Fraction(1)][seed % 6]


seeds = st.integers(0, 2**32 - 1)


# (a) What the strategies write.


@quick_and_slow(90)
def test_the_whole_family_proves_something_true(run: settings, workspace: Path) -> None:
    """Accepted, at most the truth; and most certificates say more than that constant sequences are correct."""
    seen: Counter[str] = Counter()
    proved: set[str] = set()

    @run
    @given(seed=seeds)
    def true(seed: int) -> None:
        model, margin = trained_looking(seed), margin_of(seed)
        path = model.write(workspace / "model")
        truth = Oracle(path).truth(margin).correct
        circuits = Circuits(load_model(path), margin)
        v, k = circuits.v, circuits.k
        for name in [FAMILY[(seen["models"] * 7 + 22 * i) % len(FAMILY)] for i in range(7)]:
            statement = json.loads(STRATEGIES[name].prove(circuits, quiet).to_bytes())
            result = Derivation(path, margin).outcome(statement)
            assert isinstance(result, Verdict), f"{name}: {result}"
            assert result.correct == statement["predicate"]["claim"]["correct"] <= truth
            assert (result.total, Fraction(*result.margin)) == (v**k, margin)
            proved.add(name)
            seen["cases"] += 1
            seen["truth > 0"] += truth > 0
            seen["0 < certified"] += result.correct > 0
            seen["more than the constant sequences"] += result.correct > v
            seen["possible to say more"] += truth > v
        seen["models"] += 1
        seen[f"{model.dtype}"] += 1
        seen["margin > 0"] += margin > 0

    true()
    print(f"\nfamily: {dict(seen)}, members {len(proved)}")
    assert proved == set(FAMILY)
    assert seen["0 < certified"] > 0.6 * seen["truth > 0"]
    assert seen["more than the constant sequences"] > 0.3 * seen["possible to say more"]
    assert min(seen["F64"], seen["F32"], seen["margin > 0"]) > 0.2 * seen["models"]


# (b) Hints of an attacker.


def integer(rng: random.Random, near: int = 1) -> int:
    """Small, near another one, or of any size."""
    bits = rng.choice([2, 3, 8, 30, 200, 1500])
    return rng.choice([0, 1, -1, near, -near, 2 * near, near + rng.randint(-3, 3), rng.randint(-(1 << bits), 1 << bits)])


def table(rng: random.Random, rows: int, columns: int, size: int = 4) -> list[list[int]]:
    return [[rng.randint(-size, size) for _ in range(columns)] for _ in range(rows)]


def any_peel(rng: random.Random, size: int) -> dict[str, Any]:
    """A random projector, or anything else of that shape."""
    rank = rng.randint(1, 3)
    entries = rng.choice([1, 4, 1 << 30])
    onto, along = table(rng, size, rank, entries), table(rng, rank, size, entries)
    return {"onto": onto, "along": along, "exponent": rng.choice([0, -1, -2, -3, -30, -60, 40, -400, 300])}


def bent_peel(rng: random.Random, peel: dict[str, Any]) -> dict[str, Any]:
    """A supplied projector, spoilt."""
    onto, along, exponent = peel["onto"], peel["along"], peel["exponent"]
    match rng.randrange(7):
        case 0:
            return any_peel(rng, len(onto))
        case 1:  # twice the same directions: taken off twice
            return {"onto": [row + row for row in onto], "along": along + along, "exponent": exponent}
        case 2:
            return {"onto": [[-x for x in row] for row in onto], "along": along, "exponent": exponent}
        case 3:
            return {"onto": onto, "along": along, "exponent": exponent + rng.choice([-1, 1, -5, 5])}
        case 4:  # a little off
            return {"onto": [[x + rng.randint(-(1 << 24), 1 << 24) for x in row] for row in onto], **_rest(peel)}
        case 5:
            return {"onto": [[0 for _ in row] for row in onto], **_rest(peel)}
    return peel


def _rest(peel: dict[str, Any]) -> dict[str, Any]:
    return {"along": peel["along"], "exponent": peel["exponent"]}


def bent_scores(rng: random.Random, step: dict[str, Any], sizes: Sizes) -> tuple[str, dict[str, Any]]:
    """Another score rule with the same, spoilt or random projectors."""
    d, h = sizes.d, sizes.h
    peels = copy.deepcopy(step["args"].get("peels")) or [
        any_peel(rng, size) for size in ([d] if rng.random() < 0.5 else [d, h, d, d])
    ]
    peels = [bent_peel(rng, peel) if rng.random() < 0.5 else peel for peel in peels]
    rule = rng.choice([step["rule"], *SCORE_RULES])
    if rule == "score_exact":
        return rule, {}
    args: dict[str, Any] = {"peels": peels}
    if rule == "score_product_spread":
        cuts = [d] if len(peels) == 1 else [d, h, d]
        kept = step["args"].get("bases", [])
        bases = kept if len(kept) == len(cuts) and rng.random() < 0.3 else [any_peel(rng, size) for size in cuts]
        args |= {"bases": rng.choice([[], bases]), "means": rng.randint(0, 1)}
    elif rule == "score_recursive_spread":
        args["means"] = rng.randint(0, 3)
    elif rule == "score_singular_value":
        args |= bent_witness(rng, step["args"], d)
    return rule, args


def bent_witness(rng: random.Random, given: dict[str, Any], d: int) -> dict[str, Any]:
    """A witness, a bound and a ridge; the given ones where there are any, or else random ones."""
    witness = given.get("witness", [[int(i == j) for j in range(d)] for i in range(d)])
    match rng.randrange(5):
        case 0:
            witness = table(rng, d, d)
        case 1:
            witness = [[-(1 << 20) * x for x in row] for row in witness]
        case 2:
            order = rng.sample(range(d), d)
            witness = [[row[j] for j in order] for row in witness]
    exponent = given.get("exponent", -20)
    ridge = rng.choice([given.get("ridge", 1), 0, 1, 1 << 30, 1 << 60])
    args = {"sigma": rng.choice([given.get("sigma", 1), 1, 0]), "exponent": exponent, "witness": witness}
    return args | {"ridge": ridge, "ridge_exponent": given.get("ridge_exponent", exponent)}


def smallest_sigma(proof: Derivation, args: dict[str, Any]) -> dict[str, Any] | None:
    """The smallest bound, out of many, for which the rule takes a witness; None if it takes none."""
    for power in range(-8, 90, 4):
        for step in range(4):
            sigma = (args["sigma"] or 1) * (8 + step) << max(power, 0) >> 3 + max(-power, 0)
            try:
                proof.derive("score_singular_value", [], args | {"sigma": sigma})
            except Rejected:
                continue
            return args | {"sigma": sigma}
    return None


def any_gap(rng: random.Random, q: int, m: int, n: int) -> int:
    """A gap that attention_ranges allows."""
    return rng.randint(0, m if q == m and n else 0 if q == m else m - q)


def bent_args(rng: random.Random, step: dict[str, Any], sizes: Sizes) -> tuple[str, dict[str, Any]]:
    """The rule and the arguments of a step, the hints in them replaced."""
    rule, args = step["rule"], copy.deepcopy(step["args"])
    v, k, d, _ = sizes
    if rule.startswith("score_"):
        return bent_scores(rng, step, sizes)
    if rule in ("direct_path_spread", "direct_path_centred_spread") and rng.random() < 0.7:
        given = args.get("centre", {"exponent": -3, "rows": [[0] * d]})
        exponent = given["exponent"] + rng.choice([0, 0, -1, 1, -100, 100])
        return "direct_path_centred_spread", {
            "centre": {"exponent": exponent, "rows": [[integer(rng, x) for x in given["rows"][0]]]}
        }
    if rule.startswith("max_token_"):
        rule = rng.choice(["max_token_drop", "max_token_mean", "max_token_mean", "max_token_envelope"])
        exponent = rng.choice([0, -1, -3, -20, -20, -300])
        rows = [[integer(rng, 1 << -exponent >> 1) for _ in range(k)] for _ in range(v)]
        return rule, {"centres": {"exponent": exponent, "rows": rows}} if rule == "max_token_mean" else {}
    if rule == "attention_ranges":
        share = rng.choice([0, 0.2, 1])
        for m, rows in enumerate(args["gaps"]):
            for q, row in enumerate(rows):
                row[:] = [any_gap(rng, q, m, n) if rng.random() < share else g for n, g in enumerate(row)]
        precision = rng.choice([(8, 8), (8, 40), (40, 8), (12, 16), (48, 32), (96, 64), (300, 500)])
        args |= dict(zip(("depth", "bits"), precision, strict=True))
    return rule, args


def outward(rng: random.Random, exponent: int, rows: Any, up: bool = True) -> tuple[int, Any]:
    """Upper bounds restated in a unit near the given one, rounded up, some of them raised further."""
    by = rng.choice([0, 0, 1, 5, -1, -7, 20])
    most = rng.choice([0, 1, 3, 1000])
    return exponent + by, tuple(
        tuple((-(-x >> by) if by >= 0 else x << -by) + rng.randint(0, most) for x in row) for row in rows
    )


def loosened(rng: random.Random, fact: Any) -> Any:
    """A fact that follows from another one, as far from it as the checker must still grant."""
    if isinstance(fact, DirectPathSpread):
        return replace(fact, spread=UpperTable(*outward(rng, fact.spread.exponent, fact.spread.rows)))
    if isinstance(fact, MaxTokenPath):
        spread, lines = (UpperTable(*outward(rng, x.exponent, x.rows)) for x in (fact.spread, fact.lines))
        return MaxTokenPath(spread, lines)
    if isinstance(fact, UpperTable):
        exponent, rows = outward(rng, fact.exponent, fact.rows)
        return replace(fact, exponent=exponent, rows=rows)
    if isinstance(fact, ScoreApproximation):
        size, shift = rng.choice([0, 1, 5, 1 << 20]), rng.choice([0, 1, 6])
        kept = [[(x << shift) + rng.randint(-size, size) for x in row] for row in fact.kept]
        moved = [[y - (x << shift) for x, y in zip(*rows, strict=True)] for rows in zip(fact.kept, kept, strict=True)]
        error = [max(row) - min(row) + (e << shift) for row, e in zip(moved, fact.error, strict=True)]
        return ScoreApproximation(fact.exponent - shift, tuple(map(tuple, kept)), tuple(error))
    if isinstance(fact, AttentionRanges):
        most = rng.choice([0, 1, 50, 1 << fact.bits])
        ranges = tuple(
            tuple(tuple(wider(rng, cell, most) for cell in row) for row in rows) for rows in fact.ranges
        )
        return AttentionRanges(fact.bits, ranges)
    assert isinstance(fact, Tally)
    return Tally(tuple(c._replace(correct=max(0, c.correct - rng.choice([0, 0, 0, 1]))) for c in fact.counts))


def wider(rng: random.Random, cell: tuple[int, ...], most: int) -> tuple[int, ...]:
    return (cell[0], cell[1] - rng.randint(0, most), cell[2] + rng.randint(0, most)) if cell else ()


def bent_proof(path: Path, margin: Fraction, statement: Statement, rng: random.Random, seen: Counter[str]) -> Derivation:
    """A certificate's steps again, with other hints and honest, sometimes weaker, conclusions."""
    proof = Derivation(path, margin)
    sizes = Sizes(*(proof.weights.sizes[name] for name in ("d_vocab", "n_ctx", "d_model", "d_head")))
    for step in statement["predicate"]["steps"][:-1]:
        rule, args = bent_args(rng, step, sizes) if rng.random() < 0.8 else (step["rule"], step["args"])
        if rule == "score_singular_value" and args is not step["args"]:
            found = smallest_sigma(proof, args)
            seen["witness refused"] += found is None
            rule, args = (rule, found) if found else (step["rule"], step["args"])
        weaker = rng.random() < 0.4
        number = proof.step(rule, step["premises"], args, (lambda fact: loosened(rng, fact)) if weaker else None)
        seen[rule] += args is not step["args"]
        assert number == len(proof.steps) - 1
    return proof


@quick_and_slow(330)
def test_any_hints_with_honest_conclusions_are_true(run: settings, workspace: Path) -> None:
    """Every fact means what it says, the certificate is accepted, and its claim is at most the truth."""
    seen: Counter[str] = Counter()

    @run
    @given(seed=seeds)
    def true(seed: int) -> None:
        rng = random.Random(seed)
        model, margin = trained_looking(seed), margin_of(seed)
        path = model.write(workspace / "model")
        name = rng.choice(FAMILY)
        honest = json.loads(STRATEGIES[name].prove(Circuits(load_model(path), margin), quiet).to_bytes())
        proof = bent_proof(path, margin, honest, rng, seen)

        meaning = Meaning(model.tensors, margin)
        correct = meaning.correct_sequences(path)
        for fact, step in zip(proof.facts, proof.steps, strict=True):
            if isinstance(fact, Tally):
                assert tally_holds(fact, correct), step
            else:
                assert meaning.is_true(fact), step
        result = proof.outcome(proof.statement([len(proof.steps) - 1]))
        assert isinstance(result, Verdict), str(result)
        assert result.correct == proof.facts[-1].correct <= len(correct)

        claim = proof.statement([len(proof.steps) - 2])
        claim["predicate"]["claim"]["correct"] += 1
        assert code_of(proof.outcome(claim)) == "count-too-large"
        seen["cases"] += 1
        seen["0 < certified"] += result.correct > 0
        seen["more than the constant sequences"] += result.correct > meaning.v
        seen["0 < certified < truth"] += 0 < result.correct < len(correct)
        seen["more than the strategy"] += result.correct > honest["predicate"]["claim"]["correct"]

    true()
    print(f"\nbent hints: {dict(seen)}")
    assert seen["more than the constant sequences"] > 0.15 * seen["cases"]
    assert seen["0 < certified < truth"] > 0.3 * seen["cases"]
    assert all(seen[rule] > 5 for rule in (*SCORE_RULES, "direct_path_centred_spread", "max_token_mean"))


def code_of(result: Verdict | Refusal) -> str:
    assert isinstance(result, Rejected), str(result)
    return result.code
