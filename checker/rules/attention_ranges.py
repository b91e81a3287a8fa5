"""Rule attention_ranges; proof: docs/rules.md#attention_ranges."""

from functools import cache
from itertools import accumulate
from typing import Any

from checker.arithmetic.enclosures import Enclosure, partial_sums, plus
from checker.errors import Rejected, show
from checker.facts import AttentionRanges, Rows, ScoreApproximation
from checker.lemmas.shares import Ratio, exponential, share
from checker.problem import Problem
from checker.problem.cells import ns_of_pair


def attention_ranges(problem: Problem, premises: tuple[ScoreApproximation], args: dict[str, Any]) -> AttentionRanges:
    """How much attention m gets when all other tokens are at least a gap below it.

    Requires   ScoreApproximation. args.gaps[m][q][n] is 0 to say nothing about the cell (q, m, n), or a gap g with
               1 <= g <= m, where either q = m and n > 0, or q <= m - g.
    Concludes  AttentionRanges, in units of 2^-args.bits.
    Cost       two divisions per cell, two exponentials per pair and gap that occurs.
    """
    (scores,) = premises
    require_gaps(problem, args["gaps"])
    ranges = [
        tuple([ranges_of_pair(problem, scores, q, m, gaps, args["bits"]) for q, gaps in enumerate(rows)])
        for m, rows in enumerate(args["gaps"])
    ]
    return AttentionRanges(args["bits"], tuple(ranges))


def require_gaps(problem: Problem, gaps: tuple[Rows, ...]) -> None:
    """A gap for every cell, 0 or one that keeps m apart from the other tokens."""
    cells = [[len(ns_of_pair(problem, q, m)) for q in range(m + 1)] for m in range(problem.v)]
    if [[len(row) for row in rows] for rows in gaps] != cells:
        raise Rejected("wrong-shape", "args.gaps", "a gap for each n of each pair q <= m")
    for m, rows in enumerate(gaps):
        for q, row in enumerate(rows):
            for n, gap in enumerate(row):
                if gap != 0 and not (1 <= gap <= m and (n > 0 if q == m else q <= m - gap)):
                    expected = "1 <= g <= m, with n > 0 for q = m and q <= m - g otherwise"
                    raise Rejected("bad-gap", f"args.gaps[{m}][{q}][{n}]", expected, show(gap))


def ranges_of_pair(
    problem: Problem, scores: ScoreApproximation, q: int, m: int, gaps: tuple[int, ...], bits: int
) -> Rows:
    """For each n the gap and the least and the most attention on m, or nothing where the gap is 0."""
    kept, error = scores.kept[q][: m + 1], scores.error[q]
    highest, lowest = list(accumulate(kept, max)), list(accumulate(kept, min))

    @cache
    def ratios(gap: int) -> tuple[Ratio, Ratio]:
        """How far exp(sE(q, m)) is at least, and at most, above exp(sE(q, t)) for the tokens t <= m - gap."""
        near, far = kept[m] - highest[m - gap] - error, kept[m] - lowest[m - gap] + error
        return exponential(problem, near, scores.exponent, bits), exponential(problem, far, scores.exponent, bits)

    *others, last = problem.attention.position_weights(q, bits)
    light, heavy = partial_sums(others, heaviest=False), partial_sums(others, heaviest=True)
    nothing = Enclosure(0, 0)
    at_query, beside_query = (last, nothing) if q == m else (nothing, last)

    def attention(n: int, gap: int) -> tuple[int, int, int]:
        """m holds k - 1 - n positions, and the last one if it is the query; the other tokens hold the rest."""
        least, most = ratios(gap)
        held = problem.k - 1 - n
        low = share(least, plus(light[held], at_query), plus(heavy[n], beside_query), bits).low
        high = share(most, plus(heavy[held], at_query), plus(light[n], beside_query), bits).high
        return gap, low, high

    return tuple([attention(n, gap) if gap else () for n, gap in enumerate(gaps)])
