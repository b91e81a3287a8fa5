"""Rule max_token_envelope; proof: docs/rules.md#max_token_envelope."""

from checker.facts import DirectPathSpread, MaxTokenPath, UpperTable
from checker.lemmas.wrong_token_lines import Line, wrong_token_lines
from checker.problem import Problem


def max_token_envelope(problem: Problem, premises: tuple[DirectPathSpread], args: dict[str, object]) -> MaxTokenPath:
    """The wrong tokens that are largest for some attention a in [0, 1], every one with its own line.

    Requires   DirectPathSpread.
    Concludes  MaxTokenPath.
    Cost       d_vocab^2 (n_ctx + log d_vocab) additions and comparisons.
    """
    (direct,) = premises
    lines, exponent = wrong_token_lines(problem, direct)
    rows = tuple([tuple([number for line in upper_hull(row) for number in line]) for row in lines])
    return MaxTokenPath(direct.spread, UpperTable(exponent, rows))


def upper_hull(lines: list[Line]) -> list[Line]:
    """Lines, by slope, whose maximum is the maximum of all lines wherever a >= 0."""
    hull: list[Line] = []
    for slope, base in sorted(lines):
        # the last line goes if it is nowhere above both the line before it and the new one
        while hull and (base >= hull[-1][1] or (len(hull) > 1 and needless(hull[-2], hull[-1], (slope, base)))):
            hull.pop()
        hull.append((slope, base))
    return hull


def needless(left: Line, middle: Line, right: Line) -> bool:
    """For slopes that rise and intercepts that fall: is the middle line nowhere above both others?"""
    return (middle[1] - right[1]) * (middle[0] - left[0]) <= (left[1] - middle[1]) * (right[0] - middle[0])
