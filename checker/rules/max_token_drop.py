"""Rule max_token_drop; proof: docs/rules.md#max_token_drop."""

from checker.facts import DirectPathSpread, MaxTokenPath, UpperTable
from checker.lemmas.wrong_token_lines import wrong_token_lines
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
