"""Both sides of the accuracy: which pairs (q, m) are counted together, which by themselves, in which parts, how finely.

Half of the wrong sequences lie in a few pairs in a hundred. All pairs of a maximum are counted with one class first;
those that lose much are looked at by themselves, and the worst of these are split into parts and counted finely.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from certgen.certificate.arguments import Block, Group
from certgen.certificate.arguments import Part as PartArgs
from certgen.counts.cells import any_cell, mask, queries_of, sequences_of_pair
from certgen.counts.gains import Maximum, SeparableSearch
from certgen.counts.pairs import Pair, Part, WrongTokens, certain_count
from certgen.counts.sums import Cuts, everything
from certgen.counts.together import Behind, Rough, Together, all_wrong, counted, staying_behind, together
from certgen.progress import Track


class Rung(NamedTuple):
    """With how many tokens parts begin, in how many steps losses are counted; what may stay open, of all that may be
    wrong, in pairs that are left out; and how many pairs come this far at most."""

    depth: int
    steps: int
    open: float
    most: int


class Fineness(NamedTuple):
    """In how many steps losses of pairs are counted that are counted together; then the ladder that the others climb,
    as far as they are worth it."""

    steps: int
    ladder: tuple[Rung, ...]


LEVELS = (  # each proves more than the one before it, and is longer
    Fineness(8, ()),
    Fineness(8, (Rung(0, 16, 0.3, 3000),)),
    Fineness(8, (Rung(0, 16, 0.2, 3000), Rung(0, 32, 0.1, 3000))),
    Fineness(8, (Rung(0, 32, 0.05, 4000), Rung(0, 64, 0.05, 3000))),
    Fineness(16, (Rung(0, 32, 0.02, 5000), Rung(0, 128, 0.03, 3000))),
    Fineness(32, (Rung(0, 64, 0.01, 5000), Rung(0, 128, 0.01, 3000), Rung(2, 128, 0.05, 500))),
    Fineness(
        64,
        (
            Rung(0, 64, 0.01, 5000),
            Rung(0, 128, 0.01, 3000),
            Rung(2, 128, 0.01, 500),
            Rung(3, 512, 0.02, 150),
            Rung(5, 512, 0.03, 50),
        ),
    ),
)
USUAL, FINEST = LEVELS[4], LEVELS[-1]
CONCEDED = 0.001  # of all that may be wrong, what is not looked at, where the maximum is small


class Found(NamedTuple):
    """A pair by itself: its parts, and bounds on its wrong share of all sequences."""

    pair: Pair
    parts: list[Part]
    upper: float
    lower: float

    @property
    def gap(self) -> float:
        return self.upper - self.lower


class Search:
    """Counts all pairs together, then the worst by themselves, then the worst of these in parts.

    What is counted from below says where counting from above is worth more; if not `both`, it is not written down.
    """

    def __init__(self, search: SeparableSearch, track: Track, fineness: Fineness, both: bool) -> None:
        self.track, self.unit, self.both = track, search.unit, both
        self.steps, self.ladder = fineness
        self.v, self.k = search.circuits.v, search.circuits.k
        self.pools = tuple((p,) for p in range(self.k - 1))
        self.maxima = [Maximum(search, m) for m in range(self.v)]
        self.found: dict[tuple[int, int], Found] = {}
        self.counts: list[list[int]] = []
        self.left = self.look_at_the_worst()
        for rung in range(1, len(self.ladder)):
            self.refine(rung)

    def share(self, m: int) -> float:
        """Of all sequences, what all choices of tokens up to m for one query are."""
        return float((m + 1) ** (self.k - 1) / self.v**self.k)

    def look_at_the_worst(self) -> float:
        """Pairs by themselves, until those that are left may be wrong in little; returns in how much."""
        groups, pairs = [], []
        for maximum in self.track(self.maxima, "all pairs"):
            m = maximum.m
            groups.append(together(maximum, queries_of(self.k, m), self.pools, all_wrong(maximum)))
            shares = counted(groups[-1], maximum, self.pools, self.steps).shares * self.share(m)
            pairs += [(float(x), m, q) for q, x in zip(queries_of(self.k, m), shares, strict=True) if x > 0]
        pairs.sort(reverse=True)
        left, upper = sum(x for x, _, _ in pairs), 0.0
        first = self.ladder[0] if self.ladder else Rung(0, 1, 1.0, 0)
        for x, m, q in self.track(pairs[: first.most], "pair by pair"):
            if left <= first.open * (upper + left):
                break
            pair = Pair(self.maxima[m], q, self.pools, groups[m].of(q))
            self.found[m, q] = self.counted(pair, 0)
            left, upper = left - x, upper + self.found[m, q].upper
        return left

    def counted(self, pair: Pair, rung: int) -> Found:
        """As this rung of the ladder says."""
        depth, steps, *_ = self.ladder[rung]
        parts, unit = pair.parts(pair.tokens(depth), steps, own=rung > 0), self.share(pair.m)
        pair.forget()
        return Found(pair, parts, unit * sum(p.upper for p in parts), unit * sum(p.lower for p in parts))

    def refine(self, rung: int) -> None:
        """To this rung, the pairs with most between their bounds first, until little stays open in the others."""
        order = sorted(self.found, key=lambda key: -self.found[key].gap)
        left, upper = sum(one.gap for one in self.found.values()), sum(one.upper for one in self.found.values())
        for key in self.track(order[: self.ladder[rung].most], f"finer, {rung} of {len(self.ladder) - 1}"):
            if left <= self.ladder[rung].open * upper:
                break
            before = self.found[key]
            left -= before.gap
            self.found[key] = self.counted(before.pair, rung)

    def groups(self) -> list[Group]:
        """As the certificate states them; `counts` are the counts of all their blocks, in order."""
        upper = self.left + sum(found.upper for found in self.found.values())
        first = max([m for m in range(self.v) if (m / self.v) ** self.k <= CONCEDED * upper])
        groups = []
        for maximum in self.track(self.maxima[first:], "certain counts"):
            queries = list(queries_of(self.k, maximum.m))
            own = [q for q in queries if self.is_own(maximum.m, q)]
            others = [q for q in queries if q not in own]
            if others:
                groups.append(self.sharing(maximum, others))
            if own:
                groups.append(self.apart(maximum, own))
        return groups

    def is_own(self, m: int, q: int) -> bool:
        """Is this pair counted with classes of its own?"""
        return (m, q) in self.found and not self.found[m, q].pair.shares_class

    def group(self, m: int, classes: list[list[int]], blocks: list[Block]) -> Group:
        return Group(m=m, pools=[mask(pool) for pool in self.pools], classes=classes, blocks=blocks)

    def sharing(self, maximum: Maximum, queries: list[int]) -> Group:
        """Pairs that share their class."""
        m, blocks = maximum.m, []
        shared = together(maximum, queries, self.pools, all_wrong(maximum))
        rough = counted(shared, maximum, self.pools, self.steps)
        for i, q in enumerate(queries):
            if (m, q) in self.found:
                blocks.append(self.block(self.found[m, q], shared, []))
            else:
                blocks.append(self.rough_block(m, q, shared, rough, i))
        return self.group(m, [row_of(shared.wrong)] if self.v > 1 else [], blocks)

    def apart(self, maximum: Maximum, queries: list[int]) -> Group:
        """Pairs with classes of their own, but for what stays behind in many of them."""
        behind = staying_behind(maximum, queries, self.pools)
        blocks = [self.block(self.found[maximum.m, q], None, behind) for q in queries]
        return self.group(maximum.m, [row_of(one.wrong) for one in behind], blocks)

    def rough_block(self, m: int, q: int, shared: Together, rough: Rough, i: int) -> Block:
        """A pair that is counted once, from above."""
        above, correct = [], sequences_of_pair(self.k, q, m)
        if rough.reached[i]:
            cuts, where, uses = rough.cuts.of(i), everything(m, np.array([q])), list(map(len, self.pools))
            correct -= certain_count(shared.of(q).tables, uses, where, cuts, True)
            above = [self.cut(0, cuts)]
        self.counts.append([m, 1 << q, any_cell(self.k), max(correct, 0), 0])
        return Block(queries=1 << q, classes=[], parts=[PartArgs(token=-1, above=above, below=[])])

    def block(self, found: Found, shared: Together | None, behind: Sequence[Behind]) -> Block:
        """A pair that was looked at by itself: with one class that others share, or with its own, which are numbered
        after those that stay behind in many pairs."""
        pair, parts = found.pair, []
        held = [one.wrong for one in behind if pair.q in one.queries]
        classes = [] if shared else [row_of(one) for one in pair.classes_of_all(found.parts, held)]
        correct, wrong = sequences_of_pair(self.k, pair.q, pair.m), 0
        for part in found.parts:
            part = part if self.both else part._replace(below=None)
            above = [
                self.cut(0 if shared else len(behind) + classes.index(row_of(one.wrong)), one.cuts)
                for one in part.above
            ]
            below = [self.cut(int(part.below.wrong.tokens[0]), part.below.cuts)] if part.below else []
            parts.append(PartArgs(token=part.token, above=above, below=below))
            more, less = pair.certain(part, shared.of(pair.q).tables if shared else None)
            correct, wrong = correct - more, wrong + less
        pair.forget()
        self.counts.append([pair.m, 1 << pair.q, any_cell(self.k), max(correct, 0), wrong])
        return Block(queries=1 << pair.q, classes=classes, parts=parts)

    def cut(self, of: int, cuts: Cuts) -> list[int]:
        """How a class or a wrong token is counted."""
        return [of, round(cuts.steps[0] / self.unit), *cuts.phases[0].tolist()]


def row_of(wrong: WrongTokens) -> list[int]:
    """A class as the certificate states it."""
    factors: list[int] = wrong.factors.tolist()
    return [mask(wrong.tokens.tolist()), *(factors if max(factors) > 1 else [])]
