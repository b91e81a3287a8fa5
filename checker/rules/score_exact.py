"""Rule score_exact; proof: docs/rules.md#score_exact."""

from checker.facts import ScoreApproximation
from checker.lemmas.splitting import approximation
from checker.problem import Problem


def score_exact(problem: Problem, premises: tuple[()], args: dict[str, object]) -> ScoreApproximation:
    """All scores, multiplied out.

    Requires   nothing.
    Concludes  ScoreApproximation without error.
    Cost       d_vocab^2 d_model multiplications.
    """
    return approximation(problem.circuits.token_scores, [0] * problem.v, 0)
