"""The sub-cubic family: every member proves true things, and so does every proof whose hints an attacker chose.

Hints (projectors, bases, centres, gaps, witnesses, precisions) are arguments of rules. Whatever they are, the fact that
a rule derives from them has to be true; here each fact is compared with its meaning on tiny models, not only the claim.
`pytest -s` prints how often what happened.
"""

import copy
import itertools
import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

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
    fractions,
    gap_counts,
    tally_holds,
)
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from oracle import Oracle
from strategies_for_models import Sizes, TinyModel, tensors_of
from tiny import BIASES, Tensors, short, tiny_model

from certgen.bounds.scores import SCORE_ERRORS
from certgen.models.circuits import Circuits
from certgen.models.model_file import load_model
from certgen.progress import quiet
from certgen.strategies import STRATEGIES
from checker.errors import Refusal, Rejected
from checker.facts import Tally, UpperTable
from checker.kernel import Verdict
from checker.rules.max_token_envelope import upper_hull

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


def trained_looking(seed: int) -> TinyModel:
    """Often correct, all six biases nonzero, F32 or F64, in usual or wild units; sizes down to 1."""
    rng = np.random.default_rng(seed)
    kind = ("near", "ramp", "near", "ramp", "near", "ramp", "normal", "lattice")[rng.integers(8)]
    smallest = 2 if kind == "ramp" else 1
    sizes = Sizes(*(int(rng.integers(*ends)) for ends in ((1, 5), (1, 5), (smallest, 6), (smallest, 5))))
    match rng.integers(4):
        case 0:  # as many dimensions and positions as tokens
            sizes = Sizes(3, 3, 3, 3)
        case 1:
            sizes = sizes._replace(v=4, k=3)
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
    other = rng.choice([near + rng.randint(-3, 3), rng.randint(-(1 << bits), 1 << bits)])
    return rng.choice([0, 1, -1, near, -near, 2 * near, other, other])


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
        exponent = given["exponent"] + rng.choice([0, 0, 0, -1, 1, -100, 100])
        share = rng.choice([0.1, 0.5, 1])
        row = [integer(rng, x) if rng.random() < share else x for x in given["rows"][0]]
        return "direct_path_centred_spread", {"centre": {"exponent": exponent, "rows": [row]}}
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
        args["bits"] = rng.choice([8, 8, 12, 16, 32, 64, 500])
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
        ranges = tuple(tuple(tuple(wider(rng, cell, most) for cell in row) for row in rows) for rows in fact.ranges)
        return AttentionRanges(fact.bits, ranges)
    assert isinstance(fact, Tally)
    return Tally(tuple(c._replace(correct=max(0, c.correct - rng.choice([0, 0, 0, 1]))) for c in fact.counts))


def wider(rng: random.Random, cell: tuple[int, ...], most: int) -> tuple[int, ...]:
    return (cell[0], cell[1] - rng.randint(0, most), cell[2] + rng.randint(0, most)) if cell else ()


def bent_proof(
    path: Path, margin: Fraction, statement: Statement, rng: random.Random, seen: Counter[str]
) -> Derivation:
    """A certificate's steps again, with other hints and honest, sometimes weaker, conclusions."""
    proof = Derivation(path, margin)
    sizes = Sizes(*(proof.weights.sizes[name] for name in ("d_vocab", "n_ctx", "d_model", "d_head")))
    for step in statement["predicate"]["steps"][:-1]:
        rule, args = bent_args(rng, step, sizes) if rng.random() < 0.6 else (step["rule"], step["args"])
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
                assert tally_holds(fact, meaning.v, meaning.k, correct), step
                attention, bound, value = (proof.facts[number] for number in step["premises"])
                expected = gap_counts(attention, bound, value, meaning.k, margin)
                assert all(count.correct <= most for count, most in zip(fact.counts, expected, strict=True))
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


# (c) Conclusions a little stronger than what follows.


