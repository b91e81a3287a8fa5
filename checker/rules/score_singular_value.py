"""Rule score_singular_value; proof: docs/rules.md#score_singular_value."""

from typing import Any

from checker.arithmetic.enclosures import sqrt_enclosure
from checker.arithmetic.matrices import Matrix, add, add_row, chain, mean_row, negate, scale, transpose
from checker.errors import Rejected, show
from checker.facts import ScoreApproximation
from checker.lemmas.splitting import approximation, split_scores
from checker.problem import Problem


def score_singular_value(problem: Problem, premises: tuple[()], args: dict[str, Any]) -> ScoreApproximation:
    """A low-rank part of the scores; of the residual A B only the largest singular value is used, for all queries.

    Requires   nothing. args.peels are any projectors, args.sigma * 2^args.exponent is s, args.ridge *
               2^args.ridge_exponent is r >= 0, args.witness is any matrix W with d_model rows.
               With each row of B shifted to mean zero, G = B B^T + r I, H = A^T A and N = s^2 G - G H G, every diagonal
               entry of W^T N W is larger than the sum of the absolute values of the others in its row, and W is square.
    Concludes  ScoreApproximation with error sqrt(2) s for every query.
    Cost       2 d_vocab d_model^2 + 4 d_model^3 multiplications.
    """
    kept, factors = split_scores(problem, args["peels"])
    left, right = chain(factors[:-1]), transpose(factors[-1])
    right = add_row(right, negate(mean_row(right)))  # moves every residual of a query by the same amount
    size, exponent = len(right.rows[0]), args["exponent"]
    if [len(row) for row in args["witness"]] != [size] * size:
        raise Rejected("wrong-shape", "args.witness", f"{size} rows and columns", f"{len(args['witness'])} rows")
    ridge = [[args["ridge"] * (i == j) for j in range(size)] for i in range(size)]
    G = add(chain([transpose(right), right]), Matrix(ridge, args["ridge_exponent"]))
    H = chain([transpose(left), left])
    N = add(scale(G, args["sigma"] ** 2, 2 * exponent), negate(chain([G, H, G])))
    witness = Matrix.of(args["witness"], 0)
    checked = chain([transpose(witness), N, witness]).rows
    for i, row in enumerate(checked):
        if not row[i] > sum(map(abs, row)) - abs(row[i]):
            raise Rejected("not-dominant", f"args.witness[{i}]", "a dominant diagonal", show(i))
    error = sqrt_enclosure(2 * args["sigma"] ** 2, 1, 0)[1]
    return approximation(kept, [error] * problem.v, exponent)
