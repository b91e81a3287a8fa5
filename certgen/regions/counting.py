"""Counting the inputs of a region in which a class of wrong outputs can reach the label, for `region_counts`."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from certgen.models.forward import FloatArray
from certgen.regions.gaps import SLACK, Gaps
from certgen.regions.paths import Layer, Region, extremes

ROUNDS = 6  # of looking for the means of several heads at a worst input
NEAR = 1e-6  # so near to the next multiple a loss is rounded down to the last one: the checker's may fall short of it


class Counted(NamedTuple):
    """At most `reaching`, and the hint for it: the means of the heads."""

    reaching: int
    means: list[int]


def weight_of(layers: list[Layer], weights: list[list[int]]) -> int:
    """The weight of all inputs of a region."""
    ones = [np.zeros(len(row), np.int64) for row in weights]
    return lanes(layers, ones, weights, 0, 64 * len(weights))


def lanes(
    layers: list[Layer], losses: list[np.typing.NDArray[np.int64]], weights: list[list[int]], steps: int, width: int
) -> int:
    """The weight of the inputs whose losses [position][token] add up to at most `steps`."""
    mask = (1 << (width * (steps + 1))) - 1
    found = [1]
    for (tokens, source, symbol), loss, weight in zip(layers, losses, weights, strict=True):
        factors = []
        for row in tokens:
            factor = 0
            for t in set(row.tolist()):
                if loss[t] <= steps:
                    factor += weight[t] << (width * int(loss[t]))
            factors.append(factor)
        after = []
        for sources, symbols in zip(source.tolist(), symbol.tolist(), strict=True):
            ways = set(zip(sources, symbols, strict=True))
            after.append(sum(found[s] * factors[c] for s, c in ways) & mask)
        found = after
    total = sum(found)
    return total % ((1 << width) - 1) if steps else total
