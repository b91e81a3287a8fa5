"""Where exact reals become the short numbers of a certificate, always rounded in the direction that keeps them true."""

from __future__ import annotations

from typing import TypeVar, overload

import numpy as np

from certgen.certificate.facts import DirectPathUpper, UpperTable, ValuePathSpread, ValuePathUpper
from certgen.models.circuits import Circuits
from certgen.models.dyadic import Dyadic, dyadic_ceil

SIGNIFICANT_BITS = 36  # of the largest entry of a stated table


Table = TypeVar("Table", bound=UpperTable)


@overload
def upper_table(rows: list[Dyadic]) -> UpperTable: ...
@overload
def upper_table(rows: list[Dyadic], kind: type[Table]) -> Table: ...
def upper_table(rows: list[Dyadic], kind: type[UpperTable] = UpperTable) -> UpperTable:
    """Rows of real numbers as upper bounds with one exponent, as a fact of this kind."""
    exponent = max(max(row.magnitude() for row in rows) - SIGNIFICANT_BITS, -(1 << 13))
    return kind(exponent=exponent, rows=[[int(number) for number in row.ceil(exponent)] for row in rows])


def direct_path_upper(circuits: Circuits) -> DirectPathUpper:
    """Rows m, columns q <= m: max over y != m of EUPU[q,y] - EUPU[q,m], plus the margin. Cost v^2."""
    EUPU, v = circuits.EUPU.integers, circuits.v
    margin = dyadic_ceil(circuits.margin, circuits.EUPU.exponent)
    favourite = EUPU.argmax(axis=1)
    best = EUPU.max(axis=1)
    runner_up = best if v == 1 else np.where(np.arange(v) == favourite[:, None], EUPU.min() - 1, EUPU).max(axis=1)
    rows = []
    for m in range(v):
        rival = np.where(favourite == m, runner_up, best)[: m + 1]
        rows.append(Dyadic(rival - EUPU[: m + 1, m] + margin, circuits.EUPU.exponent))
    return upper_table(rows, DirectPathUpper)


def value_path_upper(circuits: Circuits) -> ValuePathUpper:
    """Rows m, columns t <= m: max over y != m of EVOU[t,y]-EVOU[t,m] + max over p of PVOU[p,y]-PVOU[p,m]. Cost v^3."""
    EVOU, PVOU = circuits.EVOU, circuits.PVOU
    rows = []
    for m in range(circuits.v):
        others = np.arange(circuits.v) != m
        position = (PVOU - PVOU[:, m : m + 1]).max(axis=0)
        gain = (EVOU[: m + 1] - EVOU[: m + 1, m : m + 1] + position[None, :])[:, others]
        rows.append(gain.max(axis=1) if circuits.v > 1 else Dyadic(np.zeros(1, dtype=object), 0))
    return upper_table(rows, ValuePathUpper)


def row_spreads(table: Dyadic) -> Dyadic:
    """For each row its largest entry minus its smallest."""
    return Dyadic(table.integers.max(axis=1) - table.integers.min(axis=1), table.exponent)


def product_spreads(left: Dyadic, right: Dyadic) -> Dyadic:
    """Bounds on the row spreads of left @ right: sum over j of |left[i,j]| times the spread of right[j]."""
    return Dyadic(abs(left.integers), left.exponent) @ row_spreads(right)


def value_path_spread(circuits: Circuits) -> ValuePathSpread:
    """Running maximum over t of the spread of EVOU[t]."""
    spreads = row_spreads(circuits.EVOU)
    return upper_table([Dyadic(np.maximum.accumulate(spreads.integers), spreads.exponent)], ValuePathSpread)
