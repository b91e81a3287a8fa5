"""Evaluating sequences in float64 with slack: a sequence counts as correct here only if the checker will agree.

For a query q and maximum m the numerator of a wrong token y is the sum over positions of F[p, x_p, y], as in the
separation lemma (docs/rules.md); all must be negative.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from certgen.certificate import LaneArgs
from certgen.circuits import RELATIVE_SLACK, Circuits
from certgen.dyadic import FloatArray
from certgen.errors import UserError
from certgen.ties import tied

MOST_SEQUENCES = 1 << 31  # beyond this, deciding each one takes hours
MOST_POSITIONS = 60  # axes of a numpy array
MOST_TIES = 1 << 16  # close sequences of a pair that are looked at one by one
VALUE_BOUND = 7.0  # six table entries and the margin, each below 1 in units of 2^value_scale


@dataclass(frozen=True)
class Precision:
    """What the checker is asked to keep: bits of attention weights, and of logit differences."""

    weight_bits: int
    value_bits: int


# Enough to decide the sequences of a trained model, in which some token of weight near 1 always occurs.
USUAL_PRECISION = Precision(36, 32)


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

    def of_pair(self, q: int) -> tuple[FloatArray, FloatArray]:
        """F[p, t, y] and weights[p, t] for one query, t <= m; F[:, :, m] is minus infinity, as m is no wrong token."""
        c, upto = self.circuits, self.m + 1
        EUPU, EVOU, PVOU = c.float_tables
        weights = np.exp(-c.position_gaps[q])[:, None] * np.exp(-c.token_gaps_upto(self.m)[q])[None, :]
        value = self.differences(EVOU[:upto])[None, :, :] + self.differences(PVOU)[:, None, :]
        F = weights[:, :, None] * (value + self.differences(EUPU[q : q + 1]) + c.float_margin)
        F[:, :, self.m] = -np.inf
        return F, weights


def pure_correct(circuits: Circuits, m: int, precision: Precision) -> list[bool]:
    """For each query q <= m: is the sequence m, ..., m, q correct?"""
    numerators = Numerators(circuits, m, precision)
    correct = []
    for q in range(m + 1):
        F, weights = numerators.of_pair(q)
        worst = np.max(F[:-1, m].sum(axis=0) + F[-1, q])
        correct.append(bool(worst < -numerators.slack(q, weights[:-1, m].sum() + weights[-1, q])))
    return correct


def require_enumerable(circuits: Circuits) -> None:
    """UserError if there are too many sequences to decide each one."""
    v, k = circuits.v, circuits.k
    if v**k > MOST_SEQUENCES or k > MOST_POSITIONS:
        raise UserError(f"{v}^{k} sequences are too many to decide each one", "use the strategy adaptive")


class Tally(NamedTuple):
    """Sequences found correct, found wrong, and too close to a tie to say."""

    correct: int
    wrong: int
    undecided: int


def count_correct(circuits: Circuits, q: int, m: int, precision: Precision) -> Tally:
    """Sequences with query q and maximum m.

    For q < m they are split by the first non-query position that holds m, so that each part is a product set.
    """
    k = circuits.k
    pair = PairTables(Numerators(circuits, m, precision), q)
    if q == m:
        return pair.count([slice(0, m + 1)] * (k - 1))
    parts = [pair.count([slice(0, m)] * p + [slice(m, m + 1)] + [slice(0, m + 1)] * (k - 2 - p)) for p in range(k - 1)]
    return Tally(*map(sum, zip(*parts, strict=True))) if parts else Tally(0, 0, 0)


class PairTables:
    """The numerators of one pair (q, m), ready to be summed over product sets."""

    def __init__(self, numerators: Numerators, q: int) -> None:
        self.numerators, self.q = numerators, q
        F, weights = numerators.of_pair(q)
        self.others, self.last = F[:-1], F[-1, q]
        self.weights, self.last_weight = weights[:-1], weights[-1, q]

    def count(self, choices: list[slice]) -> Tally:
        """Count over the tokens choices[p] at each position p.

        Evaluated are only wrong tokens y, and tokens t, that can bring a sum to zero when all else is at its worst.
        """
        tables = [table[chosen] for table, chosen in zip(self.others, choices, strict=True)]
        weights = [row[chosen] for row, chosen in zip(self.weights, choices, strict=True)]
        if any(len(table) == 0 for table in tables):
            return Tally(0, 0, 0)
        widest = float(self.numerators.slack(self.q, np.asarray(float(len(tables) + 1))))
        suspect = np.zeros([len(table) for table in tables], dtype=bool)
        wrong = np.zeros_like(suspect)
        peaks = [table.max(axis=0) for table in tables]
        worst = sum(peaks, self.last)
        for y in np.flatnonzero(worst >= -widest):
            reach = [worst[y] - peak[y] + table[:, y] for table, peak in zip(tables, peaks, strict=True)]
            tokens = [np.flatnonzero(row >= -2 * widest) for row in reach]
            total = outer_sum(self.last[y], [table[t, y] for table, t in zip(tables, tokens, strict=True)])
            weight = outer_sum(self.last_weight, [row[t] for row, t in zip(weights, tokens, strict=True)])
            slack = self.numerators.slack(self.q, weight)
            box = np.ix_(*tokens)
            suspect[box] |= total >= -slack
            wrong[box] |= total > slack
        open_ = np.argwhere(suspect & ~wrong)
        if len(open_) <= MOST_TIES:
            first = [chosen.start for chosen in choices]
            for index in open_:
                wrong[tuple(index)] = tied(
                    self.numerators.circuits, [*(index + first).tolist(), self.q], self.numerators.m
                )
        return Tally(*(int(np.count_nonzero(found)) for found in (~suspect, wrong, suspect & ~wrong)))


def outer_sum(first: float, rows: list[FloatArray]) -> FloatArray:
    """The sum of `first` and one entry of each row, for all choices of entries."""
    total = np.asarray(first)
    for row in rows:
        total = total[..., None] + row
    return total
