"""Counting incorrect sequences group by group, in float64 with slack.

A group is a maximum m, classes of wrong tokens and blocks of queries (docs/rules.md, separable_counts). The counts
found here are never larger than the checker's, because every loss is taken a little smaller than it is.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from certgen.certificate.arguments import Group, LaneArgs
from certgen.certificate.facts import ScoreApproximation
from certgen.counts.cells import mask, sequences_of_pair
from certgen.counts.numerators import VALUE_BOUND, Precision, lane_args
from certgen.models.circuits import RELATIVE_SLACK, Circuits
from certgen.models.dyadic import Dyadic, FloatArray

# Gains, and products of two weights with a gain, of one and two machine words.
PRECISION = Precision(weight_bits=30, value_bits=28)
SLACK = VALUE_BOUND * (2.0 ** (5 - PRECISION.weight_bits) + 2.0 ** (4 - PRECISION.value_bits) + RELATIVE_SLACK)
Members = Sequence[int]
IntArray = npt.NDArray[np.intp]
Near = tuple[int, list[FloatArray]]  # the number of a block, and the tables whose entries are added up


@dataclass(frozen=True)
class Plan:
    """What is counted together for one maximum, and how finely: classes of wrong tokens, blocks of queries, pools of
    positions."""

    m: int
    steps: int
    classes: tuple[Members, ...]
    blocks: tuple[Members, ...]
    pools: tuple[Members, ...]

    def group(self) -> Group:
        """As the certificate states it."""
        return Group(
            m=self.m,
            steps=self.steps,
            classes=[mask(members) for members in self.classes],
            blocks=[mask(members) for members in self.blocks],
            pools=[mask(members) for members in self.pools],
        )


@dataclass(frozen=True, eq=False)
class SeparableSearch:
    """Upper bounds on gains, and what they allow, from stated scores."""

    circuits: Circuits
    scores: ScoreApproximation

    def args(self) -> LaneArgs:
        return lane_args(self.circuits, PRECISION)

    @cached_property
    def kept(self) -> Dyadic:
        return Dyadic(np.array(self.scores.kept, dtype=object), self.scores.exponent)

    @cached_property
    def error(self) -> FloatArray:
        """Nats by which differences of kept scores can err, [q]."""
        error = np.array(self.scores.error, dtype=float)
        return np.asarray(np.ldexp(error, self.scores.exponent) / math.sqrt(self.circuits.model.d_head))

    @cached_property
    def positions(self) -> FloatArray:
        """exp(sP) relative to each query's largest, [q, p]."""
        return np.asarray(np.exp(-self.circuits.position_gaps))

    def tokens(self, m: int) -> tuple[FloatArray, FloatArray]:
        """Bounds on exp(sE) for t <= m relative to the largest, [q <= m, t]."""
        kept, error = self.circuits.gaps(self.kept[: m + 1, : m + 1]), np.minimum(self.error[: m + 1, None], 1e6)
        low, high = -kept - 2 * error, -kept
        low[:, m] = high[:, m] = -kept[:, m] - error[:, 0]
        top = high.max(axis=1, keepdims=True)
        return np.exp(low - top), np.exp(high - top)


