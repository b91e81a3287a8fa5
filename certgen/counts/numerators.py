"""Numerators of the separation lemma in float64, with slack for what the checker keeps.

For a query q and maximum m the numerator of a wrong token y is the sum over positions of F[p, x_p, y], as in the
separation lemma (docs/rules.md); all must be negative.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from certgen.certificate.arguments import LaneArgs
from certgen.models.circuits import RELATIVE_SLACK, Circuits
from certgen.models.dyadic import FloatArray

VALUE_BOUND = 7.0  # six table entries and the margin, each below 1 in units of 2^value_scale


@dataclass(frozen=True)
class Precision:
    """What the checker is asked to keep: bits of attention weights, and of logit differences."""

    weight_bits: int
    value_bits: int

    @property
    def slack(self) -> float:
        """By how much an entry of the checker's tables may be larger than one of ours, or smaller."""
        return VALUE_BOUND * (2.0 ** (5 - self.weight_bits) + 2.0 ** (4 - self.value_bits) + RELATIVE_SLACK)


# Enough to decide the sequences of a trained model, in which some token of weight near 1 always occurs.
DEFAULT_PRECISION = Precision(36, 32)


def full_precision(circuits: Circuits) -> Precision:
    """Enough for sequences made of the smallest weights alone."""
    return Precision(min(2 * circuits.depth, 4096), 48)


def lane_args(circuits: Circuits, precision: Precision) -> LaneArgs:
    """The arguments of the rules that evaluate sequences."""
    exponent = max(circuits.value_scale - precision.value_bits, -(1 << 14))
    return LaneArgs(bits=precision.weight_bits, exponent=exponent)


@dataclass(frozen=True, eq=False)
class Numerators:
    """F for the pairs of one maximum m, in units of 2^value_scale, relative to each query's best token t <= m."""

    circuits: Circuits
    m: int
    precision: Precision

    def differences(self, table: FloatArray) -> FloatArray:
        """Each row relative to its entry for m."""
        return table - table[:, self.m : self.m + 1]

    def slack(self, q: int, weight: FloatArray) -> FloatArray:
        """How far from zero a numerator must be for the checker to see its sign: `weight` is that of all positions."""
        absolute = self.circuits.k * VALUE_BOUND * 2.0 ** (4 - self.precision.weight_bits)
        relative = VALUE_BOUND * RELATIVE_SLACK + 2.0 ** (3 - self.precision.value_bits)
        return np.asarray(absolute + relative * weight)

    def of_pair(self, q: int, tokens: Sequence[int] | None = None) -> tuple[FloatArray, FloatArray]:
        """F[p, t, y] and weights[p, t] for one query and all tokens t <= m, or these; F[:, :, m] is minus infinity, as
        m is no wrong token."""
        c, those = self.circuits, np.arange(self.m + 1) if tokens is None else np.array(tokens)
        EUPU, EVOU, PVOU = c.float_tables
        weights = np.exp(-c.position_gaps[q])[:, None] * np.exp(-c.token_gaps_upto(self.m)[q, those])[None, :]
        value = self.differences(EVOU[those])[None, :, :] + self.differences(PVOU)[:, None, :]
        F = weights[:, :, None] * (value + self.differences(EUPU[q : q + 1]) + c.float_margin)
        F[:, :, self.m] = -np.inf
        return F, weights
