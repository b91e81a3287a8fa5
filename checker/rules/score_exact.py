"""Rule score_exact; proof: docs/rules.md#score_exact."""

from checker.approximations import ScoreApproximation
from checker.problem import Problem
from checker.scores import approximation


def score_exact(problem: Problem, premises: tuple[()], args: dict[str, object]) -> ScoreApproximation:
    """All scores, multiplied out.

    Requires   nothing.
    Concludes  ScoreApproximation without error.
    Cost       d_vocab^2 d_model multiplications.
    """
    return approximation(problem.token_scores, [0] * problem.v, 0)
