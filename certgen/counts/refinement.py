"""The search behind the adaptive strategy: replace units by finer ones, those first that win most for what they cost.

The proof starts with one coarse count per maximum. A unit is refined by rounding its losses less, by counting more
wrong tokens apart, by cutting its blocks of queries or its pools of positions, and by branching single queries.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import count
from math import ceil
from typing import NamedTuple

from certgen.counts.branching import MOST_SEQUENCES
from certgen.counts.groups import Members
from certgen.counts.units import Branched, Counted, Outcome, Pools, Unit, UnitsOfMaximum

MOST_STEPS = 1 << 12  # finer rounding wins next to nothing
FINE_STEPS = 64  # at least, where positions are counted one by one
FEW_SEQUENCES = 1 << 16  # up to here all queries are branched at once, which tiny models need

Parts = tuple[Unit, ...]


def refinements(units: UnitsOfMaximum, unit: Counted) -> Iterator[Parts]:
    """Ways to replace a unit by finer ones, one kind at a time and then several together."""
    finer = replace(unit, steps=min(2 * unit.steps, MOST_STEPS))
    for change in (finer, *(() if unit.behind else coarse_refinements(units, unit, finer))):
        if change != unit:
            yield (change,)
    yield from splits(units, unit)


def coarse_refinements(units: UnitsOfMaximum, unit: Counted, finer: Counted) -> Iterator[Counted]:
    """Of a unit in which queries, positions or wrong tokens are still together; `finer` has its losses rounded less."""
    apart = min(max(1, 2 * unit.apart), len(units.ranking(unit.queries)))
    pools = tuple(part for pool in unit.pools for part in halves(pool))
    blocks = min(2 * unit.blocks, len(unit.queries))
    single = replace(unit, steps=max(unit.steps, FINE_STEPS), pools=units.single_positions)
    by_query = replace(single, blocks=len(unit.queries))
    gauged = replace(unit, gauged=True)
    yield gauged
    if gauged != unit:
        yield replace(gauged, steps=finer.steps)
    yield replace(unit, apart=apart)
    yield replace(unit, pools=pools)
    yield replace(unit, blocks=blocks)
    yield replace(finer, apart=apart)
    yield replace(finer, apart=apart, pools=pools)
    yield replace(single, apart=apart, blocks=blocks)
    yield from (single, by_query, replace(by_query, apart=apart), replace(by_query, apart=0, behind=True, gauged=False))


def splits(units: UnitsOfMaximum, unit: Counted) -> Iterator[Parts]:
    """Half of the queries each; or those that lose most branched, if it is known which these are."""
    if len(unit.queries) > 1 and not unit.behind:
        yield tuple(replace(unit, queries=part, blocks=min(unit.blocks, len(part))) for part in halves(unit.queries))
    if units.k == 1:  # only the query m has a sequence
        return
    sequences = units.v**units.k
    if unit.blocks == len(unit.queries) and sequences <= MOST_SEQUENCES:
        lost = dict(zip(unit.queries, units.outcome(unit).lost, strict=True))
        yield branch(unit, [max(lost, key=lost.__getitem__)])
        yield branch(unit, [q for q, less in lost.items() if less])
    if sequences <= FEW_SEQUENCES:
        yield branch(unit, unit.queries)


def branch(unit: Counted, queries: Members) -> Parts:
    """These queries branched, the others as they are."""
    left = tuple(q for q in unit.queries if q not in queries)
    rest = (replace(unit, queries=left, blocks=min(unit.blocks, len(left))),) if left else ()
    return (*rest, *(Branched(unit.m, q) for q in queries))


def halves(members: tuple[int, ...]) -> Pools:
    """Two halves, or the whole if it cannot be cut."""
    middle = len(members) // 2
    return (members[:middle], members[middle:]) if middle else (members,)


class Refinement(NamedTuple):
    """A unit may be replaced by parts; `gain` is the number of sequences won per further operation of the check."""

    gain: Fraction
    unit: Unit
    parts: Parts

    def leads_on(self) -> bool:
        """Is it worth doing for nothing? Queries apart may be refined better, and once branched be proved wrong."""
        return self.gain == 0 and (len(self.parts) > 1 or isinstance(self.parts[0], Branched))


def best_refinement(units: UnitsOfMaximum, unit: Unit) -> Refinement | None:
    """The one that wins most per operation, or wins nothing but leads on; None if nothing is left to win."""
    before = units.outcome(unit)
    if isinstance(unit, Branched) or not any(before.lost):
        return None
    found = [Refinement(gain(units, before, parts), unit, parts) for parts in refinements(units, unit)]
    useful = [refinement for refinement in found if refinement.gain > 0 or refinement.leads_on()]
    return max(useful, key=lambda refinement: refinement.gain, default=None)


def gain(units: UnitsOfMaximum, before: Outcome, parts: Parts) -> Fraction:
    """Sequences won per operation. Exact, as the number of sequences may be far beyond floats."""
    outcomes = [units.outcome(part) for part in parts]
    won = sum(before.lost) - sum(sum(outcome.lost) for outcome in outcomes)
    return Fraction(won, max(ceil(sum(outcome.cost for outcome in outcomes) - before.cost), 1))


class Stage(NamedTuple):
    """A state of the search: the units chosen, what they prove, and the expected cost of their check."""

    chosen: dict[Unit, UnitsOfMaximum]
    correct: int
    cost: float

    def outcomes(self) -> list[tuple[UnitsOfMaximum, Unit, Outcome]]:
        """The units in the order of m and query, with what each proves."""
        order = sorted(self.chosen, key=lambda unit: (unit.m, unit.queries))
        return [(self.chosen[unit], unit, self.chosen[unit].outcome(unit)) for unit in order]


@dataclass(eq=False)
class Search:
    """Refines the units of all maxima, best first; every stage on the way is kept."""

    maxima: list[UnitsOfMaximum]

    def __post_init__(self) -> None:
        self.numbers = count()
        self.heap: list[tuple[Fraction, int, Refinement]] = []  # the number keeps equal gains apart
        coarsest: dict[Unit, UnitsOfMaximum] = {units.coarsest(): units for units in self.maxima}
        outcomes = [units.outcome(unit) for unit, units in coarsest.items()]
        self.stages = [Stage(coarsest, sum(sum(o.correct) for o in outcomes), sum(o.cost for o in outcomes))]
        for unit, units in coarsest.items():
            self.consider(unit, units)

    def consider(self, unit: Unit, units: UnitsOfMaximum) -> None:
        """Put the best refinement of a unit on the heap."""
        if refinement := best_refinement(units, unit):
            heapq.heappush(self.heap, (-refinement.gain, next(self.numbers), refinement))

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
        cost += sum(o.cost for o in after) - before.cost
        self.stages.append(Stage(left | dict.fromkeys(parts, units), correct, cost))
        for part in parts:
            self.consider(part, units)
        return True
