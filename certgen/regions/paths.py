"""Regions as paths through an automaton, and the worst mean of any head over all of a region's inputs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from certgen.models.forward import FloatArray
from certgen.problem import Task
from certgen.problem.labels import IntArray
from certgen.regions.automata import Automaton

MOST_ROUNDS = 60  # of Newton's method for a worst mean; it needs about five
TINY = 1e-13


Rivals = tuple[int, ...]  # a class of wrong outputs


class Group(NamedTuple):
    """The inputs with this label and one of these queries, an automaton that cuts them, classes of wrong outputs."""

    label: int
    queries: list[int]
    automaton: Automaton
    rivals: list[Rivals]


class Layer(NamedTuple):
    """One position: tokens [symbol, .], and of the ways into each state after it the state before and the symbol, as
    indices [state, way]. All are filled up with repetitions."""

    tokens: IntArray
    source: IntArray
    symbol: IntArray


class Region(NamedTuple):
    """One region: number of its group, query, part."""

    group: int
    query: int
    part: int
    layers: list[Layer]
    ways: int


def regions_of(task: Task, groups: list[Group]) -> Iterator[Region]:
    """All regions that have an input, in the order of the format."""
    allowed = [np.flatnonzero(np.array([w > 0 for w in row])) for row in task.space.rows]
    for number, group in enumerate(groups):
        for query in group.queries:
            forward = list(
                reached(
                    group.automaton, [np.array([query]) if p == task.readout else row for p, row in enumerate(allowed)]
                )
            )
            if not len(forward[-1][0]):
                continue
            ends = forward[-1][0]
            for part in sorted(set(group.automaton.parts[ends].tolist()) - {-1}):
                yield region(number, query, part, forward, ends[group.automaton.parts[ends] == part])


Ways = tuple[IntArray, IntArray, IntArray, IntArray, IntArray, IntArray]


def reached(automaton: Automaton, tokens: list[IntArray]) -> Iterator[Ways]:
    """What an automaton can do at each position: the states after it, the tokens and their symbols, and of each way the
    state after it, the state before it and its symbol, sorted by the first."""
    live = np.array([0])
    for row in tokens:
        symbols = np.unique(automaton.symbols[row])
        following = automaton.next[np.ix_(live, symbols)]
        i, j = np.nonzero(following >= 0)
        target = following[i, j]
        order = np.lexsort((i, target))
        source, symbol, target = live[i[order]], symbols[j[order]], target[order]
        live = np.unique(target)
        yield live, row, automaton.symbols[row], target, source, symbol


def region(number: int, query: int, part: int, forward: list[Ways], ends: IntArray) -> Region:
    """Only what leads to these ends."""
    layers: list[Layer] = []
    ways = 0
    for _, row, symbols_of, target, source, symbol in reversed(forward):
        kept = np.isin(target, ends)
        target, source, symbol = target[kept], source[kept], symbol[kept]
        used, index = np.unique(symbol, return_inverse=True)
        ends = np.unique(source)
        layers.append(
            Layer(
                padded([row[symbols_of == s] for s in used]), *by_target(target, np.searchsorted(ends, source), index)
            )
        )
        ways += len(target) + sum(int((symbols_of == s).sum()) for s in used)
    return Region(number, query, part, layers[::-1], ways)


def by_target(target: IntArray, source: IntArray, symbol: IntArray) -> tuple[IntArray, IntArray]:
    """[state, way] of ways that are sorted by their target."""
    starts = np.flatnonzero(np.diff(target, prepend=-1))
    counts = np.diff(np.append(starts, len(target)))
    index = starts[:, None] + np.minimum(np.arange(counts.max())[None], counts[:, None] - 1)
    return source[index], symbol[index]


def padded(rows: list[IntArray]) -> IntArray:
    """Rows of one length, short ones filled with their last entry."""
    longest = max(map(len, rows))
    return np.array([np.pad(row, (0, longest - len(row)), mode="edge") for row in rows])


def extremes(layers: list[Layer], table: FloatArray, carried: FloatArray) -> tuple[FloatArray, FloatArray]:
    """[n]: the largest sum over positions of table [n, position, token]; and the sums of carried
    [n, m, position, token] at the same input, [n, m]."""
    n = len(table)
    rows, best, other = np.arange(n)[:, None], np.zeros((n, 1)), np.zeros((n, 1, carried.shape[1]))
    for p, (tokens, source, symbol) in enumerate(layers):
        chosen = tokens[np.arange(len(tokens)), table[:, p, tokens].argmax(axis=2)]  # [n, symbol]
        peak, along = table[rows, p, chosen], carried[rows, :, p, chosen]
        way = (best[:, source] + peak[:, symbol]).argmax(axis=2)
        states = np.arange(len(source))
        sources, symbols = source[states, way], symbol[states, way]  # [n, state]
        best = best[rows, sources] + peak[rows, symbols]
        other = other[rows, sources] + along[rows, symbols]
    last = best.argmax(axis=1)
    return best[rows[:, 0], last], other[rows[:, 0], last]


def worst_means(layers: list[Layer], gains: FloatArray, weights: FloatArray) -> FloatArray:
    """[n]: the largest mean of gains [n, position, token] weighted by weights, over the inputs of a region.

    Dinkelbach's method, which is Newton's for the zero of a convex function: a few rounds. Where all weights of
    an input are too small for float64, the largest gain instead.
    """
    largest = gains.max(axis=(1, 2))
    mean: FloatArray = np.minimum(np.where(weights > 0, gains, np.inf).min(axis=(1, 2)), largest)
    for _ in range(MOST_ROUNDS):
        above, mass = extremes(layers, weights * (gains - mean[:, None, None]), weights[:, None])
        none = mass[:, 0] <= 0
        step = np.where(none, 0, np.maximum(above / np.where(none, 1, mass[:, 0]), 0))
        mean = np.where(none, largest, mean + step)
        if (step <= TINY * (1 + np.abs(mean))).all():
            break
    return mean
