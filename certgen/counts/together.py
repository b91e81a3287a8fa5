"""Queries of one maximum that are counted with one class of all wrong tokens, which they share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from certgen.counts.gains import Maximum
from certgen.counts.groups import Members
from certgen.counts.numerators import VALUE_BOUND
from certgen.counts.pairs import Shared, WrongTokens
from certgen.counts.polynomials import IntArray
from certgen.counts.sums import BoolArray, Cuts, Tables, count, everything, largest_sums
from certgen.models.dyadic import FloatArray


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


def together(maximum: Maximum, queries: Sequence[int], pools: tuple[Members, ...], factors: IntArray) -> Together:
    """With these factors of the wrong tokens."""
    search, m, number = maximum.search, maximum.m, np.array(queries, dtype=int)
    wrong = np.delete(np.arange(search.circuits.v), m)
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
    return Together(number, WrongTokens(wrong, factors), Tables(np.stack(tables, axis=1), own))


def counted(found: Together, maximum: Maximum, pools: tuple[Members, ...], steps: int) -> Rough:
    """All queries at once."""
    m, uses, number = maximum.m, list(map(len, pools)), len(found.queries)
    reached, shares = np.zeros(number, dtype=bool), np.zeros(number)
    sizes, phases = np.ones(number), np.zeros((number, len(pools) + 1), dtype=int)
    for those in (np.flatnonzero(found.queries < m), np.flatnonzero(found.queries == m)):
        if not len(those):
            continue
        where = everything(m, found.queries[those[:1]])
        on = those[largest_sums(found.tables.of(those), uses, where.times(len(those))) >= 0]
        if len(on):
            unit = maximum.search.unit
            counts = count(found.tables.of(on), uses, where.times(len(on)), steps, unit, True)
            reached[on], shares[on] = True, counts.shares
            sizes[on], phases[on] = counts.cuts
    return Rough(shares, Cuts(sizes, phases), reached)
