"""Where heads look, on average over inputs with one answer that are drawn at random. Not part of any proof."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from certgen.counts.evaluation import Question
from certgen.errors import UserError
from certgen.models.forward import FloatArray
from certgen.problem.labels import IntArray
from certgen.regions.automata import LabelStates, TooManyStates
from certgen.regions.tables import OneLayer

SAMPLE = 256  # inputs of each answer
SEED = 0
BITS = 32  # nothing here depends on it


class Look(NamedTuple):
    """The share of each head's attention on each position, [head, position], and token, [head, token]."""

    label: int
    positions: FloatArray
    tokens: FloatArray


def looks(question: Question, labels: Sequence[int], number: int = SAMPLE) -> Iterator[Look]:
    """For each of these answers, which some input has. UserError unless the model is one attention layer and the
    label's automaton a small one."""
    layer = OneLayer(question, BITS)
    try:
        states = LabelStates(question.task)
    except TooManyStates:
        raise UserError(
            f"the automaton of the task {question.task.text} has too many states to draw inputs of one answer",
            "leave the model out",
        ) from None
    for label in labels:
        inputs = drawn(states, label, np.random.default_rng(SEED), number)
        queries = inputs[:, layer.readout]
        k, v = layer.allowed.shape
        positions, tokens = np.zeros((layer.heads, k)), np.zeros((layer.heads, v))
        for query in np.unique(queries).tolist():
            own = inputs[queries == query]
            weights = layer.shares(query, own)
            positions += weights.sum(axis=1)
            for head in range(layer.heads):
                tokens[head] += np.bincount(own.ravel(), weights[head].ravel(), minlength=v)
        yield Look(label, positions / number, tokens / number)


def drawn(states: LabelStates, label: int, rng: np.random.Generator, number: int) -> IntArray:
    """[number, k]: inputs with this answer, which some input has, each as often as its weight says."""
    rows = [np.array([weight / sum(row) for weight in row]) for row in states.task.space.rows]
    hopes = [(states.outputs == label).astype(float)]  # of each state before a position: of ending with the answer
    for (before, following), row in zip(states.layers[::-1], rows[::-1], strict=True):
        hope = np.zeros(states.count)
        hope[before] = np.where(following >= 0, hopes[-1][following], 0.0) @ row
        hopes.append(hope / hope.max())  # only ratios count, and no product of many small numbers is lost
    state, found = np.zeros(number, np.int64), []
    place = np.zeros(states.count, np.int64)
    for (before, following), row, hope in zip(states.layers, rows, hopes[-2::-1], strict=True):
        place[before] = np.arange(len(before))
        after = following[place[state]]
        shares = np.cumsum(np.where(after >= 0, hope[after], 0.0) * row, axis=1)
        chosen = (rng.random((number, 1)) * shares[:, -1:] >= shares).sum(axis=1)
        found.append(chosen)
        state = after[np.arange(number), chosen]
    return np.stack(found, axis=1)
