"""How far the entries of a matrix row can differ, exactly or bounded without forming the matrix."""

from operator import mul

from checker.weights import Matrix


def row_spreads(matrix: Matrix) -> list[int]:
    """For each row its largest entry minus its smallest, in the matrix's unit."""
    return [max(row) - min(row) for row in matrix.rows]


def product_spreads(left: Matrix, right: Matrix) -> list[int]:
    """Bounds on the row spreads of left @ right, in its unit: sum over j of |left[i,j]| spread(right[j])."""
    spreads = row_spreads(right)
    return [sum(map(mul, map(abs, row), spreads)) for row in left.rows]


def mean_row(matrix: Matrix) -> Matrix:
    """The mean of the rows, rounded down."""
    return Matrix([[sum(column) // len(matrix.rows) for column in zip(*matrix.rows, strict=True)]], matrix.exponent)


def scale(matrix: Matrix, factor: int, exponent: int = 0) -> Matrix:
    """The matrix times factor * 2^exponent."""
    return Matrix([[x * factor for x in row] for row in matrix.rows], matrix.exponent + exponent)


def negate(matrix: Matrix) -> Matrix:
    """Every entry with the other sign."""
    return scale(matrix, -1)
