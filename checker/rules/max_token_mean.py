"""Rule max_token_mean; proof: docs/rules.md#max_token_mean."""

from checker.errors import Rejected
from checker.facts import DirectPathSpread, MaxTokenPath, UpperTable
from checker.lemmas.wrong_token_lines import wrong_token_lines
from checker.problem import Problem


def max_token_mean(problem: Problem, premises: tuple[DirectPathSpread], args: dict[str, UpperTable]) -> MaxTokenPath:
    """Two lines per (m, n): exact at an attention a0(m, n), the largest slope after it, the smallest before it.

    Requires   DirectPathSpread; args.centres.rows[m][n] * 2^exponent is a0(m, n), any number.
    Concludes  MaxTokenPath with n_ctx rows per m.
    Cost       d_vocab^2 n_ctx multiplications.
    """
    (direct,) = premises
    centres = args["centres"]
    if [len(row) for row in centres.rows] != [problem.k] * problem.v or centres.exponent > 0:
        raise Rejected("wrong-shape", "args.centres", f"{problem.v} rows of {problem.k}, and a fraction's exponent")
    lines, exponent = wrong_token_lines(problem, direct)
    unit = -centres.exponent  # a0 = centre / 2^unit, so lines are written in units 2^unit finer
    rows = []
    for row, row_centres in zip(lines, centres.rows, strict=True):
        for centre in row_centres:
            top = max([(base << unit) + slope * centre for slope, base in row], default=0)
            ends = (max(slope for slope, _ in row), min(slope for slope, _ in row)) if row else ()
            rows.append(tuple([number for slope in ends for number in (slope << unit, top - slope * centre)]))
    return MaxTokenPath(direct.spread, UpperTable(exponent - unit, tuple(rows)))
