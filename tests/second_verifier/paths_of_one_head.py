"""direct_path_upper, value_path_upper, direct_path_spread, direct_path_centred_spread, value_path_spread, and the three
max_token rules: bounds on what goes past attention and through it, all exact.
"""

from fractions import Fraction
from typing import Any

from tests.second_verifier.facts import rows_of
from tests.second_verifier.one_head import OneHead, matmul, plus, spread
from tests.second_verifier.refusal import require
from tests.second_verifier.setting import Setting, Stated

Args = dict[str, Any]
Derived = dict[str, Any]
Line = tuple[Fraction, Fraction]  # slope, intercept
NOTHING = Fraction(0)  # the maximum over no wrong token


def exact(rows: list[list[Fraction]]) -> Derived:
    return {"exponent": 0, "rows": rows}


def direct_path_upper(setting: Setting, premises: list[Stated], args: Args) -> Derived:
    """The margin itself, where the text allows to round it up."""
    one = setting.model.one_head
    return exact(
        [
            [
                max((one.EUPU[q][y] - one.EUPU[q][m] for y in one.others(m)), default=NOTHING) + setting.margin
                for q in range(m + 1)
            ]
            for m in range(one.v)
        ]
    )


def value_path_upper(setting: Setting, premises: list[Stated], args: Args) -> Derived:
    one = setting.model.one_head
    return exact(
        [
            [
                max(
                    (one.EVOU[t][y] - one.EVOU[t][m] + one.position_gains[m][y] for y in one.others(m)), default=NOTHING
                )
                for t in range(m + 1)
            ]
            for m in range(one.v)
        ]
    )


def direct_path_spread(setting: Setting, premises: list[Stated], args: Args) -> Derived:
    one = setting.model.one_head
    return {"centre": {"exponent": 0, "rows": []}, "spread": exact([[spread(row) for row in one.EUPU]])}


def direct_path_centred_spread(setting: Setting, premises: list[Stated], args: Args) -> Derived:
    one = setting.model.one_head
    rows = rows_of(args["centre"])
    require(len(rows) == 1 and len(rows[0]) == one.d, "wrong-shape", "args.centre")
    bounds = [
        sum((abs(a - z) * spread(row) for a, z, row in zip(r, rows[0], one.W_U, strict=True)), Fraction(0))
        for r in one.r
    ]
    return {"centre": args["centre"], "spread": exact([bounds])}


def value_path_spread(setting: Setting, premises: list[Stated], args: Args) -> Derived:
    one = setting.model.one_head
    spreads = [spread(row) for row in one.EVOU]
    return exact([[max(spreads[: t + 1]) for t in range(one.v)]])


def middle(one: OneHead, centre: Any) -> list[Fraction]:
    """M of a centre."""
    rows = rows_of(centre)
    require(not rows or (len(rows) == 1 and len(rows[0]) == one.d), "wrong-shape", "premises[0].centre")
    return plus(matmul(rows, one.W_U), one.constant)[0] if rows else [Fraction(0)] * one.v


def lines_of(one: OneHead, centre: Any) -> list[list[Line]]:
    """[m]: the line of each wrong token."""
    M = middle(one, centre)
    return [
        [(one.EVOU[m][y] - one.EVOU[m][m], M[y] - M[m] + one.position_gains[m][y]) for y in one.others(m)]
        for m in range(one.v)
    ]


def of_lines(premise: Stated, rows: list[list[Line]]) -> Derived:
    flat = [[number for line in row for number in line] for row in rows]
    return {"spread": premise.fact["spread"], "lines": exact(flat)}


def max_token_drop(setting: Setting, premises: list[Stated], args: Args) -> Derived:
    every = lines_of(setting.model.one_head, premises[0].fact["centre"])
    return of_lines(
        premises[0],
        [[(max(s for s, _ in lines), max(b for _, b in lines))] if lines else [] for lines in every],
    )


def max_token_mean(setting: Setting, premises: list[Stated], args: Args) -> Derived:
    one = setting.model.one_head
    centres = rows_of(args["centres"])
    fits = len(centres) == one.v and all(len(row) == one.k for row in centres) and args["centres"]["exponent"] <= 0
    require(fits, "wrong-shape", "args.centres")
    rows = []
    for m, lines in enumerate(lines_of(one, premises[0].fact["centre"])):
        for a0 in centres[m]:
            top = max((s * a0 + b for s, b in lines), default=NOTHING)
            ends = [end(s for s, _ in lines) for end in (max, min)] if lines else []
            rows.append([(s, top - s * a0) for s in ends])
    return of_lines(premises[0], rows)


def max_token_envelope(setting: Setting, premises: list[Stated], args: Args) -> Derived:
    return of_lines(
        premises[0], [needed(lines) for lines in lines_of(setting.model.one_head, premises[0].fact["centre"])]
    )


def needed(lines: list[Line]) -> list[Line]:
    """Those that are above all others somewhere in a >= 0, each once, by rising slope."""
    kept = []
    for slope, intercept in sorted(set(lines)):
        start, end = Fraction(0), None  # where it is above the others, as far as is known
        beaten = False
        for s, b in set(lines) - {(slope, intercept)}:
            if s == slope:
                beaten |= b > intercept
            elif s < slope:
                start = max(start, (b - intercept) / (slope - s))
            else:
                cross = (intercept - b) / (s - slope)
                end = cross if end is None else min(end, cross)
        if not beaten and (end is None or start < end):
            kept.append((slope, intercept))
    return kept
