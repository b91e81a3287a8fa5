"""A final LayerNorm in proofs that are linear in attention: it divides by sigma, of which a range is known.

For a residual x of length d, with w and b the weights of the LayerNorm (1 and 0 if it has none),

d sigma logit_y = x ((d I - 1 1^T) diag(w) W_U)[., y] + d sigma (b W_U + b_U)_y,   sigma^2 = var(x) + eps.
"""

from collections.abc import Iterable

from checker.arithmetic.balls import Ball
from checker.arithmetic.enclosures import Enclosure, sqrt_enclosure
from checker.arithmetic.matrices import Matrix, add, matmul
from checker.model.weights import Weights


def unembedding(weights: Weights) -> tuple[Matrix, Matrix]:
    """The matrix in front of x and the row in front of d sigma; without a final LayerNorm W_U and b_U."""
    U, bias = weights.tensors["unembed.W_U"], weights.tensors["unembed.b_U"]
    if "final" not in weights.architecture.norms:
        return U, bias
    if weights.architecture.normalization == "LN":
        w, b = weights.tensors["ln_final.w"], weights.tensors["ln_final.b"]
        bias = add(matmul(b, U), bias)
        U = Matrix([[x * y for y in row] for x, row in zip(w.rows[0], U.rows, strict=True)], w.exponent + U.exponent)
    sums = [sum(column) for column in zip(*U.rows, strict=True)]
    return Matrix([[len(U.rows) * x - s for x, s in zip(row, sums, strict=True)] for row in U.rows], U.exponent), bias


def divisor(eps: tuple[int, int], parts: Iterable[Iterable[Ball]], bits: int) -> Enclosure:
    """d sigma in units of 2^-bits, if x is the sum of a mean of each part: std(x) is at most the sum of the largest."""
    spread, d = 0, 0
    for part in parts:
        stds = []
        for centre, radius, _ in part:
            d, total = len(centre), sum(centre)
            squares = sum([(d * x - total) ** 2 for x in centre])
            stds.append(sqrt_enclosure(squares, d, 0).high + d * radius)
        spread += max(stds)
    numerator, denominator = eps
    least = (numerator * d * d) << (2 * bits)
    most = spread * spread * denominator + least
    return Enclosure(sqrt_enclosure(least, denominator, 0).low, sqrt_enclosure(most, denominator, 0).high)
