"""What classes of wrong tokens gain on a maximum, in float64 with slack, and the sequences in which they may reach it.

The words are those of docs/rules.md, separable_counts.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from certgen.certificate.arguments import Block, Group, LaneArgs, Part
from certgen.certificate.facts import ScoreApproximation
from certgen.counts.cells import mask, sequences_of_pair
from certgen.counts.groups import Cut, Members, Plan
from certgen.counts.numerators import Precision, lane_args
from certgen.counts.polynomials import NONE, PRECISION, SLACK, IntArray, Reached, count_reached, cut_of
from certgen.models.circuits import Circuits
from certgen.models.dyadic import Dyadic, FloatArray

COARSEST, FINEST = 16, 256  # the smallest factor of a gauge, and at most so many times as large is the largest
TINY = 1e-200  # what is less is nothing

Near = tuple[int, list[FloatArray]]  # the number of a block, and the tables whose entries are added up


@dataclass(frozen=True, eq=False)
class SeparableSearch:
    """Upper bounds on gains, and what they allow, from stated scores."""

    circuits: Circuits
    scores: ScoreApproximation
    precision: Precision = PRECISION

    def args(self) -> LaneArgs:
        return lane_args(self.circuits, self.precision)

    @cached_property
    def unit(self) -> float:
        """Of the checker's tables, in that of ours."""
        args = self.args()
        return math.ldexp(1.0, args.exponent - self.circuits.value_scale - 2 * args.bits)

    @cached_property
    def kept(self) -> Dyadic:
        return Dyadic(np.array(self.scores.kept, dtype=object), self.scores.exponent)

    @cached_property
    def error(self) -> FloatArray:
        """Nats by which differences of kept scores can err, [q]."""
        error = Dyadic(np.array(self.scores.error, dtype=object), self.scores.exponent)
        return error.floats() / math.sqrt(self.circuits.model.d_head)

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

    def tables(
        self, wrong: Members, blocks: Sequence[Members], pools: tuple[Members, ...], factors: Sequence[int]
    ) -> Tables:
        """The most that any query of each block lets any of these wrong tokens gain.

        `blocks` are all blocks of a plan, because its queries share one bound on what they gain directly.
        """
        queries = np.concatenate([np.asarray(block) for block in blocks])
        return self.weighted(self.gains(np.asarray(wrong), queries, pools, factors), queries, blocks, pools)

    @cached_property
    def behind(self) -> FloatArray:
        """What wrong tokens lose where a position holds m, for most queries, [y]."""
        return np.asarray(-(self.values[self.m] + self.places.mean(axis=0) + self.direct.mean(axis=0)))

    @cached_property
    def gauge(self) -> IntArray:
        """Factors that make that alike, [y]; 0 of m."""
        return np.insert(factors_for(np.delete(self.behind, self.m)), self.m, 0)

    def factors(self, wrong: Members, gauged: bool) -> list[int]:
        """Of a class of wrong tokens; none if all are 1."""
        factors: list[int] = self.gauge[np.asarray(wrong)].tolist() if gauged and len(wrong) > 1 else []
        return factors if len(set(factors)) > 1 else []

    def gains(
        self, wrong: IntArray, queries: IntArray, pools: tuple[Members, ...], factors: Sequence[int] = ()
    ) -> Gains:
        """Bounds without the weights, for a class of wrong tokens; with factors, over the largest of these."""
        scale = np.array(factors) / max(factors) if factors else np.ones(len(wrong))
        direct = self.direct[np.ix_(queries, wrong)] + self.search.circuits.float_margin
        centre = direct.max(axis=0)
        of_query = ((direct - centre) * scale).max(axis=1)
        ahead = [self.places[np.ix_(np.asarray(pool), wrong)].max(axis=0) + centre for pool in self.with_last(pools)]
        return Gains(np.stack([((self.values[:, wrong] + row) * scale).max(axis=1) for row in ahead]), of_query)

    def with_last(self, pools: tuple[Members, ...]) -> list[Members]:
        """And the last position, which holds the query."""
        return [*pools, [self.search.circuits.k - 1]]

    def weighted(
        self, gains: Gains, queries: IntArray, blocks: Sequence[Members], pools: tuple[Members, ...]
    ) -> Tables:
        """Gains with the weights that make them largest."""
        starts = np.cumsum([0, *map(len, blocks[:-1])])
        positions, tables = self.search.positions[queries], []
        low, high = self.low[queries], self.high[queries]
        for of_token, pool in zip(gains.of_token[:-1], pools, strict=True):
            heavy, light = positions[:, pool].max(axis=1), positions[:, pool].min(axis=1)
            gain = of_token + gains.of_query[:, None]  # [q, t]
            tables.append(gain * np.where(gain >= 0, high * heavy[:, None], low * light[:, None]))
        # the last position holds the query
        gain, last = gains.of_token[-1][queries] + gains.of_query, positions[:, -1]
        own = gain * np.where(gain >= 0, self.high[queries, queries], self.low[queries, queries]) * last
        holds_m = np.array([self.m in block for block in blocks])
        worst = [np.maximum.reduceat(table, starts) for table in tables]
        return Tables(worst, own, starts, holds_m, list(map(len, pools)))

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
                joint = gains.joined_with(alone[y])
                if closest(joint) < 0:
                    together[number] = [*members, y], joint
                    break
            else:
                together.append(([y], alone[y]))
        return classes + [members for members, _ in together]

    def reached(self, plan: Plan, wrong: Members) -> list[Reached]:
        """Per block, at least as many sequences as the checker counts for one class."""
        counts, uses = [NONE] * len(plan.blocks), [*map(len, plan.pools), 1]
        for number, tables, cut, unit in self.cuts(plan, wrong):
            counts[number] = count_reached(tables, uses, self.m in plan.blocks[number], cut, unit)
        return counts

    def cuts(self, plan: Plan, wrong: Members) -> Iterator[tuple[int, list[FloatArray], Cut, float]]:
        """The blocks in which a class may reach the maximum, how they are counted, and the unit of that."""
        factors = self.factors(wrong, plan.gauged)
        key = tuple(wrong), tuple(map(tuple, plan.blocks)), tuple(map(tuple, plan.pools)), tuple(factors)
        if key not in self.near:
            self.near[key] = self.tables(wrong, plan.blocks, plan.pools, factors).near()
        unit = self.search.unit / max(factors, default=1)
        for number, tables in self.near[key]:
            yield number, tables, cut_of(tables, [*map(len, plan.pools), 1], plan.steps, unit), unit

    def group(self, plan: Plan) -> Group:
        """A plan as the certificate states it: every class shared by all blocks, and counted where it comes near."""
        above: list[list[list[int]]] = [[] for _ in plan.blocks]
        for number, wrong in enumerate(plan.classes):
            for block, _, cut, _ in self.cuts(plan, wrong):
                above[block].append([number, cut.step, *cut.phases])
        blocks = [
            Block(queries=mask(block), classes=[], parts=[Part(token=-1, above=cuts, below=[])])
            for block, cuts in zip(plan.blocks, above, strict=True)
        ]
        classes = [[mask(members), *self.factors(sorted(members), plan.gauged)] for members in plan.classes]
        return Group(m=plan.m, pools=[mask(pool) for pool in plan.pools], classes=classes, blocks=blocks)

    def correct(self, plan: Plan) -> list[int]:
        """Per block, no more sequences than the checker finds correct."""
        left = [sum(sequences_of_pair(self.search.circuits.k, q, self.m) for q in block) for block in plan.blocks]
        for wrong in plan.classes:
            lost = self.reached(plan, wrong)
            left = [before - less.number for before, less in zip(left, lost, strict=True)]
        return [max(found, 0) for found in left]


