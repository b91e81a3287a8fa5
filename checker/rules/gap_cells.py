"""Rule gap_cells; proof: docs/rules.md#gap_cells."""

from math import comb

from checker.facts import AttentionRanges, Count, MaxTokenPath, Tally, ValuePathSpread
from checker.problem import Problem


def gap_cells(
    problem: Problem, premises: tuple[AttentionRanges, MaxTokenPath, ValuePathSpread], args: dict[str, object]
) -> Tally:
    """Cells whose sequences are correct as long as every token other than m is at least a gap g below it.

    Requires   a in [low, high]: AttentionRanges; lines and spread: MaxTokenPath; D: ValuePathSpread.
    Concludes  Tally, one region per cell: C(n_ctx - 1, n) (m - g + 1)^n sequences if at both ends of the range
               slope a + intercept + (1 - a) D(m - g) + spread(q) + margin < 0 for every line of (m, n); else none.
               The cell (m, m, 0) is one sequence, with a = 1, and needs no range.
    Cost       two multiplications per cell and line.
    """
    attention, path, value = premises
    v, k, one, (margin, whole) = problem.v, problem.k, 1 << attention.bits, problem.margin
    unit = min(path.lines.exponent, path.spread.exponent, value.exponent, 0)
    line_shift = path.lines.exponent - unit
    per_n = len(path.lines.rows) > v
    counts = []
    for m, rows in enumerate(attention.ranges):
        for q, row in enumerate(rows):
            # everything in units, times the denominator of the margin
            fixed = (path.spread.rows[0][q] << (path.spread.exponent - unit)) * whole + (margin << -unit)
            for n, cell in enumerate(row):
                alone = q == m and n == 0
                gap, *ends = (1, one) if alone else cell or (0,)
                line = path.lines.rows[m * k + n if per_n else m]
                others = (value.rows[0][max(m - gap, 0)] << (value.exponent - unit)) * whole
                good = gap > 0 and all(
                    ((slope * a + base * one) * whole << line_shift) + (one - a) * others + fixed * one < 0
                    for a in ends
                    for slope, base in zip(line[::2], line[1::2], strict=True)
                )
                counts.append(Count(m, 1 << q, 1 << n, comb(k - 1, n) * (m - gap + 1) ** n if good else 0))
    return Tally(tuple(counts))
