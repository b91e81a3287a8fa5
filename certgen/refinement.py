"""Where a count loses sequences, and what it would cost to lose fewer: the search behind the adaptive strategy.

The proof starts with one coarse count per maximum. Each unit of it, a maximum with a block of queries, can be refined:
losses rounded less, the most successful wrong tokens counted apart, the block or the pools of positions split. The
refinement that wins most sequences per operation of the check is done first.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count
from math import ceil, log2
from typing import NamedTuple

from certgen.separable import Maximum, Members, Plan, pair_total
from certgen.sequences import MOST_SEQUENCES, USUAL_PRECISION, Tally, count_correct

COARSE, FINE = 16, 1 << 12  # steps at the start, and at most
REFINED = 4  # wrong tokens apart from which on a block is tried query by query
FEW_SEQUENCES = 1 << 16  # up to here whole blocks are branched at once, which tiny models need
RANKING_STEPS = 16  # to tell which wrong tokens reach m most often


@dataclass(frozen=True)
class Unit:
    """A maximum and a block of queries: how finely losses are counted, how many wrong tokens are counted apart (the
    others are together, or in classes that stay behind), and which positions are pooled. Or branched: no counting, each
    prefix of a wrong sequence looked at."""

    m: int
    block: tuple[int, ...]
    steps: int
    apart: int
    pools: tuple[tuple[int, ...], ...]
    behind: bool = False
    branched: bool = False


class Outcome(NamedTuple):
    """What a unit proves, and about how many operations its check takes."""

    correct: int
    cost: float
    wrong: int = 0


class Refinement(NamedTuple):
    """A unit may be replaced by others, at a price: minus the sequences won per operation."""

    price: float
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

    def start(self) -> Unit:
        """All queries and positions together, no wrong token apart."""
        pools = (tuple(range(self.maximum.search.circuits.k - 1)),)
        return Unit(self.maximum.m, tuple(range(self.maximum.m + 1)), COARSE, 0, pools if pools[0] else ())

    def ranking(self, block: tuple[int, ...]) -> list[int]:
        """Wrong tokens by how many sequences they reach, most first; those that reach none are left out."""
        if block not in self.rankings:
            c = self.maximum.search.circuits
            pools = tuple([p] for p in range(c.k - 1))
            # what reaches m for no query of a larger block does not for its parts
            larger = [tokens for known, tokens in self.rankings.items() if set(block) <= set(known)]
            wrong = min(larger, key=len, default=[y for y in range(c.v) if y != self.maximum.m])
            counts = {y: self.maximum.reached([y], block, pools, RANKING_STEPS) for y in wrong}
            self.rankings[block] = sorted((y for y in counts if counts[y]), key=lambda y: -counts[y])
        return self.rankings[block]

    def plan(self, unit: Unit) -> Plan:
        v = self.maximum.search.circuits.v
        apart = self.ranking(unit.block)[: unit.apart] if unit.apart else []
        together = [y for y in range(v) if y != unit.m and y not in apart]
        classes: list[Members] = [[y] for y in apart]
        if unit.behind:
            classes += self.maximum.classes_that_stay_behind(unit.block[0], together)
        elif together:
            classes.append(together)
        return Plan(unit.m, unit.steps, tuple(classes), (unit.block,), unit.pools)

    def outcome(self, unit: Unit) -> Outcome:
        """Correct sequences found, and the expected cost of checking it."""
        if unit not in self.known and unit.branched:
            tally = count_correct(self.maximum.search.circuits, unit.block[0], unit.m, USUAL_PRECISION)
            self.known[unit] = Outcome(tally.correct, self.branching_cost(unit, tally), tally.wrong)
        elif unit not in self.known:
            plan = self.plan(unit)
            reached = [self.maximum.reached(wrong, unit.block, unit.pools, unit.steps) for wrong in plan.classes]
            total = self.total(unit)
            cost = self.cost(unit, len(plan.classes), sum(found > 0 for found in reached))
            self.known[unit] = Outcome(max(total - sum(reached), 0), cost)
        return self.known[unit]

    def total(self, unit: Unit) -> int:
        """All sequences of the unit."""
        return sum(pair_total(self.maximum.search.circuits, q, unit.m) for q in unit.block)

    def cost(self, unit: Unit, classes: int, counted: int) -> float:
        """About how many operations the rule spends on the unit (docs/length.md), all but v^2 terms of the whole step.

        Of `classes` classes, `counted` have to be counted by polynomials.
        """
        c, tokens, queries = self.maximum.search.circuits, unit.m + 1, len(unit.block)
        weights = queries * (9 * tokens + 12 * c.k)
        gains = 3 * queries * c.v + 2 * len(unit.pools) * tokens * c.v
        entries = len(unit.pools) * tokens + queries
        tables = classes * 6 * queries * (len(unit.pools) * tokens + 1)
        lanes = ceil((log2(tokens) * (c.k - 1) + log2(queries) + 2) * (unit.steps + 1) / 64)
        polynomials = counted * 2 * (max(c.k - 2, 1) * 0.5 * lanes**2 + entries * (1.5 * lanes + 6))
        return weights + gains + tables + polynomials

    def branching_cost(self, unit: Unit, tally: Tally) -> float:
        """About how many operations branch_sequences spends on a pair."""
        c, tokens = self.maximum.search.circuits, unit.m + 1
        return 8 * c.v * c.k * tokens + 80 * (tally.wrong + tally.undecided + 5) * c.k * tokens

    def refinements(self, unit: Unit) -> Iterator[tuple[Unit, ...]]:
        """Ways to replace a unit by finer ones, one kind at a time and then several together."""
        if unit.branched:
            return
        c = self.maximum.search.circuits
        finer = replace(unit, steps=2 * unit.steps) if unit.steps < FINE else unit
        more = min(max(1, 2 * unit.apart), len(self.ranking(unit.block)))
        apart = replace(unit, apart=more)
        pools = tuple(part for pool in unit.pools for part in halves(pool))
        single = tuple((p,) for p in range(c.k - 1))
        for change in (
            (finer,),
            (apart,),
            (replace(unit, pools=pools),),
            (replace(finer, apart=more),),
            (replace(finer, apart=more, pools=pools),),
            tuple(replace(unit, block=part) for part in halves(unit.block)),
            tuple(replace(finer, apart=more, pools=pools, block=part) for part in halves(unit.block)),
            (replace(unit, steps=max(unit.steps, 64), pools=single),),
            (replace(unit, steps=max(unit.steps, 128), pools=single, apart=more),),
        ):
            if change != (unit,):
                yield change
        most = MOST_SEQUENCES if len(unit.block) == 1 else FEW_SEQUENCES
        if c.v**c.k <= most and c.k > 1:  # of one position, only the query m has a sequence
            yield tuple(Unit(unit.m, (q,), 0, 0, (), branched=True) for q in unit.block)
        if len(unit.block) == 1 or unit.apart >= REFINED:
            yield self.one_by_one(unit, max(unit.steps, 64) if len(unit.block) == 1 else 64)

    def one_by_one(self, unit: Unit, steps: int) -> tuple[Unit, ...]:
        """Each query by itself, with every wrong token apart that reaches m, and the others in classes that do not."""
        pools = tuple((p,) for p in range(self.maximum.search.circuits.k - 1))
        return tuple(Unit(unit.m, (q,), steps, len(self.ranking((q,))), pools, behind=True) for q in unit.block)

    def best(self, unit: Unit) -> Refinement | None:
        """The refinement that wins most sequences per operation, or that leads on; None if nothing is left to win."""
        before = self.outcome(unit)
        if before.correct == self.total(unit):
            return None
        found = None
        for parts in self.refinements(unit):
            price = self.price(before, parts)
            if price < 0 and (found is None or price < found.price):
                found = Refinement(price, unit, parts)
        if found is None and len(unit.block) > 1:  # smaller blocks may be better to refine, though no better themselves
            smaller = [tuple(replace(unit, block=part) for part in halves(unit.block)), self.one_by_one(unit, 64)]
            found = min(
                (Refinement(self.price(before, parts), unit, parts) for parts in smaller), key=lambda r: r.price
            )
            found = found if found.price <= 0 else None
        return found

    def price(self, before: Outcome, parts: tuple[Unit, ...]) -> float:
        """Minus the sequences won, per operation."""
        outcomes = [self.outcome(part) for part in parts]
        won = sum(outcome.correct for outcome in outcomes) - before.correct
        return -won / max(sum(outcome.cost for outcome in outcomes) - before.cost, 1.0)


def halves(members: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """Two halves, or the whole if it cannot be cut."""
    middle = len(members) // 2
    return (members[:middle], members[middle:]) if middle else (members,)


class Stage(NamedTuple):
    """A state of the search: what is proved, and the expected cost of its units."""

    correct: int
    cost: float


@dataclass(eq=False)
class Search:
    """Refines the units of all maxima, best first."""

    units: list[Units]

    def __post_init__(self) -> None:
        self.numbers = count()
        self.chosen = {u.start(): u for u in self.units}
        self.heap: list[tuple[float, int, Refinement]] = []  # the number keeps equal prices apart
        outcomes = [u.outcome(unit) for unit, u in self.chosen.items()]
        self.stage = Stage(sum(o.correct for o in outcomes), sum(o.cost for o in outcomes))
        for unit in self.chosen:
            self.consider(unit)

    def consider(self, unit: Unit) -> None:
        if refinement := self.chosen[unit].best(unit):
            heapq.heappush(self.heap, (refinement.price, next(self.numbers), refinement))

    def refine(self, limit: float) -> bool:
        """Do the best refinement that keeps the cost within the limit; False if there is none."""
        while self.heap:
            _, unit, parts = heapq.heappop(self.heap)[2]
            units = self.chosen[unit]
            before, after = units.outcome(unit), [units.outcome(part) for part in parts]
            cost = self.stage.cost - before.cost + sum(o.cost for o in after)
            if cost <= limit:
                break
        else:
            return False
        self.stage = Stage(self.stage.correct - before.correct + sum(o.correct for o in after), cost)
        del self.chosen[unit]
        for part in parts:
            self.chosen[part] = units
            self.consider(part)
        return True

    def outcomes(self) -> list[tuple[Units, Unit, Outcome]]:
        """The units as they are, in the order of m and query, with what each proves."""
        order = sorted(self.chosen, key=lambda unit: (unit.m, unit.block))
        return [(self.chosen[unit], unit, self.chosen[unit].outcome(unit)) for unit in order]
