"""Rule attention_ranges; proof: docs/rules.md#attention_ranges."""

from itertools import accumulate
from typing import Any

from checker.approximations import AttentionRanges, ScoreApproximation
from checker.errors import Rejected, show
from checker.problem import Enclosure, Problem, aligned, partial_sums


def attention_ranges(problem: Problem, premises: tuple[ScoreApproximation], args: dict[str, Any]) -> AttentionRanges:
    """How much attention m gets when all other tokens are at least a gap below it.

    Requires   ScoreApproximation. args.gaps[m][q][n] is 0 to say nothing about the cell (q, m, n), or a gap g with
               1 <= g <= m, where either q = m and n > 0, or q <= m - g.
    Concludes  AttentionRanges, in units of 2^-args.bits.
    Cost       two divisions per cell, two exponentials per pair and gap that occurs.
    """
    (scores,) = premises
    v, k, bits, gaps = problem.v, problem.k, args["bits"], args["gaps"]
    if [[len(row) for row in rows] for rows in gaps] != [[k - (q < m) for q in range(m + 1)] for m in range(v)]:
        raise Rejected("wrong-shape", "args.gaps", "a gap for each n of each pair q <= m")
    ranges = []
    for m in range(v):
        rows = []
        for q in range(m + 1):
            kept, error = scores.kept[q][: m + 1], scores.error[q]
            highest, lowest = list(accumulate(kept, max)), list(accumulate(kept, min))
            *others, last = problem.position_weights(q, bits)
            light, heavy = partial_sums(others, False), partial_sums(others, True)
            row: list[tuple[int, ...]] = []
            leads: dict[int, list[tuple[Enclosure, Enclosure]]] = {}
            for n, g in enumerate(gaps[m][q]):
                if g == 0:
                    row.append(())
                    continue
                if not (1 <= g <= m and (n > 0 if q == m else q <= m - g)):
                    expected = "1 <= g <= m, with n > 0 for q = m and q <= m - g otherwise"
                    raise Rejected("bad-gap", f"args.gaps[{m}][{q}][{n}]", expected, show(g))
                # m has k - 1 - n positions, and the last one if it is the query; the other tokens have the rest
                own, rest = (last, (0, 0)) if q == m else ((0, 0), last)
                near, far = kept[m] - highest[m - g] - error, kept[m] - lowest[m - g] + error
                if g not in leads:
                    leads[g] = [lead(problem, difference, scores.exponent, bits) for difference in (near, far)]
                low = share(leads[g][0], plus(light[k - 1 - n], own), plus(heavy[n], rest), bits)[0]
                high = share(leads[g][1], plus(heavy[k - 1 - n], own), plus(light[n], rest), bits)[1]
                row.append((g, low, high))
            rows.append(tuple(row))
        ranges.append(tuple(rows))
    return AttentionRanges(bits, tuple(ranges))


def plus(a: Enclosure, b: Enclosure) -> Enclosure:
    """The sum of two enclosed numbers."""
    return a[0] + b[0], a[1] + b[1]


def lead(problem: Problem, difference: int, exponent: int, bits: int) -> tuple[Enclosure, Enclosure]:
    """Two numbers whose ratio is exp(difference * 2^exponent / sqrt(d_head)), enclosed in units of 2^-bits."""
    one, small = aligned([(1 << bits, 1 << bits, 0), problem.exp_below(abs(difference), exponent, bits)], bits)
    return (one, small) if difference >= 0 else (small, one)


def share(ratio: tuple[Enclosure, Enclosure], own: Enclosure, others: Enclosure, bits: int) -> Enclosure:
    """Bounds on own x / (own x + others y) * 2^bits, for x and y of that ratio."""
    x, y = ratio
    ends = []
    for low, high, up in ((own[0] * x[0], others[1] * y[1], 0), (own[1] * x[1], others[0] * y[0], 1)):
        ends.append(((low << bits) + up * (low + high - 1)) // (low + high))
    return ends[0], ends[1]
