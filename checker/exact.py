"""Exact arithmetic: integer matrices with one power-of-two exponent, and enclosures of sqrt and exp in fixed point.

Python integers only. The error proofs of the enclosures are in docs/rules.md, section "Enclosures".
"""

from math import isqrt
from operator import mul

from checker.errors import Rejected
from checker.weights import Matrix


def shift_down(number: int, bits: int) -> int:
    """floor(number / 2^bits); exact for negative bits."""
    return number >> bits if bits >= 0 else number << -bits


def shift_up(number: int, bits: int) -> int:
    """ceil(number / 2^bits); exact for negative bits."""
    return -(-number >> bits) if bits >= 0 else number << -bits


def matmul(left: Matrix, right: Matrix) -> Matrix:
    """The exact product. Cost rows * inner * columns multiplications."""
    if len(left.rows[0]) != len(right.rows):
        raise Rejected("wrong-shape", "", f"a matrix of {len(left.rows[0])} rows", str(len(right.rows)))
    columns = list(zip(*right.rows, strict=True))
    rows = [[sum(map(mul, row, column)) for column in columns] for row in left.rows]
    return Matrix(rows, left.exponent + right.exponent)


def chain(factors: list[Matrix]) -> Matrix:
    """The exact product of several matrices, from the left."""
    product = factors[0]
    for factor in factors[1:]:
        product = matmul(product, factor)
    return product


def add(left: Matrix, right: Matrix) -> Matrix:
    """The exact sum of two matrices of one shape."""
    if [len(row) for row in left.rows] != [len(row) for row in right.rows]:
        raise Rejected("wrong-shape", "", f"{len(left.rows)} rows of {len(left.rows[0])}", f"{len(right.rows)} rows")
    exponent = min(left.exponent, right.exponent)
    a, b = left.exponent - exponent, right.exponent - exponent
    rows = [
        [(x << a) + (y << b) for x, y in zip(row, other, strict=True)]
        for row, other in zip(left.rows, right.rows, strict=True)
    ]
    return Matrix(rows, exponent)


def add_row(matrix: Matrix, row: Matrix) -> Matrix:
    """The exact sum of every row of a matrix and a single row."""
    if len(row.rows) != 1:
        raise Rejected("wrong-shape", "", "a single row", f"{len(row.rows)} rows")
    return add(matrix, Matrix(row.rows * len(matrix.rows), row.exponent))


def transpose(matrix: Matrix) -> Matrix:
    """Rows become columns."""
    return Matrix([list(column) for column in zip(*matrix.rows, strict=True)], matrix.exponent)


def sqrt_enclosure(numerator: int, denominator: int, bits: int) -> tuple[int, int]:
    """lower <= sqrt(numerator / denominator) * 2^bits <= upper, one apart, or equal when the root is exact there.

    Requires numerator >= 0, denominator > 0; bits may be negative.
    """
    scaled = numerator << 2 * max(bits, 0)
    divisor = denominator << 2 * max(-bits, 0)
    lower = isqrt(scaled // divisor)
    return lower, lower if lower * lower * divisor == scaled else lower + 1


def ln2_enclosure(scale: int) -> tuple[int, int]:
    """lower <= ln 2 * 2^scale <= upper, from ln 2 = sum over j >= 1 of 1 / (j 2^j)."""
    work = scale + 16
    lower = sum([(1 << work) // (j << j) for j in range(1, work + 1)])
    return lower >> 16, (lower + work + 1 >> 16) + 1  # each term lost less than 1, all that follow are less than 1


def exp_enclosure(lower: int, upper: int, scale: int, bits: int, ln2: tuple[int, int]) -> tuple[int, int, int]:
    """(low, high, shift) with low <= exp(-x) * 2^(bits + shift) <= high for every x in [lower, upper] / 2^scale.

    Requires 0 <= lower <= upper, and ln2 an enclosure of ln 2 * 2^scale. high is at most 2^bits, and both are near it
    however small exp(-x) is.
    """
    shift = lower // ln2[1]
    low = exp_lower(upper - shift * ln2[0], scale, bits)
    return low, exp_upper(lower - shift * ln2[1], scale, bits), shift


def halvings(x: int, scale: int) -> int:
    """How often x / 2^scale is halved before the series is summed, to leave less than 2^-8."""
    return max(0, x.bit_length() - scale) + 8


def exp_lower(x: int, scale: int, bits: int) -> int:
    """A lower bound on exp(-x / 2^scale) * 2^bits: every step rounds against us, the series of exp upwards."""
    count = halvings(x, scale)
    work = bits + count + 16
    one = 1 << work
    z = shift_up(x, scale + count - work)
    total = term = one
    index = 0
    while term > 1:
        index += 1
        term = -(-term * z // (index << work))
        total += term
    value = (one << work) // (total + term)  # the tail of the series is at most its last term, as z < 1/2
    for _ in range(count):
        value = value * value >> work
    return value >> work - bits


def exp_upper(x: int, scale: int, bits: int) -> int:
    """An upper bound on exp(-x / 2^scale) * 2^bits: the mirror image, the series of exp downwards."""
    count = halvings(x, scale)
    work = bits + count + 16
    one = 1 << work
    z = shift_down(x, scale + count - work)
    total = term = one
    index = 0
    while term > 0:
        index += 1
        term = term * z // (index << work)
        total += term
    value = -(-(one << work) // total)
    for _ in range(count):
        value = shift_up(value * value, work)
    return shift_up(value, work - bits)


def times(factor: int, enclosure: tuple[int, int]) -> int:
    """The largest value of factor * w for w in the enclosure of a non-negative number."""
    return factor * enclosure[factor >= 0]
