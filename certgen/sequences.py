"""Evaluating sequences in float64 with slack: a sequence counts as correct here only if the checker will agree.

For a query q and maximum m the numerator of a wrong token y is the sum over positions of F[p, x_p, y], as in the
separation lemma (docs/rules.md); all must be negative.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from certgen.certificate import LaneArgs
from certgen.circuits import LN2, RELATIVE_SLACK, Circuits
from certgen.dyadic import FloatArray

WEIGHT_BITS = 36
VALUE_BITS = 32
VALUE_BOUND = 7.0  # six table entries and the margin, each below 1 in units of 2^value_scale


def lane_args(circuits: Circuits) -> LaneArgs:
    """Precision that the checker is asked to use, to which the slack below belongs."""
    exponent = max(circuits.value_scale - VALUE_BITS, -(1 << 14))
    return LaneArgs(depth=circuits.depth, bits=WEIGHT_BITS, exponent=exponent)


@dataclass(frozen=True, eq=False)
class Numerators:
    """F for the pairs of one maximum m, in units of 2^value_scale, relative to each query's best token t <= m."""

    circuits: Circuits
    m: int

    def differences(self, table: FloatArray) -> FloatArray:
        """Each row relative to its entry for m."""
        return table - table[:, self.m : self.m + 1]

    def slack(self, q: npt.NDArray[np.intp] | int) -> FloatArray:
        """How far below zero a numerator must be here for the checker's outward rounding to leave it negative."""
        gap = self.circuits.token_gaps[q, : self.m + 1].min(axis=-1)
        deep = np.exp(np.minimum(gap - (self.circuits.depth - 4) * LN2, 10.0))
        weight = 2.0 ** (4 - WEIGHT_BITS) + deep + RELATIVE_SLACK
        return np.asarray(self.circuits.k * (VALUE_BOUND * weight + 2.0 ** (3 - VALUE_BITS)))

    def of_pair(self, q: int) -> FloatArray:
        """F[p, t, y] for one query, t <= m; F[:, :, m] is minus infinity, since m is no wrong token."""
        c, upto = self.circuits, self.m + 1
        EUPU, EVOU, PVOU = c.float_tables
        gaps = c.token_gaps[q, :upto]
        weights = np.exp(-c.position_gaps[q])[:, None] * np.exp(gaps.min() - gaps)[None, :]
        value = self.differences(EVOU[:upto])[None, :, :] + self.differences(PVOU)[:, None, :]
        F = weights[:, :, None] * (value + self.differences(EUPU[q : q + 1]) + c.float_margin)
        F[:, :, self.m] = -np.inf
        return np.asarray(F)


def pure_correct(circuits: Circuits, m: int) -> npt.NDArray[np.bool_]:
    """For each query q <= m: is the sequence m, ..., m, q correct?"""
    numerators = Numerators(circuits, m)
    worst = []
    for q in range(m + 1):
        F = numerators.of_pair(q)
        worst.append(np.max(F[:-1, m].sum(axis=0) + F[-1, q]))
    return np.asarray(np.array(worst) < -numerators.slack(np.arange(m + 1)))


def count_correct(circuits: Circuits, q: int, m: int) -> int:
    """Sequences with query q and maximum m that are correct; every one is decided.

    For q < m they are split by the first non-query position that holds m, so that each part is a product set.
    """
    numerators = Numerators(circuits, m)
    *others, last = numerators.of_pair(q)
    slack = float(numerators.slack(q))
    if q == m:
        return count_in_product(others, last[q], slack)
    return sum(
        count_in_product([*(table[:m] for table in others[:p]), others[p][m:], *others[p + 1 :]], last[q], slack)
        for p in range(len(others))
    )


def count_in_product(tables: list[FloatArray], last: FloatArray, slack: float) -> int:
    """Correct sequences of a product set: tables[p][t, y] for each token allowed at position p, last[y] for the query.

    Evaluated are only wrong tokens y, and tokens t, that can make a sum reach zero when all else is at its worst.
    """
    if any(len(table) == 0 for table in tables):
        return 0
    wrong = np.zeros([len(table) for table in tables], dtype=bool)
    peaks = [table.max(axis=0) for table in tables]
    worst = sum(peaks, last)
    for y in np.flatnonzero(worst >= -slack):
        chosen = [
            np.flatnonzero(worst[y] - peak[y] + table[:, y] >= -2 * slack)
            for table, peak in zip(tables, peaks, strict=True)
        ]
        total = np.asarray(last[y])
        for table, tokens in zip(tables, chosen, strict=True):
            total = total[..., None] + table[tokens, y]
        box = np.ix_(*chosen)
        wrong[box] |= total >= -slack
    return int(wrong.size - np.count_nonzero(wrong))