def factors_for(sizes: FloatArray) -> IntArray:
    """Whole numbers that make wrong tokens of these sizes alike, as far as they are not too different."""
    if not len(sizes) or sizes.max() < TINY:
        return np.ones(len(sizes), dtype=int)
    factors = np.rint(COARSEST * sizes.max() / np.maximum(sizes, sizes.max() / FINEST)).astype(int)
    return factors if len(set(factors)) > 1 else np.ones(len(sizes), dtype=int)


class Gains(NamedTuple):
    """of_token[i, t] + of_query[q] >= V_p(t) for p in pool i and every wrong token of a class."""

    of_token: FloatArray
    of_query: FloatArray

    def joined_with(self, other: Gains) -> Gains:
        """Of both classes together."""
        return Gains(np.maximum(self.of_token, other.of_token), np.maximum(self.of_query, other.of_query))


class Tables(NamedTuple):
    """What is added up: pools[i][block, t], used uses[i] times, and own[q], once; blocks of queries begin at starts."""

    pools: list[FloatArray]
    own: FloatArray
    starts: IntArray
    holds_m: npt.NDArray[np.bool_]  # [block]: is m one of its queries?
    uses: list[int]

    def most(self) -> FloatArray:
        """Per block, the most that the sum of a sequence that holds m can be for the checker."""
        total = np.maximum.reduceat(self.own, self.starts)
        drop = np.where(self.holds_m | (not self.pools), 0.0, -np.inf)
        for table, uses in zip(self.pools, self.uses, strict=True):
            peak = table.max(axis=1)
            total += uses * peak
            drop = np.maximum(drop, table[:, -1] - peak)
        return np.asarray(total + drop + (sum(self.uses) + 2) * SLACK)

    def near(self) -> list[Near]:
        """The blocks in which anything is reached, with their tables."""
        own = np.split(self.own, self.starts[1:])
        return [(int(i), [*(table[i] for table in self.pools), own[i]]) for i in np.flatnonzero(self.most() >= 0)]
