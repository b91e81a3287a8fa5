"""One pair (q, m): in which of its sequences which wrong tokens may reach the maximum, and how many these are.

A pair is counted in parts, by the first of some tokens that occurs before the query. In each part classes of rivals are
counted from above, each with a gauge (factors that make its rivals alike), and one rival from below.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from certgen.counts.gains import Maximum
from certgen.counts.groups import Members
from certgen.counts.lanes import certainly
from certgen.counts.polynomials import IntArray
from certgen.counts.sums import Counts, Cuts, Tables, Where, count, largest_sums, losses_of
from certgen.models.dyadic import FloatArray

EXPONENTS = (0.25, 0.5, 1.0)  # of how far rivals reach, to make them alike
COARSEST, FINEST = 16, 256  # the smallest factor of a gauge, and about the largest one relative to it
ROUGH = 64  # steps for comparing what could be done
TRIED_BELOW = 6  # rivals that may be counted from below
TRIED_TOKENS = 5  # that parts may begin with
LITTLE = 0.005  # of what is counted in a part: what a class more must be worth
CLOSE = 1.03  # a class that counts so little more than its first rival is good enough
SINGLY = 8  # rivals that are put into classes one by one
ONE = np.ones(1, dtype=int)
CLASSES = 6  # at most, in one part


class Counted(NamedTuple):
    """A class of rivals with its factors, how it is counted, and the share of all choices that it may be wrong in."""

    rivals: tuple[int, ...]
    factors: tuple[int, ...]
    cuts: Cuts
    share: float
    lanes: int


class Part(NamedTuple):
    """What is counted in a part: classes from above, and one rival from below."""

    token: int
    where: Where
    above: tuple[Counted, ...]
    below: Counted | None

    @property
    def upper(self) -> float:
        return sum(counted.share for counted in self.above)

    @property
    def lower(self) -> float:
        return self.below.share if self.below else 0.0


    def certain(self, pair: Pair) -> tuple[int, int]:
        """How many sequences the checker counts at most from above, and at least from below."""
        above = [(counted, pair.joint([(np.array(counted.rivals), np.array(counted.factors))])) for counted in self.above]
        upper = sum(self.bound(pair, counted, tables, True) for counted, tables in above)
        if self.below is None:
            return upper, 0
        return upper, self.bound(pair, self.below, pair.least(np.array(self.below.rivals)), False)

    def bound(self, pair: Pair, counted: Counted, tables: Tables, upward: bool) -> int:
        losses, limits = losses_of(tables, pair.uses, self.where, counted.cuts, upward)
        return certainly(losses[0], pair.uses, int(limits[0]), self.where.needed[0].tolist(), upward)


class Pair:
    """What the rivals gain; shares are of all choices of tokens up to m."""

    def __init__(self, maximum: Maximum, q: int, pools: tuple[Members, ...]) -> None:
        self.maximum, self.m, self.q = maximum, maximum.m, q
        self.pools, self.uses = pools, list(map(len, pools))
        self.unit, self.slack = maximum.search.unit, maximum.search.slack
        self.above, self.below = gains(maximum, q, pools, True), gains(maximum, q, pools, False)
        self.everything = self.where([])
        self.reach = self.reached(np.arange(len(self.above.own)), self.everything)
        self.reach[self.m] = -np.inf
        self.rivals = np.flatnonzero(self.reach >= 0)

    @cached_property
    def peaks(self) -> FloatArray:
        """What each rival gains at most at all positions."""
        return np.asarray(self.above.pools[self.rivals].max(axis=-1) @ np.array(self.uses, dtype=float))

    @cached_property
    def losses(self) -> FloatArray:
        """What each rival would lose if all positions held m."""
        return np.asarray(-self.above.pools[self.rivals, :, -1] @ np.array(self.uses, dtype=float))

    def where(self, before: Sequence[int], token: int = -1) -> Where:
        """Sequences without the tokens `before`, and with `token`."""
        kept = np.ones((1, self.m + 1), dtype=bool)
        kept[0, list(before)] = False
        needed = [t for t in ([] if self.q == self.m else [self.m]) + [token] if t >= 0]
        return Where(kept, np.array([needed], dtype=int))

    def reached(self, wrong: IntArray, where: Where) -> FloatArray:
        """The most that each of these tokens gains, with slack."""
        room = (sum(self.uses) + 2) * self.slack
        return largest_sums(self.above.of(wrong), self.uses, where.of(np.zeros(len(wrong), dtype=int))) + room

    def joint(self, classes: Sequence[tuple[IntArray, IntArray]]) -> Tables:
        """The largest gains of classes of rivals with their factors, with slack."""
        pools, own = [], []
        for rivals, factors in classes:
            pools.append(((self.above.pools[rivals] + self.slack) * factors[:, None, None]).max(axis=0))
            own.append(((self.above.own[rivals] + self.slack) * factors).max())
        return Tables(np.stack(pools), np.array(own))

    def count(self, tables: Tables, where: Where, steps: int, upward: bool) -> Counts:
        return count(tables, self.uses, where.of(np.zeros(len(tables.own), dtype=int)), steps, self.unit, upward)

    def best_gauge(self, numbers: IntArray, reach: FloatArray, where: Where, steps: int) -> Counted:
        """One class, the rivals of these numbers, with the exponent for which it counts least."""
        numbers = np.sort(numbers)
        tried = [(self.rivals[numbers], factors) for factors in self.gauges(numbers, reach)]
        found = self.count(self.joint(tried), where, steps, True)
        return counted(found, int(found.shares.argmin()), tried)

    def above_in(self, where: Where, steps: int, apart: bool) -> tuple[Counted, ...]:
        """All rivals of the pair in one class or, if that may be better and is allowed, a few; those that do not reach
        m in this part among others."""
        reach = self.reached(self.rivals, where)
        if not len(reach):
            return ()
        alive = reach >= 0
        reach = np.where(alive, reach, reach.max()) if alive.any() else np.ones(len(reach))
        whole = self.best_gauge(np.arange(len(reach)), reach, where, steps)
        if not apart or len(reach) < 2:
            return (whole,)
        singly = self.count(self.joint([(self.rivals[i : i + 1], ONE) for i in range(len(reach))]), where, ROUGH, True)
        single = np.where(alive, singly.shares, 0.0)
        if whole.share <= CLOSE * single.max():
            return (whole,)
        few = self.classes(single, reach, where, LITTLE * whole.share)
        found = tuple(self.best_gauge(members, reach, where, steps) for members in few)
        return found if sum(one.share for one in found) < whole.share / CLOSE else (whole,)

    def classes(self, single: FloatArray, reach: FloatArray, where: Where, little: float) -> list[IntArray]:
        """Rivals, those that are wrong most often first, each where it adds least: in a new class, or in an earlier one.

        `single` is what each counts by itself; a new class must be worth `little`.
        """
        order = np.lexsort((-reach, -single))
        large = order[: min(int((single > little).sum()), SINGLY)]
        found: list[IntArray] = []
        shares: list[float] = []
        for more in [*large[:, None], *self.bundles(order[len(large) :], single, reach, where, little)]:
            alone = self.gauged([more], reach, where)[0]
            joined = [np.concatenate([members, more]) for members in found]
            totals = self.gauged(joined, reach, where) if joined else np.zeros(0)
            added = totals - np.array(shares)
            if not found or (len(found) < CLASSES and alone + little < added.min()):
                found.append(more)
                shares.append(alone)
            else:
                number = int(added.argmin())
                found[number], shares[number] = joined[number], float(totals[number])
        return found

    def bundles(
        self, order: IntArray, single: FloatArray, reach: FloatArray, where: Where, little: float
    ) -> list[IntArray]:
        """Rivals that count hardly more together than by themselves."""
        if len(order) < 2 or self.gauged([order], reach, where)[0] <= single[order].sum() + little:
            return [order] if len(order) else []
        half = len(order) // 2
        return [
            bundle for part in (order[:half], order[half:]) for bundle in self.bundles(part, single, reach, where, little)
        ]

    def gauged(self, classes: list[IntArray], reach: FloatArray, where: Where) -> FloatArray:
        """The share of each class by its best gauge, roughly."""
        tried = [[(self.rivals[one], factors) for factors in self.gauges(one, reach)] for one in classes]
        shares = self.count(self.joint([one for some in tried for one in some]), where, ROUGH, True).shares
        return np.minimum.reduceat(shares, np.cumsum([0, *map(len, tried[:-1])]))

    def gauges(self, numbers: IntArray, reach: FloatArray) -> list[IntArray]:
        """Factors that may make these rivals alike: in how far they reach, what they gain at most, or lose on m."""
        if len(numbers) == 1:
            return [ONE]
        far, peaks, held = reach[numbers], self.peaks[numbers], self.losses[numbers]
        found = [np.ones(len(numbers), dtype=int), *(factors_for(far**exponent) for exponent in EXPONENTS)]
        found += [factors_for(x) for x in (peaks, held) if x.min() > 0]
        return found

    def below_in(self, where: Where, steps: int) -> Counted | None:
        """The rival that is surely wrong most often."""
        reach = self.reached(self.rivals, where)
        order = np.argsort(-reach, kind="stable")
        tried = self.rivals[order[reach[order] >= 0]][:TRIED_BELOW]
        if not len(tried):
            return None
        found = self.count(self.least(tried), where, steps, False)
        best = int(found.shares.argmax())
        return counted(found, best, [(tried[i : i + 1], ONE) for i in range(len(tried))])

    def behind(self) -> list[tuple[int, ...]]:
        """The other wrong tokens in classes that stay behind m though each position may choose its favourite."""
        left = np.flatnonzero(np.isfinite(self.reach) & (self.reach < 0))
        left = left[np.argsort(self.reach[left], kind="stable")]  # the furthest behind first: many of them fit together
        found = []
        while len(left):
            pools = np.maximum.accumulate(self.above.pools[left], axis=0) + self.slack
            tables = Tables(pools, np.maximum.accumulate(self.above.own[left]) + self.slack)
            sums = largest_sums(tables, self.uses, self.everything.of(np.zeros(len(left), dtype=int)))
            fit = max(int((sums < 0).sum()), 1)
            found.append(tuple(sorted(left[:fit].tolist())))
            left = left[fit:]
        return found

    def least(self, wrong: IntArray) -> Tables:
        """The least that single tokens gain, with slack."""
        return Tables(self.below.pools[wrong] - self.slack, self.below.own[wrong] - self.slack)

    @cached_property
    def attended(self) -> list[int]:
        """Tokens below m, the most attended first."""
        order: list[int] = np.argsort(-self.maximum.high[self.q, : self.m], kind="stable").tolist()
        return order

    def part(self, before: Sequence[int], token: int, steps: int, apart: bool) -> Part:
        where = self.where(before, token)
        return Part(token, where, self.above_in(where, steps, apart), self.below_in(where, steps))

    def parts(self, tokens: Sequence[int], steps: int, apart: bool) -> list[Part]:
        """By these tokens, and the last one, in which none of them occurs."""
        found = [self.part(tokens[:number], token, steps, apart) for number, token in enumerate(tokens)]
        return [*found, self.part(tokens, -1, steps, apart)]


def counted(found: Counts, number: int, classes: Sequence[tuple[IntArray, IntArray]]) -> Counted:
    """One of a batch."""
    rivals, factors = classes[number]
    cuts = Cuts(found.cuts.steps[number : number + 1], found.cuts.phases[number : number + 1])
    return Counted(
        tuple(rivals.tolist()), tuple(factors.tolist()), cuts, float(found.shares[number]), int(found.lanes[number])
    )


def factors_for(sizes: FloatArray) -> IntArray:
    """Whole numbers that make rivals of these sizes, all positive, alike, as far as they are not too different."""
    factors = np.rint(COARSEST * sizes.max() / np.maximum(sizes, sizes.max() / FINEST)).astype(int)
    return factors if len(set(factors)) > 1 else np.ones(len(sizes), dtype=int)


def gains(maximum: Maximum, q: int, pools: tuple[Members, ...], upward: bool) -> Tables:
    """For one query the most or the least that each wrong token gains, without slack, [y, pool, t] and [y]."""
    worst, worse = (np.max, np.maximum) if upward else (np.min, np.minimum)
    all_pools = [list(pool) for pool in maximum.with_last(pools)]
    positions = maximum.search.positions[q]
    ahead = np.stack([worst(maximum.places[pool], axis=0) for pool in all_pools])
    ahead += maximum.direct[q] + maximum.search.circuits.float_margin
    high = np.stack([positions[pool].max() * maximum.high[q] for pool in all_pools])
    low = np.stack([positions[pool].min() * maximum.low[q] for pool in all_pools])
    gain, own = maximum.values.T[:, None, :] + ahead[:-1].T[:, :, None], maximum.values[q] + ahead[-1]
    return Tables(worse(gain * high[:-1], gain * low[:-1]), worse(own * high[-1, q], own * low[-1, q]))
