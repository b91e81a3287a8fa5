"""How far the wrong outputs stay behind in a region: hints for the rules `regions` and `region_gaps`."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from certgen.models.forward import ACTIVATIONS, FloatArray
from certgen.regions.paths import Group, Layer, Region, Rivals, extremes, worst_means
from certgen.regions.tables import OneLayer

PIECES = 64  # of a range, for smooth activations: the rule's
SLACK = 4.0  # times what rounding is reckoned to cost
SPARE = 16  # bits that the least sum of weights has at least
FLOATS = 1e-12  # of float64, relative to the sizes of what is added up


class Found(NamedTuple):
    """What is known of one region, in the integers of a certificate; `margins` are the gaps in logits."""

    means: list[list[int]]  # per neuron: lower bounds on the mean of each head, upper bounds
    ranges: list[int]  # low, high of each neuron
    hints: list[list[int]]  # per class: slopes, means
    gaps: list[int]

    @property
    def settled(self) -> bool:
        return max(self.gaps, default=-1) < 0

    def only(self, classes: list[int]) -> Found:
        """Of these classes alone."""
        return self._replace(hints=[self.hints[i] for i in classes], gaps=[self.gaps[i] for i in classes])


class Gaps:
    """Bounds of one model on one task."""

    def __init__(self, layer: OneLayer) -> None:
        self.layer = layer
        self.margin = float(layer.question.margin)
        largest = max(float(np.abs(table).max()) for table in (layer.values, layer.direct, layer.bias))
        self.slack = SLACK * (layer.radius + layer.unit) + FLOATS * largest  # of a feature
        self.least = 1.0  # of the sums of weights that were divided by, as multiples of the largest weight of a region
        self.gain_tables = lru_cache(maxsize=1 << 10)(self.plain_gains)

    @property
    def is_fine(self) -> bool:
        """Do the bits suffice for every sum of weights? The rule refuses to divide by one that may be 0."""
        return self.least > 2.0 ** (SPARE - self.layer.bits)

    def integer(self, x: float) -> int:
        """Units of 2^-bits, rounded up."""
        return math.ceil(math.ldexp(x, self.layer.bits))

    def of(self, region: Region, group: Group) -> Found:
        """The tightest bounds for this region."""
        layer, layers = self.layer, region.layers
        weights = layer.weights(region)
        doubts = self.doubts(layers, weights)
        means, ranges = self.neurons(region, weights, doubts)
        if not group.rivals:  # there is one output, which is right
            return Found(means, ranges, [], [])
        tables, slopes, constants = [], [], []
        for rivals in group.rivals:
            table, slope, constant = self.ahead(region.query, group.label, rivals, ranges)
            tables.append(table)
            slopes.append(slope)
            constants.append(constant)
        gains = np.concatenate(tables)  # [class * head, position, token]
        many = np.concatenate([weights] * len(tables))
        found = worst_means(layers, gains, many)
        spread = np.where(many > 0, np.abs(gains - found[:, None, None]), 0).max(axis=(1, 2))
        found = np.minimum(found + spread * np.tile(doubts, len(tables)), gains.max(axis=(1, 2)))  # no mean is larger
        found = found + SLACK * layer.unit + FLOATS * np.abs(found)
        hints, gaps = [], []
        for i, (slope, constant) in enumerate(zip(slopes, constants, strict=True)):
            row = [self.integer(mean) for mean in found[i * layer.heads : (i + 1) * layer.heads]]
            hints.append([*slope, *row])
            gaps.append(self.integer(constant) + sum(row))
        return Found(means, ranges, hints, gaps)

    def doubts(self, layers: list[Layer], weights: FloatArray) -> FloatArray:
        """[head]: by how much rounded weights can change a mean, relative to the spread of what is averaged."""
        least = -extremes(layers, -weights, weights[:, None])[0]
        doubts: FloatArray = self.layer.doubt + 4 * self.layer.unit * weights.shape[1] / np.maximum(least, 1e-300)
        return SLACK * doubts + FLOATS

    def neurons(self, region: Region, weights: FloatArray, doubts: FloatArray) -> tuple[list[list[int]], list[int]]:
        """Bounds on the mean of each head, and the range, for each neuron."""
        layer = self.layer
        if not layer.neurons:
            return [], []
        values = layer.values[..., layer.outputs :].transpose(3, 0, 1, 2)  # [neuron, head, position, token]
        gains = np.concatenate([-values, values]).reshape(-1, *values.shape[2:])
        many = np.concatenate([weights] * (2 * layer.neurons))
        found = worst_means(region.layers, gains, many)
        spread = np.where(many > 0, np.abs(gains - found[:, None, None]), 0).max(axis=(1, 2))
        found = np.minimum(found + spread * np.tile(doubts, 2 * layer.neurons), gains.max(axis=(1, 2)))
        found = found + self.slack + FLOATS * np.abs(found)
        ends = np.vectorize(self.integer, otypes=[object])(found).reshape(2, layer.neurons, layer.heads)
        means, ranges = [], []
        for neuron in range(layer.neurons):
            low, high = [-end for end in ends[0, neuron]], list(ends[1, neuron])
            direct, around = float(layer.direct[region.query, layer.outputs + neuron]), self.slack
            means.append([*low, *high])
            ranges += [-self.integer(around - direct) + sum(low), self.integer(direct + around) + sum(high)]
        return means, ranges

    def plain_gains(self, label: int, rivals: Rivals) -> FloatArray:
        """[head, position, token]: what attention adds to the best rival and not to the label; without neurons."""
        values = self.layer.values
        gains: FloatArray = values[..., list(rivals)].max(axis=3) - values[..., label]
        return gains + 2 * self.slack

    def ahead(self, query: int, label: int, rivals: Rivals, ranges: list[int]) -> tuple[FloatArray, list[int], float]:
        """The table of each head, the slope for each neuron, and the constant."""
        layer = self.layer
        direct, outputs = layer.direct[query], list(rivals)
        ends = [(layer.bias[outputs] - layer.bias[label] + self.margin) * end for end in layer.scale]
        constants = direct[outputs] - direct[label] + np.maximum(*ends)
        slack = 4 * self.slack
        if not layer.neurons:
            return self.gain_tables(label, rivals), [], float(constants.max()) + slack
        unit, neurons = layer.unit, slice(layer.outputs, None)
        low, high = (np.array(ranges[end::2], float) * unit for end in (0, 1))
        favours = layer.out[:, outputs] - layer.out[:, [label]]  # [neuron, rival]
        slopes = best_slopes(layer.activation, low, high, favours.mean(axis=1) >= 0)
        units = [round(math.ldexp(slope, layer.bits)) for slope in slopes]
        rounded = np.array(units, float) * unit
        tables = []
        for i, y in enumerate(outputs):
            factors = favours[:, i] * rounded
            lines = intercepts(layer.activation, low, high, rounded, favours[:, i] >= 0, unit)
            around = 2 * slack * (1 + np.abs(factors).sum() + np.abs(favours[:, i]).sum())
            constants[i] += direct[neurons] @ factors + favours[:, i] @ lines + around
            values = layer.values
            tables.append(values[..., y] - values[..., label] + values[..., neurons] @ factors + around)
        return np.max(tables, axis=0), units, float(constants.max()) + slack


def activated(activation: str, z: FloatArray) -> FloatArray:
    """What neurons make of z, however far from 0."""
    with np.errstate(over="ignore"):
        return ACTIVATIONS[activation](z)


def best_slopes(activation: str, low: FloatArray, high: FloatArray, above: np.typing.NDArray[np.bool_]) -> FloatArray:
    """Of a line above or below an activation from low to high: a chord; below a bent ReLU 0 or 1, the nearer one."""
    width = np.maximum(high - low, 1e-12)
    chord = np.clip((activated(activation, high) - activated(activation, low)) / width, -2, 2)
    if activation != "relu":
        return chord
    below = np.where(high > -low, 1.0, 0.0)
    bent = (low < 0) & (high > 0)
    return np.where(bent & ~above, below, np.where(bent, chord, (high > 0) * 1.0))


def intercepts(
    activation: str,
    low: FloatArray,
    high: FloatArray,
    slopes: FloatArray,
    above: np.typing.NDArray[np.bool_],
    unit: float,
) -> FloatArray:
    """The rule's: the extreme of f(z) - slope z from low to high."""
    if activation == "relu":
        points, doubt = np.array([low, high, np.clip(0, low, high)]), np.zeros(len(low))
    else:
        points = low + (high - low) * np.arange(PIECES + 1)[:, None] / PIECES
        doubt = ((high - low) / PIECES + 2 * unit) ** 2 / 8
    rest = activated(activation, points) - slopes * points
    doubt = doubt + SLACK * unit * (4 + np.abs(slopes) + np.abs(points).max(axis=0))
    lines: FloatArray = np.where(above, rest.max(axis=0) + doubt, rest.min(axis=0) - doubt)
    return lines
