"""Both sides of the accuracy: which pairs (q, m) are counted together, which by themselves, in which parts, how finely.

Half of the wrong sequences lie in a few pairs in a hundred. All pairs of a maximum are counted with all wrong tokens in
one class first; pairs that lose much so are counted by themselves, and the worst of these in parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from certgen.certificate.arguments import Block, Group
from certgen.certificate.arguments import Part as PartArgs
from certgen.counts.cells import any_cell, mask, queries_of, sequences_of_pair
from certgen.counts.gains import Maximum, SeparableSearch
from certgen.counts.groups import Members
from certgen.counts.lanes import certainly
from certgen.counts.pairs import Counted, Pair, Part
from certgen.counts.polynomials import IntArray
from certgen.counts.sums import BoolArray, Cuts, Tables, Where, count, largest_sums, losses_of
from certgen.models.dyadic import FloatArray
from certgen.progress import Track

ROUGH, FINE = 32, 64  # steps for those that are counted together
TOGETHER = 0.01  # of what is lost in all, what may be lost where all wrong tokens are in one class
LADDER = ((0, 64), (2, 96), (4, 192))  # tokens that parts begin with, and steps
OPEN = 0.02  # of what is lost in all, what may stay open in pairs that are not refined any more


class Together(NamedTuple):
    """Queries of one maximum with all wrong tokens in one class: shares of all choices that may be wrong, [i], how they
    were counted, and whether m is reached at all."""

    maximum: Maximum
    queries: IntArray
    tables: Tables
    cuts: Cuts
    shares: FloatArray
    reached: BoolArray


def together(maximum: Maximum, queries: Sequence[int], pools: tuple[Members, ...], steps: int) -> Together:
    """Counted with so many steps, all at once."""
    m, search, uses = maximum.m, maximum.search, list(map(len, pools))
    wrong = [y for y in range(search.circuits.v) if y != m]
    found = maximum.tables(wrong, [[q] for q in queries], pools)
    tables = Tables(np.stack(found.pools, axis=1) + search.slack, np.concatenate(found.own) + search.slack)
    number, chosen = np.array(queries, dtype=int), len(queries)
    reached, shares = np.zeros(chosen, dtype=bool), np.zeros(chosen)
    sizes, phases = np.ones(chosen), np.zeros((chosen, len(pools) + 1), dtype=int)
    for those in (np.flatnonzero(number < m), np.flatnonzero(number == m)):
        where = everything(m, number[those[:1]]).of(np.zeros(len(those), dtype=int))
        on = np.flatnonzero(largest_sums(tables.of(those), uses, where) >= 0)
        if len(on):
            counts = count(tables.of(those[on]), uses, where.of(on), steps, search.unit, True)
            reached[those[on]], shares[those[on]] = True, counts.shares
            sizes[those[on]], phases[those[on]] = counts.cuts
    return Together(maximum, number, tables, Cuts(sizes, phases), shares, reached)


def everything(m: int, queries: IntArray) -> Where:
    """All sequences of pairs with queries that are all m, or all less."""
    held = np.full((len(queries), int((queries < m).all())), m)
    return Where(np.ones((len(queries), m + 1), dtype=bool), held)


class Refined(NamedTuple):
    """A pair counted by itself; shares of all sequences."""

    pair: Pair
    rung: int
    parts: list[Part]
    upper: float
    lower: float


class Search:
    """Counts all pairs together, then the worst by themselves, then the worst of these in parts."""

    def __init__(self, search: SeparableSearch, track: Track) -> None:
        self.search, self.track = search, track
        self.v, self.k = search.circuits.v, search.circuits.k
        self.pools = tuple((p,) for p in range(self.k - 1))
        self.rough = [together(Maximum(search, m), queries_of(self.k, m), self.pools, ROUGH) for m in track(range(self.v), "together")]
        self.alone: dict[tuple[int, int], Refined] = {}
        self.apart()
        self.refine()

    def share(self, m: int) -> float:
        """Of all sequences, what all choices of tokens up to m for one query are."""
        return float((m + 1) ** (self.k - 1) / self.v**self.k)

    def refined(self, m: int, q: int, rung: int) -> Refined:
        if (m, q) in self.alone:
            pair = self.alone[m, q].pair
        else:
            pair = Pair(self.rough[m].maximum, q, self.pools)
        depth, steps = LADDER[rung]
        parts = pair.parts(pair.attended[:depth], steps, rung > 0)
        unit = self.share(m)
        return Refined(pair, rung, parts, unit * sum(p.upper for p in parts), unit * sum(p.lower for p in parts))

    def apart(self) -> None:
        pairs = [(float(x), m, int(q)) for m, one in enumerate(self.rough) for q, x in zip(one.queries, one.shares * self.share(m), strict=True) if x > 0]
        pairs.sort(reverse=True)
        left, lost = sum(x for x, _, _ in pairs), 0.0
        for x, m, q in self.track(pairs, "apart"):
            if left <= TOGETHER * (lost + left):
                break
            self.alone[m, q] = found = self.refined(m, q, 0)
            left, lost = left - x, lost + found.upper
        self.left = left

    def refine(self) -> None:
        for rung in range(1, len(LADDER)):
            order = sorted(self.alone, key=lambda key: self.alone[key].lower - self.alone[key].upper)
            gap = sum(one.upper - one.lower for one in self.alone.values())
            lost = sum(one.upper for one in self.alone.values())
            for key in self.track(order, f"parts, {rung}"):
                if gap <= OPEN * lost:
                    break
                before = self.alone[key]
                gap -= before.upper - before.lower
                found = self.refined(*key, rung)
                if found.upper - found.lower < 0.98 * (before.upper - before.lower):
                    self.alone[key] = found

    def groups(self) -> tuple[list[Group], list[list[int]]]:
        """What the certificate states: groups, and counts for their blocks."""
        groups, counts = [], []
        conceded = self.conceded()
        for m, one in enumerate(self.rough):
            if m < conceded:
                continue
            others = [q for q in queries_of(self.k, m) if (m, q) not in self.alone]
            if others:
                groups.append(self.together(one.maximum, others, counts))
            apart = [q for q in queries_of(self.k, m) if (m, q) in self.alone]
            if apart:
                blocks = [self.block(self.alone[m, q], counts) for q in apart]
                groups.append(Group(m=m, pools=[mask(pool) for pool in self.pools], classes=[], blocks=blocks))
        return groups, counts

    def conceded(self) -> int:
        """The first maximum that is worth counting: up to it there are hardly any sequences."""
        lost = self.left + sum(one.upper for one in self.alone.values())
        return max([m for m in range(self.v) if (m / self.v) ** self.k <= 0.001 * lost])

    def together(self, maximum: Maximum, queries: list[int], counts: list[list[int]]) -> Group:
        m, blocks, uses = maximum.m, [], list(map(len, self.pools))
        found = together(maximum, queries, self.pools, FINE)
        for i, q in enumerate(queries):
            total, above, number = sequences_of_pair(self.k, q, m), [], np.array([i])
            if found.reached[i]:
                where = everything(m, found.queries[number])
                cuts = Cuts(found.cuts.steps[number], found.cuts.phases[number])
                losses, limits = losses_of(found.tables.of(number), uses, where, cuts, True)
                total -= certainly(losses[0], uses, int(limits[0]), where.needed[0].tolist(), True)
                above = [self.row(0, cuts)]
            counts.append([m, 1 << q, any_cell(self.k), max(total, 0), 0])
            blocks.append(Block(queries=1 << q, classes=[], parts=[PartArgs(token=-1, above=above, below=[])]))
        wrong = ((1 << self.v) - 1) ^ (1 << m)
        return Group(m=m, pools=[mask(pool) for pool in self.pools], classes=[[wrong]] if wrong else [], blocks=blocks)

    def row(self, of: int, cuts: Cuts) -> list[int]:
        return [of, round(cuts.steps[0] / self.search.unit), *cuts.phases[0].tolist()]

    def block(self, found: Refined, counts: list[list[int]]) -> Block:
        """One pair, and what is counted for it."""
        pair = found.pair
        classes = [[mask(wrong)] for wrong in pair.behind()]
        parts, correct, wrong = [], sequences_of_pair(self.k, pair.q, pair.m), 0
        for part in found.parts:
            rows = []
            for one in part.above:
                row = [mask(one.rivals), *(one.factors if len(set(one.factors)) > 1 else ())]
                if row not in classes:
                    classes.append(row)
                rows.append(self.row(classes.index(row), one.cuts))
            below = [] if part.below is None else [self.row(part.below.rivals[0], part.below.cuts)]
            parts.append(PartArgs(token=part.token, above=rows, below=below))
            more, less = part.certain(pair)
            correct, wrong = correct - more, wrong + less
        counts.append([pair.m, 1 << pair.q, any_cell(self.k), max(correct, 0), wrong])
        return Block(queries=1 << pair.q, classes=classes, parts=parts)
