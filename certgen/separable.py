"""Separable counts: per pair (q, m), sequences that the worst of each position could bring to m, in float64 with slack.

The counts found here are never larger than the checker's, because every loss is taken a little smaller than it is.
"""

from __future__ import annotations

import math

import numpy as np

from certgen.circuits import Circuits
from certgen.dyadic import FloatArray
from certgen.sequences import Numerators, Precision


def pair_total(circuits: Circuits, q: int, m: int) -> int:
    """How many sequences have query q and maximum m."""
    others = circuits.k - 1
    return int((m + 1) ** others - (m**others if q < m else 0))


def relaxed_correct(circuits: Circuits, q: int, m: int, precision: Precision, steps: int) -> int:
    """Sequences not reached when at every position the wrong token that gains most there is taken."""
    numerators = Numerators(circuits, m, precision)
    F, _ = numerators.of_pair(q)
    reached = count_reached(F.max(axis=2), q, steps, entry_slack(numerators, q), q < m)
    return max(pair_total(circuits, q, m) - reached, 0)


def exact_correct(circuits: Circuits, q: int, m: int, precision: Precision, steps: int) -> int:
    """Sequences left when those reached by each wrong token are subtracted, token by token."""
    numerators = Numerators(circuits, m, precision)
    F, _ = numerators.of_pair(q)
    slack = entry_slack(numerators, q)
    worst = F[:-1].max(axis=1).sum(axis=0) + F[-1, q]
    reached = sum(
        count_reached(F[:, :, y], q, steps, slack, q < m) for y in np.flatnonzero(worst >= -slack * circuits.k)
    )
    return max(pair_total(circuits, q, m) - reached, 0)


def entry_slack(numerators: Numerators, q: int) -> float:
    """By how much an entry here can be below the checker's upper bound for it."""
    return float(numerators.slack(q, np.asarray(1.0))) / numerators.circuits.k


def count_reached(table: FloatArray, q: int, steps: int, slack: float, require_final: bool) -> int:
    """At least as many as the checker counts: choices of an entry per row of table[:-1], >= 0 in sum with table[-1, q].

    Entries may each be larger by `slack`. With `require_final` only choices that take some row's final entry count.
    """
    rows, last = table[:-1], table[-1, q]
    peaks = rows.max(axis=1, initial=-np.inf) if len(rows) else np.zeros(0)
    budget = float(peaks.sum()) + last + len(table) * slack
    if budget < 0:
        return 0
    losses = (peaks[:, None] - rows - slack) * (steps / (budget * (1 + 1e-9) + 2.0**-1000)) * (1 - 1e-9)
    whole = np.floor(np.clip(losses - 1e-9, 0.0, steps + 1.0)).astype(int)
    reached = count_within(whole.tolist(), steps)
    return reached - count_within(whole[:, :-1].tolist(), steps) if require_final else reached


def count_within(losses: list[list[int]], steps: int) -> int:
    """Choices of one loss per row with a sum of at most `steps`: generating polynomials, truncated at each product."""
    width = int(sum(math.log2(max(len(row), 1)) for row in losses)) + 2
    lanes = (1 << width * (steps + 1)) - 1
    product = 1
    for row in losses:
        multiplicity = np.bincount([loss for loss in row if loss <= steps], minlength=1)
        polynomial = sum(int(multiplicity[loss]) << width * loss for loss in np.flatnonzero(multiplicity).tolist())
        product = (product * polynomial) & lanes
    return product % ((1 << width) - 1)
