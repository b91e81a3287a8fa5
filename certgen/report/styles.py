"""One look for each class of strategies, the same in every figure.

The first seven colours are Okabe and Ito's. The others were chosen so that, with normal vision as with a lack of any of
the three cones, no two of all these are closer than the closest two of theirs. Every class has a shape of its own too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Style(NamedTuple):
    """Colour and plotly's name of a marker."""

    colour: str
    symbol: str


STYLES = {
    "adaptive": Style("#D55E00", "star"),
    "exact": Style("#000000", "circle"),
    "brute-force": Style("#8C564B", "x"),
    "two-sided": Style("#454E0A", "star-diamond"),
    "separable, v^4": Style("#CC79A7", "hourglass"),
    "separable, v^3": Style("#9966FF", "bowtie"),
    "separable by max": Style("#009E73", "diamond"),
    "regions": Style("#1FE9E7", "pentagon"),
    "separable": Style("#5A01E6", "octagon"),
    "cubic": Style("#0072B2", "square"),
    "sub-cubic": Style("#E69F00", "triangle-up"),
    "low-rank QK": Style("#56B4E9", "triangle-down"),
    "low-rank EU": Style("#882255", "triangle-left"),
    "low-rank QK and EU": Style("#332288", "triangle-right"),
    "quadratic QK": Style("#B2DF8A", "cross"),
    "quadratic QK and EU": Style("#442200", "hexagram"),
}
# For classes of another version: grey, so that they do not pass for one of those above.
OTHERS = tuple(Style("#767676", f"{shape}-open") for shape in ("circle", "square", "diamond", "pentagon", "octagon"))


def styles(classes: Iterable[str]) -> dict[str, Style]:
    """The look of each class; unknown classes get theirs in the order of their names."""
    names = list(dict.fromkeys(classes))
    unknown = sorted(set(names) - set(STYLES))
    return {name: STYLES.get(name) or OTHERS[unknown.index(name) % len(OTHERS)] for name in names}
