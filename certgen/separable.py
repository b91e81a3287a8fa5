"""Counting incorrect sequences group by group, in float64 with slack.

A group is a maximum m, classes of wrong tokens and blocks of queries (docs/rules.md, separable_counts). The counts
found here are never larger than the checker's, because every loss is taken a little smaller than it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from certgen.certificate import Group, LaneArgs, Scores
from certgen.circuits import RELATIVE_SLACK, Circuits
from certgen.dyadic import Dyadic, FloatArray
from certgen.sequences import VALUE_BOUND, Precision, lane_args

# Gains, and products of two weights with a gain, of one and two machine words.
PRECISION = Precision(weight_bits=30, value_bits=28)
SLACK = VALUE_BOUND * (2.0 ** (5 - PRECISION.weight_bits) + 2.0 ** (4 - PRECISION.value_bits) + RELATIVE_SLACK)
MARGIN = 1e-6  # in float table units, far above what the checker rounds
Members = Sequence[int]
IntArray = npt.NDArray[np.intp]


def mask(members: Members) -> int:
    """A set as a bit mask."""
    return sum(1 << member for member in members)


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
    scores: Scores

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

    def worst(self, wrong: Members, queries: Members, pools: tuple[Members, ...], group: Members) -> list[FloatArray]:
        """The most that any of these queries lets any of these wrong tokens gain, per pool [t], and at last [q].

        `group` are all queries of the plan.
        """
        q, y = np.asarray(queries), np.asarray(wrong)
        centre = self.direct[np.ix_(np.asarray(group), y)].max(axis=0)
        lead = (self.direct[np.ix_(q, y)] - centre).max(axis=1)[:, None] + self.search.circuits.float_margin
        positions, tables = self.search.positions[q], []
        for pool in (*pools, [self.search.circuits.k - 1]):
            ahead = self.places[np.ix_(np.asarray(pool), y)].max(axis=0) + centre
            gain = (self.values[:, y] + ahead).max(axis=1) + lead  # [q, t]
            heavy, light = positions[:, pool].max(axis=1), positions[:, pool].min(axis=1)
            most = self.high[q] * heavy[:, None]
            tables.append(gain * np.where(gain >= 0, most, self.low[q] * light[:, None]))
        return [*(table.max(axis=0) for table in tables[:-1]), tables[-1][np.arange(len(q)), q]]

    def peaks(self, q: int) -> tuple[FloatArray, FloatArray]:
        """What each wrong token gains in sequences with query q: at most, and where m stands, both [p, y]."""
        gain = (
            self.values[None] + self.places[:, None] + self.direct[q] + self.search.circuits.float_margin
        )  # [p, t, y]
        weights = self.search.positions[q][:, None] * np.stack([self.low[q], self.high[q]])[:, None]
        entries = gain * np.where(gain >= 0, weights[1][:, :, None], weights[0][:, :, None])
        entries[-1] = entries[-1, q]
        return entries.max(axis=1), entries[:, self.m]

    def classes_that_stay_behind(self, q: int, wrong: Members) -> list[list[int]]:
        """Wrong tokens in few classes, none of which reaches m though each position may choose its favourite.

        A token that reaches m by itself is a class of its own.
        """
        peaks, at_m = self.peaks(q)

        def reach(members: list[int]) -> bool:
            most, of_m = peaks[:, members].max(axis=1), at_m[:, members].max(axis=1)
            return bool(most.sum() + (0.0 if q == self.m else (of_m - most)[:-1].max(initial=-np.inf)) >= -MARGIN)

        classes: list[list[int]] = []
        for y in sorted(wrong, key=lambda y: -peaks[:, y].sum()):  # the closest first: most will fit in beside them
            for members in classes:
                if not reach([*members, y]):
                    members.append(y)
                    break
            else:
                classes.append([y])
        return classes

    def reached(
        self, wrong: Members, queries: Members, pools: tuple[Members, ...], steps: int, group: Members | None = None
    ) -> int:
        """At least as many sequences as the checker counts for one class and block; of a group of blocks, if given."""
        times = [*map(len, pools), 1]
        worst = self.worst(wrong, queries, pools, queries if group is None else group)
        return count_reached(worst, times, self.m in queries, steps)

    def correct(self, plan: Plan) -> list[int]:
        """Per block, no more sequences than the checker finds correct."""
        found, group = [], sorted({q for block in plan.blocks for q in block})
        for block in plan.blocks:
            left = sum(pair_total(self.search.circuits, q, self.m) for q in block)
            for wrong in plan.classes:
                left -= self.reached(wrong, block, plan.pools, plan.steps, group)
            found.append(max(left, 0))
        return found


def pair_total(circuits: Circuits, q: int, m: int) -> int:
    """How many sequences have query q and maximum m."""
    others = circuits.k - 1
    return int((m + 1) ** others - (m**others if q < m else 0))


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
    lanes = (1 << width * (steps + 1)) - 1
    product = 1
    for row, count in zip(losses, times, strict=True):
        multiplicity = np.bincount(row[row <= steps], minlength=1)
        polynomial = sum(int(multiplicity[loss]) << width * loss for loss in np.flatnonzero(multiplicity).tolist())
        for _ in range(count):
            product = (product * polynomial) & lanes
    return product % ((1 << width) - 1)
