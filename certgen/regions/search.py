"""Which regions a proof is made of: whole labels where they can be settled, smaller ones where not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from certgen.errors import UserError
from certgen.problem.labels import IntArray
from certgen.regions.automata import DEAD, Automaton, LabelStates, TooManyStates, by_state
from certgen.regions.counting import Class, Counted, reaching, weight_of
from certgen.regions.gaps import Found, Gaps
from certgen.regions.paths import Group, Region, Rivals, Ways, reached, region

MOST_TRIED = 600  # regions of one query and label before the rest is left to counting
DEPTH = 3  # so often a set of states is halved although nothing was settled
FEW_OUTPUTS = 16  # up to so many, every wrong output is a class of its own
SINGLE = 3  # the wrong outputs that come nearest, each a class of its own
SAMPLES = 256
MOST_PLACES = 6  # positions whose subsets are told apart


@dataclass
class Leaf:
    """One region and what was found; `reaching` has for each class what was counted, None if its gap is negative."""

    region: Region
    ends: IntArray
    found: Found
    weight: int
    reaching: list[Counted | None] = field(default_factory=list)

    @property
    def correct(self) -> int:
        """The weight proved correct."""
        return max(self.weight - sum(counted.reaching for counted in self.reaching if counted), 0)


@dataclass
class Cut:
    """A query and label, the automaton that cuts their inputs, and the regions that came of it."""

    group: Group
    leaves: list[Leaf]

    @property
    def correct(self) -> int:
        return sum(leaf.correct for leaf in self.leaves)


class Search:
    """For one model and task."""

    def __init__(self, gaps: Gaps) -> None:
        self.gaps, self.task = gaps, gaps.layer.question.task
        try:
            self.states = LabelStates(self.task)
        except TooManyStates:
            raise UserError(
                f"the automaton of the task {self.task.text} has too many states to cut inputs by them",
                "the strategy brute-force is for every model and problem",
            ) from None
        rows = self.task.space.rows
        self.allowed = [np.flatnonzero([w > 0 for w in row]) for row in rows]
        self.queries = self.allowed[gaps.layer.readout].tolist()
        outputs = set(self.states.outputs[self.states.last].tolist())
        self.labels = sorted(label for label in outputs if 0 <= label < gaps.layer.outputs)

    def all_but(self, label: int) -> list[int]:
        return [y for y in range(self.gaps.layer.outputs) if y != label]

    def first_rivals(self, label: int) -> list[Rivals]:
        """Classes of wrong outputs to begin with."""
        others = self.all_but(label)
        if len(others) < FEW_OUTPUTS or self.gaps.layer.neurons:
            return [Rivals((y,)) for y in others]
        return [Rivals(tuple(others))]

    def by_states(self, label: int) -> Automaton:
        """The inputs with this label, each final state of the label's automaton a part."""
        parts = np.where(self.states.outputs == label, self.states.rank, DEAD)
        return by_state(self.states, parts)

    def forward(self, automaton: Automaton, query: int) -> list[Ways]:
        rows = [np.array([query]) if p == self.gaps.layer.readout else row for p, row in enumerate(self.allowed)]
        return list(reached(automaton, rows))

    def leaf(self, group: Group, query: int, forward: list[Ways], ends: IntArray) -> Leaf:
        found_region = region(0, query, 0, forward, ends)
        found = self.gaps.of(found_region, group)
        return Leaf(found_region, ends, found, weight_of(found_region.layers, self.task.space.rows))

    def settle(self, label: int, query: int, automaton: Automaton) -> Cut | None:
        """Cut by states of the label, as finely as it takes and helps; None if there are no such inputs."""
        group = Group(label, [query], automaton, self.first_rivals(label))
        forward = self.forward(automaton, query)
        ends = forward[-1][0]
        ends = ends[automaton.parts[ends] >= 0]
        if not len(ends):
            return None
        ends = ends[np.argsort(automaton.parts[ends])]
        tried = 0

        def cut(ends: IntArray, hope: int) -> Iterator[Leaf]:
            nonlocal tried
            tried += 1
            leaf = self.leaf(group, query, forward, ends)
            if leaf.found.settled or len(ends) == 1 or not hope or tried > MOST_TRIED:
                yield leaf
                return
            half = len(ends) // 2
            found = [*cut(ends[:half], hope - 1), *cut(ends[half:], hope - 1)]
            if any(one.found.settled for one in found):
                yield from found
            else:
                yield leaf

        leaves = list(cut(ends, 64 if self.gaps.layer.neurons else DEPTH))
        return Cut(group, leaves)

    def count(self, label: int, queries: list[int], automaton: Automaton, steps: int) -> list[Cut]:
        """For each query that has inputs, every part of the automaton a region; where a class is not behind, its inputs
        are counted."""
        paths = {query: self.forward(automaton, query) for query in queries}
        ends = {query: forward[-1][0] for query, forward in paths.items()}
        ends = {query: states[automaton.parts[states] >= 0] for query, states in ends.items()}
        present = [query for query in queries if len(ends[query])]
        wholes = [region(0, query, 0, paths[query], ends[query]) for query in present]
        if not wholes:
            return []
        rivals = self.rivals(label, wholes)
        cuts = []
        for query in present:
            group = Group(label, [query], automaton, rivals)
            leaves = []
            for part in sorted(set(automaton.parts[ends[query]].tolist())):
                leaf = self.leaf(group, query, paths[query], ends[query][automaton.parts[ends[query]] == part])
                leaf.reaching = [
                    None if gap < 0 else self.counted(group, leaf, number, steps)
                    for number, gap in enumerate(leaf.found.gaps)
                ]
                leaves.append(leaf)
            cuts.append(Cut(group, leaves))
        return cuts

    def counted(self, group: Group, leaf: Leaf, number: int, steps: int) -> Counted:
        gaps, found = self.gaps, leaf.found
        gains, slopes, constant = gaps.ahead(leaf.region.query, group.label, group.rivals[number], found.ranges)
        means = np.array(found.hints[number][len(slopes) :], float) * gaps.layer.unit
        return reaching(gaps, leaf.region, Class(gains, constant, means), leaf.weight, steps)

    def rivals(self, label: int, wholes: list[Region]) -> list[Rivals]:
        """The wrong outputs that come nearest in some inputs, each a class of its own; and all the others together, each
        less what a head adds to it on average."""
        others = self.all_but(label)
        if len(others) <= SINGLE + 1:
            return [Rivals((y,)) for y in others]
        inputs = [samples(whole, max(SAMPLES // len(wholes), 8)) for whole in wholes]
        ahead = np.concatenate(
            [self.gaps.ahead_of(label, whole.query, rows) for whole, rows in zip(wholes, inputs, strict=True)]
        )
        nearest = sorted(others, key=lambda y: -ahead[:, y].max())[:SINGLE]
        rest = [y for y in others if y not in nearest]
        means = sum(
            self.gaps.of_heads(label, whole.query, rows) for whole, rows in zip(wholes, inputs, strict=True)
        ) / len(wholes)
        offsets = tuple(tuple(self.gaps.integer(mean) for mean in row) for row in means[:, rest].tolist())
        return [*[Rivals((y,)) for y in nearest], Rivals(tuple(rest), offsets)]


def samples(whole: Region, count: int) -> IntArray:
    """Random inputs [count, k] of a region."""
    random = np.random.default_rng(0)
    inputs = np.zeros((count, len(whole.layers)), np.int64)
    states = random.integers(0, len(whole.layers[-1].source), count)
    for p in reversed(range(len(whole.layers))):
        tokens, source, symbol = whole.layers[p]
        ways = random.integers(0, source.shape[1], count)
        symbols = symbol[states, ways]
        inputs[:, p] = tokens[symbols, random.integers(0, tokens.shape[1], count)]
        states = source[states, ways]
    return inputs
