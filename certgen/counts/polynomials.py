"""Counting choices whose sum reaches 0, by generating polynomials in big integers, as the checker does.

The counts found here are never smaller than the checker's, because every loss is taken a little smaller than it is.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from certgen.counts import costs
from certgen.counts.groups import Cut
from certgen.counts.numerators import Precision
from certgen.models.dyadic import FloatArray

# Gains, and products of two weights with a gain, of one and two machine words.
PRECISION = Precision(weight_bits=30, value_bits=28)
SLACK = PRECISION.slack
IntArray = npt.NDArray[np.intp]

PHASES = 1 << 16  # to a step, as the checker has them
ROUNDING = 1e-9  # of floats, in steps: more than they can be off


class Reached(NamedTuple):
    """How many choices there are, and about what the checker's count costs beyond the largest of each table."""

    number: int
    cost: float


NONE = Reached(0, 0.0)


def cut_of(tables: list[FloatArray], uses: list[int], steps: int, unit: float) -> Cut:
    """A step such that a sum that reaches 0 loses at most `steps` of them, and phases with which the largest entries
    lose nothing. `unit` is that of the checker's tables."""
    peaks = [float(table.max()) + SLACK for table in tables]
    allowance = max(sum(peak * count for peak, count in zip(peaks, uses, strict=True)), 0.0)
    step = max(math.ceil(allowance / (steps + 1 - (sum(uses) + 1) / PHASES) / unit), 1)
    return Cut(step, [math.ceil((peak / (step * unit) + ROUNDING) * PHASES) % PHASES for peak in peaks])


def count_reached(tables: list[FloatArray], uses: list[int], last_has_final: bool, cut: Cut, unit: float) -> Reached:
    """At least as many as the checker counts: choices of uses[i] entries of tables[i], one final, with a sum >= 0.

    The checker's entries may each be larger by up to SLACK.
    """
    losses = [
        np.floor(phase / PHASES - (table + SLACK) / (cut.step * unit) - ROUNDING)
        for table, phase in zip(tables, cut.phases, strict=True)
    ]
    lows = [row.min() for row in losses]
    most = sum(phase * count for phase, count in zip(cut.phases, uses, strict=True)) // PHASES
    most -= int(sum(low * count for low, count in zip(lows, uses, strict=True)))
    if most < 0:
        return NONE
    kept = [np.minimum(row - low, most + 1).astype(int) for row, low in zip(losses, lows, strict=True)]
    finals = [int(row[-1]) for row in kept[:-1]] + [int(kept[-1][-1]) if last_has_final else most + 1]
    return count_within(kept, finals, uses, most)


def count_within(losses: list[IntArray], finals: list[int], uses: list[int], most: int) -> Reached:
    """Choices of uses[i] losses of losses[i], one of them final, with a sum of at most `most`: polynomials, cut at each
    product."""
    width = int(sum(count * math.log2(max(len(row), 1)) for row, count in zip(losses, uses, strict=True))) + 2
    lanes = (1 << (width * (most + 1))) - 1
    every, others, sizes = 1, 1, []
    for row, final, count in zip(losses, finals, uses, strict=True):
        within = row[row <= most]
        multiplicity = np.bincount(within, minlength=1)
        distinct = np.flatnonzero(multiplicity).tolist()
        polynomial = sum(int(multiplicity[loss]) << (width * loss) for loss in distinct)
        without = polynomial - (1 << (width * final)) if final <= most else polynomial
        for _ in range(count):
            every, others = (every * polynomial) & lanes, (others * without) & lanes
        degrees = [max(number.bit_length() - 1, 0) // width for number in (polynomial, without)]
        sizes.append(costs.Losses(len(row), len(distinct), *degrees))
    return Reached((every - others) % ((1 << width) - 1), costs.of_polynomials(sizes, uses, width, most))
