"""Rule cubic_tokens; proof: docs/rules.md#cubic_tokens."""

from checker.arithmetic.enclosures import largest_product, partial_sums
from checker.facts import CubicTokens, DirectPathUpper, ValuePathUpper
from checker.problem import Problem
from checker.problem.cells import ns_of_pair


def cubic_tokens(
    problem: Problem, premises: tuple[DirectPathUpper, ValuePathUpper], args: dict[str, int]
) -> CubicTokens:
    """Tokens t < m that keep m ahead when t and m share the non-query positions.

    Requires   u: DirectPathUpper, c: ValuePathUpper.
    Concludes  CubicTokens: t is accepted for (q, m, n) only if, with t on n non-query positions and m on the others,
               sum over p of exp(s(q,p,x_p)) (u(q,m) + c(m,x_p)) < 0 both for the n positions of smallest and for the
               n positions of largest attention weight.
    Cost       d_vocab^3 n_ctx / 3 pairs of multiplications.
    """
    direct, value = premises
    exponent = min(direct.exponent, value.exponent)
    masks = []
    for m in range(problem.v):
        values = [c << (value.exponent - exponent) for c in value.rows[m]]
        rows = []
        for q in range(m + 1):
            tokens = problem.attention.token_weights(q, m, args["bits"])
            positions = problem.attention.position_weights(q, args["bits"])
            u = direct.rows[m][q] << (direct.exponent - exponent)
            slopes = [largest_product(u + c, weight) for c, weight in zip(values, tokens, strict=True)]
            query = largest_product(slopes[q], positions[-1])
            lightest, heaviest = (partial_sums(positions[:-1], heaviest=which) for which in (False, True))
            row = []
            for n in ns_of_pair(problem, q, m)[1:]:
                rest = problem.k - 1 - n
                light = largest_product(slopes[m], heaviest[rest]) + query, lightest[n]
                heavy = largest_product(slopes[m], lightest[rest]) + query, heaviest[n]
                accepted = [
                    t for t in range(m) if all(fixed + largest_product(slopes[t], w) < 0 for fixed, w in (light, heavy))
                ]
                row.append(sum(1 << t for t in accepted))
            rows.append(tuple(row))
        masks.append(tuple(rows))
    return CubicTokens(tuple(masks))
