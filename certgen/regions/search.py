"""Which regions a proof is made of: whole labels where they can be settled, smaller ones where not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from certgen.errors import UserError
from certgen.models.forward import logits
from certgen.problem.labels import IntArray
from certgen.progress import Track
from certgen.regions.automata import DEAD, Automaton, LabelStates, TooManyStates, by_state
from certgen.regions.counting import Class, Counted, reaching, weight_of
from certgen.regions.gaps import Found, Gaps
from certgen.regions.paths import Group, Region, Rivals, Ways, extremes, reached, region
from certgen.regions.sampling import sampled

MOST_TRIED = 600  # regions of one query and label that are cut by states
SAMPLE = 256  # inputs of a region, drawn to see what of it is truly wrong
CLOSE = 0.2  # if what may still be won is less than this part of what is truly lost, a fifth, splitting ends
LITTLE = 20  # or if less than this part of all that is lost, a twentieth, can be expected to be won
ROUND = 250  # splits, after which it is seen what they have won; so many are always worth their while
LEAST_HOPE = 0.02  # of what can be won in a region a split is expected to win at least, whatever the last one won


class Leaf(NamedTuple):
    """One region: what can stand at each position, the automaton's states that it ends in, and what was found.

    `reaching` has for each class what was counted, None if its gap is negative; about `wrong` inputs truly reach.
    """

    region: Region
    rows: list[IntArray]
    ends: IntArray
    found: Found
    weight: int
    reaching: list[Counted | None]
    wrong: int = 0

    def only(self, classes: list[int]) -> Leaf:
        """Of these classes alone."""
        found, reaching = self.found.only(classes), [self.reaching[number] for number in classes]
        return self._replace(found=found, reaching=reaching)

    @property
    def lost(self) -> int:
        """The weight of inputs that some class may reach."""
        return min(sum(counted.reaching for counted in self.reaching if counted), self.weight)

    @property
    def winnable(self) -> int:
        """What splitting can win at most, as it seems."""
        return max(self.lost - self.wrong, 0)


class Watch(NamedTuple):
    """Wrong outputs watched in the inputs of one label and query, which weigh `weight`, and the regions that these are
    cut into: by final states of the label's automaton, or into products of token sets."""

    group: Group
    weight: int
    leaves: list[Leaf]

    @property
    def pair(self) -> tuple[int, int]:
        """The label and the query."""
        return self.group.label, self.group.queries[0]

    @property
    def lost(self) -> int:
        """The weight of inputs that are in no region, or that some class may reach."""
        return self.weight - sum(leaf.weight - leaf.lost for leaf in self.leaves)


