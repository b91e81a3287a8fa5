"""How far the entries of a matrix row can differ, exactly or bounded without forming the matrix."""

from operator import mul

from checker.arithmetic.matrices import Matrix


def row_spreads(matrix: Matrix) -> list[int]:
    """For each row its largest entry minus its smallest, in the matrix's unit."""
    return [max(row) - min(row) for row in matrix.rows]


def product_spreads(left: Matrix, right: Matrix) -> list[int]:
    """Bounds on the row spreads of left @ right, in its unit: sum over j of |left[i,j]| spread(right[j])."""
    spreads = row_spreads(right)
    return [sum(map(mul, map(abs, row), spreads)) for row in left.rows]
