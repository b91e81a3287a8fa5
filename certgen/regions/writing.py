"""From what was found about regions to the steps of a proof."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np

from certgen.certificate.arguments import HintArgs, RegionArgs
from certgen.certificate.facts import RegionGaps, RegionGroup, Regions, Tally
from certgen.certificate.proof import Proof
from certgen.certificate.steps import infer
from certgen.counts.cells import any_cell, mask
from certgen.regions.automata import DEAD, Automaton, by_state, of_products
from certgen.regions.paths import Group
from certgen.regions.search import Leaf, Search, Watch


class Written(NamedTuple):
    """A group as the certificate has it, and the leaves of each of its queries."""

    group: Group
    leaves: list[tuple[int, Leaf]]


def add_steps(proof: Proof, search: Search, watches: Sequence[Watch]) -> int:
    """The three steps that prove what was found; the number of the last one."""
    bits, k = search.gaps.layer.bits, search.task.k
    written = [*wholes(search, watches), *(cut(search, watch) for watch in watches if not is_whole(watch))]
    groups = [shape(one.group) for one in written]
    leaves = [leaf for one in written for _, leaf in one.leaves]
    regions = Regions(bits=bits, groups=groups, ranges=[leaf.found.ranges for leaf in leaves])
    args = RegionArgs(bits=bits, groups=groups, hints=[leaf.found.means for leaf in leaves])
    first = proof.add(infer("regions", regions, args))
    gaps = RegionGaps(regions=regions, gaps=[leaf.found.gaps for leaf in leaves])
    second = proof.add(infer("region_gaps", gaps, HintArgs(hints=[leaf.found.hints for leaf in leaves]), [first]))
    weights = {watch.pair: watch.weight for watch in watches}
    left: dict[tuple[int, int], list[int]] = {}
    for group, of_queries in written:
        for query in group.queries:
            own = [leaf for of, leaf in of_queries if of == query]
            total = weights[group.label, query]
            pair = left.setdefault((group.label, query), [total, 1 << group.label])
            pair[0] -= total - sum(leaf.weight - leaf.lost for leaf in own)
            for rivals in group.rivals:
                pair[1] |= mask(rivals)
    every = (1 << search.gaps.layer.outputs) - 1
    counts = [
        [label, 1 << query, any_cell(k), max(weight, 0) if watched == every else 0, 0]
        for (label, query), (weight, watched) in left.items()
    ]
    hints = [counting_hints(search, leaf) for leaf in leaves]
    return proof.add(infer("region_counts", Tally(counts=counts), HintArgs(hints=hints), [second]))


def is_whole(watch: Watch) -> bool:
    """Is it one region of all inputs of the label and query?"""
    return len(watch.leaves) == 1 and watch.leaves[0].weight == watch.weight


def wholes(search: Search, watches: Sequence[Watch]) -> list[Written]:
    """Regions that are a whole label: queries of which the same outputs are watched share a group."""

    def kind(watch: Watch) -> tuple[int, list[tuple[int, ...]]]:
        return watch.group.label, watch.group.rivals

    def pair(watch: Watch) -> tuple[int, int]:
        return watch.pair

    same = [together(list(some)) for _, some in groupby(sorted(filter(is_whole, watches), key=pair), pair)]
    found = []
    for (label, rivals), some in groupby(sorted(same, key=kind), kind):
        leaves = sorted([(watch.group.queries[0], watch.leaves[0]) for watch in some], key=lambda pair: pair[0])
        parts = np.where(search.states.outputs == label, 0, DEAD)
        group = Group(label, [query for query, _ in leaves], by_state(search.states, parts), rivals)
        found.append(Written(group, leaves))
    return found


def together(watches: list[Watch]) -> Watch:
    """Watches of the same whole label and query as one: the fewer groups there are, the fewer automata are checked."""
    first, (leaf,) = watches[0], watches[0].leaves
    rows = []
    for watch in watches:
        one = watch.leaves[0]
        rows += list(zip(watch.group.rivals, one.found.hints, one.found.gaps, one.reaching, strict=True))
    if not rows:
        return first
    rivals, hints, gaps, reaching = (list(column) for column in zip(*sorted(rows, key=lambda row: row[0]), strict=True))
    both = leaf._replace(found=leaf.found._replace(hints=hints, gaps=gaps), reaching=reaching)
    return first._replace(group=first.group._replace(rivals=rivals), leaves=[both])


def cut(search: Search, watch: Watch) -> Written:
    """A group of the parts that one label and query are cut into."""
    group, _, leaves = watch
    (query,), k = group.queries, search.task.k
    if all(leaf.rows is leaves[0].rows for leaf in leaves):  # cut by final states alone
        parts = np.full(search.states.count, DEAD)
        for number, leaf in enumerate(leaves):
            parts[np.isin(search.states.rank, group.automaton.parts[leaf.ends])] = number
        automaton = by_state(search.states, parts)
    else:
        automaton = of_products(group.automaton, [leaf.rows for leaf in leaves], [leaf.ends for leaf in leaves], k)
    return Written(group._replace(automaton=automaton), [(query, leaf) for leaf in leaves])


def counting_hints(search: Search, leaf: Leaf) -> list[list[int]]:
    """[] for a class that is behind; else steps, slopes, means."""
    neurons = search.gaps.layer.neurons
    return [
        [] if counted is None else [search.steps, *hint[:neurons], *counted.means]
        for hint, counted in zip(leaf.found.hints, leaf.reaching, strict=True)
    ]


def shape(group: Group) -> RegionGroup:
    """The group in the form of the certificate."""
    automaton: Automaton = group.automaton
    return RegionGroup(
        label=group.label,
        queries=mask(group.queries),
        rivals=[mask(rivals) for rivals in group.rivals],
        symbols=automaton.symbols.tolist(),
        next=automaton.next.tolist(),
        parts=automaton.parts.tolist(),
    )
