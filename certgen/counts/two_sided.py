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
from certgen.counts.sums import Cuts, Tables, Where, count, largest_sums, losses_of
from certgen.models.dyadic import FloatArray
from certgen.progress import Track

STEPS_TOGETHER = 32
TOGETHER = 0.01  # of what is lost in all, what may be lost where all wrong tokens are in one class
LADDER = ((0, 64), (2, 96), (4, 192))  # tokens that parts begin with, and steps
OPEN = 0.02  # of what is lost in all, what may stay open in pairs that are not refined any more


class Coarse(NamedTuple):
    """The queries of one maximum with all wrong tokens in one class: shares of all sequences that may be wrong, [q]."""

    maximum: Maximum
    pools: tuple[Members, ...]
    tables: Tables
    cuts: Cuts
    lost: FloatArray



def coarse(maximum: Maximum, pools: tuple[Members, ...], steps: int) -> Coarse:
    """Counted with few steps."""
    m, search, k = maximum.m, maximum.search, maximum.search.circuits.k
    v = search.circuits.v
    uses = list(map(len, pools))
    found = maximum.tables([y for y in range(v) if y != m], [[q] for q in range(m + 1)], pools)
    tables = Tables(np.stack(found.pools, axis=1) + search.slack, np.concatenate(found.own) + search.slack)
    lost, sizes, phases = np.zeros(m + 1), np.ones(m + 1), np.zeros((m + 1, len(pools) + 1), dtype=int)
    for queries, held in ((np.arange(m), [m]), (np.arange(m, m + 1), [])):
        where = Where(np.ones((len(queries), m + 1), dtype=bool), np.tile(np.array(held, dtype=int), (len(queries), 1)))
        on = np.flatnonzero(largest_sums(tables.of(queries), uses, where) >= 0)
        if len(on):
            counts = count(tables.of(queries[on]), uses, where.of(on), steps, search.unit, True)
            lost[queries[on]] = counts.shares * ((m + 1) ** (k - 1) / v**k)
            sizes[queries[on]], phases[queries[on]] = counts.cuts
    return Coarse(maximum, pools, tables, Cuts(sizes, phases), lost)


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
        self.coarse = [coarse(Maximum(search, m), self.pools, STEPS_TOGETHER) for m in track(range(self.v), "together")]
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
            pair = Pair(self.coarse[m].maximum, q, self.pools)
        depth, steps = LADDER[rung]
        parts = pair.parts(pair.attended[:depth], steps)
        unit = self.share(m)
        return Refined(pair, rung, parts, unit * sum(p.upper for p in parts), unit * sum(p.lower for p in parts))

    def apart(self) -> None:
        pairs = [(float(x), m, q) for m, one in enumerate(self.coarse) for q, x in enumerate(one.lost) if x > 0]
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
        for m, one in enumerate(self.coarse):
            if m < conceded:
                continue
            together = [q for q in queries_of(self.k, m) if (m, q) not in self.alone]
            if together:
                groups.append(self.together(one, together, counts))
            apart = [q for q in queries_of(self.k, m) if (m, q) in self.alone]
            if apart:
                blocks = [self.block(self.alone[m, q], counts) for q in apart]
                groups.append(Group(m=m, pools=[mask(pool) for pool in self.pools], classes=[], blocks=blocks))
        return groups, counts

    def conceded(self) -> int:
        """The first maximum that is worth counting: up to it there are hardly any sequences."""
        lost = self.left + sum(one.upper for one in self.alone.values())
        return max([m for m in range(self.v) if (m / self.v) ** self.k <= 0.001 * lost])

    def together(self, one: Coarse, queries: list[int], counts: list[list[int]]) -> Group:
        m, uses, blocks = one.maximum.m, list(map(len, one.pools)), []
        for q in queries:
            total, above = sequences_of_pair(self.k, q, m), []
            if one.lost[q] > 0:
                number = np.array([q])
                where = Where(np.ones((1, m + 1), dtype=bool), np.array([[m] if q < m else []], dtype=int))
                cuts = Cuts(one.cuts.steps[number], one.cuts.phases[number])
                losses, limits = losses_of(one.tables.of(number), uses, where, cuts, True)
                total -= certainly(losses[0], uses, int(limits[0]), where.needed[0].tolist(), True)
                above = [self.row(0, cuts)]
            counts.append([m, 1 << q, any_cell(self.k), max(total, 0), 0])
            blocks.append(Block(queries=1 << q, classes=[], parts=[PartArgs(token=-1, above=above, below=[])]))
        wrong = ((1 << self.v) - 1) ^ (1 << m)
        return Group(m=m, pools=[mask(pool) for pool in one.pools], classes=[[wrong]] if wrong else [], blocks=blocks)

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
