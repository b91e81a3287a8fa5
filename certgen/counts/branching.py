"""Deciding sequences in float64 with slack: one counts as correct here only if the checker will agree."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from certgen.counts.numerators import Numerators, Precision
from certgen.counts.ties import tied
from certgen.errors import UserError
from certgen.models.circuits import Circuits
from certgen.models.dyadic import FloatArray

MOST_SEQUENCES = 1 << 31  # beyond this, deciding each one takes hours
MOST_POSITIONS = 60  # axes of a numpy array
MOST_TIES = 1 << 16  # close sequences of a pair that are looked at one by one


def pure_correct(circuits: Circuits, m: int, precision: Precision) -> list[bool]:
    """For each query q <= m: is the sequence m, ..., m, q correct?"""
    numerators = Numerators(circuits, m, precision)
    correct = []
    for q in range(m + 1):
        F, weights = numerators.of_pair(q, [m, q])
        worst = np.max(F[:-1, 0].sum(axis=0) + F[-1, 1])
        correct.append(bool(worst < -numerators.slack(q, weights[:-1, 0].sum() + weights[-1, 1])))
    return correct


def require_enumerable(circuits: Circuits) -> None:
    """UserError if there are too many sequences to decide each one."""
    v, k = circuits.v, circuits.k
    if v**k > MOST_SEQUENCES or k > MOST_POSITIONS:
        raise UserError(f"{v}^{k} sequences are too many to decide each one", "use the strategy adaptive")


class Decided(NamedTuple):
    """Sequences decided to be correct or wrong, and those too close to a tie to say; wrong tokens that can reach m."""

    correct: int
    wrong: int
    undecided: int
    rivals: int = 0


def count_correct(circuits: Circuits, q: int, m: int, precision: Precision) -> Decided:
    """Sequences with query q and maximum m.

    For q < m they are split by the first non-query position that holds m, so that each part is a product set.
    """
    k = circuits.k
    pair = PairTables(Numerators(circuits, m, precision), q)
    if q == m:
        parts = [pair.count([slice(0, m + 1)] * (k - 1))]
    else:
        parts = [
            pair.count([slice(0, m)] * p + [slice(m, m + 1)] + [slice(0, m + 1)] * (k - 2 - p)) for p in range(k - 1)
        ]
    correct, wrong, undecided = (sum(part[kind] for part in parts) for kind in range(3))
    return Decided(correct, wrong, undecided, max([part.rivals for part in parts], default=0))


class PairTables:
    """The numerators of one pair (q, m), ready to be summed over product sets."""

    def __init__(self, numerators: Numerators, q: int) -> None:
        self.numerators, self.q = numerators, q
        F, weights = numerators.of_pair(q)
        self.others, self.last = F[:-1], F[-1, q]
        self.weights, self.last_weight = weights[:-1], weights[-1, q]

    def count(self, choices: list[slice]) -> Decided:
        """Count over the tokens choices[p] at each position p.

        Evaluated are only wrong tokens y, and tokens t, that can bring a sum to zero when all else is at its worst.
        """
        tables = [table[chosen] for table, chosen in zip(self.others, choices, strict=True)]
        weights = [row[chosen] for row, chosen in zip(self.weights, choices, strict=True)]
        if any(len(table) == 0 for table in tables):
            return Decided(0, 0, 0)
        widest = float(self.numerators.slack(self.q, np.asarray(float(len(tables) + 1))))
        suspect = np.zeros([len(table) for table in tables], dtype=bool)
        wrong = np.zeros_like(suspect)
        peaks = [table.max(axis=0) for table in tables]
        worst = sum(peaks, self.last)
        rivals = np.flatnonzero(worst >= -widest)
        for y in rivals:
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
        correct, sure, close = (int(np.count_nonzero(found)) for found in (~suspect, wrong, suspect & ~wrong))
        return Decided(correct, sure, close, len(rivals))


def outer_sum(first: float, rows: list[FloatArray]) -> FloatArray:
    """The sum of `first` and one entry of each row, for all choices of entries."""
    total = np.asarray(first)
    for row in rows:
        total = total[..., None] + row
    return total
