"""Small automata that cut the inputs of one label into parts, made from the automaton of the label itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from certgen.problem import Task
from certgen.problem.labels import IntArray

DEAD = -1


@dataclass(frozen=True, eq=False)
class Automaton:
    """symbols [d_vocab], next [state, symbol], parts [state]; -1 for no state and no part. It starts in state 0."""

    symbols: IntArray
    next: IntArray
    parts: IntArray


class LabelStates:
    """The states of a task's label at each position, numbered; `outputs` says what follows from each at the end."""

    def __init__(self, task: Task, most: int = 1 << 14) -> None:
        self.task, label = task, task.label
        read = set(label.positions(task.k))
        numbers: dict[Any, int] = {label.initial: 0}
        self.layers: list[tuple[IntArray, IntArray]] = []  # (states, next [state, token], -1 where no token can stand)
        states: list[Any] = [label.initial]
        for p, row in enumerate(task.space.rows):
            tokens = [t for t, weight in enumerate(row) if weight]
            following = np.full((len(states), len(row)), DEAD, np.int64)
            for i, state in enumerate(states):
                for t in tokens:
                    after = label.step(state, p, t) if p in read else state
                    following[i, t] = numbers.setdefault(after, len(numbers))
                if len(numbers) > most:
                    raise TooManyStates
            self.layers.append((np.array([numbers[state] for state in states]), following))
            present = set(np.unique(following).tolist()) - {DEAD}
            states = [state for state, number in numbers.items() if number in present]
        self.last = np.array([numbers[state] for state in states])
        self.count = len(numbers)
        self.rank = np.argsort([numbers[state] for state in sorted(numbers)])  # in the order of the states
        self.outputs = np.full(self.count, DEAD, np.int64)
        self.outputs[self.last] = [label.answer(state) for state in states]

    @cached_property
    def steady(self) -> IntArray | None:
        """next [state, token] if it is the same at every position; None if not."""
        table = np.full((self.count, len(self.task.space.rows[0])), DEAD, np.int64)
        for states, following in self.layers:
            known = table[states]
            if ((known >= 0) & (following >= 0) & (known != following)).any():
                return None
            table[states] = np.maximum(known, following)  # what cannot stand at one position may at another
        return table


class TooManyStates(Exception):
    """The label's automaton is too large to cut inputs by its states."""


def by_state(states: LabelStates, parts: IntArray) -> Automaton:
    """The smallest automaton that sends an input to parts[final state of the label]."""
    steady = states.steady
    if steady is not None:
        return minimal(steady, parts)
    return layered(states, parts)


def layered(states: LabelStates, parts: IntArray) -> Automaton:
    """The same for a label whose steps depend on the position: states are pairs (position, state of the label)."""
    before = [layer_states for layer_states, _ in states.layers] + [states.last]
    starts = np.cumsum([0, *map(len, before)])
    ids = np.full((len(before), states.count), DEAD, np.int64)
    for p, layer_states in enumerate(before):
        ids[p, layer_states] = starts[p] + np.arange(len(layer_states))
    table = np.full((starts[-1], len(states.task.space.rows[0])), DEAD, np.int64)
    for p, (layer_states, following) in enumerate(states.layers):
        table[ids[p, layer_states]] = np.where(following >= 0, ids[p + 1][following], DEAD)
    key = np.full(starts[-1], DEAD, np.int64)
    key[ids[-1, states.last]] = parts[states.last]
    return minimal(table, key)


def of_products(
    automaton: Automaton, products: Sequence[Sequence[IntArray]], ends: Sequence[IntArray], k: int
) -> Automaton:
    """The automaton with a part for each of some disjoint sets of inputs: those with a token of products[part][p] at
    each position p, with which the given automaton ends in a state of ends[part]."""
    v = len(automaton.symbols)
    last = np.array([np.isin(np.arange(len(automaton.parts)), states) for states in ends])  # [part, state]
    member = np.zeros((k, len(products), v), bool)
    for part, sets in enumerate(products):
        for p, tokens in enumerate(sets):
            member[p, part, tokens] = True
    numbers: dict[tuple[int, int, bytes], int] = {(0, 0, np.ones(len(products), bool).tobytes()): 0}
    waiting, rows, parts = [(0, 0, np.ones(len(products), bool))], [], []
    for p, state, left in waiting:
        row = np.full(v, DEAD, np.int64)
        here = left & last[:, state]
        parts.append(int(here.argmax()) if p == k and here.any() else DEAD)
        rows.append(row)
        if p == k:
            continue
        after = automaton.next[state, automaton.symbols]
        kinds = np.concatenate([after[None], left[:, None] & member[p]])
        _, first, kind = np.unique(kinds, axis=1, return_index=True, return_inverse=True)
        for number, t in enumerate(first):
            still = left & member[p, :, t]
            if after[t] >= 0 and still.any():
                node = (p + 1, int(after[t]), still.tobytes())
                if node not in numbers:
                    numbers[node] = len(numbers)
                    waiting.append((p + 1, int(after[t]), still))
                row[kind.ravel() == number] = numbers[node]
    return minimal(np.array(rows), np.array(parts))


def minimal(table: IntArray, parts: IntArray) -> Automaton:
    """The smallest automaton that does the same, by Moore's refinement; states that lead to no part are left out."""
    useful = parts >= 0
    while True:
        more = useful | (useful[table] & (table >= 0)).any(axis=1)
        if (more == useful).all():
            break
        useful = more
    reached = np.zeros(len(table), bool)
    front = np.array([0])
    while len(front):
        reached[front] = True
        after = np.unique(table[front])
        front = after[(after >= 0) & ~reached[after]]
    keep = np.flatnonzero(useful & reached)
    if not len(keep) or keep[0] != 0:
        return Automaton(np.zeros(table.shape[1], np.int64), np.full((1, 1), DEAD), np.array([DEAD]))
    number = np.full(len(table) + 1, DEAD)  # the last stands for no state
    number[keep] = np.arange(len(keep))
    table, parts = number[table[keep]], parts[keep]
    _, classes = np.unique(parts, return_inverse=True)
    while True:
        rows = np.concatenate([classes[:, None], np.where(table >= 0, classes[table], DEAD)], axis=1)
        _, finer = np.unique(rows, axis=0, return_inverse=True)
        if finer.max() == classes.max():
            break
        classes = finer
    _, first, classes = np.unique(classes, return_index=True, return_inverse=True)
    order = np.argsort(first)  # state 0 comes first
    rank = np.argsort(order)
    classes, first = rank[classes], first[order]
    following = np.where(table[first] >= 0, classes[table[first]], DEAD)
    columns, symbols = np.unique(following, axis=1, return_inverse=True)
    return Automaton(symbols, columns, parts[first])
