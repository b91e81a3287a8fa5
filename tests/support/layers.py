"""The inputs of a region, one by one, and what a model of one attention layer is to the search for regions."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np

from certgen.models.forward import FloatArray
from certgen.models.model_file import parse_model
from certgen.problem import Task
from certgen.problem.labels import IntArray
from certgen.proving import ask
from certgen.regions.automata import Automaton
from certgen.regions.gaps import Gaps, activated
from certgen.regions.paths import Region
from certgen.regions.tables import OneLayer
from tests.support.any_case import Case
from tests.support.random_problems import problem_of


def gaps_of(case: Case, bits: int = 48) -> Gaps:
    """The bounds of the case's model on its problem."""
    model = parse_model(case.data, "model.safetensors")
    return Gaps(OneLayer(ask(model, problem_of(case.problem), Fraction(case.margin)), bits))


def part_of(automaton: Automaton, tokens: IntArray) -> int:
    """The part that an input ends in, -1 for none."""
    state = 0
    for t in tokens:
        state = int(automaton.next[state, automaton.symbols[t]])
        if state < 0:
            return -1
    return int(automaton.parts[state])


def all_inputs(task: Task) -> IntArray:
    """Of positive weight."""
    return task.inputs(0, task.number).tokens


def inputs_of(region: Region) -> IntArray:
    """Every path through the region's layers, with every choice of tokens along it; none twice."""
    found: list[list[tuple[int, ...]]] = [[()]]
    for tokens, source, symbol in region.layers:
        found = [
            [
                (*start, t)
                for s, c in sorted(set(zip(sources.tolist(), symbols.tolist(), strict=True)))
                for start, t in itertools.product(found[s], sorted(set(tokens[c].tolist())))
            ]
            for sources, symbols in zip(source, symbol, strict=True)
        ]
    inputs = [x for ways in found for x in ways]
    assert len(set(inputs)) == len(inputs)
    return np.array(inputs)


def ahead_of(layer: OneLayer, label: int, query: int, inputs: IntArray) -> FloatArray:
    """[input, output]: how far each output is ahead of the label in these inputs, whose query this is."""
    own, places = layer.shares(query, inputs), np.arange(inputs.shape[1])
    features = layer.direct[query] + np.einsum("hnp,hnpf->nf", own, layer.values[:, places, inputs])
    logits = features[:, : layer.outputs] + layer.bias * np.mean(layer.scale)
    if layer.neurons:
        logits = logits + activated(layer.activation, features[:, layer.outputs :]) @ layer.out
    ahead: FloatArray = logits - logits[:, [label]]
    return ahead
