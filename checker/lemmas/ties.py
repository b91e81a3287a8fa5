"""Exact ties, which no enclosure separates from a narrow miss."""

from collections.abc import Sequence

from checker.arithmetic.matrices import Matrix
from checker.budget import longest, product, words
from checker.problem import Problem


def entry(table: Matrix, row: int, column: int, unit: int) -> int:
    """An entry in multiples of 2^unit; no table that is read has a smaller exponent."""
    return table.rows[row][column] << (table.exponent - unit)


def work(problem: Problem) -> int:
    """Operations for each position of a sequence."""
    logits, scores = problem.sizes.logits.bits, problem.sizes.scores.bits
    return 64 + 20 * words(logits + scores) + product(logits, longest([problem.margin]))


def tied(problem: Problem, x: Sequence[int], m: int, y: int) -> bool:
    """Whether the coefficients of equal exponentials in the numerator of y all cancel; then it is exactly 0.

    If they do not, it is not 0 (theorem of Lindemann and Weierstrass), and more precision decides its sign.
    """
    q, (above, below) = x[-1], problem.margin
    scores = problem.circuits.token_scores, problem.circuits.position_scores
    unit = min(0, problem.circuits.EUPU.exponent, problem.circuits.EVOU.exponent, problem.circuits.PVOU.exponent)
    scale = min(table.exponent for table in scores)
    coefficients: dict[int, int] = {}
    for p, t in enumerate(x):
        read = (problem.circuits.EUPU, q), (problem.circuits.EVOU, t), (problem.circuits.PVOU, p)
        ahead = sum([entry(table, row, y, unit) - entry(table, row, m, unit) for table, row in read])
        score = sum([entry(table, q, column, scale) for table, column in zip(scores, (t, p), strict=True)])
        coefficients[score] = coefficients.get(score, 0) + ahead * below + (above << -unit)
    return not any(coefficients.values())
