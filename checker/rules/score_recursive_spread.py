"""Rule score_recursive_spread; proof: docs/rules.md#score_recursive_spread."""

from operator import mul
from typing import Any

from checker.arithmetic.matrices import add_row, chain, mean_row, negate
from checker.facts import ScoreApproximation
from checker.lemmas.splitting import approximation, split_scores
from checker.lemmas.spreads import row_spreads
from checker.problem import Problem


def score_recursive_spread(problem: Problem, premises: tuple[()], args: dict[str, Any]) -> ScoreApproximation:
    """A low-rank part of the scores; of the residual no two factors are ever multiplied.

    Requires   nothing. args.peels are any projectors; at the first args.means factors the mean row is treated apart.
    Concludes  ScoreApproximation: from the right, the spreads of the rows of the last factor, then for row i of each
               factor F the sum over j of |F[i,j]| times the spread for j.
    Cost       d_vocab d_model multiplications.
    """
    kept, factors = split_scores(problem, args["peels"])
    spreads = row_spreads(factors[-1])
    for level in reversed(range(len(factors) - 1)):
        factor, base = factors[level], 0
        if level < args["means"]:
            centre = mean_row(factor)
            factor = add_row(factor, negate(centre))
            (base,) = row_spreads(chain([centre, *factors[level + 1 :]]))
        spreads = [base + sum(map(mul, map(abs, row), spreads)) for row in factor.rows]
    return approximation(kept, spreads, sum(factor.exponent for factor in factors))
