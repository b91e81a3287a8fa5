"""An attacker who asks the checker's own rules for the strongest facts that they grant under arbitrary arguments."""

import dataclasses
import random
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from checker.rules import RULES
from tests.support.derivations import Derivation, Loosen, Statement
from tests.support.groups import any_groups, fitting, group, with_cuts
from tests.support.oracle import Oracle

Draw = Callable[[st.SearchStrategy[Any]], Any]


@st.composite
def precisions(draw: st.DrawFn) -> dict[str, int]:
    """Arguments of the rules that enclose exponentials, mostly coarse ones, where enclosures are wide."""
    size = st.sampled_from(range(8, 24)) | st.integers(8, 80) | st.sampled_from([*range(8, 20), 500, 1000])
    return {"bits": draw(size)}


def restated(by: int | None) -> Loosen | None:
    """An upper table rounded up to a unit 2^by times as large; None leaves it as it is."""
    if by is None:
        return None

    def rounded_up(fact: Any) -> Any:
        rows = [[-(-x >> by) if by >= 0 else x << -by for x in row] for row in fact.rows]
        return dataclasses.replace(fact, exponent=fact.exponent + by, rows=tuple(tuple(row) for row in rows))

    return rounded_up


def lane_args(draw: Draw) -> dict[str, int]:
    return {"exponent": draw(st.integers(-60, 5) | st.integers(-(1 << 14), 1 << 14)), **draw(precisions())}


def attack(path: Path, margin: Fraction, draw: Draw) -> Statement:
    """Everything the rules of the cubic proof, of enumeration, or for sets of queries grant under drawn arguments."""
    attacker = Derivation(path, margin)
    match draw(st.integers(0, 4)):
        case 0:
            return attacker.statement([attacker.step("enumerate_sequences", [], lane_args(draw))])
        case 1 | 2:
            return region_attack(path, margin, draw)
    units = st.none() | st.integers(-100, 200)
    rounding = {"exponent": draw(st.integers(-200, 10) | st.integers(-3000, 1 << 14))}
    u = attacker.step("direct_path_upper", [], rounding, restated(draw(units)))
    c = attacker.step("value_path_upper", [], {}, restated(draw(units)))
    tokens = attacker.step("cubic_tokens", [u, c], draw(precisions()))
    return attacker.statement(
        [attacker.step("pure_sequences", [], lane_args(draw)), attacker.step("count_cubic", [tokens], {})]
    )


def region_attack(path: Path, margin: Fraction, draw: Draw) -> Statement:
    """Every pair (q, m) given to one of the rules that take sets of queries."""
    attacker = Derivation(path, margin)
    v, k = attacker.problem.v, attacker.problem.k
    rules = ("branch_sequences", "separable_counts")
    queries = {name: [0] * v for name in rules}
    for m in range(v):
        for q in range(m if k == 1 else 0, m + 1):
            queries[draw(st.sampled_from(rules))][m] |= 1 << q
    first, second = (queries[name] for name in rules)
    scores = attacker.step("score_exact", [], {})
    args = any_groups(generator(draw), attacker, scores, lane_args(draw), second)
    return attacker.statement(
        [
            attacker.step("branch_sequences", [], {"queries": first, **lane_args(draw)}),
            attacker.step("separable_counts", [scores], args),
        ]
    )


def generator(draw: Draw) -> random.Random:
    """For what is drawn in many small pieces."""
    return random.Random(draw(st.integers(0, 2**32 - 1)))


def drawn_table(draw: Draw, rows: int, columns: int) -> list[list[int]]:
    numbers = st.lists(st.integers(-4, 4), min_size=columns, max_size=columns)
    return draw(st.lists(numbers, min_size=rows, max_size=rows))


def projector(draw: Draw, size: int) -> dict[str, Any]:
    """Any; once in a while of the wrong shape."""
    rank = draw(st.integers(1, 2))
    rows = draw(st.sampled_from([size] * 20 + [1]))
    return {
        "onto": drawn_table(draw, rows, rank),
        "along": drawn_table(draw, rank, size),
        "exponent": draw(st.sampled_from([-1, -2, -3, -10])),
    }


def score_step(attacker: Derivation, draw: Draw) -> int:
    """Some approximation of the scores."""
    d, h = attacker.weights.sizes["d_model"], attacker.weights.sizes["d_head"]
    names = [name for name in RULES if name.startswith("score_")]
    name = draw(st.just("score_exact") | st.sampled_from(names))
    four = draw(st.booleans()) and name != "score_singular_value"
    args: dict[str, Any] = {}
    if "peels" in RULES[name].args:
        args["peels"] = [projector(draw, size) for size in ([d, h, d, d] if four else [d])]
    if "bases" in RULES[name].args:
        args["bases"] = [projector(draw, size) for size in ([d, h, d] if four else [d])] if draw(st.booleans()) else []
    if "means" in RULES[name].args:
        args["means"] = draw(st.integers(0, 3 if name == "score_recursive_spread" else 1))
    if name == "score_singular_value":
        identity = [[int(i == j) for j in range(d)] for i in range(d)]
        args |= {key: -4 for key in RULES[name].args if key.endswith("exponent")}
        args |= {"sigma": draw(st.integers(0, 1 << 12)), "ridge": draw(st.integers(0, 1 << 4))}
        args["witness"] = draw(st.sampled_from([identity, drawn_table(draw, d, d)]))
    return attacker.step(name, [], args)


