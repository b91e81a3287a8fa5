"""Exact matrices against fractions."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checker.arithmetic.matrices import Matrix, add, add_row, chain, matmul, mean_row, negate, scale, transpose
from checker.errors import Refusal
from tests.support.problems import exact_rows


def matrices(rows: int, columns: int) -> st.SearchStrategy[Matrix]:
    entries = st.lists(st.integers(-(10**30), 10**30), min_size=columns, max_size=columns)
    return st.builds(Matrix, st.lists(entries, min_size=rows, max_size=rows), st.integers(-200, 200))


EXTENT = st.integers(1, 4)


@given(st.data(), EXTENT, EXTENT, EXTENT)
def test_matmul(data: st.DataObject, n: int, inner: int, m: int) -> None:
    left, right = data.draw(matrices(n, inner)), data.draw(matrices(inner, m))
    a, b = exact_rows(left), exact_rows(right)
    expected = [[sum(a[i][j] * b[j][l] for j in range(inner)) for l in range(m)] for i in range(n)]  # noqa: E741
    assert exact_rows(matmul(left, right)) == expected


@given(st.data(), EXTENT, EXTENT)
def test_add(data: st.DataObject, n: int, m: int) -> None:
    left, right, row = data.draw(matrices(n, m)), data.draw(matrices(n, m)), data.draw(matrices(1, m))
    a, b, (c,) = exact_rows(left), exact_rows(right), exact_rows(row)
    assert exact_rows(add(left, right)) == [
        [x + y for x, y in zip(*rows, strict=True)] for rows in zip(a, b, strict=True)
    ]
    assert exact_rows(add_row(left, row)) == [[x + y for x, y in zip(r, c, strict=True)] for r in a]


@given(st.data(), EXTENT, EXTENT)
def test_transpose(data: st.DataObject, n: int, m: int) -> None:
    matrix = data.draw(matrices(n, m))
    assert exact_rows(transpose(matrix)) == [list(column) for column in zip(*exact_rows(matrix), strict=True)]


def test_products_multiples_and_means() -> None:
    a, b, c = Matrix([[1, 2], [3, -4]], -1), Matrix([[5], [-6]], 2), Matrix([[7, 8]], 3)
    assert chain([a]) == a
    assert chain([a, b, c]) == Matrix([[-49, -56], [273, 312]], 4)
    assert scale(a, 3) == Matrix([[3, 6], [9, -12]], -1)
    assert scale(a, -2, 5) == Matrix([[-2, -4], [-6, 8]], 4)
    assert negate(a) == Matrix([[-1, -2], [-3, 4]], -1)
    assert mean_row(Matrix([[1, -1, 6], [2, 0, 8]], 7)) == Matrix([[1, -1, 7]], 7)
    assert Matrix.of(((1, 2), (3, 4)), 5) == Matrix([[1, 2], [3, 4]], 5)


@pytest.mark.parametrize(
    ("function", "shapes"),
    [
        (add, ((3, 2), (4, 2))),
        (add, ((3, 2), (3, 1))),
        (add, ((3, 2), (1, 2))),
        (add, ((1, 2), (3, 2))),
        (add_row, ((3, 2), (3, 2))),
        (add_row, ((3, 2), (2, 2))),
        (add_row, ((3, 2), (1, 3))),
        (matmul, ((3, 2), (3, 2))),
        (matmul, ((3, 2), (1, 3))),
        (matmul, ((1, 1), (2, 1))),
    ],
)
def test_shapes_that_do_not_fit_are_refused(
    function: Callable[[Matrix, Matrix], Matrix], shapes: tuple[tuple[int, int], tuple[int, int]]
) -> None:
    """Silently dropping or repeating a row would be a bound on another model: hints are matrices of any shape."""
    left, right = (Matrix([[1] * columns for _ in range(rows)], 0) for rows, columns in shapes)
    with pytest.raises(Refusal) as caught:
        function(left, right)
    assert (caught.value.exit_code, caught.value.code) == (1, "wrong-shape")
