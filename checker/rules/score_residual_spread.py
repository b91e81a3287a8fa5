"""Rule score_residual_spread; proof: docs/rules.md#score_residual_spread."""

from checker.arithmetic.matrices import chain
from checker.facts import ScoreApproximation
from checker.lemmas.splitting import Peel, approximation, split_scores
from checker.lemmas.spreads import row_spreads
from checker.problem import Problem


def score_residual_spread(
    problem: Problem, premises: tuple[()], args: dict[str, tuple[Peel, ...]]
) -> ScoreApproximation:
    """A low-rank part of the scores; the residual is multiplied out and only its spread is used.

    Requires   nothing; args.peels are any projectors.
    Concludes  ScoreApproximation: for each q the largest minus the smallest residual.
    Cost       d_vocab^2 d_model multiplications.
    """
    kept, factors = split_scores(problem, args["peels"])
    residual = chain(factors)
    return approximation(kept, row_spreads(residual), residual.exponent)