def sub_cubic_attack(path: Path, margin: Fraction, draw: Draw) -> Statement:
    """Everything the rules of the sub-cubic family grant under drawn arguments, some of them out of shape."""
    attacker = Derivation(path, margin)
    sizes = attacker.weights.sizes
    v, k, d = sizes["d_vocab"], sizes["n_ctx"], sizes["d_model"]
    if draw(st.booleans()):
        direct = attacker.step("direct_path_spread", [], {})
    else:
        rows = draw(st.sampled_from([1] * 8 + [v, k, 0]))
        centre = {"exponent": draw(st.integers(-4, -2)), "rows": drawn_table(draw, rows, d)}
        direct = attacker.step("direct_path_centred_spread", [], {"centre": centre})
    name = draw(st.sampled_from([name for name in RULES if name.startswith("max_token_")]))
    args = {"centres": {"exponent": -3, "rows": drawn_table(draw, v, k)}} if name == "max_token_mean" else {}
    lines = attacker.step(name, [direct], args)
    scores = score_step(attacker, draw)

    def gap(q: int, m: int, n: int) -> int:
        wide = draw(st.integers(0, 99)) == 0  # not allowed
        most = m + 1 if wide else m if q == m and n else max(m - q, 0)
        return draw(st.integers(0 if wide else min(most, 1), most))

    gaps = [[[gap(q, m, n) for n in range(k - (q < m))] for q in range(m + 1)] for m in range(v)]
    ranges = attacker.step("attention_ranges", [scores], {**draw(precisions()), "gaps": gaps})
    spread = attacker.step("value_path_spread", [], {}, restated(draw(st.none() | st.integers(-20, 60))))
    return attacker.statement([attacker.step("gap_cells", [ranges, lines, spread], {})])


def critical(oracle: Oracle, margin: Fraction, draw: Draw) -> Fraction:
    """The margin, or one that makes some sequence just barely wrong, where every error of rounding would tell."""
    if draw(st.booleans()):
        return margin
    return oracle.barely_wrong_margin(tuple(draw(st.integers(0, oracle.v - 1)) for _ in range(oracle.k)))


def coarse_proofs(path: Path, margin: Fraction, rng: np.random.Generator) -> Iterator[tuple[str, int]]:
    """By rule, how many sequences it grants at a precision of few bits."""

    def weights() -> dict[str, int]:
        return {"bits": int(rng.integers(8, 16))}

    def total(name: str, attacker: Derivation, tallies: list[int]) -> tuple[str, int]:
        return name, attacker.statement(tallies)["predicate"]["claim"]["correct"]

    for name in ("enumerate_sequences", "branch_sequences", "separable_counts"):
        attacker = Derivation(path, margin)
        v, k = attacker.problem.v, attacker.problem.k
        args: dict[str, Any] = {"exponent": int(rng.integers(-60, 0)), **weights()}
        args["queries"] = [(2 << m) - 1 if k > 1 else 1 << m for m in range(v)]
        steps, apart = int(rng.integers(1, 3000)), rng.integers(0, 2)
        args["groups"] = [group((v, k), m, None if apart or v == 1 else [(1 << v) - 1 ^ 1 << m]) for m in range(v)]
        premises = [attacker.step("score_exact", [], {})] if name == "separable_counts" else []
        args = {key: args[key] for key in RULES[name].args}
        args = with_cuts(attacker, premises[0], args, fitting(steps)) if premises else args
        yield total(name, attacker, [attacker.step(name, premises, args)])

    attacker = Derivation(path, margin)
    u = attacker.step("direct_path_upper", [], {"exponent": -40}, restated(int(rng.integers(-5, 80))))
    c = attacker.step("value_path_upper", [], {}, restated(int(rng.integers(-5, 80))))
    tokens = attacker.step("cubic_tokens", [u, c], weights())
    pure = attacker.step("pure_sequences", [], {"exponent": int(rng.integers(-60, 0)), **weights()})
    yield total("cubic_tokens", attacker, [pure, attacker.step("count_cubic", [tokens], {})])

    for scores in ("score_exact", "score_residual_spread", "score_recursive_spread"):
        attacker = Derivation(path, margin)
        v, k, d = attacker.problem.v, attacker.problem.k, attacker.weights.sizes["d_model"]
        direct = attacker.step("direct_path_spread", [], {})
        lines = attacker.step("max_token_envelope", [direct], {})
        peel = {"onto": rng.integers(-1, 2, (d, 1)).tolist(), "along": rng.integers(-1, 2, (1, d)).tolist()}
        args = {"peels": [{**peel, "exponent": -4}], "means": int(rng.integers(0, 2))}
        approximated = attacker.step(scores, [], {key: args[key] for key in RULES[scores].args})
        gap = int(rng.integers(1, v))
        gaps = [
            [
                [gap * (gap <= m and (n > 0 if q == m else q <= m - gap)) for n in range(k - (q < m))]
                for q in range(m + 1)
            ]
            for m in range(v)
        ]
        ranges = attacker.step("attention_ranges", [approximated], {**weights(), "gaps": gaps})
        spread = attacker.step("value_path_spread", [], {}, restated(int(rng.integers(-5, 80))))
        yield total(f"gap_cells, {scores}", attacker, [attacker.step("gap_cells", [ranges, lines, spread], {})])
