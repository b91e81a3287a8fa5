"""The regions that proofs for max-of-k talk about: pairs (q, m) and cells (q, m, n), as bit masks and as numbers.

A pair holds the sequences with query q and maximum m, a cell those in which n non-query positions do not hold m.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def mask(members: Iterable[int]) -> int:
    """A set as a bit mask."""
    return sum(1 << member for member in members)


def queries_of(k: int, m: int) -> range:
    """The queries that occur with maximum m: up to m, and with one position only m itself."""
    return range(m if k == 1 else 0, m + 1)


def pairs_of(v: int, k: int) -> Iterator[tuple[int, int]]:
    """Every pair (q, m) that occurs, in the order m, then q."""
    return ((q, m) for m in range(v) for q in queries_of(k, m))


def any_cell(k: int) -> int:
    """Every n below k."""
    return (1 << k) - 1


def ns_of_pair(k: int, q: int, m: int) -> range:
    """Every n of a pair, from 0: for q < m, some position before the query holds m, so n = k - 1 does not occur."""
    return range(k if q == m else k - 1)


def cells_of_pair(k: int, q: int, m: int) -> int:
    """The same as a bit mask."""
    return (1 << len(ns_of_pair(k, q, m))) - 1


def sequences_of_pair(k: int, q: int, m: int) -> int:
    """How many sequences have query q and maximum m."""
    others = k - 1
    return int((m + 1) ** others - (m**others if q < m else 0))
