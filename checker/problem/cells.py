"""The regions that proofs talk about: cells (label, query, n), and for max-of-k pairs (q, m) and cells (q, m, n).

A cell holds the inputs with this query and label in which n of the other positions do not hold the label as a token;
the cells partition the inputs. The label of max-of-k is the maximum m. Sets of queries and of n are bit masks.
"""

from collections.abc import Iterator

from checker.errors import Rejected
from checker.problem import Problem


def queries_of(problem: Problem, m: int) -> range:
    """The queries that occur with maximum m: up to m, and with one position only m itself."""
    return range(m if problem.k == 1 else 0, m + 1)


def any_cell(problem: Problem) -> int:
    """Every n below k."""
    return (1 << problem.k) - 1


def ns_of_pair(problem: Problem, q: int, m: int) -> range:
    """Every n of a pair, from 0: for q < m, some position before the query holds m, so n = k - 1 does not occur."""
    return range(problem.k if q == m else problem.k - 1)


def cells_of_pair(problem: Problem, q: int, m: int) -> int:
    """The same as a bit mask."""
    return (1 << len(ns_of_pair(problem, q, m))) - 1


def require_queries(problem: Problem, queries: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """The pairs (q, m) that bit masks of queries per maximum stand for, in the order m, then q."""
    if len(queries) != problem.v or not all(0 <= mask < 2 << m for m, mask in enumerate(queries)):
        raise Rejected("wrong-shape", "args.queries", f"{problem.v} masks of queries q <= m")
    return ((q, m) for m, mask in enumerate(queries) for q in range(m + 1) if (mask >> q) & 1)


def sequences_of_pair(problem: Problem, q: int, m: int) -> int:
    """How many sequences have query q and maximum m."""
    others = problem.k - 1
    return int((m + 1) ** others - (m**others if q < m else 0))


def product_sets(others: list[list[int]], q: int, m: int) -> Iterator[list[list[int]]]:
    """The sequences with query q and maximum m as disjoint product sets of terms; others[p][t] are for tokens t <= m.

    For q < m: by the first non-query position that holds m, smaller tokens before it, any up to m after it.
    """
    if q == m:
        yield others
    else:
        for first in range(len(others)):
            yield [row[:m] for row in others[:first]] + [others[first][m:]] + others[first + 1 :]
