"""Where a count loses sequences, and what it would cost to lose fewer: the search behind the adaptive strategy.

The proof starts with one coarse count per maximum. Each unit of it, a maximum with some of its queries, can be refined:
losses rounded less, the most successful wrong tokens counted apart, queries or positions cut into smaller blocks or
pools, single queries taken out and their sequences followed one by one. The refinement that wins most sequences per
operation of the check is done first.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from itertools import count
from math import ceil, log2
from typing import NamedTuple

from certgen.separable import Maximum, Members, Plan, pair_total
from certgen.sequences import MOST_SEQUENCES, USUAL_PRECISION, Tally, count_correct

COARSE, FINE = 16, 1 << 12  # steps at the start, and at most
FEW_SEQUENCES = 1 << 16  # up to here all queries are branched at once, which tiny models need
RANKING_STEPS = 16  # to tell which wrong tokens reach m most often


@dataclass(frozen=True)
class Unit:
    """A maximum and queries in so many blocks of neighbours: how finely losses are counted, how many wrong tokens are
    counted apart (the others are together, or in classes that stay behind), and which positions are pooled. Or
    branched: no counting, each prefix of a wrong sequence looked at."""

    m: int
    queries: tuple[int, ...]
    blocks: int
    steps: int
    apart: int
    pools: tuple[tuple[int, ...], ...]
    behind: bool = False
    branched: bool = False


class Outcome(NamedTuple):
    """What the blocks of a unit prove, what they leave open, and about how many operations the check takes."""

    correct: tuple[int, ...]
    lost: tuple[int, ...]
    cost: float
    wrong: int = 0


class Refinement(NamedTuple):
    """A unit may be replaced by others, at a price: minus the sequences won per operation."""

    price: Fraction
    unit: Unit
    parts: tuple[Unit, ...]


@dataclass(frozen=True, eq=False)
class Units:
    """Units of one maximum, evaluated once each."""

    maximum: Maximum

    @cached_property
    def known(self) -> dict[Unit, Outcome]:
        return {}

    @cached_property
    def rankings(self) -> dict[tuple[int, ...], list[int]]:
        return {}

    @cached_property
    def behind(self) -> dict[tuple[int, ...], list[list[int]]]:
        return {}

    @cached_property
    def single(self) -> tuple[tuple[int, ...], ...]:
        """Each position but the last by itself."""
        return tuple((p,) for p in range(self.maximum.search.circuits.k - 1))

    def start(self) -> Unit:
        """All queries and positions together, no wrong token apart."""
        pools = (sum(self.single, ()),) if self.single else ()
        return Unit(self.maximum.m, tuple(range(self.maximum.m + 1)), 1, COARSE, 0, pools)

    def blocks(self, unit: Unit) -> tuple[tuple[int, ...], ...]:
        """The queries of a unit, as they are counted."""
        n, parts = len(unit.queries), unit.blocks
        return tuple(unit.queries[n * i // parts : n * (i + 1) // parts] for i in range(parts))

    def ranking(self, queries: tuple[int, ...]) -> list[int]:
        """Wrong tokens by how many sequences they reach, most first; those that reach none are left out."""
        if queries not in self.rankings:
            # what reaches m for none of more queries does so for none of these
            larger = [tokens for known, tokens in self.rankings.items() if set(queries) <= set(known)]
            every = [y for y in range(self.maximum.search.circuits.v) if y != self.maximum.m]
            blocks = tuple((q,) for q in queries)
            counts = {
                y: sum(self.maximum.reached([y], blocks, self.single, RANKING_STEPS))
                for y in min(larger, key=len, default=every)
            }
            self.rankings[queries] = sorted((y for y in counts if counts[y]), key=lambda y: -counts[y])
        return self.rankings[queries]

    def classes_behind(self, unit: Unit) -> list[list[int]]:
        """All wrong tokens in classes that stay behind. Finding them is slow; those of a few more queries will do."""
        for known, classes in self.behind.items():
            if len(known) <= 1.1 * len(unit.queries) + 1 and set(unit.queries) <= set(known):
                return classes
        every = [y for y in range(self.maximum.search.circuits.v) if y != unit.m]
        classes = self.maximum.classes_that_stay_behind(every, self.blocks(unit), unit.pools)
        self.behind[unit.queries] = classes
        return classes

    def plan(self, unit: Unit) -> Plan:
        if unit.behind:
            return Plan(unit.m, unit.steps, tuple(self.classes_behind(unit)), self.blocks(unit), unit.pools)
        apart = self.ranking(unit.queries)[: unit.apart] if unit.apart else []
        together = [y for y in range(self.maximum.search.circuits.v) if y != unit.m and y not in apart]
        classes = [*([y] for y in apart), *([together] if together else [])]
        return Plan(unit.m, unit.steps, tuple(classes), self.blocks(unit), unit.pools)

    def outcome(self, unit: Unit) -> Outcome:
        """Correct sequences found, and the expected cost of checking it."""
        if unit not in self.known and unit.branched:
            tally = count_correct(self.maximum.search.circuits, unit.queries[0], unit.m, USUAL_PRECISION)
            cost = self.branching_cost(unit, tally)
            self.known[unit] = Outcome((tally.correct,), (tally.wrong + tally.undecided,), cost, tally.wrong)
        elif unit not in self.known:
            plan = self.plan(unit)
            reached = [self.maximum.reached(wrong, plan.blocks, unit.pools, unit.steps) for wrong in plan.classes]
            totals = [self.total(block) for block in plan.blocks]
            lost = [min(sum(row[i] for row in reached), total) for i, total in enumerate(totals)]
            cost = self.cost(plan, sum(found > 0 for row in reached for found in row))
            correct = tuple(total - less for total, less in zip(totals, lost, strict=True))
            self.known[unit] = Outcome(correct, tuple(lost), cost)
        return self.known[unit]

    def total(self, queries: Members) -> int:
        """All sequences with the maximum and one of these queries."""
        return sum(pair_total(self.maximum.search.circuits, q, self.maximum.m) for q in queries)

    def cost(self, plan: Plan, counted: int) -> float:
        """About how many operations the rule spends on a group (docs/length.md), all but v^2 terms of the whole step.

        Of all classes in all blocks, `counted` have to be counted by polynomials.
        """
        c, tokens, pools, blocks = self.maximum.search.circuits, plan.m + 1, len(plan.pools), len(plan.blocks)
        queries = sum(map(len, plan.blocks))
        entries = pools * tokens + queries / blocks
        weights = queries * (9 * tokens + 12 * c.k + 2 * pools * tokens)
        gains = 3 * queries * c.v + 2 * (pools + 1) * tokens * c.v
        tables = len(plan.classes) * queries * (pools * tokens + 1) * (5 if blocks == queries else 7)
        width = log2(tokens) * (c.k - 1) + log2(queries / blocks) + 2
        lanes = ceil(width * (plan.steps + 1) / 64)
        joining = 2 * lanes * log2(plan.steps + 2)
        polynomials = (max(c.k - 2, 1) + 0.2) * lanes**2 + entries * 9 + (pools + 1) * (joining + 4 * lanes)
        return weights + gains + tables + 2 * counted * polynomials

    def branching_cost(self, unit: Unit, tally: Tally) -> float:
        """About how many operations branch_sequences spends on a pair."""
        c, tokens = self.maximum.search.circuits, unit.m + 1
        return 6 * c.v * c.k * tokens + 60 * (tally.wrong + tally.undecided) * tokens

    def refinements(self, unit: Unit) -> Iterator[tuple[Unit, ...]]:
        """Ways to replace a unit by finer ones, one kind at a time and then several together."""
        if unit.branched:
            return
        finer = replace(unit, steps=min(2 * unit.steps, FINE))
        for change in (finer, *(() if unit.behind else self.coarse_refinements(unit, finer))):
            if change != unit:
                yield (change,)
        yield from self.splits(unit)

    def coarse_refinements(self, unit: Unit, finer: Unit) -> Iterator[Unit]:
        """Of a unit in which queries, positions or wrong tokens are still together."""
        more = min(max(1, 2 * unit.apart), len(self.ranking(unit.queries)))
        blocks = min(2 * unit.blocks, len(unit.queries))
        pools = tuple(part for pool in unit.pools for part in halves(pool))
        fine = replace(unit, steps=max(unit.steps, 64), pools=self.single)
        each = replace(fine, blocks=len(unit.queries))
        yield replace(unit, apart=more)
        yield replace(unit, pools=pools)
        yield replace(unit, blocks=blocks)
        yield replace(finer, apart=more)
        yield replace(finer, apart=more, pools=pools)
        yield replace(fine, apart=more, blocks=blocks)
        yield from (fine, each, replace(each, apart=more), replace(each, apart=0, behind=True))

    def splits(self, unit: Unit) -> Iterator[tuple[Unit, ...]]:
        """Half of the queries each; those that lose most, sequence by sequence, if it is known which these are."""
        c = self.maximum.search.circuits
        lost, blocks = self.outcome(unit).lost, self.blocks(unit)
        if len(unit.queries) > 1 and not unit.behind:
            yield tuple(
                replace(unit, queries=part, blocks=min(unit.blocks, len(part))) for part in halves(unit.queries)
            )
        if c.k == 1:  # only the query m has a sequence
            return
        if len(blocks) == len(unit.queries) and c.v**c.k <= MOST_SEQUENCES:
            worst = max(range(len(lost)), key=lost.__getitem__)
            yield self.branched(unit, [unit.queries[worst]])
            yield self.branched(unit, [q for q, less in zip(unit.queries, lost, strict=True) if less])
        if c.v**c.k <= FEW_SEQUENCES:
            yield self.branched(unit, unit.queries)

    def branched(self, unit: Unit, queries: Members) -> tuple[Unit, ...]:
        """These queries branched, the others as they are."""
        left = tuple(q for q in unit.queries if q not in queries)
        rest = (replace(unit, queries=left, blocks=min(unit.blocks, len(left))),) if left else ()
        return (*rest, *(Unit(unit.m, (q,), 1, 0, 0, (), branched=True) for q in queries))

    def best(self, unit: Unit) -> Refinement | None:
        """The refinement that wins most sequences per operation, or that leads on; None if nothing is left to win."""
        before = self.outcome(unit)
        if not any(before.lost):
            return None
        found = [Refinement(self.price(before, parts), unit, parts) for parts in self.refinements(unit)]
        best = min(found, key=lambda refinement: refinement.price, default=None)
        if best and best.price < 0:
            return best
        # queries by themselves may be better to refine, though no better themselves; or be proved wrong, once branched
        leading = [r for r in found if r.price <= 0 and (len(r.parts) > 1 or r.parts[0].branched)]
        return min(leading, key=lambda refinement: refinement.price, default=None)

    def price(self, before: Outcome, parts: tuple[Unit, ...]) -> Fraction:
        """Minus the sequences won, per operation; there are more sequences than float64 can count."""
        outcomes = [self.outcome(part) for part in parts]
        won = sum(before.lost) - sum(sum(outcome.lost) for outcome in outcomes)
        return Fraction(-won) / Fraction(max(sum(outcome.cost for outcome in outcomes) - before.cost, 1.0))


def halves(members: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """Two halves, or the whole if it cannot be cut."""
    middle = len(members) // 2
    return (members[:middle], members[middle:]) if middle else (members,)


class Stage(NamedTuple):
    """A state of the search: the units chosen, what they prove, and the expected cost of their check."""

    chosen: dict[Unit, Units]
    correct: int
    cost: float

    def outcomes(self) -> list[tuple[Units, Unit, Outcome]]:
        """The units in the order of m and query, with what each proves."""
        order = sorted(self.chosen, key=lambda unit: (unit.m, unit.queries))
        return [(self.chosen[unit], unit, self.chosen[unit].outcome(unit)) for unit in order]


@dataclass(eq=False)
class Search:
    """Refines the units of all maxima, best first; every stage on the way is kept."""

    units: list[Units]

    def __post_init__(self) -> None:
        self.numbers = count()
        self.heap: list[tuple[Fraction, int, Refinement]] = []  # the number keeps equal prices apart
        start = {u.start(): u for u in self.units}
        outcomes = [u.outcome(unit) for unit, u in start.items()]
        self.stages = [Stage(start, sum(sum(o.correct) for o in outcomes), sum(o.cost for o in outcomes))]
        for unit, units in start.items():
            self.consider(unit, units)

    def consider(self, unit: Unit, units: Units) -> None:
        if refinement := units.best(unit):
            heapq.heappush(self.heap, (refinement.price, next(self.numbers), refinement))

    def refine(self) -> bool:
        """Do the best refinement; False if there is none."""
        if not self.heap:
            return False
        _, unit, parts = heapq.heappop(self.heap)[2]
        chosen, correct, cost = self.stages[-1]
        units = chosen[unit]
        before, after = units.outcome(unit), [units.outcome(part) for part in parts]
        left = {other: of_other for other, of_other in chosen.items() if other != unit}
        correct += sum(sum(o.correct) for o in after) - sum(before.correct)
        self.stages.append(
            Stage(left | dict.fromkeys(parts, units), correct, cost - before.cost + sum(o.cost for o in after))
        )
        for part in parts:
            self.consider(part, units)
        return True
