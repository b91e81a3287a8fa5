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


def exp_enclosure(lower: int, upper: int, scale: int, bits: int) -> tuple[int, int]:
    """Bounds on exp(-x) * 2^bits for every x in [lower, upper] / 2^scale, where 0 <= lower <= upper.

    Beyond x = bits the value is below 2^-bits and the answer is [0, 1]; no large number is formed there.
    """
    low = 0 if upper >> scale >= bits else exp_lower(upper, scale, bits)
    return low, 1 if lower >> scale >= bits else exp_upper(lower, scale, bits)


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
