"""Counting the inputs of a region in which a class of wrong outputs can reach the label, for `region_counts`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from certgen.models.forward import FloatArray
from certgen.problem.labels import IntArray
from certgen.regions.gaps import FLOATS, Gaps
from certgen.regions.paths import Layer, Region, extremes

ROUNDS = 4  # of looking for the means of several heads at a worst input
ONE = 1e-9  # relative: a loss so near to the next multiple is rounded down to the last


class Class(NamedTuple):
    """A class of wrong outputs in one region: what each head adds, [head, position, token], and the constant."""

    gains: FloatArray
    constant: float
    means: FloatArray  # of the heads at their worst inputs


class Counted(NamedTuple):
    """At most this weight of inputs can be wrong for the class; with these means of the heads as a hint."""

    reaching: int
    means: list[int]


def reaching(gaps: Gaps, region: Region, rivals: Class, weight: int, steps: int) -> Counted:
    """Count them, with losses in `steps` steps."""
    layer, layers = gaps.layer, region.layers
    weights, heads = layer.weights(region), layer.heads
    doubts = gaps.doubts(layers, weights)
    if heads == 1:
        means = [0]
        table = weights[0] * (rivals.gains[0] + rivals.constant)
        pad = np.abs(table).max() * float(doubts[0]) + gaps.slack * float(weights.max())
    else:
        most, least = (sign * extremes(layers, sign * weights, weights[:, None])[0] for sign in (1, -1))
        found = rivals.means
        for _ in range(ROUNDS):
            found = found - (rivals.constant + found.sum()) / heads
            table = joint(rivals.gains, weights, found, least, most)
            parts = np.concatenate([weights * rivals.gains, weights])
            _, sums = extremes(layers, table[None], parts[None])
            found = sums[0, :heads] / sums[0, heads:]
        found = found - (rivals.constant + found.sum()) / heads
        means = [gaps.integer(mean) for mean in found]
        exact = np.array([math.ldexp(mean, -layer.bits) for mean in means])
        table = joint(rivals.gains, weights, exact, least, most)
        table[0] += rivals.constant + exact.sum()
        pad = np.abs(table).max() * float(doubts.max()) + 4 * gaps.slack * heads
    best = extremes(layers, table[None], table[None, None])[0][0]
    if best + pad * len(layers) < 0:
        return Counted(0, means)
    peaks = [float(table[p][np.unique(tokens)].max()) for p, (tokens, _, _) in enumerate(layers)]
    allowance = max(sum(peaks), FLOATS)
    near = (steps + 1) * (2 + len(layers)) * pad / allowance
    losses = []
    for peak, row in zip(peaks, table, strict=True):
        exactly = (peak - row) * (steps + 1) / allowance
        losses.append(np.clip(np.floor(exactly - near - ONE * (exactly + 1)), 0, steps + 1).astype(np.int64))
    rows = layer.question.task.space.rows
    return Counted(min(within(layers, losses, rows, steps, weight.bit_length() + 1), weight), means)


def joint(gains: FloatArray, weights: FloatArray, means: FloatArray, least: FloatArray, most: FloatArray) -> FloatArray:
    """[position, token]: what each adds at most to the sum of the heads' means of gains, less `means`."""
    terms = weights * (gains - means[:, None, None])
    table: FloatArray = np.where(terms >= 0, terms / least[:, None, None], terms / most[:, None, None]).sum(axis=0)
    return table


def weight_of(layers: list[Layer], rows: Sequence[Sequence[int]]) -> int:
    """The weight of all inputs of a region."""
    most = math.prod(sum(row) for row in rows)
    return within(layers, [np.zeros(len(row), np.int64) for row in rows], rows, 0, most.bit_length() + 1)


def within(layers: list[Layer], losses: list[IntArray], rows: Sequence[Sequence[int]], steps: int, width: int) -> int:
    """The weight of the inputs whose losses [position][token] add up to at most `steps`.

    A polynomial for each state, its coefficients side by side in one integer, `width` bits each.
    """
    mask = (1 << (width * (steps + 1))) - 1
    found = [1]
    for (tokens, source, symbol), loss, weights in zip(layers, losses, rows, strict=True):
        terms = loss.tolist()
        factors = [
            sum([weights[t] << (width * terms[t]) for t in set(row) if terms[t] <= steps]) for row in tokens.tolist()
        ]
        found = [
            sum([found[s] * factors[c] for s, c in set(zip(*ways, strict=True))]) & mask
            for ways in zip(source.tolist(), symbol.tolist(), strict=True)
        ]
    return sum(found) % ((1 << width) - 1)
