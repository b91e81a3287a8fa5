"""All maxima of a model, and what is done for a pair or a maximum by itself, in any order, by any process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from certgen.certificate.arguments import Block, Group
from certgen.certificate.arguments import Part as PartArgs
from certgen.certificate.facts import ScoreApproximation
from certgen.counts.cells import any_cell, mask, queries_of, sequences_of_pair
from certgen.counts.gains import Maximum, SeparableSearch
from certgen.counts.numerators import Precision
from certgen.counts.pairs import UNSPLIT, Pair, Part, Split, WrongTokens, certain_count
from certgen.counts.sums import Cuts, everything
from certgen.counts.together import Behind, Rough, Together, all_wrong, counted, staying_behind, together
from certgen.models.circuits import Circuits
from certgen.models.dyadic import FloatArray
from certgen.models.model_file import parse_model


class Found(NamedTuple):
    """A pair by itself: its parts, and bounds on its wrong share of all sequences."""

    m: int
    q: int
    split: Split
    parts: list[Part]
    upper: float
    lower: float

    @property
    def gap(self) -> float:
        return self.upper - self.lower


class Wanted(NamedTuple):
    """A pair to be looked at: with how many tokens parts begin, in how many steps losses are counted, whether it may
    have classes of its own, and how it was split before."""

    m: int
    q: int
    depth: int
    steps: int
    own: bool
    split: Split = UNSPLIT


class Written(NamedTuple):
    """What the certificate states of a maximum, and the counts of all blocks, in order."""

    group: Group
    counts: list[list[int]]


class Maxima:
    """Each is made when it is first asked for. A copy in another process makes its own.

    Pairs that are counted together are counted in so many `steps`; if not `both`, what is counted from below is not
    written down.
    """

    def __init__(self, search: SeparableSearch, steps: int, both: bool) -> None:
        self.search, self.steps, self.both = search, steps, both
        self.v, self.k = search.circuits.v, search.circuits.k
        self.pools = tuple((p,) for p in range(self.k - 1))
        self.maximum = cache(self.make)
        self.shared = cache(self.share_all)

    def __reduce__(self) -> tuple[Callable[..., Maxima], tuple[Any, ...]]:
        """For a process that is started anew: what all else follows from."""
        model, search = self.search.circuits.model, self.search
        stated = search.circuits.margin, search.scores, search.precision
        return again, (model.file_bytes, model.path, *stated, self.steps, self.both)

    def make(self, m: int) -> Maximum:
        return Maximum(self.search, m)

    def share_all(self, m: int) -> Together:
        """All pairs of a maximum with one class."""
        maximum = self.maximum(m)
        return together(maximum, queries_of(self.k, m), self.pools, all_wrong(maximum))

    def unit(self, m: int) -> float:
        """Of all sequences, what all choices of tokens up to m for one query are."""
        return float((m + 1) ** (self.k - 1) / self.v**self.k)

    def shares(self, m: int) -> FloatArray:
        """Of all sequences, those that may be wrong if all pairs of a maximum are counted together, [query]."""
        return counted(self.shared(m), self.maximum(m), self.pools, self.steps).shares * self.unit(m)

    def pair(self, m: int, q: int, split: Split) -> Pair:
        return Pair(self.maximum(m), q, self.pools, self.shared(m).of(q), split)

    def look_at(self, wanted: Wanted) -> Found:
        """A pair by itself."""
        m, q, depth, steps, own, split = wanted
        pair, unit = self.pair(m, q, split), self.unit(m)
        parts = pair.parts(pair.tokens(depth), steps, own)
        upper, lower = unit * sum(p.upper for p in parts), unit * sum(p.lower for p in parts)
        return Found(m, q, pair.split, parts, upper, lower)

    def written(self, asked: tuple[int, dict[int, Found]]) -> list[Written]:
        """All pairs of a maximum: those that were looked at share the class of the others, or have their own."""
        m, found = asked
        own = [q for q in queries_of(self.k, m) if q in found and not found[q].split.shares_class]
        others = [q for q in queries_of(self.k, m) if q not in own]
        return [
            *([self.sharing(m, others, found)] if others else []),
            *([self.apart(m, [found[q] for q in own])] if own else []),
        ]

    def sharing(self, m: int, queries: list[int], found: dict[int, Found]) -> Written:
        """Pairs that share their class."""
        maximum = self.maximum(m)
        shared = together(maximum, queries, self.pools, all_wrong(maximum))
        rough = counted(shared, maximum, self.pools, self.steps)
        blocks = [
            self.block(found[q], shared, []) if q in found else self.rough_block(m, q, shared, rough, i)
            for i, q in enumerate(queries)
        ]
        return self.group(m, [row_of(shared.wrong)] if self.v > 1 else [], blocks)

    def apart(self, m: int, found: list[Found]) -> Written:
        """Pairs with classes of their own, but for what stays behind in many of them."""
        behind = staying_behind(self.maximum(m), [one.q for one in found], self.pools)
        return self.group(m, [row_of(one.wrong) for one in behind], [self.block(one, None, behind) for one in found])

    def group(self, m: int, classes: list[list[int]], blocks: list[tuple[Block, list[int]]]) -> Written:
        pools = [mask(pool) for pool in self.pools]
        group = Group(m=m, pools=pools, classes=classes, blocks=[block for block, _ in blocks])
        return Written(group, [counts for _, counts in blocks])

    def rough_block(self, m: int, q: int, shared: Together, rough: Rough, i: int) -> tuple[Block, list[int]]:
        """A pair that is counted once, from above; and what is certain of it."""
        above, correct = [], sequences_of_pair(self.k, q, m)
        if rough.reached[i]:
            cuts, where, uses = rough.cuts.of(i), everything(m, np.array([q])), list(map(len, self.pools))
            correct -= certain_count(shared.of(q).tables, uses, where, cuts, True)
            above = [self.cut(0, cuts)]
        block = Block(queries=1 << q, classes=[], parts=[PartArgs(token=-1, above=above, below=[])])
        return block, [m, 1 << q, any_cell(self.k), max(correct, 0), 0]

    def block(self, found: Found, shared: Together | None, behind: Sequence[Behind]) -> tuple[Block, list[int]]:
        """A pair that was looked at by itself: with one class that others share, or with its own, which are numbered
        after those that stay behind in many pairs; and what is certain of it."""
        m, q = found.m, found.q
        pair, parts = self.pair(m, q, found.split), []
        held = [one.wrong for one in behind if q in one.queries]
        classes = [] if shared else [row_of(one) for one in pair.classes_of_all(found.parts, held)]
        correct, wrong = sequences_of_pair(self.k, q, m), 0
        for part in found.parts:
            part = part if self.both else part._replace(below=None)
            above = [
                self.cut(0 if shared else len(behind) + classes.index(row_of(one.wrong)), one.cuts)
                for one in part.above
            ]
            below = [self.cut(int(part.below.wrong.tokens[0]), part.below.cuts)] if part.below else []
            parts.append(PartArgs(token=part.token, above=above, below=below))
            more, less = pair.certain(part, shared.of(q).tables if shared else None)
            correct, wrong = correct - more, wrong + less
        block = Block(queries=1 << q, classes=classes, parts=parts)
        return block, [m, 1 << q, any_cell(self.k), max(correct, 0), wrong]

    def cut(self, of: int, cuts: Cuts) -> list[int]:
        """How a class or a wrong token is counted."""
        return [of, round(cuts.steps[0] / self.search.unit), *cuts.phases[0].tolist()]


def again(
    model: bytes, path: Path, margin: Fraction, scores: ScoreApproximation, precision: Precision, *how: Any
) -> Maxima:
    """The same, in another process."""
    return Maxima(SeparableSearch(Circuits(parse_model(model, path), margin), scores, precision), *how)


def row_of(wrong: WrongTokens) -> list[int]:
    """A class as the certificate states it."""
    factors: list[int] = wrong.factors.tolist()
    return [mask(wrong.tokens.tolist()), *(factors if max(factors) > 1 else [])]
