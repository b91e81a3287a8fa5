"""Exact matrices: integers with one power-of-two exponent. Nothing is rounded, except in mean_row."""

from operator import mul
from typing import NamedTuple

from checker.errors import Rejected


class Matrix(NamedTuple):
    """The real matrix rows * 2^exponent."""

    rows: list[list[int]]
    exponent: int

    @classmethod
    def of(cls, rows: tuple[tuple[int, ...], ...], exponent: int) -> "Matrix":
        """A matrix that a certificate states."""
        return cls([list(row) for row in rows], exponent)


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


def scale(matrix: Matrix, factor: int, exponent: int = 0) -> Matrix:
    """The matrix times factor * 2^exponent."""
    return Matrix([[x * factor for x in row] for row in matrix.rows], matrix.exponent + exponent)


def negate(matrix: Matrix) -> Matrix:
    """Every entry with the other sign."""
    return scale(matrix, -1)


def mean_row(matrix: Matrix) -> Matrix:
    """The mean of the rows, rounded down to the matrix's unit."""
    return Matrix([[sum(column) // len(matrix.rows) for column in zip(*matrix.rows, strict=True)]], matrix.exponent)
