"""What a certificate says about regions: of which inputs they are, how far wrong outputs are behind, what is left."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

from certgen.certificate.arguments import HintArgs
from certgen.certificate.consistency import misfit, task_of
from certgen.certificate.facts import RegionGaps, RegionGroup, Tally
from certgen.certificate.statement import Certificate
from certgen.problem import Task

MOST_STEPS = 1 << 24  # of automata that are told; a minute or so
State = TypeVar("State", bound=Hashable)


class Rival(NamedTuple):
    """A class of wrong outputs (a bit mask) in a region: how far it is ahead of the label at most, in 2^-bits, and what
    each head adds to that at most; the direct path, biases and the MLP's offsets make up the difference."""

    outputs: int
    gap: int
    means: list[int]


class Region(NamedTuple):
    """The inputs of one part of a group: with this label and query, of this weight. `ranges` are in 2^-bits."""

    group: int
    label: int
    query: int
    weight: int
    ranges: list[tuple[int, int]]
    rivals: list[Rival]

    @property
    def nearest(self) -> Rival | None:
        """The class that is least behind; None if no wrong output is watched."""
        return max(self.rivals, key=lambda rival: rival.gap, default=None)

    @property
    def settled(self) -> bool:
        """Does every wrong output that is watched stay behind?"""
        return all(rival.gap < 0 for rival in self.rivals)


class Proved(NamedTuple):
    """Of inputs with one label and query, which weigh `total`, the weight that is proved correct."""

    total: int
    correct: int

    @property
    def left(self) -> int:
        return self.total - self.correct


@dataclass(frozen=True, eq=False)
class RegionFacts:
    """A step of region_gaps. `pairs` has every label and query that some input has, with a region or without."""

    step: int
    bits: int
    heads: int
    neurons: int
    outputs: int
    groups: list[RegionGroup]
    regions: list[Region]
    pairs: dict[tuple[int, int], Proved]

    @cached_property
    def by_label(self) -> dict[int, list[Region]]:
        """The regions of each label that some input has, in the order of labels."""
        found: dict[int, list[Region]] = {label: [] for label in sorted({label for label, _ in self.pairs})}
        for region in self.regions:
            found.setdefault(region.label, []).append(region)
        return found

    @cached_property
    def queries(self) -> list[int]:
        return sorted({query for _, query in self.pairs})

    def of_label(self, label: int) -> Proved:
        """All queries together."""
        own = [proved for (of, _), proved in self.pairs.items() if of == label]
        return Proved(sum(proved.total for proved in own), sum(proved.correct for proved in own))


def region_facts(certificate: Certificate) -> Iterator[RegionFacts]:
    """Every step of region_gaps in a certificate, told. Cost: as the checker's for telling regions apart.

    Raises UserError if its parts do not fit together, or its automata are too large.
    """
    steps, sizes, task = certificate.predicate.steps, certificate.predicate.model, None
    outputs = sizes.d_vocab if sizes.d_vocab_out is None else sizes.d_vocab_out
    for number, step in enumerate(steps):
        if not isinstance(step.conclusion, RegionGaps) or not isinstance(step.args, HintArgs):
            continue
        task = task or task_of(certificate)
        counts: dict[tuple[int, int], int] = {}
        for later in steps:
            if later.premises == [number] and isinstance(later.conclusion, Tally):
                for label, queries, _, correct, _ in later.conclusion.counts:
                    pair = label, queries.bit_length() - 1
                    counts[pair] = counts.get(pair, 0) + correct
        for group in step.conclusion.regions.groups:
            require_group(group, task, outputs, number)
        yield facts_of(number, task, outputs, step.conclusion, step.args.hints, counts)


def facts_of(
    number: int,
    task: Task,
    outputs: int,
    gaps: RegionGaps,
    hints: list[list[list[int]]],
    counts: Mapping[tuple[int, int], int],
) -> RegionFacts:
    """One of them; `counts` says of each label and query how much of it is proved correct."""
    facts, budget = gaps.regions, Budget()
    found = list(inputs_of(task, facts.groups, budget))
    if not len(found) == len(facts.ranges) == len(gaps.gaps) == len(hints):
        raise misfit(f"step {number} is not about the {len(found)} regions of its groups")
    neurons = len(facts.ranges[0]) // 2 if facts.ranges else 0
    first = next((row for rows in hints for row in rows), [0] * (neurons + 1))
    heads = len(first) - neurons
    if heads < 1:
        raise misfit(f"a hint of step {number} has no number for a head")
    regions = []
    for (group, query, weight), ends, row, rows in zip(found, facts.ranges, gaps.gaps, hints, strict=True):
        rivals = facts.groups[group].rivals
        if len(ends) != 2 * neurons or not len(rivals) == len(row) == len(rows):
            raise misfit(f"a region of step {number} has another number of neurons or classes than it should")
        if any(len(hint) != neurons + heads for hint in rows):
            raise misfit(f"a hint of step {number} has another length than the first one")
        classes = [Rival(*one[:2], one[2][neurons:]) for one in zip(rivals, row, rows, strict=True)]
        ranges = list(zip(ends[::2], ends[1::2], strict=True))
        regions.append(Region(group, facts.groups[group].label, query, weight, ranges, classes))
    pairs = {
        (label, query): Proved(total, min(counts.get((label, query), 0), total))
        for query, labels in weights_of_labels(task, budget).items()
        for label, total in labels.items()
    }
    return RegionFacts(number, facts.bits, heads, neurons, outputs, facts.groups, regions, pairs)


