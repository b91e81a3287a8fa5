"""Units: the parts that an adaptive proof is made of, what each proves, and about what its check costs.

A unit is a maximum m with some of its queries. It is either counted, by one group of separable_counts, or branched, by
branch_sequences.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from certgen.counts import costs
from certgen.counts.branching import count_correct
from certgen.counts.cells import sequences_of_pair
from certgen.counts.gains import Maximum
from certgen.counts.groups import Members, Plan
from certgen.counts.numerators import DEFAULT_PRECISION

COARSE_STEPS = 16  # units into which losses are rounded at the start
RANKING_STEPS = 16  # and to tell which wrong tokens reach m most often

Queries = tuple[int, ...]
Pools = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Counted:
    """Queries in blocks of neighbours, each counted at once, with losses rounded to `steps` units.

    The wrong tokens that reach m most often are `apart`, each in a class of its own; the others are together. Or, if
    `behind`, all are in classes that reach m in no block, as far as there are such classes. Those that are together
    have factors if `gauged`. Positions of a pool share one table.
    """

    m: int
    queries: Queries
    blocks: int
    steps: int
    apart: int
    pools: Pools
    behind: bool = False
    gauged: bool = False

    def members_of_blocks(self) -> tuple[Queries, ...]:
        """The queries, block by block."""
        n, blocks = len(self.queries), self.blocks
        return tuple(self.queries[n * i // blocks : n * (i + 1) // blocks] for i in range(blocks))


@dataclass(frozen=True)
class Branched:
    """One query whose wrong sequences are followed prefix by prefix."""

    m: int
    query: int

    @property
    def queries(self) -> Queries:
        """As of any unit."""
        return (self.query,)


Unit = Counted | Branched


class Outcome(NamedTuple):
    """Sequences that each block of a unit proves and leaves open, the expected cost, and sequences proved wrong."""

    correct: tuple[int, ...]
    lost: tuple[int, ...]
    cost: float
    wrong: int = 0


@dataclass(frozen=True, eq=False)
class UnitsOfMaximum:
    """Evaluates the units of one maximum, each once."""

    maximum: Maximum
    outcomes: dict[Unit, Outcome] = field(default_factory=dict)
    rankings: dict[Queries, list[int]] = field(default_factory=dict)
    behind: dict[Queries, list[list[int]]] = field(default_factory=dict)

    @property
    def m(self) -> int:
        return self.maximum.m

    @property
    def v(self) -> int:
        return self.maximum.search.circuits.v

    @property
    def k(self) -> int:
        return self.maximum.search.circuits.k

    @property
    def wrong_tokens(self) -> list[int]:
        """All but m."""
        return [y for y in range(self.v) if y != self.m]

    @property
    def single_positions(self) -> Pools:
        """Each position but the last in a pool of its own."""
        return tuple((p,) for p in range(self.k - 1))

    def coarsest(self) -> Counted:
        """All queries in one block, all positions in one pool, all wrong tokens in one class."""
        pools = (tuple(range(self.k - 1)),) if self.k > 1 else ()
        return Counted(self.m, tuple(range(self.m + 1)), 1, COARSE_STEPS, 0, pools)

    def outcome(self, unit: Unit) -> Outcome:
        """What a unit proves, and the expected cost of checking it."""
        if unit not in self.outcomes:
            self.outcomes[unit] = self.counted(unit) if isinstance(unit, Counted) else self.branched(unit)
        return self.outcomes[unit]

    def counted(self, unit: Counted) -> Outcome:
        plan = self.plan(unit)
        reached = [self.maximum.reached(plan, wrong) for wrong in plan.classes]
        totals = [self.sequences(block) for block in plan.blocks]
        lost = [min(sum(row[i].number for row in reached), total) for i, total in enumerate(totals)]
        correct = tuple(total - less for total, less in zip(totals, lost, strict=True))
        counting = sum(found.cost for row in reached for found in row)
        return Outcome(correct, tuple(lost), costs.of_counts(plan, self.v, self.k, counting))

    def branched(self, unit: Branched) -> Outcome:
        found = count_correct(self.maximum.search.circuits, unit.query, unit.m, DEFAULT_PRECISION)
        cost = costs.of_branching(unit.query, unit.m, found, self.v, self.k)
        return Outcome((found.correct,), (found.wrong + found.undecided,), cost, found.wrong)

    def sequences(self, queries: Members) -> int:
        """All sequences with the maximum and one of these queries."""
        return sum(sequences_of_pair(self.k, q, self.m) for q in queries)

    def plan(self, unit: Counted) -> Plan:
        """The group that counts a unit."""
        classes = tuple(self.classes(unit))
        return Plan(unit.m, unit.steps, classes, unit.members_of_blocks(), unit.pools, gauged=unit.gauged)

    def classes(self, unit: Counted) -> list[list[int]]:
        """The wrong tokens of a unit, class by class."""
        if unit.behind:
            return self.classes_behind(unit)
        apart = self.ranking(unit.queries)[: unit.apart] if unit.apart else []
        together = [y for y in self.wrong_tokens if y not in apart]
        return [*([y] for y in apart), *([together] if together else [])]

    def ranking(self, queries: Queries) -> list[int]:
        """Wrong tokens by how many sequences they reach m in, most first; those that reach it in none are left out."""
        if queries not in self.rankings:
            # what reaches m for none of more queries does so for none of these
            larger = [tokens for known, tokens in self.rankings.items() if set(queries) <= set(known)]
            candidates = min(larger, key=len, default=self.wrong_tokens)
            plan = Plan(self.m, RANKING_STEPS, (), tuple((q,) for q in queries), self.single_positions)
            counts = {y: sum(found.number for found in self.maximum.reached(plan, [y])) for y in candidates}
            self.rankings[queries] = sorted((y for y in counts if counts[y]), key=lambda y: -counts[y])
        return self.rankings[queries]

    def classes_behind(self, unit: Counted) -> list[list[int]]:
        """All wrong tokens in classes that stay behind. Finding them is slow; those of a few more queries will do."""
        for known, classes in self.behind.items():
            if len(known) <= 1.1 * len(unit.queries) + 1 and set(unit.queries) <= set(known):
                return classes
        blocks = unit.members_of_blocks()
        self.behind[unit.queries] = self.maximum.classes_that_stay_behind(self.wrong_tokens, blocks, unit.pools)
        return self.behind[unit.queries]