def by_hand(path: Path, margin: Fraction, rng: random.Random, lines: str, scores: str) -> Derivation:
    """A proof of these rules that states exactly what they derive."""
    proof = Derivation(path, margin)
    v, k, d, h = (proof.weights.sizes[name] for name in ("d_vocab", "n_ctx", "d_model", "d_head"))
    direct = proof.step("direct_path_centred_spread", [], {"centre": {"exponent": -3, "rows": table(rng, 1, d)}})
    centres = {"centres": {"exponent": -4, "rows": [[rng.randint(0, 16) for _ in range(k)] for _ in range(v)]}}
    path_step = proof.step(lines, [direct], centres if lines == "max_token_mean" else {})
    args: dict[str, Any] = {} if scores == "score_exact" else {"peels": small_peels(rng, (d, h, d, d))}
    more: dict[str, dict[str, Any]] = {
        "score_product_spread": {"bases": [], "means": 1},
        "score_recursive_spread": {"means": 2},
    }
    args |= more.get(scores, {})
    if scores == "score_singular_value":
        witness = [[int(i == j) for j in range(d)] for i in range(d)]
        sigma = {"sigma": 1, "exponent": -20, "ridge": 1, "ridge_exponent": 0, "witness": witness}
        found = smallest_sigma(proof, args | sigma)
        assert found is not None
        args = found
    approximation = proof.step(scores, [], args)
    gaps = [[[any_gap(rng, q, m, n) for n in range(k - (q < m))] for q in range(m + 1)] for m in range(v)]
    ranges = proof.step("attention_ranges", [approximation], {"bits": 40, "gaps": gaps})
    values = proof.step("value_path_spread", [], {})
    proof.step("gap_cells", [ranges, path_step, values], {})
    return proof


