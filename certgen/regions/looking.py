"""Where heads look, on average over inputs with one answer that are drawn at random. Not part of any proof."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from certgen.counts.evaluation import Question
from certgen.errors import UserError
from certgen.models.forward import FloatArray
from certgen.problem.labels import IntArray
from certgen.regions.automata import DEAD, LabelStates, TooManyStates, by_state
from certgen.regions.paths import reached, region
from certgen.regions.sampling import sampled
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
    automaton = by_state(states, np.where(states.outputs == label, 0, DEAD))
    forward = list(reached(automaton, [np.flatnonzero([w > 0 for w in row]) for row in states.task.space.rows]))
    ends = forward[-1][0]
    layers = region(0, DEAD, 0, forward, ends[automaton.parts[ends] == 0]).layers  # whatever the query
    return sampled(layers, states.task.space.rows, rng, number)
