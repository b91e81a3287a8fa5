"""Rule direct_path_upper; proof: docs/rules.md#direct_path_upper."""

from checker.judgement import DirectPathUpper
from checker.problem import Problem


def direct_path_upper(problem: Problem, premises: tuple[()], args: dict[str, object]) -> DirectPathUpper:
    """How far the query token alone can favour a wrong token over m.

    Requires   nothing.
    Concludes  DirectPathUpper: for q <= m, max over y != m of EUPU[q,y] - EUPU[q,m], plus the margin.
    Cost       d_vocab^2 comparisons.
    """
    EUPU = problem.EUPU
    margin = problem.margin_upper(EUPU.exponent)
    rows = [
        [
            max([row[y] for y in range(problem.v) if y != m], default=row[m]) - row[m] + margin
            for row in EUPU.rows[: m + 1]
        ]
        for m in range(problem.v)
    ]
    return DirectPathUpper(EUPU.exponent, tuple([tuple(row) for row in rows]))
