"""Rule direct_path_centred_spread; proof: docs/rules.md#direct_path_centred_spread."""

from checker.arithmetic.matrices import Matrix, add_row, negate
from checker.facts import DirectPathSpread, UpperTable
from checker.lemmas.spreads import product_spreads
from checker.problem import Problem


def direct_path_centred_spread(problem: Problem, premises: tuple[()], args: dict[str, UpperTable]) -> DirectPathSpread:
    """The direct path of one vector is kept for all queries, the rest bounded without multiplying it out.

    Requires   nothing; args.centre is any row over d_model.
    Concludes  DirectPathSpread with that centre: for each q the sum over j of |r(q, k-1)_j - centre_j| times the
               spread of row j of W_U.
    Cost       2 d_vocab d_model multiplications and comparisons.
    """
    centre = args["centre"]
    rest = add_row(problem.circuits.query_residual, negate(Matrix.of(centre.rows, centre.exponent)))
    W_U = problem.circuits.tensor("unembed.W_U")
    spreads = product_spreads(rest, W_U)
    return DirectPathSpread(centre, UpperTable(rest.exponent + W_U.exponent, (tuple(spreads),)))
