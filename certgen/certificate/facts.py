"""Facts: what a step can conclude, under the names that the checker gives them. CERTIFICATE.md says what they mean."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from certgen.certificate.shapes import Bits, Exponent, Fraction, Matrix, Natural, Shape, SignedFraction


class UpperTable(Shape):
    """Upper bounds rows[i][j] * 2^exponent."""

    exponent: Exponent
    rows: list[list[int]]


class DirectPathUpper(UpperTable):
    """rows[m][q]: max over y != m of EUPU[q,y] - EUPU[q,m], plus the margin."""


class ValuePathUpper(UpperTable):
    """rows[m][t]: max over y != m of EVOU[t,y] - EVOU[t,m], plus that of PVOU at its worst position."""


class ValuePathSpread(UpperTable):
    """rows[0][t]: the largest spread of a row of EVOU up to t."""


class CubicTokens(Shape):
    """masks[m][q][n-1]: accepted tokens as a bit mask."""

    masks: list[list[list[Natural]]]


class DirectPathSpread(Shape):
    """Centre (no row or one), and the spread of the rest of the direct path per query."""

    centre: UpperTable
    spread: UpperTable


class MaxTokenPath(Shape):
    """Spread per query; slope, intercept, slope, ... per m, or per m and n."""

    spread: UpperTable
    lines: UpperTable


class ScoreApproximation(Shape):
    """Kept scores [q][t] and the error per query, times sqrt(d_head), in units of 2^exponent."""

    exponent: Exponent
    kept: list[list[int]]
    error: list[int]


class AttentionRanges(Shape):
    """ranges[m][q][n] = [gap, low, high] in units of 2^-bits, or []."""

    bits: Bits
    ranges: list[list[list[list[int]]]]


class Tally(Shape):
    """[label, queries, ns, correct, wrong]: bit masks of queries and of n, and the weight decided there."""

    counts: list[Annotated[list[Natural], Field(min_length=5, max_length=5)]]


class RegionGroup(Shape):
    """A label, queries and classes of wrong outputs as bit masks; the automaton that cuts the inputs into parts."""

    label: Natural
    queries: Natural
    rivals: list[Natural]
    symbols: list[Natural]
    next: Matrix
    parts: list[int]


class Regions(Shape):
    """ranges[i]: for region i the lowest and the highest of what enters each neuron, in units of 2^-bits."""

    bits: Bits
    groups: list[RegionGroup]
    ranges: list[list[int]]


class RegionGaps(Shape):
    """gaps[i][j]: how far class j of wrong outputs is ahead of the label at most in region i, in units of 2^-bits."""

    regions: Regions
    gaps: list[list[int]]


class Accuracy(Shape):
    """Inputs of at least the weight `correct` are answered correctly, and of at least `wrong` are not.

    Without a problem file the inputs are all sequences, and each weighs 1.
    """

    correct: Natural
    wrong: Natural


class Float32Accuracy(Accuracy):
    """The same in every run of any float32 program."""


class AtMargin(Accuracy):
    """The same at this margin, which may be negative: no wrong output is ahead by so much."""

    margin: SignedFraction


class Profile(Accuracy):
    """Accuracies at several margins, and an upper bound on the mean cross entropy over all inputs by weight."""

    profile: list[AtMargin]
    mean_loss: Fraction
