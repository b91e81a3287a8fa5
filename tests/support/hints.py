"""Hints of an attacker: the arguments of a sub-cubic proof replaced, its conclusions honest or weaker."""

import copy
import random
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from checker.errors import Rejected
from checker.facts import RegionGaps, Regions, Tally, UpperTable
from tests.support.derivations import (
    AttentionRanges,
    Derivation,
    DirectPathSpread,
    MaxTokenPath,
    ScoreApproximation,
    Statement,
)
from tests.support.generators import Sizes, TinyModel, tensors_of
from tests.support.tiny import BIASES, Tensors, short

SCORE_RULES = ("score_residual_spread", "score_product_spread", "score_recursive_spread", "score_singular_value")


def regauged(tensors: Tensors, residual: int, scores: int, values: int) -> Tensors:
    """The same function, written in other units: powers of two that cancel between the tensors."""
    powers = {"W_E": residual, "W_pos": residual, "b_O": residual, "W_U": -residual}
    powers |= {"W_Q": scores - residual, "b_Q": scores, "W_K": -scores - residual, "b_K": -scores}
    powers |= {"W_V": values - residual, "b_V": values, "W_O": residual - values}
    return {name: np.ldexp(x, powers.get(name.rpartition(".")[2], 0)) for name, x in tensors.items()}


def in_any_units(seed: int) -> TinyModel:
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


def bent_scores(
    rng: random.Random, step: dict[str, Any], sizes: Sizes, others: tuple[str, ...] = SCORE_RULES
) -> tuple[str, dict[str, Any]]:
    """The rule or another one of scores, with the same, spoilt or random projectors."""
    d, h = sizes.d, sizes.h
    peels = copy.deepcopy(step["args"].get("peels")) or [
        any_peel(rng, size) for size in ([d] if rng.random() < 0.5 else [d, h, d, d])
    ]
    peels = [bent_peel(rng, peel) if rng.random() < 0.5 else peel for peel in peels]
    rule = rng.choice([step["rule"], *others])
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
    if isinstance(fact, Regions):
        most = rng.choice([0, 1, 1 << fact.bits])
        wide = [tuple(x + (2 * (i % 2) - 1) * rng.randint(0, most) for i, x in enumerate(row)) for row in fact.ranges]
        return replace(fact, ranges=tuple(wide))
    if isinstance(fact, RegionGaps):
        most = rng.choice([0, 1, 1 << fact.regions.bits])
        return replace(fact, gaps=tuple(tuple(gap + rng.randint(0, most) for gap in row) for row in fact.gaps))
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


def small_peels(rng: random.Random, sizes: tuple[int, ...]) -> list[dict[str, Any]]:
    rank = rng.randint(1, 2)
    return [{"onto": table(rng, n, rank), "along": table(rng, rank, n), "exponent": -3} for n in sizes]
