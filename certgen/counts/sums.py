"""Sums of gains over the positions of the sequences of one pair (q, m), for several tables and sets of sequences at
once: what they are at most, how they are rounded to be counted, and how many of them reach 0.

The unit is that of certgen.counts.gains. A batch is the first axis of everything here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from certgen.counts.lanes import nearly
from certgen.counts.polynomials import PHASES, ROUNDING, IntArray
from certgen.models.dyadic import FloatArray

TRIED = 16  # phases that are tried for a pool; for the query, the square of that
MOST = 1 << 20  # no loss is larger: all that are above every limit are the same
LANES = 12  # at most so many times more lanes than steps

BoolArray: TypeAlias = npt.NDArray[np.bool_]


class Tables(NamedTuple):
    """What is gained: pools[b, pool, token], and own[b] by the query at the last position."""

    pools: FloatArray
    own: FloatArray

    def of(self, which: IntArray) -> Tables:
        """Some of them, with repetitions."""
        return Tables(self.pools[which], self.own[which])


class Where(NamedTuple):
    """Sequences: the tokens that may occur before the query, [b, token], and tokens that have to, [b, 0 to 2]."""

    kept: BoolArray
    needed: IntArray

    def times(self, count: int) -> Where:
        """The one of this batch so many times."""
        return Where(np.repeat(self.kept, count, axis=0), np.repeat(self.needed, count, axis=0))

    def holding(self, token: int) -> Where:
        """Those in which this token occurs before the query, too."""
        return Where(self.kept, np.append(self.needed, np.full((len(self.kept), 1), token), axis=1))

    def without(self, token: int) -> Where:
        """Those in which it does not."""
        kept = self.kept.copy()
        kept[:, token] = False
        return Where(kept, self.needed)


def joined(batches: Sequence[Where]) -> Where:
    """One batch of several."""
    kept, needed = zip(*batches, strict=True)
    return Where(np.concatenate(kept), np.concatenate(needed))


def everything(m: int, queries: IntArray) -> Where:
    """All sequences of pairs with this maximum and these queries, which are all m or all less."""
    needed = np.full((len(queries), int((queries < m).all())), m)
    return Where(np.ones((len(queries), m + 1), dtype=bool), needed)


class Cuts(NamedTuple):
    """Steps [b], multiples of the unit of the checker's tables; phases [b, pool or query]."""

    steps: FloatArray
    phases: IntArray

    def of(self, number: int) -> Cuts:
        """One of them."""
        return Cuts(self.steps[number : number + 1], self.phases[number : number + 1])


class Losses(NamedTuple):
    """What tables are rounded to: losses [b, pool, token] from 0, and the largest sum of them that is counted, [b]."""

    losses: IntArray
    limits: IntArray


def largest_sums(tables: Tables, uses: Sequence[int], where: Where) -> FloatArray:
    """No sequences add up to more, [b]: needed tokens are somewhere, at different positions."""
    peaks = np.where(where.kept[:, None, :], tables.pools, -np.inf).max(axis=-1, initial=-np.inf)
    total = tables.own + (peaks * np.asarray(uses, dtype=float)).sum(axis=-1)
    for column in where.needed.T:
        found = np.take_along_axis(tables.pools, column[:, None, None], axis=-1)[..., 0]
        total = total - (peaks - found).min(axis=-1, initial=np.inf)
    return np.asarray(total)


def chosen_cuts(
    tables: Tables, uses: Sequence[int], where: Where, steps: FloatArray, unit: float, upward: bool
) -> Cuts:
    """Phases for which rounding changes least.

    Most tokens get hardly any attention, so that their gains lie close together and can be kept just beside a step.
    """
    steps = np.maximum(np.ceil(steps / unit), 1.0) * unit
    starts = np.arange(0, PHASES, PHASES // TRIED)
    left = starts[:, None] / PHASES - (tables.pools / steps[:, None, None])[:, :, None, :]
    left -= np.floor(left)
    if not upward:
        left = np.where(left > 0, 1 - left, 0.0)
    phases = starts[(left * where.kept[:, None, None, :]).sum(axis=-1).argmin(axis=-1)]
    # the last position has one entry, so that its phase can make the whole sum fit
    last = np.arange(0, PHASES, PHASES // TRIED**2)
    ends = last / PHASES - (tables.own / steps)[:, None]
    room = ((phases * np.asarray(uses, dtype=int)).sum(axis=-1)[:, None] + last) // PHASES - rounded(ends, upward)
    ending = room.argmin(axis=-1) if upward else room.argmax(axis=-1)
    return Cuts(steps, np.concatenate([phases, last[ending][:, None]], axis=1))


def rounded(numbers: FloatArray, upward: bool) -> FloatArray:
    """Losses rounded down, so that a count goes up, or up."""
    return np.asarray(np.floor(numbers - ROUNDING) if upward else np.ceil(numbers + ROUNDING))


def losses_of(tables: Tables, uses: Sequence[int], where: Where, cuts: Cuts, upward: bool) -> Losses:
    """As the checker has them, or less where that makes the count go in its direction; entries must have slack."""
    kept = where.kept[:, None, :]
    found = rounded(cuts.phases[:, :-1, None] / PHASES - tables.pools / cuts.steps[:, None, None], upward)
    last = rounded(cuts.phases[:, -1] / PHASES - tables.own / cuts.steps, upward)
    lows = np.where(kept, found, np.inf).min(axis=-1)
    count = np.asarray(uses, dtype=int)
    sums = ((cuts.phases[:, :-1] * count).sum(axis=-1) + cuts.phases[:, -1]) // PHASES
    limits = np.clip(sums - last - (lows * count).sum(axis=-1), -1, MOST - 1).astype(int)
    losses = np.where(kept, np.minimum(found - lows[..., None], MOST), MOST).astype(int)
    return Losses(losses, limits)


class Counts(NamedTuple):
    """Shares of all choices that reach 0, about, [b]; how they were counted, and in how many lanes."""

    shares: FloatArray
    cuts: Cuts
    lanes: IntArray


def count(tables: Tables, uses: Sequence[int], where: Where, steps: int, unit: float, upward: bool) -> Counts:
    """Counted with steps of about one of `steps` parts of the largest sum."""
    largest = largest_sums(tables, uses, where)
    peaks = largest_sums(tables, uses, Where(where.kept, where.needed[:, :0]))
    # where m is not reached, so finely that this is seen, if that does not take too many lanes
    sizes = np.maximum(np.where(largest >= 0, largest / steps, -largest / (2 * sum(uses) + 2)), peaks / (LANES * steps))
    cuts = chosen_cuts(tables, uses, where, np.where(np.isfinite(sizes), sizes, 1.0), unit, upward)
    losses, limits = losses_of(tables, uses, where, cuts, upward)
    return Counts(nearly(losses, uses, limits, where.needed), cuts, limits + 1)