def require_group(group: RegionGroup, task: Task, outputs: int, number: int) -> None:
    """UserError unless it is an automaton over the tokens with a label, queries, and sets of wrong outputs."""
    states, symbols = len(group.next), len(group.next[0]) if group.next else 0
    fits = (
        states == len(group.parts) > 0
        and len(group.symbols) == len(task.space.rows[0])
        and all(symbol < symbols for symbol in group.symbols)
        and all(len(row) == symbols and all(-1 <= state < states for state in row) for row in group.next)
        and all(part >= -1 for part in group.parts)
        and 0 < group.queries.bit_length() <= len(task.space.rows[0])
        and group.label < outputs
        and all(0 < rivals.bit_length() <= outputs for rivals in group.rivals)
    )
    if not fits:
        raise misfit(f"a group of step {number} is no automaton that cuts the inputs of its task")


class Budget:
    """Steps of automata that may still be taken."""

    def __init__(self) -> None:
        self.left = MOST_STEPS

    def spend(self, steps: int) -> None:
        self.left -= steps
        if self.left < 0:
            raise misfit("its automata are too large to be told")


Letters = Sequence[Mapping[int, int]]  # position -> what is read there -> its weight


def run(
    found: Mapping[State, int],
    letters: Letters,
    positions: range,
    step: Callable[[State, int, int], State | None],
    budget: Budget,
) -> dict[State, int]:
    """The weight of the inputs that lead to each state, from those at the first of some positions on."""
    now = dict(found)
    for p in positions:
        budget.spend(len(now) * len(letters[p]))
        after: dict[State, int] = {}
        for state, weight in now.items():
            for letter, factor in letters[p].items():
                following = step(state, p, letter)
                if following is not None:
                    after[following] = after.get(following, 0) + weight * factor
        now = after
    return now


def inputs_of(task: Task, groups: Sequence[RegionGroup], budget: Budget) -> Iterator[tuple[int, int, int]]:
    """Group, query and weight of all regions that have an input, in the order of the format."""
    readout, rows = task.query_position, task.space.rows
    for number, group in enumerate(groups):
        letters = [sums(group.symbols, row) for row in rows]

        def step(state: int, p: int, symbol: int, following: list[list[int]] = group.next) -> int | None:
            after = following[state][symbol]
            return None if after < 0 else after

        before = run({0: 1}, letters, range(readout), step, budget)
        for query in members(group.queries):
            if not rows[readout][query]:
                continue
            own = [*letters[:readout], {group.symbols[query]: rows[readout][query]}, *letters[readout + 1 :]]
            ends = run(before, own, range(readout, task.k), step, budget)
            parts: dict[int, int] = {}
            for state, weight in ends.items():
                parts[group.parts[state]] = parts.get(group.parts[state], 0) + weight
            yield from ((number, query, parts[part]) for part in sorted(parts) if part >= 0)


def sums(symbols: Sequence[int], row: Sequence[int]) -> dict[int, int]:
    """Symbol -> the weight of the tokens that are read as this symbol and can stand here."""
    found: dict[int, int] = {}
    for symbol, weight in zip(symbols, row, strict=True):
        if weight:
            found[symbol] = found.get(symbol, 0) + weight
    return found


def weights_of_labels(task: Task, budget: Budget) -> dict[int, dict[int, int]]:
    """Query -> label -> the weight of all inputs with both."""
    readout, rows, label = task.query_position, task.space.rows, task.label
    read = set(label.positions(task.k))
    letters: list[dict[int, int]] = [
        {t: weight for t, weight in enumerate(row) if weight} if p in read else {0: sum(row)}
        for p, row in enumerate(rows)
    ]

    def step(state: Any, p: int, t: int) -> Any:
        return label.step(state, p, t) if p in read else state

    before = run({label.initial: 1}, letters, range(readout), step, budget)
    found: dict[int, dict[int, int]] = {}
    for query in task.space.choices[readout]:
        own = [*letters[:readout], {query: rows[readout][query]}, *letters[readout + 1 :]]
        of_query = found.setdefault(query, {})
        for state, weight in run(before, own, range(readout, task.k), step, budget).items():
            answer = label.answer(state)
            of_query[answer] = of_query.get(answer, 0) + weight
    return found


def members(mask: int) -> Iterator[int]:
    """The numbers of a set, in increasing order."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest
