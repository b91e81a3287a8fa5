"""The logits of wrong tokens against the attention a on the maximum m: exact lines, bounded in three ways.

For each m and y != m the line has slope EVOU[m,y] - EVOU[m,m] and intercept M[y] - M[m] + max over p of
(PVOU[p,y] - PVOU[p,m]), with M the kept part of the direct path.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from certgen.bounds.rounding import upper_table
from certgen.certificate.facts import DirectPathSpread, UpperTable
from certgen.models.circuits import Circuits
from certgen.models.dyadic import Dyadic

CENTRE_BITS = 20


@dataclass(frozen=True, eq=False)
class Lines:
    """slopes[m, y] and intercepts[m, y] exactly, the columns y = m removed: shape [v, v - 1]."""

    slopes: Dyadic
    intercepts: Dyadic


def wrong_token_lines(circuits: Circuits, direct: DirectPathSpread) -> Lines:
    """The lines of all maxima. Cost v^2 k."""
    v, EVOU, position = circuits.v, circuits.EVOU, circuits.PVOU
    if direct.centre.rows:
        centre = Dyadic(np.array(direct.centre.rows, dtype=object), direct.centre.exponent)
        position = position + (centre @ circuits.weight("W_U") + circuits.direct_constant)
    slopes = EVOU.integers - np.diagonal(EVOU.integers)[:, None]
    intercepts = (position.integers[:, None, :] - position.integers[:, :, None]).max(axis=0)
    others = ~np.eye(v, dtype=bool)
    unit = min(EVOU.exponent, position.exponent)
    tables = (
        Dyadic(slopes[others].reshape(v, v - 1), EVOU.exponent),
        Dyadic(intercepts[others].reshape(v, v - 1), position.exponent),
    )
    return Lines(*(Dyadic(table.at(unit), unit) for table in tables))


def interleaved(pairs: list[list[tuple[int, int]]], exponent: int) -> UpperTable:
    """Lines as rows slope, intercept, slope, ...; rounded up to short numbers."""
    return upper_table([Dyadic(np.array([x for pair in row for x in pair], dtype=object), exponent) for row in pairs])


def drop_average(lines: Lines) -> UpperTable:
    """Largest slope with largest intercept."""
    pairs = zip(lines.slopes.integers, lines.intercepts.integers, strict=True)
    return interleaved([[(max(s), max(b))] if len(s) else [] for s, b in pairs], lines.slopes.exponent)


def upper_envelope(lines: Lines) -> UpperTable:
    """The lines that are largest for some attention a >= 0, by slope."""
    rows = []
    for slopes, bases in zip(lines.slopes.integers, lines.intercepts.integers, strict=True):
        hull: list[tuple[int, int]] = []
        for s, b in sorted(zip(slopes, bases, strict=True)):
            while hull and (b >= hull[-1][1] or (len(hull) > 1 and overtaken(hull[-2], hull[-1], (s, b)))):
                hull.pop()
            hull.append((s, b))
        rows.append(hull)
    return interleaved(rows, lines.slopes.exponent)


def overtaken(left: tuple[int, int], middle: tuple[int, int], right: tuple[int, int]) -> bool:
    """Does the right line meet the middle one no later than the middle one meets the left?"""
    return (middle[1] - right[1]) * (middle[0] - left[0]) <= (left[1] - middle[1]) * (right[0] - middle[0])


def mean_difference(lines: Lines, centres: list[list[int]]) -> UpperTable:
    """For each (m, n): the exact maximum at the attention centres[m][n] / 2^CENTRE_BITS, extreme slopes beside it."""
    rows: list[list[tuple[int, int]]] = []
    for m, row in enumerate(centres):
        slopes, bases = lines.slopes.integers[m], lines.intercepts.integers[m] << CENTRE_BITS
        for centre in row:
            if len(slopes) == 0:
                rows.append([])
                continue
            top = (bases + slopes * centre).max()
            ends = (slopes.max(), slopes.min())
            rows.append([(end << CENTRE_BITS, top - end * centre) for end in ends])
    return interleaved(rows, lines.slopes.exponent - CENTRE_BITS)