class Maximum:
    """The gains of wrong tokens over one maximum m, and counts of the sequences that they reach."""

    def __init__(self, search: SeparableSearch, m: int) -> None:
        self.search, self.m = search, m
        c, upto = search.circuits, m + 1
        EUPU, EVOU, PVOU = c.float_tables
        self.direct, self.values, self.places = (
            table - table[:, m : m + 1] for table in (EUPU[:upto], EVOU[:upto], PVOU)
        )
        self.low, self.high = search.tokens(m)
        self.near: dict[Hashable, list[Near]] = {}  # what was asked of `reached`

    def tables(self, wrong: Members, blocks: Sequence[Members], pools: tuple[Members, ...]) -> Tables:
        """The most that any query of each block lets any of these wrong tokens gain.

        `blocks` are all blocks of a plan, because its queries share one bound on what they gain directly.
        """
        queries = np.concatenate([np.asarray(block) for block in blocks])
        return self.weighted(self.gains(np.asarray(wrong), queries, pools), queries, blocks, pools)

    def gains(self, wrong: IntArray, queries: IntArray, pools: tuple[Members, ...]) -> Gains:
        """Bounds without the weights, for a class of wrong tokens."""
        centre = self.direct[np.ix_(queries, wrong)].max(axis=0)
        lead = (self.direct[np.ix_(queries, wrong)] - centre).max(axis=1) + self.search.circuits.float_margin
        ahead = [self.places[np.ix_(np.asarray(pool), wrong)].max(axis=0) + centre for pool in self.with_last(pools)]
        return Gains(np.stack([(self.values[:, wrong] + row).max(axis=1) for row in ahead]), lead)

    def with_last(self, pools: tuple[Members, ...]) -> list[Members]:
        """And the last position, which holds the query."""
        return [*pools, [self.search.circuits.k - 1]]

    def weighted(
        self, gains: Gains, queries: IntArray, blocks: Sequence[Members], pools: tuple[Members, ...]
    ) -> Tables:
        """Gains with the weights that make them largest."""
        starts = np.cumsum([0, *map(len, blocks[:-1])])
        positions, tables = self.search.positions[queries], []
        for base, pool in zip(gains.base, self.with_last(pools), strict=True):
            heavy, light = positions[:, pool].max(axis=1), positions[:, pool].min(axis=1)
            gain = base + gains.lead[:, None]  # [q, t]
            most = self.high[queries] * heavy[:, None]
            tables.append(gain * np.where(gain >= 0, most, self.low[queries] * light[:, None]))
        own = np.split(tables.pop()[np.arange(len(queries)), queries], starts[1:])
        holds_m = np.array([self.m in block for block in blocks])
        worst = [np.maximum.reduceat(table, starts) for table in tables]
        return Tables(worst, own, holds_m, list(map(len, pools)))

    def classes_that_stay_behind(
        self, wrong: Members, blocks: Sequence[Members], pools: tuple[Members, ...]
    ) -> list[list[int]]:
        """Wrong tokens in few classes that reach m in no block, though each position may choose its favourite.

        A token that reaches m by itself is a class of its own.
        """
        queries = np.concatenate([np.asarray(block) for block in blocks])
        alone = {y: self.gains(np.asarray([y]), queries, pools) for y in wrong}

        def closest(gains: Gains) -> float:
            return float(self.weighted(gains, queries, blocks, pools).most().max())

        distance = {y: closest(gains) for y, gains in alone.items()}
        classes: list[list[int]] = [[y] for y in wrong if distance[y] >= 0]
        together: list[tuple[list[int], Gains]] = []
        for y in sorted(wrong, key=lambda y: -distance[y]):  # the closest first: most will fit in beside them
            if distance[y] >= 0:
                continue
            for number, (members, gains) in enumerate(together):
                joint = Gains(np.maximum(gains.base, alone[y].base), np.maximum(gains.lead, alone[y].lead))
                if closest(joint) < 0:
                    together[number] = [*members, y], joint
                    break
            else:
                together.append(([y], alone[y]))
        return classes + [members for members, _ in together]

    def reached(self, wrong: Members, blocks: Sequence[Members], pools: tuple[Members, ...], steps: int) -> list[int]:
        """Per block, at least as many sequences as the checker counts for one class."""
        key = tuple(wrong), tuple(map(tuple, blocks)), tuple(map(tuple, pools))
        if key not in self.near:
            self.near[key] = self.tables(wrong, blocks, pools).near()
        counts = [0] * len(blocks)
        for number, tables in self.near[key]:
            times = [*map(len, pools), 1]
            counts[number] = count_reached(tables, times, self.m in blocks[number], steps)
        return counts

    def correct(self, plan: Plan) -> list[int]:
        """Per block, no more sequences than the checker finds correct."""
        left = [sum(sequences_of_pair(self.search.circuits.k, q, self.m) for q in block) for block in plan.blocks]
        for wrong in plan.classes:
            lost = self.reached(wrong, plan.blocks, plan.pools, plan.steps)
            left = [before - less for before, less in zip(left, lost, strict=True)]
        return [max(found, 0) for found in left]


class Gains(NamedTuple):
    """base[i, t] + lead[q] is at least V_p(t) for p in pool i and each wrong token of a class."""

    base: FloatArray
    lead: FloatArray


class Tables(NamedTuple):
    """What is added up: pools[i][block, t], used times[i] times, and own[block][q], once."""

    pools: list[FloatArray]
    own: list[FloatArray]
    holds_m: npt.NDArray[np.bool_]  # [block]: is m one of its queries?
    times: list[int]

    def most(self) -> FloatArray:
        """Per block, the most that the sum of a sequence that holds m can be for the checker."""
        total = np.array([row.max() for row in self.own])
        drop = np.where(self.holds_m | (not self.pools), 0.0, -np.inf)
        for table, times in zip(self.pools, self.times, strict=True):
            peak = table.max(axis=1)
            total += times * peak
            drop = np.maximum(drop, table[:, -1] - peak)
        return np.asarray(total + drop + (sum(self.times) + 2) * SLACK)

    def near(self) -> list[Near]:
        """The blocks in which anything is reached, with their tables."""
        return [(int(i), [*(table[i] for table in self.pools), self.own[i]]) for i in np.flatnonzero(self.most() >= 0)]


def count_reached(tables: list[FloatArray], times: list[int], last_has_final: bool, steps: int) -> int:
    """At least as many as the checker counts: choices of times[i] entries of tables[i], one final, with a sum >= 0.

    The checker's entries may each be larger by up to SLACK.
    """
    peaks = [float(table.max()) for table in tables]
    budget = sum(peak * count for peak, count in zip(peaks, times, strict=True)) + sum(times) * SLACK
    finals = [float(table[-1]) - peak for table, peak in zip(tables[:-1], peaks, strict=False)]
    if budget + (0.0 if last_has_final else max(finals, default=0.0) + SLACK) < 0:
        return 0
    scale = (steps + 1) / (budget * (1 + 1e-9) + 2.0**-1000) * (1 - 1e-9)
    losses = [
        np.floor(np.clip((peak - SLACK - table) * scale - 1e-9, 0.0, steps + 1.0)).astype(int)
        for peak, table in zip(peaks, tables, strict=True)
    ]
    without = [row[:-1] for row in losses[:-1]] + [losses[-1][:-1] if last_has_final else losses[-1]]
    return count_within(losses, times, steps) - count_within(without, times, steps)


def count_within(losses: list[IntArray], times: list[int], steps: int) -> int:
    """Choices of times[i] losses of losses[i] with a sum of at most `steps`: polynomials, cut at each product."""
    width = int(sum(count * math.log2(max(len(row), 1)) for row, count in zip(losses, times, strict=True))) + 2
    lanes = (1 << (width * (steps + 1))) - 1
    product = 1
    for row, count in zip(losses, times, strict=True):
        multiplicity = np.bincount(row[row <= steps], minlength=1)
        polynomial = sum(int(multiplicity[loss]) << (width * loss) for loss in np.flatnonzero(multiplicity).tolist())
        for _ in range(count):
            product = (product * polynomial) & lanes
    return product % ((1 << width) - 1)
