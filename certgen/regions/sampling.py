"""Inputs of a region that are drawn at random: what is wrong of them tells what can be proved of it at all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from certgen.models.forward import FloatArray
from certgen.problem.labels import IntArray
from certgen.regions.paths import Layer


def sampled(layers: list[Layer], rows: Sequence[Sequence[int]], rng: np.random.Generator, number: int) -> IntArray:
    """[number, k]: inputs of a region, each as often as its weight says."""
    mass, choices = np.ones(1), []
    for (tokens, source, symbol), row in zip(layers, rows, strict=True):
        largest = max(row)  # weights may be beyond any float
        weights = np.array([weight / largest for weight in row])
        of_tokens = np.where(is_new(tokens), weights[tokens], 0.0)
        of_ways = np.where(is_new(source, symbol), mass[source] * of_tokens.sum(axis=1)[symbol], 0.0)
        choices.append((of_tokens, of_ways))
        mass = of_ways.sum(axis=1)
        mass = mass / (mass.max() or 1.0)
    state = chosen(np.broadcast_to(mass, (number, len(mass))), rng)
    found = []
    for (tokens, source, symbol), (of_tokens, of_ways) in zip(layers[::-1], choices[::-1], strict=True):
        way = chosen(of_ways[state], rng)
        symbols, state = symbol[state, way], source[state, way]
        found.append(tokens[symbols, chosen(of_tokens[symbols], rng)])
    return np.stack(found[::-1], axis=1)


def is_new(*columns: IntArray) -> np.typing.NDArray[np.bool_]:
    """[row, i]: is it no repetition, with which rows are filled up?"""
    found: np.typing.NDArray[np.bool_] = np.any(
        [np.diff(column, axis=1, prepend=-1) != 0 for column in columns], axis=0
    )
    return found


def chosen(shares: FloatArray, rng: np.random.Generator) -> IntArray:
    """[n]: of each row one index, as often as its share says."""
    sums = np.cumsum(shares, axis=1)
    below = (rng.random((len(sums), 1)) * sums[:, -1:] >= sums).sum(axis=1)
    found: IntArray = np.minimum(below, shares.shape[1] - 1)  # of weights very far apart no share but 0 is left
    return found
