"""Queries of one maximum that are counted with one class of all wrong tokens, which they share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from certgen.counts.gains import Maximum
from certgen.counts.groups import Members
from certgen.counts.numerators import VALUE_BOUND
from certgen.counts.pairs import Shared, WrongTokens
from certgen.counts.polynomials import IntArray
from certgen.counts.sums import BoolArray, Cuts, Tables, count, everything, largest_sums
from certgen.models.dyadic import FloatArray

FEW, TRIED_SIZES = 3, 8  # classes that stay behind for many queries, and how large each may be
WORTH = 6  # tokens that such a class holds for a query on average, to cost less than these in classes of each query


class Together(NamedTuple):
    """The class, and for each of the queries what it gains, with slack."""

    queries: IntArray
    wrong: WrongTokens
    tables: Tables

    def of(self, q: int) -> Shared:
        """For one of the queries."""
        return Shared(self.wrong, self.tables.of(np.flatnonzero(self.queries == q)))


class Rough(NamedTuple):
    """Shares of all choices of tokens up to m in which m may be reached, [i], how they were counted, and whether any
    are."""

    shares: FloatArray
    cuts: Cuts
    reached: BoolArray


class Behind(NamedTuple):
    """A class of wrong tokens, and the queries in whose sequences it stays behind m."""

    wrong: WrongTokens
    queries: set[int]


def all_wrong(maximum: Maximum) -> WrongTokens:
    """With factors that suit most queries."""
    return WrongTokens(np.delete(np.arange(maximum.search.circuits.v), maximum.m), np.delete(maximum.gauge, maximum.m))


def together(
    maximum: Maximum, queries: Sequence[int], pools: tuple[Members, ...], wrong_tokens: WrongTokens
) -> Together:
    """With this class."""
    search, number = maximum.search, np.array(queries, dtype=int)
    wrong, factors = wrong_tokens
    direct = maximum.direct[np.ix_(number, wrong)] + search.circuits.float_margin
    centre = direct.max(axis=0)
    of_query = ((direct - centre + search.precision.slack) * factors).max(axis=1)
    positions, tables = search.positions[number], []
    room = VALUE_BOUND * factors.max(initial=1) * 2.0 ** (5 - search.precision.weight_bits)
    for pool in maximum.with_last(pools):
        ahead = maximum.places[np.ix_(np.asarray(pool), wrong)].max(axis=0) + centre + search.precision.slack
        of_token = ((maximum.values[:, wrong] + ahead) * factors).max(axis=1)
        heavy, light = positions[:, pool].max(axis=1), positions[:, pool].min(axis=1)
        gain = of_token + of_query[:, None]
        most, least = maximum.high[number] * heavy[:, None], maximum.low[number] * light[:, None]
        tables.append(np.maximum(gain * most, gain * least) + room)
    own = tables.pop()[np.arange(len(number)), number]
    return Together(number, wrong_tokens, Tables(np.stack(tables, axis=1), own))


def largest(found: Together, maximum: Maximum, pools: tuple[Members, ...]) -> FloatArray:
    """No sequences of each query add up to more."""
    sums = np.zeros(len(found.queries))
    for those in by_kind(found.queries, maximum.m):
        where = everything(maximum.m, found.queries[those[:1]])
        sums[those] = largest_sums(found.tables.of(those), list(map(len, pools)), where.times(len(those)))
    return sums


def by_kind(queries: IntArray, m: int) -> Iterator[IntArray]:
    """Where queries are below the maximum, which another position has to hold, and where they are the maximum."""
    yield from [those for those in (np.flatnonzero(queries < m), np.flatnonzero(queries == m)) if len(those)]


def counted(found: Together, maximum: Maximum, pools: tuple[Members, ...], steps: int) -> Rough:
    """All queries at once."""
    m, uses, number = maximum.m, list(map(len, pools)), len(found.queries)
    reached, shares = largest(found, maximum, pools) >= 0, np.zeros(number)
    sizes, phases = np.ones(number), np.zeros((number, len(pools) + 1), dtype=int)
    for those in by_kind(found.queries, m):
        on = those[reached[those]]
        if len(on):
            unit = maximum.search.unit
            counts = count(found.tables.of(on), uses, everything(m, found.queries[on]), steps, unit, True)
            shares[on] = counts.shares
            sizes[on], phases[on] = counts.cuts
    return Rough(shares, Cuts(sizes, phases), reached)


def staying_behind(maximum: Maximum, queries: Sequence[int], pools: tuple[Members, ...]) -> list[Behind]:
    """Few classes that stay behind m for many of the queries: what is cheaper to show for all of them at once."""
    wrong = all_wrong(maximum)
    found: list[Behind] = []
    order = np.argsort(maximum.behind[wrong.tokens], kind="stable")[::-1]  # the furthest behind first
    while len(order) and len(found) < FEW:
        tried = []
        for size in sorted({-(-len(order) * part // TRIED_SIZES) for part in range(1, TRIED_SIZES + 1)}):
            those = np.sort(order[:size])
            one = WrongTokens(wrong.tokens[those], wrong.factors[those])
            held = largest(together(maximum, queries, pools, one), maximum, pools) < 0
            tried.append((size * int(held.sum()), size, Behind(one, set(np.asarray(queries)[held].tolist()))))
        won, size, best = max(tried, key=lambda one: one[:2])
        if won < WORTH * len(queries):
            break
        found.append(best)
        order = order[size:]
    return found
