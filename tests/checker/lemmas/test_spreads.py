"""Spreads of rows: exact, and bounded without forming a product."""

from hypothesis import given
from hypothesis import strategies as st

from checker.arithmetic.matrices import Matrix, matmul
from checker.lemmas.spreads import product_spreads, row_spreads

ENTRIES = st.integers(-100, 100)


def tables(rows: int, columns: int) -> st.SearchStrategy[list[list[int]]]:
    return st.lists(st.lists(ENTRIES, min_size=columns, max_size=columns), min_size=rows, max_size=rows)


@given(tables(3, 4))
def test_a_spread_is_the_largest_difference_in_a_row(rows: list[list[int]]) -> None:
    assert row_spreads(Matrix(rows, -3)) == [max(x - y for x in row for y in row) for row in rows]


@given(tables(2, 3), tables(3, 4))
def test_a_product_spreads_no_further_than_its_bound(left: list[list[int]], right: list[list[int]]) -> None:
    bounds = product_spreads(Matrix(left, 0), Matrix(right, 0))
    assert all(
        x <= bound for x, bound in zip(row_spreads(matmul(Matrix(left, 0), Matrix(right, 0))), bounds, strict=True)
    )
    assert bounds == [sum(abs(x) * (max(row) - min(row)) for x, row in zip(a, right, strict=True)) for a in left]


def test_a_product_can_spread_as_far_as_its_bound() -> None:
    left, right = Matrix([[2, -3]], 0), Matrix([[1, 0], [0, 5]], 0)
    assert product_spreads(left, right) == row_spreads(matmul(left, right)) == [17]
