"""Rule score_product_spread; proof: docs/rules.md#score_product_spread."""

from typing import Any

from checker.arithmetic.matrices import Matrix, add, add_row, chain, matmul, mean_row, negate
from checker.errors import Rejected
from checker.facts import ScoreApproximation
from checker.lemmas.splitting import Peel, approximation, peel, split_scores
from checker.lemmas.spreads import product_spreads, row_spreads
from checker.problem import Problem


def score_product_spread(problem: Problem, premises: tuple[()], args: dict[str, Any]) -> ScoreApproximation:
    """A low-rank part of the scores; the residual is cut into A B, and its d_vocab x d_vocab product is not formed.

    Requires   nothing. args.peels and args.bases are any projectors, no bases or one for each place to cut; args.means
               is 1 if the mean of the rows of A is treated apart, else 0.
    Concludes  ScoreApproximation: for each q the smallest over the cuts of the sum over j of |A[q,j]| times the spread
               of B[j]; with a basis P, of such sums for A P B and (A - A P) B.
    Cost       d_vocab d_model^2 multiplications.
    """
    kept, factors = split_scores(problem, args["peels"])
    cuts, bases = range(1, len(factors)), args["bases"]
    if len(bases) not in (0, len(cuts)):
        raise Rejected("wrong-shape", "args.bases", f"none or {len(cuts)}", str(len(bases)))
    bounds = []
    for cut in cuts:
        left, right = chain(factors[:cut]), chain(factors[cut:])
        bounds.append(spread_bounds(left, right, args["means"], bases[cut - 1] if bases else None))
    exponent = min(bound.exponent for bound in bounds)
    rows = [[x << (bound.exponent - exponent) for x in bound.rows[0]] for bound in bounds]
    return approximation(kept, [min(candidates) for candidates in zip(*rows, strict=True)], exponent)


def spread_bounds(left: Matrix, right: Matrix, means: int, basis: Peel | None) -> Matrix:
    """One row of bounds on the row spreads of left @ right."""
    parts = []
    if means:
        centre = mean_row(left)
        left = add_row(left, negate(centre))
        spread = row_spreads(matmul(centre, right)) * len(left.rows)
        parts.append(Matrix([spread], centre.exponent + right.exponent))
    if basis is not None:
        onto, along, left = peel(left, basis)
        parts.append(
            Matrix([product_spreads(onto, matmul(along, right))], onto.exponent + along.exponent + right.exponent)
        )
    total = Matrix([product_spreads(left, right)], left.exponent + right.exponent)
    for part in parts:
        total = add(total, part)
    return total
