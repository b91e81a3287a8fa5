"""Rule direct_path_upper; proof: docs/rules.md#direct_path_upper."""

from checker.facts import DirectPathUpper
from checker.problem import Problem


def direct_path_upper(problem: Problem, premises: tuple[()], args: dict[str, int]) -> DirectPathUpper:
    """How far the query token alone can favour a wrong token over m.

    Requires   nothing. The margin is rounded up to a multiple of 2^args.exponent, or of EUPU's unit if that is finer.
    Concludes  DirectPathUpper: for q <= m, max over y != m of EUPU[q,y] - EUPU[q,m], plus the margin.
    Cost       d_vocab^3 / 2 comparisons.
    """
    EUPU = problem.circuits.EUPU
    unit = min(EUPU.exponent, args["exponent"])
    shift, margin = EUPU.exponent - unit, problem.margin_upper(unit)
    rows = [
        [((max(row[:m] + row[m + 1 :], default=row[m]) - row[m]) << shift) + margin for row in EUPU.rows[: m + 1]]
        for m in range(problem.v)
    ]
    return DirectPathUpper(unit, tuple([tuple(row) for row in rows]))
