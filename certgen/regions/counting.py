"""Counting the inputs of a region in which a class of wrong outputs can reach the label, for `region_counts`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from certgen.models.forward import FloatArray
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
        gaps.least = min(gaps.least, float(least.min()))
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
    best = continuations(layers, table)
    allowance = float(best[0][0])
    if allowance + pad * len(layers) < 0:
        return Counted(0, means)
    allowance = max(allowance, FLOATS)
    near = (steps + 1) * (2 + len(layers)) * pad / allowance
    width, mask = weight.bit_length() + 1, (1 << ((weight.bit_length() + 1) * (steps + 1))) - 1
    lanes = [1]
    for (tokens, source, symbol), row, weights_of, start, end in zip(
        layers, table, layer.question.task.space.rows, best[:-1], best[1:], strict=True
    ):
        sets = [sorted(set(choices)) for choices in tokens.tolist()]
        after = []
        for state, ways in enumerate(zip(source.tolist(), symbol.tolist(), strict=True)):
            total = 0
            for s, c in set(zip(*ways, strict=True)):
                exactly = (start[s] - end[state] - row[sets[c]]) * (steps + 1) / allowance
                losses = np.clip(np.floor(exactly - near - ONE * (np.abs(exactly) + 1)), 0, steps + 1)
                factor = sum(
                    [weights_of[t] << (width * int(x)) for t, x in zip(sets[c], losses, strict=True) if x <= steps]
                )
                total += lanes[s] * factor
            after.append(total & mask)
        lanes = after
    return Counted(min(sum(lanes) % ((1 << width) - 1), weight), means)


def continuations(layers: list[Layer], table: FloatArray) -> list[FloatArray]:
    """Before each position, and at the end: the most that table [position, token] can add from each state on."""
    best = [np.zeros(len(layers[-1].source))]
    for p, (tokens, source, symbol) in reversed(list(enumerate(layers))):
        sums = table[p, tokens].max(axis=1)[symbol] + best[0][:, None]
        before = np.full(1 if p == 0 else len(layers[p - 1].source), -np.inf)
        np.maximum.at(before, source, sums)
        best.insert(0, before)
    return best


def joint(gains: FloatArray, weights: FloatArray, means: FloatArray, least: FloatArray, most: FloatArray) -> FloatArray:
    """[position, token]: what each adds at most to the sum of the heads' means of gains, less `means`."""
    terms = weights * (gains - means[:, None, None])
    table: FloatArray = np.where(terms >= 0, terms / least[:, None, None], terms / most[:, None, None]).sum(axis=0)
    return table


def weight_of(layers: list[Layer], rows: Sequence[Sequence[int]]) -> int:
    """The weight of all inputs of a region."""
    found = [1]
    for (tokens, source, symbol), weights in zip(layers, rows, strict=True):
        sums = [sum([weights[t] for t in set(row)]) for row in tokens.tolist()]
        found = [
            sum([found[s] * sums[c] for s, c in set(zip(*ways, strict=True))])
            for ways in zip(source.tolist(), symbol.tolist(), strict=True)
        ]
    return sum(found)
