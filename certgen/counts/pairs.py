"""One pair (q, m): in which of its sequences a wrong token may reach the maximum, and how many these are.

A pair is counted in parts, by the first of some tokens that occurs before the query. In each part a class of wrong
tokens is counted from above, and one wrong token from below.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from certgen.counts.gains import Maximum, factors_for
from certgen.counts.groups import Members
from certgen.counts.lanes import certainly
from certgen.counts.polynomials import IntArray
from certgen.counts.sums import Counts, Cuts, Tables, Where, count, everything, joined, largest_sums, losses_of
from certgen.models.dyadic import FloatArray

ROUGH, ROUGHEST = 128, 32  # steps for comparing what could be done, at most
BETTER = 0.97  # of what is counted with the class that pairs share, what is worth classes of a pair's own
APART = 16  # rivals that are counted each by itself, at most
TRIED_TOKENS = 5  # of the most attended ones, for parts to begin with
TRIED_BELOW = 3  # rivals that may be counted from below


class WrongTokens(NamedTuple):
    """A class of wrong tokens with their factors."""

    tokens: IntArray
    factors: IntArray


class Counted(NamedTuple):
    """How a class or a wrong token is counted in a part, and the share of all choices that this may be."""

    wrong: WrongTokens
    cuts: Cuts
    share: float


class Shared(NamedTuple):
    """All wrong tokens in one class, and what it gains for one query, with slack."""

    wrong: WrongTokens
    tables: Tables


class Part(NamedTuple):
    """What is counted in a part: classes from above, and one wrong token from below, where any reach m."""

    token: int
    where: Where
    above: tuple[Counted, ...]
    below: Counted | None

    @property
    def upper(self) -> float:
        return sum(one.share for one in self.above)

    @property
    def lower(self) -> float:
        return self.below.share if self.below else 0.0


class Split(NamedTuple):
    """How a pair is split: whether it has the class that other queries of its maximum have, and its first tokens."""

    shares_class: bool = True
    first_tokens: tuple[int, ...] = ()


UNSPLIT = Split()


class Pair:
    """What wrong tokens gain; shares are of all choices of tokens up to m."""

    def __init__(
        self, maximum: Maximum, q: int, pools: tuple[Members, ...], shared: Shared, split: Split = UNSPLIT
    ) -> None:
        self.maximum, self.m, self.q = maximum, maximum.m, q
        self.wrong = shared.wrong.tokens
        self.uses = list(map(len, pools))
        self.unit, self.slack = maximum.search.unit, maximum.search.precision.slack
        self.pools, self.shared = pools, shared
        self.everything = everything(self.m, np.array([q]))
        self.split = split

    @cached_property
    def above(self) -> Tables:
        """The most that each wrong token gains."""
        return gains(self.maximum, self.q, self.pools, True)

    @cached_property
    def below(self) -> Tables:
        """The least that it gains."""
        return gains(self.maximum, self.q, self.pools, False)

    def reach(self, wrong: IntArray, where: Where) -> FloatArray:
        """The most that each of these tokens gains, with slack."""
        room = (sum(self.uses) + 2) * self.slack
        return largest_sums(self.above.of(wrong), self.uses, where.times(len(wrong))) + room

    def joint(self, classes: Sequence[WrongTokens]) -> Tables:
        """The most that any of each class gains, times its factor, with slack."""
        found = [self.shared.tables if one is self.shared.wrong else self.largest(one) for one in classes]
        return Tables(np.concatenate([one.pools for one in found]), np.concatenate([one.own for one in found]))

    def largest(self, wrong: WrongTokens) -> Tables:
        """Of one class."""
        pools = (self.above.pools[wrong.tokens] + self.slack) * wrong.factors[:, None, None]
        own = (self.above.own[wrong.tokens] + self.slack) * wrong.factors
        return Tables(pools.max(axis=0)[None], own.max(keepdims=True))

    def least(self, wrong: IntArray) -> Tables:
        """The least that single tokens gain, with slack."""
        return Tables(self.below.pools[wrong] - self.slack, self.below.own[wrong] - self.slack)

    def count(self, tables: Tables, where: Where, steps: int, upward: bool) -> Counts:
        """Of each of several tables."""
        return count(tables, self.uses, where.times(len(tables.own)), steps, self.unit, upward)

    def gauges(self, tokens: IntArray) -> list[WrongTokens]:
        """Factors that make alike what wrong tokens lose where a position holds m; or what they gain or lose; or none.

        Then what one of them gains elsewhere does not make up for what another one loses there.
        """
        gains, uses = self.above.pools[tokens], np.array(self.uses, dtype=float)
        lost = -gains[:, :, -1] @ uses
        usual = np.median(lost[lost > 0]) if (lost > 0).any() else 0.0
        sizes = lost, np.maximum(lost, usual), np.abs(gains).mean(axis=2) @ uses
        return [WrongTokens(tokens, factors) for factors in (*map(factors_for, sizes), np.ones(len(tokens), dtype=int))]

    def classes(self, where: Where, steps: int) -> list[WrongTokens]:
        """The tokens that may reach m in some of these sequences: all at once, or each by itself if that is better."""
        rivals = self.wrong[self.reach(self.wrong, where) >= 0]
        if not len(rivals):
            return []
        joint, few = self.gauges(rivals), len(rivals) <= APART
        apart = [WrongTokens(rivals[[i]], np.ones(1, dtype=int)) for i in range(len(rivals))] if few else []
        shares = self.count(self.joint([*joint, *apart]), where, min(steps, ROUGH), True).shares
        best = int(shares[: len(joint)].argmin())
        return apart if few and shares[len(joint) :].sum() < shares[best] else [joint[best]]

    def classes_of_all(self, parts: Sequence[Part], held: Sequence[WrongTokens] = ()) -> list[WrongTokens]:
        """Of all parts: those that are counted, and those that stay behind m where they are not, each of them once;
        but nothing about the tokens of classes that hold some of these behind."""
        found: dict[tuple[bytes, bytes], WrongTokens] = {}
        known = [one.tokens for one in held]
        for part in parts:
            counted = [one.wrong for one in part.above]
            left = np.setdiff1d(self.wrong, np.concatenate([self.wrong[:0], *known, *[one.tokens for one in counted]]))
            never = self.reach(left, self.everything) < 0  # in no part
            behind = self.staying_behind(left[never], self.everything)
            behind += self.staying_behind(left[~never], part.where)
            found |= {(one.tokens.tobytes(), one.factors.tobytes()): one for one in (*counted, *behind)}
        return list(found.values())

    def staying_behind(self, left: IntArray, where: Where) -> list[WrongTokens]:
        """These wrong tokens, in classes that stay behind though each position has its favourite."""
        left = left[np.argsort(self.reach(left, where), kind="stable")]  # the furthest behind first
        found = []
        while len(left):
            factors = self.gauges(left)[0].factors
            pools = np.maximum.accumulate((self.above.pools[left] + self.slack) * factors[:, None, None], axis=0)
            own = np.maximum.accumulate((self.above.own[left] + self.slack) * factors)
            sums = largest_sums(Tables(pools, own), self.uses, where.times(len(left)))
            fit = max(int(np.logical_and.accumulate(sums < 0).sum()), 1)  # with a larger class a sum may be smaller
            order = np.argsort(left[:fit])
            found.append(WrongTokens(left[:fit][order], factors[:fit][order]))
            left = left[fit:]
        return found

    def tokens(self, depth: int) -> tuple[int, ...]:
        """So many tokens for parts to begin with: of the most attended ones those that show most sequences to be wrong.

        Where a token occurs, mostly one wrong token wins.
        """
        found = self.split.first_tokens
        left = np.argsort(-self.maximum.high[self.q, : self.m], kind="stable")[:TRIED_TOKENS].tolist()
        where = self.everything
        for token in found:
            left.remove(token)
            where = where.without(token)
        while left and len(found) < depth:
            token = left.pop(int(self.shown(where, left).argmax()))
            found = (*found, token)
            where = where.without(token)
        self.split = self.split._replace(first_tokens=found)
        return found[:depth]

    def shown(self, where: Where, tokens: list[int]) -> FloatArray:
        """About how many sequences are seen to be wrong if one of these tokens begins a part."""
        wrong = self.nearest(self.everything)
        if not len(wrong):
            return np.zeros(len(tokens))
        tables = self.least(np.tile(wrong, len(tokens)))
        total = np.zeros(len(tokens))
        for part in (where.holding, where.without):
            each = joined([part(token).times(len(wrong)) for token in tokens])
            shares = count(tables, self.uses, each, ROUGHEST, self.unit, False).shares
            total += shares.reshape(len(tokens), len(wrong)).max(axis=1, initial=0.0)
        return total

    def nearest(self, where: Where) -> IntArray:
        """The wrong tokens that gain most, if they surely reach m anywhere."""
        sums = largest_sums(self.below.of(self.wrong), self.uses, where.times(len(self.wrong)))
        order = np.argsort(-sums, kind="stable")[:TRIED_BELOW]
        return self.wrong[order[sums[order] >= 0]]

    def parts(self, tokens: Sequence[int], steps: int, own: bool) -> list[Part]:
        """By these tokens, and the last one, in which none of them occurs; with classes of its own if that is better,
        and once it was."""
        found, where = [], self.everything
        for token in tokens:
            found.append(Part(token, where.holding(token), (), None))
            where = where.without(token)
        found.append(Part(-1, where, (), None))
        found = [part._replace(below=self.surely(part.where, steps)) for part in found]
        shares = self.split.shares_class
        shared = [self.above_in(part, [self.shared.wrong], steps) for part in found] if shares else []
        if not own:
            return shared
        other = [self.above_in(part, self.classes(part.where, steps), steps) for part in found]
        shares &= BETTER * sum(one.upper for one in shared) <= sum(one.upper for one in other)
        self.split = self.split._replace(shares_class=shares)
        return shared if shares else other

    def above_in(self, part: Part, classes: list[WrongTokens], steps: int) -> Part:
        """A part with these classes counted from above."""
        if not classes:
            return part
        counts = self.count(self.joint(classes), part.where, steps, True)
        counted = [Counted(one, counts.cuts.of(i), float(counts.shares[i])) for i, one in enumerate(classes)]
        return part._replace(above=tuple(counted))

    def surely(self, where: Where, steps: int) -> Counted | None:
        """The rival that is surely wrong most often."""
        tried = self.nearest(where)
        if not len(tried):
            return None
        rough = self.count(self.least(tried), where, ROUGHEST, False).shares if len(tried) > 1 else np.ones(1)
        best = tried[[int(rough.argmax())]]
        counts = self.count(self.least(best), where, steps, False)
        return Counted(WrongTokens(best, np.ones(1, dtype=int)), counts.cuts, float(counts.shares[0]))

    def certain(self, part: Part, shared: Tables | None) -> tuple[int, int]:
        """No fewer sequences of a part than the checker counts from above, and no more than it counts from below.

        `shared` is what the class gains that is shared in the end.
        """
        where, upper, lower = part.where, 0, 0
        for one in part.above:
            upper += certain_count(shared or self.joint([one.wrong]), self.uses, where, one.cuts, True)
        if part.below:
            lower = certain_count(self.least(part.below.wrong.tokens), self.uses, where, part.below.cuts, False)
        return upper, lower


def certain_count(tables: Tables, uses: Sequence[int], where: Where, cuts: Cuts, upward: bool) -> int:
    """No fewer sequences than the checker counts by these cuts; or if not `upward`, no more."""
    losses, limits = losses_of(tables, uses, where, cuts, upward)
    return certainly(losses[0], uses, int(limits[0]), where.needed[0].tolist(), upward)


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
