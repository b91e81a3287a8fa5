"""Arguments of the rules: what a step tells the checker beside its premises. Hints; nothing in them is believed."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from certgen.certificate.facts import RegionGroup, UpperTable
from certgen.certificate.shapes import Bits, Exponent, Matrix, Natural, Shape


class NoArgs(Shape):
    """The rule has no arguments."""


class ExponentArgs(Shape):
    """The margin is rounded up to a multiple of 2^exponent, or finer."""

    exponent: Exponent


class WeightArgs(Shape):
    """Attention weights keep `bits` bits of a query's largest."""

    bits: Bits


class LaneArgs(WeightArgs):
    """Logit differences are rounded up to multiples of 2^exponent."""

    exponent: Exponent


class BranchArgs(LaneArgs):
    """queries[m] is a set of queries q <= m as a bit mask."""

    queries: list[Natural]


class EvaluateArgs(Shape):
    """Vectors are kept to multiples of 2^-bits; an input that is undecided then is tried with the next number."""

    bits: Annotated[list[Bits], Field(min_length=1, max_length=8)]


Class = Annotated[list[int], Field(min_length=1)]
INTEGER = {"type": "integer"}
Cut = Annotated[list[int], Field(min_length=2, json_schema_extra={"prefixItems": [INTEGER, {**INTEGER, "minimum": 1}]})]


class Part(Shape):
    """Sequences by the first of some tokens that occurs before the query; -1: those in which none of them does.

    Rows of `above` are the number of a class, a step and a phase for each pool and the query; a row of `below` has a
    wrong token instead of the class.
    """

    token: Annotated[int, Field(ge=-1)]
    above: list[Cut]
    below: list[Cut]


class Block(Shape):
    """Queries counted together, as a bit mask; classes that only they have; parts."""

    queries: Natural
    classes: list[Class]
    parts: list[Part]


class Group(Shape):
    """A maximum m; pools of positions as bit masks; classes of wrong tokens that all blocks share: a bit mask, then a
    factor for each of them or nothing."""

    m: Natural
    pools: list[Natural]
    classes: list[Class]
    blocks: list[Block]


class GroupArgs(LaneArgs):
    """What is counted together."""

    groups: list[Group]


class Peel(Shape):
    """The projector onto @ along, both in units of 2^exponent."""

    onto: Matrix
    along: Matrix
    exponent: Exponent


class PeelArgs(Shape):
    """One projector, or four: what is taken off the factors of the scores."""

    peels: list[Peel]


class ProductArgs(PeelArgs):
    """A projector to measure each product in (or none); whether the mean row is treated apart."""

    bases: list[Peel]
    means: Annotated[int, Field(ge=0, le=1)]


class RecursiveArgs(PeelArgs):
    """At how many factors the mean row is treated apart."""

    means: Annotated[int, Field(ge=0, le=3)]


class SingularArgs(PeelArgs):
    """A bound sigma on the largest singular value and the witness for it; sigma in units of 2^exponent."""

    sigma: Natural
    exponent: Exponent
    ridge: Natural
    ridge_exponent: Exponent
    witness: Matrix


class LossArgs(WeightArgs):
    """losses[i] * 2^-bits: a bound on the cross entropy of an input that is correct at the margin of premise i."""

    losses: list[Natural]


class GapArgs(WeightArgs):
    """gaps[m][q][n], 0 for a cell left out."""

    gaps: list[list[list[Natural]]]


class CentreArgs(Shape):
    """One row over d_model."""

    centre: UpperTable


class CentresArgs(Shape):
    """rows[m][n] * 2^exponent: an attention around which wrong logits are compared."""

    centres: UpperTable


class HintArgs(Shape):
    """hints[i]: for region i one row for each neuron, or for each class of wrong outputs."""

    hints: list[list[list[int]]]


class RegionArgs(HintArgs, WeightArgs):
    """The groups whose regions are meant; of each neuron the bounds on the mean of each head."""

    groups: list[RegionGroup]
