"""Rule max_token_drop; proof: docs/rules.md#max_token_drop."""

from checker.approximations import DirectPathSpread, MaxTokenPath
from checker.judgement import UpperTable
from checker.max_token import wrong_token_lines
from checker.problem import Problem


def max_token_drop(problem: Problem, premises: tuple[DirectPathSpread], args: dict[str, object]) -> MaxTokenPath:
    """One line per m: the largest slope with the largest intercept.

    Requires   DirectPathSpread.
    Concludes  MaxTokenPath.
    Cost       d_vocab^2 n_ctx additions and comparisons.
    """
    (direct,) = premises
    lines, exponent = wrong_token_lines(problem, direct)
    rows = tuple([(max(slope for slope, _ in row), max(base for _, base in row)) if row else () for row in lines])
    return MaxTokenPath(direct.spread, UpperTable(exponent, rows))
