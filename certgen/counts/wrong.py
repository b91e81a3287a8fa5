"""Sequences that a model provably gets wrong: found in float64, decided by ball arithmetic (Arb)."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import flint
import numpy as np

from certgen.counts.cells import queries_of
from certgen.counts.numerators import DEFAULT_PRECISION, Numerators
from certgen.counts.ties import tied
from certgen.models.circuits import Circuits
from certgen.models.dyadic import Dyadic, FloatArray
from certgen.progress import Track

BITS = 256


class WrongSequence(NamedTuple):
    """logit_rival - logit_m is at least `ahead`: more than minus the margin, or exactly that in a tie."""

    ahead: float
    sequence: tuple[int, ...]
    m: int
    rival: int


def wrong_sequences(circuits: Circuits, limit: int, track: Track) -> list[WrongSequence]:
    """Up to `limit` sequences, those that are wrong by most first; each with its most successful wrong token.

    Per query, maximum and wrong token only the `limit` worst are looked at. Cost v^4 k, and what is found.
    """
    candidates = []
    for m in track(range(circuits.v), "wrong sequences"):
        numerators = Numerators(circuits, m, DEFAULT_PRECISION)
        for q in queries_of(circuits.k, m):
            F, weights = numerators.of_pair(q)
            slack = float(numerators.slack(q, np.asarray(1.0)))
            reach = F[:-1].max(axis=1).sum(axis=0) + F[-1, q]
            for y in np.flatnonzero(reach >= -slack).tolist():
                for sequence in islice(worst_first(F[:, :, y], q, m, -slack), limit):
                    places = np.arange(circuits.k), np.array(sequence)
                    candidates.append((F[:, :, y][places].sum() / weights[places].sum(), sequence, m, y))
    found: dict[tuple[int, ...], WrongSequence] = {}
    for _, sequence, m, y in sorted(candidates, reverse=True):  # by float64; now exactly
        if len(found) == limit:
            break
        if sequence not in found and (ahead := logits_ahead(circuits, sequence, m, y)) is not None:
            found[sequence] = WrongSequence(ahead, sequence, m, y)
    return sorted(found.values(), reverse=True)


def worst_first(gains: FloatArray, q: int, m: int, least: float) -> Iterator[tuple[int, ...]]:
    """Sequences with query q and maximum m whose gains [p, t] add up to at least `least`, the largest sums first."""
    others = gains.shape[0] - 1
    ranked = [np.argsort(-row, kind="stable") for row in gains[:-1]]
    if q == m:
        sets = [ranked]
    else:  # by the first position that holds m
        sets = [
            [*(row[row < m] for row in ranked[:first]), np.array([m]), *ranked[first + 1 :]] for first in range(others)
        ]
    heap: list[tuple[float, int, tuple[int, ...], int]] = []

    def push(which: int, places: tuple[int, ...], moved: int) -> None:
        tokens = sets[which]
        if all(place < len(row) for place, row in zip(places, tokens, strict=True)):
            total = gains[-1, q] + sum(gains[p, tokens[p][place]] for p, place in enumerate(places))
            if total >= least:
                heapq.heappush(heap, (-float(total), which, places, moved))

    for which in range(len(sets)):
        push(which, (0,) * others, 0)
    while heap:
        _, which, places, moved = heapq.heappop(heap)
        yield (*(int(sets[which][p][place]) for p, place in enumerate(places)), q)
        for p in range(moved, others):  # each combination is reached in one way only
            push(which, (*places[:p], places[p] + 1, *places[p + 1 :]), p)


def logits_ahead(circuits: Circuits, sequence: tuple[int, ...], m: int, y: int) -> float | None:
    """A lower bound on logit_y - logit_m if the sequence is surely wrong because of y; None if not."""
    q = sequence[-1]
    with flint.ctx.workprec(BITS):
        root = flint.arb(circuits.model.d_head).sqrt()
        scores = [
            ball(circuits.token_scores, q, t) + ball(circuits.position_scores, q, p) for p, t in enumerate(sequence)
        ]
        top = max(scores, key=float)
        weights = [((score - top) / root).exp() for score in scores]
        value = flint.arb(0)
        for p, (t, weight) in enumerate(zip(sequence, weights, strict=True)):
            gain = [
                ball(table, row, y) - ball(table, row, m) for table, row in ((circuits.EVOU, t), (circuits.PVOU, p))
            ]
            value += weight * (gain[0] + gain[1])
        direct = ball(circuits.EUPU, q, y) - ball(circuits.EUPU, q, m)
        difference = value / sum(weights, flint.arb(0)) + direct
        margin = flint.arb(flint.fmpq(circuits.margin.numerator, circuits.margin.denominator))
        if difference + margin > 0 or tied(circuits, list(sequence), m):
            return float(difference.lower())
    return None


def ball(table: Dyadic, row: int, column: int) -> flint.arb:
    """An entry, exactly."""
    return flint.arb(int(table.integers[row, column])) * flint.arb(2) ** table.exponent