class Search:
    """For one model and task. `growth` has the weight of inputs proved, by the number of splits."""

    def __init__(self, gaps: Gaps, steps: int) -> None:
        self.gaps, self.task, self.steps = gaps, gaps.layer.question.task, steps
        self.growth: dict[int, int] = {}
        try:
            self.states = LabelStates(self.task)
        except TooManyStates:
            raise UserError(
                f"the automaton of the task {self.task.text} has too many states to cut inputs by them",
                "the strategy brute-force is for every model and problem",
            ) from None
        self.allowed = [np.flatnonzero([w > 0 for w in row]) for row in self.task.space.rows]
        self.queries: list[int] = self.allowed[gaps.layer.readout].tolist()
        outputs = set(self.states.outputs[self.states.last].tolist())
        self.labels = sorted(label for label in outputs if 0 <= label < gaps.layer.outputs)
        self.automata = {label: self.by_states(label) for label in self.labels}

    def by_states(self, label: int) -> Automaton:
        """The inputs with this label, each final state of the label's automaton a part."""
        return by_state(self.states, np.where(self.states.outputs == label, self.states.rank, DEAD))

    def rivals(self, label: int) -> list[Rivals]:
        """Every wrong output, a class of its own."""
        return [(y,) for y in range(self.gaps.layer.outputs) if y != label]

    def rows(self, query: int) -> list[IntArray]:
        """What can stand at each position of the inputs with a query."""
        return [np.array([query]) if p == self.gaps.layer.readout else row for p, row in enumerate(self.allowed)]

    def whole(self, label: int, query: int) -> Watch | None:
        """All inputs with this label and query as one region, every wrong output watched; None if there are none."""
        automaton, rows = self.automata[label], self.rows(query)
        forward = list(reached(automaton, rows))
        ends = ends_of(automaton, forward)
        if not len(ends):
            return None
        group = Group(label, [query], automaton, self.rivals(label))
        leaf = self.leaf(group, query, rows, forward, ends)
        return Watch(group, leaf.weight, [leaf])

    def watched(self, whole: Watch) -> list[Watch]:
        """The outputs that lose nothing in the whole region, and the others, counted: these are split further.

        With neurons, whose ranges are what a region is mostly about, all are watched in the same regions: smaller ones,
        if the label's automaton tells them apart.
        """
        group, weight, (leaf,) = whole
        if leaf.found.settled:
            return [whole]
        if self.gaps.layer.neurons:
            smaller = self.by_final_states(whole) if len(leaf.ends) > 1 else whole
            return [smaller._replace(leaves=[self.counted(group, one) for one in smaller.leaves])]
        leaf = self.counted(group, leaf)
        losing = [number for number, counted in enumerate(leaf.reaching) if counted and counted.reaching]
        safe = [number for number in range(len(group.rivals)) if number not in losing]
        return [
            Watch(group._replace(rivals=[group.rivals[number] for number in numbers]), weight, [leaf.only(numbers)])
            for numbers in (safe, losing)
            if numbers
        ]

    def leaf(self, group: Group, query: int, rows: list[IntArray], forward: list[Ways], ends: IntArray) -> Leaf:
        """One region."""
        found_region = region(0, query, 0, forward, ends)
        found = self.gaps.of(found_region, group)
        weight = weight_of(found_region.layers, self.task.space.rows)
        return Leaf(found_region, rows, ends, found, weight, [None] * len(found.gaps))

    def by_final_states(self, watch: Watch) -> Watch:
        """The same, cut by the final state of the label's automaton, as finely as it takes to settle everything."""
        group, weight, (whole,) = watch
        (query,), automaton = group.queries, group.automaton
        forward = list(reached(automaton, whole.rows))
        tried = 0

        def cut(ends: IntArray) -> Iterator[Leaf]:
            nonlocal tried
            tried += 1
            leaf = self.leaf(group, query, whole.rows, forward, ends)
            if leaf.found.settled or len(ends) == 1 or tried > MOST_TRIED:
                yield leaf
                return
            half = len(ends) // 2
            yield from cut(ends[:half])
            yield from cut(ends[half:])

        half = len(whole.ends) // 2
        return Watch(group, weight, [*cut(whole.ends[:half]), *cut(whole.ends[half:])])

    def counted(self, group: Group, leaf: Leaf) -> Leaf:
        """The same region, with the inputs of classes that are not behind counted."""
        found, results = leaf.found, list[Counted | None]()
        for number, gap in enumerate(found.gaps):
            if gap < 0:
                results.append(None)
                continue
            gains, slopes, constant = self.gaps.ahead(
                leaf.region.query, group.label, group.rivals[number], found.ranges
            )
            means = np.array(found.hints[number][len(slopes) :], float) * self.gaps.layer.unit
            rivals = Class(gains, constant, means)
            results.append(reaching(self.gaps, leaf.region, rivals, leaf.weight, self.steps))
        leaf = leaf._replace(reaching=results)
        return leaf._replace(wrong=self.wrong(group, leaf)) if leaf.lost else leaf

    def wrong(self, group: Group, leaf: Leaf) -> int:
        """About the weight of inputs in which one of these outputs is ahead of the label: a sample, no bound."""
        inputs = sampled(leaf.region.layers, self.task.space.rows, np.random.default_rng(0), SAMPLE)
        found = logits(self.gaps.layer.question.model, inputs, self.gaps.layer.readout)
        outputs = [y for rivals in group.rivals for y in rivals]
        ahead = found[:, outputs].max(axis=1) - found[:, group.label] + self.gaps.margin >= 0
        return leaf.weight * int(ahead.sum()) // SAMPLE

    def split(self, group: Group, leaf: Leaf) -> list[Leaf]:
        """Two regions or one: the tokens of one position parted where attention to them differs most."""
        layer = self.gaps.layer
        weights = layer.weights(leaf.region)
        mass = -extremes(leaf.region.layers, -weights, weights[:, None])[0]
        worst = max(zip(leaf.reaching, group.rivals, strict=True), key=lambda pair: pair[0].reaching if pair[0] else 0)
        gains = self.gaps.ahead(leaf.region.query, group.label, worst[1], leaf.found.ranges)[0]
        spread = np.array([np.ptp(gain[weight > 0]) for gain, weight in zip(gains, weights, strict=True)])
        pull = (weights * (spread / mass)[:, None, None]).sum(axis=0)  # [position, token]
        read = [np.unique(layer_.tokens) for layer_ in leaf.region.layers]
        ranges = [np.ptp(pull[p, tokens]) if layer.seen[p] else 0.0 for p, tokens in enumerate(read)]
        p = int(np.argmax(ranges))
        if len(read[p]) < 2:
            return [leaf]
        own = pull[p, read[p]]
        high = own > (own.min() + own.max()) / 2
        if high.all() or not high.any():
            high = np.arange(len(own)) >= len(own) // 2
        found = []
        for side in (read[p][high], read[p][~high]):
            rows = [side if position == p else row for position, row in enumerate(leaf.rows)]
            forward = list(reached(group.automaton, rows))
            ends = np.intersect1d(ends_of(group.automaton, forward), leaf.ends)
            if len(ends):
                found.append(self.counted(group, self.leaf(group, leaf.region.query, rows, forward, ends)))
        return found

    def refine(self, watches: list[Watch], most: int, needed: int, track: Track) -> list[Watch]:
        """Split where most is lost, until inputs of weight `needed` are proved, there are `most` regions, or nothing
        is left to win."""
        flat = [(number, leaf) for number, watch in enumerate(watches) for leaf in watch.leaves]
        splits = max(most - len(flat), 0)
        left = left_of(watches)
        proved = sum(max(weight, 0) for weight in left.values())
        pairs = {pair: number for number, pair in enumerate(left)}
        owner, hopes = (np.zeros(len(flat) + splits, kind) for kind in (np.int64, np.float64))
        weight, lost, winnable = (np.zeros(len(pairs)) for _ in range(3))
        for watch in watches:
            weight[pairs[watch.pair]] = self.share(watch.weight)
        for index, (number, leaf) in enumerate(flat):
            owner[index], hopes[index] = pairs[watches[number].pair], self.share(leaf.winnable)
            lost[owner[index]] += self.share(leaf.lost)
            winnable[owner[index]] += self.share(leaf.winnable)
        start, before = len(flat), np.inf
        at_least = ROUND if needed == self.task.total else splits  # what is asked for is worth any effort
        self.growth = {}
        for done in track(range(splits), "splitting"):
            total = np.minimum(lost, weight).sum()
            gain = np.clip(np.minimum(winnable, weight - lost + winnable), 0, None)
            if proved >= needed or (done >= at_least and gain.sum() < CLOSE * (total - gain.sum())):
                break
            if done % ROUND == 0:
                self.growth[len(flat) - start] = proved
                if done >= at_least and (before - total) * (splits - done) * LITTLE < total * ROUND:
                    break
                before = total
            expected = hopes * (gain / np.where(winnable > 0, winnable, 1))[owner]
            index = int(expected.argmax())
            if expected[index] <= 0:
                break
            number, leaf = flat[index]
            found = self.split(watches[number].group, leaf)
            hopes[index] = 0
            if found[0] is leaf:
                continue
            less, pair = leaf.lost - sum(one.lost for one in found), watches[number].pair
            proved += max(left[pair] + less, 0) - max(left[pair], 0)
            left[pair] += less
            lost[pairs[pair]] -= self.share(less)
            winnable[pairs[pair]] += self.share(sum(one.winnable for one in found) - leaf.winnable)
            won = max(less / leaf.winnable, LEAST_HOPE)
            for one, place in zip(found, [index, len(flat)], strict=False):
                owner[place], hopes[place] = pairs[pair], self.share(one.winnable) * won
            flat[index] = (number, found[0])
            flat += [(number, one) for one in found[1:]]
        self.growth[len(flat) - start] = proved
        leaves: list[list[Leaf]] = [[] for _ in watches]
        for number, leaf in flat:
            leaves[number].append(leaf)
        return [watch._replace(leaves=own) for watch, own in zip(watches, leaves, strict=True)]

    def share(self, weight: int) -> float:
        """Of the weight of all inputs, which may be beyond any float."""
        return weight / self.task.total


def left_of(watches: list[Watch]) -> dict[tuple[int, int], int]:
    """For each label and query the weight of its inputs, less what is lost for all the outputs that are watched."""
    left: dict[tuple[int, int], int] = {}
    for watch in watches:
        left[watch.pair] = left.get(watch.pair, watch.weight) - watch.lost
    return left


def ends_of(automaton: Automaton, forward: list[Ways]) -> IntArray:
    """The states in which an automaton can end, in the order of their parts."""
    ends = forward[-1][0]
    ends = ends[automaton.parts[ends] >= 0]
    return ends[np.argsort(automaton.parts[ends], kind="stable")]