def leaves(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The position of every integer inside."""
    if isinstance(value, int):
        yield at
    else:
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(item, (*at, key))


# What makes a fact stronger: the field, which entry of a list, by how much, and the code of the refusal.
STRONGER: dict[tuple[Any, ...], str] = {
    ("centre", -1): "other-centre",
    ("centre", 1): "other-centre",
    ("spread", -1): "bound-too-small",
    ("lines", -1): "bound-too-small",
    ("rows", -1): "bound-too-small",
    ("error", -1): "error-too-small",
    ("kept", -1): "error-too-small",
    ("kept", 1): "error-too-small",
    ("bits", -1): "wrong-unit",
    ("bits", 1): "wrong-unit",
    ("ranges", 0, -1): "range-too-narrow",
    ("ranges", 0, 1): "range-too-narrow",
    ("ranges", 1, 1): "range-too-narrow",
    ("ranges", 2, -1): "range-too-narrow",
    **{("counts", entry, by): "wrong-region" for entry in range(3) for by in (-1, 1)},
    **{("counts", entry, 1): "count-too-large" for entry in (3, 4)},
    ("correct", 1): "count-too-large",
    ("wrong", 1): "count-too-large",
}


def nudges(conclusion: Any) -> Iterator[tuple[Any, str]]:
    """The conclusion with one number changed by one, and the code of the refusal that it deserves ("" for none)."""
    for at in leaves(conclusion):
        if at[-1] == "exponent" and at[0] != "centre":
            continue  # scales a whole table; see the test of units
        for by in (-1, 1):
            changed = copy.deepcopy(conclusion)
            inner = changed
            for key in at[:-1]:
                inner = inner[key]
            inner[at[-1]] += by
            yield changed, STRONGER.get((at[0], at[-1], by), STRONGER.get((at[0], by), ""))


def restated_units(conclusion: Any) -> Iterator[tuple[Any, str]]:
    """The same integers in a unit half or twice as large."""
    for by, name in ((by, name) for by in (-1, 1) for name in ("spread", "lines", "rows", "kept")):
        if name in conclusion:
            changed = copy.deepcopy(conclusion)
            inner = changed[name] if isinstance(changed[name], dict) else changed
            inner["exponent"] += by
            if name == "kept":
                spreads = [max(row) - min(row) for row in inner["kept"]]
                lost = any(size > error for size, error in zip(spreads, inner["error"], strict=True))
                if by < 0 or lost:
                    yield changed, "error-too-small"
            else:
                numbers = [x for row in inner["rows"] for x in row]
                yield changed, "bound-too-small" if (max(numbers) > 0 if by < 0 else min(numbers) < 0) else ""


@pytest.mark.parametrize("lines", ["max_token_drop", "max_token_mean", "max_token_envelope"])
@pytest.mark.parametrize("scores", ["score_exact", *SCORE_RULES])
def test_a_conclusion_stronger_by_one_is_refused(lines: str, scores: str, workspace: Path) -> None:
    """Every number of every conclusion, both ways: stronger is refused there, weaker never is."""
    seed = sum(map(ord, lines + scores))
    rng = random.Random(seed)
    tensors = tensors_of("near", Sizes(3, 3, 4, 3), seed)
    path = tiny_model(workspace / "nudged", tensors)
    proof = by_hand(path, Fraction(1, 3), rng, lines, scores)
    certificate = proof.statement([len(proof.steps) - 1])
    assert isinstance(proof.outcome(certificate), Verdict)
    seen: Counter[str] = Counter()
    for number, step in enumerate(proof.steps):
        original = step["conclusion"]
        for step["conclusion"], code in (*nudges(original), *restated_units(original)):
            result = proof.outcome(certificate)
            if code:
                assert code_of(result) == code, step
                assert result.path.startswith(f"predicate.steps[{number}].conclusion")  # type: ignore[union-attr]
            elif isinstance(result, Refusal):  # too weak for a later step
                assert not result.path.startswith(f"predicate.steps[{number}]"), str(result)
            seen[code] += 1
        step["conclusion"] = original
    assert set(seen) == {"", *STRONGER.values()}

    for field, key, code in (
        ("claim", "correct", "count-too-large"),
        ("claim", "wrong", "count-too-large"),
        ("claim", "total", "wrong-total"),
        ("task", "k", "wrong-task"),
        ("model", "d_vocab", "wrong-size"),
    ):
        certificate["predicate"][field][key] += 1
        assert code_of(proof.outcome(certificate)) == code
        certificate["predicate"][field][key] -= 1
    assert isinstance(proof.outcome(certificate), Verdict)


# (d) Better rules prove more, weaker premises less.


def gap_proof(seed: int, workspace: Path) -> tuple[Derivation, random.Random, Any, Any]:
    """A model, with a direct path, ranges of attention and the spread of the values; the rest is up to the test."""
    rng = random.Random(seed)
    path = trained_looking(seed).write(workspace / "model")
    proof = Derivation(path, margin_of(seed))
    v, k, d = (proof.weights.sizes[name] for name in ("d_vocab", "n_ctx", "d_model"))
    if rng.random() < 0.3:
        proof.step("direct_path_spread", [], {})
    else:
        W_E, W_pos = (proof.problem.circuits.tensor(name) for name in ("embed.W_E", "pos_embed.W_pos"))
        unit = Fraction(2) ** -20
        means = [
            sum(row[j] for row in W_E.rows) * Fraction(2) ** W_E.exponent / v
            + W_pos.rows[-1][j] * Fraction(2) ** W_pos.exponent
            for j in range(d)
        ]
        row = [round(x / unit) + rng.choice([0, 0, 1 << 17]) for x in means]
        proof.step("direct_path_centred_spread", [], {"centre": {"exponent": -20, "rows": [row]}})
    proof.step("value_path_spread", [], {})
    gaps = [
        [[max(any_gap(rng, q, m, n), min(1, m - q)) for n in range(k - (q < m))] for q in range(m + 1)]
        for m in range(v)
    ]
    return proof, rng, gaps, {"bits": 48}


def tally(proof: Derivation, ranges: int, lines: int, values: int = 1) -> list[int]:
    return [count.correct for count in proof.derive("gap_cells", [ranges, lines, values], {}).counts]


@quick_and_slow(200)
def test_the_hull_is_the_maximum_of_all_lines(run: settings) -> None:
    """Where two lines cross, at 0, between and far out; and no line of it is needless."""
    numbers = st.integers(-8, 8)

    @run
    @given(lines=st.lists(st.tuples(numbers, numbers), min_size=1, max_size=8))
    def equal(lines: list[tuple[int, int]]) -> None:
        hull = upper_hull(lines)
        assert set(hull) <= set(lines)
        crossings = {Fraction(b - d, c - s) for s, b in lines for c, d in lines if c != s}
        points = sorted({Fraction(0), Fraction(100)} | {a for a in crossings if a > 0})
        points += [(a + b) / 2 for a, b in itertools.pairwise(points)]
        for a in points:
            assert max(s * a + b for s, b in hull) == max(s * a + b for s, b in lines)
        for line in hull:
            others = [other for other in hull if other != line]
            assert not others or any(line[0] * a + line[1] > max(s * a + b for s, b in others) for a in points)

    equal()


@quick_and_slow(120)
def test_the_envelope_is_never_worse(run: settings, workspace: Path) -> None:
    """Than one line of the largest slope and intercept, or two lines through any centre, in any cell."""
    seen: Counter[str] = Counter()

    @run
    @given(seed=seeds)
    def better(seed: int) -> None:
        proof, rng, gaps, precision = gap_proof(seed, workspace)
        v, k = proof.problem.v, proof.problem.k
        scores = proof.step("score_exact", [], {})
        ranges = proof.step("attention_ranges", [scores], {**precision, "gaps": gaps})
        hull = tally(proof, ranges, proof.step("max_token_envelope", [0], {}))
        centres = [[rng.choice([integer(rng, 500), *[rng.randint(0, 1024)] * 9]) for _ in range(k)] for _ in range(v)]
        mean = {"centres": {"exponent": -10, "rows": centres}}
        others = {
            "drop": tally(proof, ranges, proof.step("max_token_drop", [0], {})),
            "mean": tally(proof, ranges, proof.step("max_token_mean", [0], mean)),
        }
        for name, counts in others.items():
            assert all(ours >= theirs for ours, theirs in zip(hull, counts, strict=True))
            seen[f"envelope > {name}"] += sum(hull) > sum(counts)
            seen[f"{name} > constant sequences"] += sum(counts) > v

    better()
    print(f"\nenvelope: {dict(seen)}")
    assert min(seen.values()) > 0 and len(seen) == 4


@quick_and_slow(120)
def test_exact_scores_are_never_worse(run: settings, workspace: Path) -> None:
    """Their attention is within the attention from any approximation, but for the rounding of the last bit."""
    seen: Counter[str] = Counter()

    @run
    @given(seed=seeds)
    def narrower(seed: int) -> None:
        proof, rng, gaps, precision = gap_proof(seed, workspace)
        d, h = (proof.weights.sizes[name] for name in ("d_model", "d_head"))
        peels = [any_peel(rng, size) for size in rng.choice([(d,), (d, h, d, d)])]
        exact = proof.step("score_exact", [], {})
        rule = rng.choice(["score_residual_spread", "score_recursive_spread"])
        rough = proof.step(rule, [], {"peels": peels} | ({"means": 0} if "recursive" in rule else {}))
        args = {**precision, "gaps": gaps}
        narrow, wide = (proof.derive("attention_ranges", [scores], args) for scores in (exact, rough))
        for ours, theirs in zip(cells(narrow), cells(wide), strict=True):
            assert bool(ours) == bool(theirs)
            if ours:
                assert theirs[1] - 1 <= ours[1] <= ours[2] <= theirs[2] + 1
                seen["cells"] += 1
                seen["strictly narrower"] += theirs[1] + 1 < ours[1] and ours[2] < theirs[2] - 1
                seen["not everything"] += theirs[1] > 1 or theirs[2] < (1 << narrow.bits) - 1

    narrower()
    print(f"\nexact scores: {dict(seen)}")
    assert min(seen["strictly narrower"], seen["not everything"]) > 0.1 * seen["cells"] > 10


def cells(fact: Any) -> list[tuple[int, ...]]:
    return [cell for rows in fact.ranges for row in rows for cell in row]


@quick_and_slow(120)
def test_weaker_premises_never_prove_more(run: settings, workspace: Path) -> None:
    """Larger spreads of the direct path or the values, larger lines, larger errors of the scores, a larger margin."""
    seen: Counter[str] = Counter()

    @run
    @given(seed=seeds)
    def fewer(seed: int) -> None:
        proof, rng, gaps, precision = gap_proof(seed, workspace)
        lines = proof.step("max_token_envelope", [0], {})
        scores = proof.step("score_exact", [], {})
        args = {**precision, "gaps": gaps}
        ranges = proof.step("attention_ranges", [scores], args)
        counts = tally(proof, ranges, lines)

        def raised(fact: UpperTable) -> UpperTable:
            size = max((abs(x) for row in fact.rows for x in row), default=0) >> rng.choice([1, 3, 6])
            return replace(fact, rows=tuple(tuple(x + rng.randint(0, size) for x in row) for row in fact.rows))

        value, path, exact = (proof.facts[number] for number in (1, lines, scores))
        proof.facts.append(raised(value))
        proof.facts += [replace(path, lines=raised(path.lines)), replace(path, spread=raised(path.spread))]
        size = 1 + (max(max(row) - min(row) for row in exact.kept) >> rng.choice([2, 4]))
        proof.facts.append(replace(exact, error=tuple(rng.randint(0, size) for _ in exact.error)))
        proof.facts.append(proof.derive("attention_ranges", [len(proof.facts) - 1], args))
        weaker = {
            "values": tally(proof, ranges, lines, -5 + len(proof.facts)),
            "lines": tally(proof, ranges, -4 + len(proof.facts)),
            "spread": tally(proof, ranges, -3 + len(proof.facts)),
            "error": tally(proof, len(proof.facts) - 1, lines),
        }
        proof.problem.margin = (proof.margin + Fraction(rng.randint(1, 5), 8)).as_integer_ratio()
        weaker["margin"] = tally(proof, ranges, lines)
        for name, fewer_counts in weaker.items():
            assert all(less <= more for less, more in zip(fewer_counts, counts, strict=True)), name
            seen[name] += sum(fewer_counts) < sum(counts)
        seen["cases"] += 1

    fewer()
    print(f"\nweaker premises, proved less: {dict(seen)}")
    assert min(seen[name] for name in ("values", "lines", "spread", "error", "margin")) > 0


# (e) The score rules against float64, and against each other.


def in_float64(problem: Any, peels: list[dict[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """(scores, residual), from the definition, in numpy."""

    def tensor(name: str) -> np.ndarray:
        matrix = problem.circuits.tensor(name)
        return np.array([[float(x * Fraction(2) ** matrix.exponent) for x in row] for row in matrix.rows])

    residual = tensor("embed.W_E") + tensor("pos_embed.W_pos")[-1]
    W_Q, W_K, b_Q = (tensor(f"blocks.0.attn.{name}") for name in ("W_Q", "W_K", "b_Q"))
    tokens = tensor("embed.W_E").T
    factors = [(residual @ W_Q + b_Q) @ W_K.T, tokens] if len(peels) == 1 else [residual, W_Q, W_K.T, tokens]
    for number, peel in enumerate(peels):
        onto, along = (np.ldexp(np.array(peel[name], dtype=float), peel["exponent"]) for name in ("onto", "along"))
        factor = factors[number]
        factors[number] = factor - (onto @ (along @ factor) if number == 3 else factor @ onto @ along)
    product = factors[0]
    for factor in factors[1:]:
        product = product @ factor
    return (residual @ W_Q + b_Q) @ W_K.T @ tokens, product


def assert_like_float64(proof: Derivation, peels: list[dict[str, Any]]) -> Any:
    """The kept scores and the spread of the residual, to 1e-9 of the largest; returns the fact."""
    fact = proof.derive("score_residual_spread", [], {"peels": peels})
    scores, residual = in_float64(proof.problem, peels)
    unit = Fraction(2) ** fact.exponent
    kept = np.array([[float(x * unit) for x in row] for row in fact.kept])
    assert np.abs(kept - (scores - residual)).max() <= 1e-9 * max(np.abs(scores).max(), np.abs(residual).max())
    error = np.array([float(x * unit) for x in fact.error])
    assert np.abs(error - np.ptp(residual, axis=1)).max() <= 1e-9 * np.abs(residual).max()
    return fact


def small_peels(rng: random.Random, sizes: tuple[int, ...]) -> list[dict[str, Any]]:
    rank = rng.randint(1, 2)
    return [{"onto": table(rng, n, rank), "along": table(rng, rank, n), "exponent": -3} for n in sizes]


def exact_errors(fact: Any) -> list[Fraction]:
    return [x * Fraction(2) ** fact.exponent for x in fact.error]


@quick_and_slow(60)
def test_residuals_agree_with_float64_and_bounds_are_above_them(run: settings, workspace: Path) -> None:
    """Same projectors: the same kept part, whatever the rule, and no error below the exact spread of the residual."""
    seen: Counter[str] = Counter()

    @run
    @given(seed=seeds)
    def agree(seed: int) -> None:
        rng = random.Random(seed)
        generator = np.random.default_rng(seed)
        sizes = Sizes(*(int(x) for x in generator.integers(1, 6, size=4)))
        proof = Derivation(tiny_model(workspace / "model", tensors_of("normal", sizes, seed)))
        d, h = sizes.d, sizes.h
        four = rng.random() < 0.5
        peels = small_peels(rng, (d, h, d, d) if four else (d,))
        fact = assert_like_float64(proof, peels)
        cuts = (d, h, d) if four else (d,)
        others: list[tuple[str, dict[str, Any]]] = [
            ("score_product_spread", {"bases": [], "means": means}) for means in (0, 1)
        ]
        others.append(("score_product_spread", {"bases": small_peels(rng, cuts), "means": rng.randint(0, 1)}))
        others += [("score_recursive_spread", {"means": means}) for means in range(4)]
        found = smallest_sigma(proof, {"peels": peels} | bent_witness(rng, {}, d))
        if found:
            residual = in_float64(proof.problem, peels)[1]
            largest = np.linalg.svd(residual - residual.mean(axis=1, keepdims=True))[1].max()
            bound = float(found["sigma"] * Fraction(2) ** found["exponent"])
            assert bound >= largest * (1 - 1e-9)
            seen["sigma within a factor of 4"] += bool(largest > bound / 4)
            others.append(("score_singular_value", {key: x for key, x in found.items() if key != "peels"}))
        for rule, args in others:
            bound = proof.derive(rule, [], {"peels": peels} | args)
            assert (fractions(fact.kept, fact.exponent) == fractions(bound.kept, bound.exponent)).all()
            pairs = list(zip(exact_errors(fact), exact_errors(bound), strict=True))
            assert all(spread <= error for spread, error in pairs), rule
            seen[rule] += any(0 < spread < error for spread, error in pairs)

    agree()
    print(f"\nbounds strictly above the spread of the residual: {dict(seen)}")
    assert min(seen[rule] for rule in SCORE_RULES[1:]) > 5
    assert seen["sigma within a factor of 4"] > 0


def test_score_errors_of_a_trained_model(shipped: Path) -> None:
    """Every strategy's own projectors: float64 agrees, and its error is at least the exact spread of its residual."""
    circuits = Circuits(load_model(shipped), Fraction(0))
    proof = Derivation(shipped)
    spreads: dict[str, list[Fraction]] = {}
    largest = {}
    for name, make in SCORE_ERRORS.items():
        step = json.loads(make(circuits).model_dump_json())
        if step["rule"] == "score_exact":
            continue
        key = json.dumps(step["args"]["peels"])
        if key not in spreads:
            spreads[key] = exact_errors(assert_like_float64(proof, step["args"]["peels"]))
        errors = exact_errors(proof.derive(step["rule"], [], step["args"]))
        assert all(spread <= error for spread, error in zip(spreads[key], errors, strict=True)), name
        largest[name] = float(max(errors))
    print(f"\nlargest error of the scores: {largest}")
    assert largest["max-diff-exact"] <= largest["max-diff"] <= largest["max-diff-subproduct-recursive"]
    assert largest["max-diff-subproduct"] < largest["max-diff-subproduct-recursive"]
    assert all(0 < error < 1000 for error in largest.values())
