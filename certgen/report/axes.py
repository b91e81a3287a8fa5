"""The axes that figures of proofs share: what is not proved, and logarithms with readable ticks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import plotly.graph_objects as go

from certgen.decimals import Number

GRID, TINT = "#e4e4e0", "#f1f4f1"
# Decades of an axis at most, and the multiples of powers of ten that are named on it.
STEPS = ((0.7, (1, 1.5, 2, 3, 4, 5, 6, 8)), (1.6, (1, 2, 5)), (math.inf, (1,)))


@dataclass(frozen=True)
class LostAxis:
    """A logarithmic axis of the share that is not proved, the smallest on top.

    No logarithm reaches 0: where nothing is lost, points stand on a line of their own above the others.
    """

    least: float
    most: float
    zero: bool

    @classmethod
    def of(cls, shares: Iterable[Number]) -> LostAxis:
        """The axis with room for all these."""
        floats = [float(share) for share in shares]
        positive = [share for share in floats if share > 0]
        return cls(min(positive, default=0.1), max(positive, default=1.0), len(positive) < len(floats))

    @property
    def decades(self) -> float:
        return math.log10(self.most) - math.log10(self.least)

    @property
    def pad(self) -> float:
        return 0.06 * self.decades + 0.04

    @property
    def top(self) -> float:
        """Logarithm of the share at which the part with the scale ends."""
        return math.log10(self.least) - self.pad

    @property
    def nothing(self) -> float:
        """Where 0 is drawn."""
        return float(10 ** (self.top - 0.05 * (self.decades + 1)))

    def place(self, share: Number) -> float:
        """Where a share is drawn."""
        return float(share) if share > 0 else self.nothing

    def apply(self, figure: go.Figure) -> None:
        """Make this the figure's y axis."""
        end = self.top - 0.1 * (self.decades + 1) if self.zero else self.top
        start = math.log10(self.most) + self.pad
        values = ticks(self.top, start)
        names = [percent(value) for value in values]
        if self.zero:
            values, names = [*values, self.nothing], [*names, "0"]
            band = {"type": "rect", "xref": "paper", "x0": 0, "x1": 1, "y0": 10**self.top, "y1": 10**end}
            figure.add_shape(**band, fillcolor=TINT, line={"width": 0}, layer="below")
        figure.update_yaxes(
            type="log",
            range=[start, end],
            tickvals=values,
            ticktext=names,
            title="sequences not proved",
            gridcolor=GRID,
            zeroline=False,
            automargin=True,
        )


def log_axis(figure: go.Figure, values: Sequence[float], title: str) -> None:
    """A logarithmic x axis with room for `values`, which are positive."""
    low, high = math.log10(min(values)), math.log10(max(values))
    pad = 0.05 * (high - low) + 0.06
    marks = ticks(low - pad, high + pad)
    figure.update_xaxes(
        type="log",
        range=[low - pad, high + pad],
        tickvals=marks,
        ticktext=[power(value) for value in marks],
        title=title,
        gridcolor=GRID,
        zeroline=False,
    )


def ticks(low: float, high: float) -> list[float]:
    """Powers of ten between two logarithms, and some of their multiples if there are few."""
    steps = next(steps for most, steps in STEPS if high - low <= most)
    powers = range(math.floor(low), math.ceil(high) + 1)
    return [step * 10.0**power for power in powers for step in steps if low <= math.log10(step) + power <= high]


def percent(share: float) -> str:
    """0.01 as 1%, exactly."""
    return f"{(Decimal(f'{share:.1e}') * 100).normalize():f}%"


def power(value: float) -> str:
    """20000 as 2·10^4, in plotly's markup; small numbers as they are."""
    if value <= 1000:
        return f"{value:g}"
    exponent = math.floor(math.log10(value) + 1e-9)
    mantissa = f"{value / 10**exponent:.3g}"
    return f"{'' if mantissa == '1' else f'{mantissa}·'}10<sup>{exponent}</sup>"


def mean(shares: Sequence[Fraction]) -> Fraction:
    """The exact mean of at least one share."""
    return sum(shares, Fraction(0)) / len(shares)
