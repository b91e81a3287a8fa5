"""Counting choices whose sum reaches 0, by generating polynomials in big integers, as the checker does.

The counts found here are never smaller than the checker's, because every loss is taken a little smaller than it is.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from certgen.counts import costs
from certgen.counts.numerators import VALUE_BOUND, Precision
from certgen.models.circuits import RELATIVE_SLACK
from certgen.models.dyadic import FloatArray

# Gains, and products of two weights with a gain, of one and two machine words.
PRECISION = Precision(weight_bits=30, value_bits=28)
# By how much an entry of the checker's tables may be larger than one of ours.
SLACK = VALUE_BOUND * (2.0 ** (5 - PRECISION.weight_bits) + 2.0 ** (4 - PRECISION.value_bits) + RELATIVE_SLACK)
IntArray = npt.NDArray[np.intp]


class Reached(NamedTuple):
    """How many choices there are, and about what the checker's count costs beyond the largest of each table."""

    number: int
    cost: float


NONE = Reached(0, 0.0)


def count_reached(tables: list[FloatArray], uses: list[int], last_has_final: bool, steps: int) -> Reached:
    """At least as many as the checker counts: choices of uses[i] entries of tables[i], one final, with a sum >= 0.

    The checker's entries may each be larger by up to SLACK.
    """
    peaks = [float(table.max()) for table in tables]
    allowance = sum(peak * count for peak, count in zip(peaks, uses, strict=True)) + sum(uses) * SLACK
    finals = [float(table[-1]) - peak for table, peak in zip(tables[:-1], peaks, strict=False)]
    if allowance + (0.0 if last_has_final else max(finals, default=0.0) + SLACK) < 0:
        return NONE
    scale = (steps + 1) / (allowance * (1 + 1e-9) + 2.0**-1000) * (1 - 1e-9)
    losses = [
        np.floor(np.clip((peak - SLACK - table) * scale - 1e-9, 0.0, steps + 1.0)).astype(int)
        for peak, table in zip(peaks, tables, strict=True)
    ]
    without = [row[:-1] for row in losses[:-1]] + [losses[-1][:-1] if last_has_final else losses[-1]]
    number, cost = 0, 0.0
    for sign, rows in ((1, losses), (-1, without)):
        found = count_within(rows, uses, steps)
        number, cost = number + sign * found.number, cost + found.cost
    return Reached(number, cost + costs.OF_LOSS * sum(map(len, losses)))


def count_within(losses: list[IntArray], uses: list[int], steps: int) -> Reached:
    """Choices of uses[i] losses of losses[i] with a sum of at most `steps`: polynomials, cut at each product."""
    width = int(sum(count * math.log2(max(len(row), 1)) for row, count in zip(losses, uses, strict=True))) + 2
    lanes = (1 << (width * (steps + 1))) - 1
    product, sizes = 1, []
    for row, count in zip(losses, uses, strict=True):
        within = row[row <= steps]
        multiplicity = np.bincount(within, minlength=1)
        polynomial = sum(int(multiplicity[loss]) << (width * loss) for loss in np.flatnonzero(multiplicity).tolist())
        for _ in range(count):
            product = (product * polynomial) & lanes
        sizes.append(costs.Losses(len(row), len(within), len(multiplicity)))
    return Reached(product % ((1 << width) - 1), costs.of_polynomials(sizes, uses, width, steps))
