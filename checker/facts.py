"""Facts: what a step can conclude. Each is frozen, and accepts only stated facts that follow from it.

A fact is always about one problem: one model, one task with weights for its inputs, one margin, which is that of its
step. An input is "correct" when every other output's logit plus the margin is strictly below the logit of its label.
Facts that speak of a maximum m are about the task max-of-k with k = n_ctx, where every input, called a sequence, weighs
1 and m is the label.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, NamedTuple, Self

from checker.decode import MAX_DIGITS, Decoder, array, bounded, fraction, integer, record, signed_fraction
from checker.errors import Malformed, Rejected, located, show, show_set
from checker.problem.regions import Group, decode_groups

Rows = tuple[tuple[int, ...], ...]

EXPONENT = bounded(-(1 << 14), 1 << 14)
BITS = bounded(8, 4096)
NATURAL = bounded(0, 10**MAX_DIGITS)  # above every number that can be written
decode_row: Decoder[tuple[int, ...]] = partial(array, item=integer)
decode_rows: Decoder[Rows] = partial(array, item=decode_row)


def decode_precisions(value: object, path: str) -> tuple[int, ...]:
    """One to eight increasing numbers of bits."""
    bits = array(value, path, BITS)
    if not 1 <= len(bits) <= 8:
        raise Malformed("out-of-range", path, "one to eight numbers", str(len(bits)))
    if list(bits) != sorted(set(bits)):
        raise Malformed("not-increasing", path, "increasing numbers")
    return bits


class Fact:
    """What the kernel asks of a fact. `fields` decodes each of its fields."""

    __slots__ = ()
    fields: ClassVar[dict[str, Decoder[Any]]]

    @classmethod
    def decode(cls, value: object, path: str) -> Self:
        """The stated fact, from a JSON object with exactly its fields."""
        stated = record(value, path, tuple(cls.fields))
        made: Callable[..., Self] = cls
        return made(**{name: decode(stated[name], f"{path}.{name}") for name, decode in cls.fields.items()})

    def require_entails(self, stated: Any) -> None:
        """Return if the stated fact, of the same type, follows from this one; raise Rejected if not."""
        raise NotImplementedError


class Proved(NamedTuple):
    """What a step concluded, and the margin that this is about."""

    margin: tuple[int, int]
    fact: Any


def require_same_length(derived: int, stated: int, path: str) -> None:
    """A table with entries missing or added speaks about something else."""
    if derived != stated:
        raise Rejected("wrong-shape", path, f"{derived} entries", str(stated))


def require_each(derived: Any, stated: Any, depth: int, require: Callable[[Any, Any, str], None], path: str) -> None:
    """Tables of one shape, `depth` lists deep; `require` raises Rejected for a stated entry that does not follow from
    the derived one, at the path of the entry."""
    if depth == 0:
        return require(derived, stated, path)
    require_same_length(len(derived), len(stated), path)
    for index, (entry, stated_entry) in enumerate(zip(derived, stated, strict=True)):
        require_each(entry, stated_entry, depth - 1, require, f"{path}[{index}]")


def require_count(derived: int, stated: int, path: str) -> None:
    """Of fewer inputs the same is true."""
    if not stated <= derived:
        raise Rejected("count-too-large", path, f"<= {show(derived)}", show(stated))


def finer_unit(derived: int, stated: int) -> tuple[int, int]:
    """How far numbers in units of 2^derived and of 2^stated are shifted up to be in the finer of the two units."""
    return max(derived - stated, 0), max(stated - derived, 0)


def require_no_smaller(derived: Rows, stated: Rows, up: tuple[int, int], path: str) -> None:
    """No stated bound is below the derived one, once both are shifted up."""

    def no_smaller(bound: int, claimed: int, at: str) -> None:
        if not bound << up[0] <= claimed << up[1]:
            raise Rejected("bound-too-small", at, f">= {show(-(-bound << up[0] >> up[1]))}", show(claimed))

    require_each(derived, stated, 2, no_smaller, path)


@dataclass(frozen=True, slots=True)
class UpperTable(Fact):
    """Every entry of some table of real numbers is at most rows[i][j] * 2^exponent; as an argument, these numbers."""

    exponent: int
    rows: Rows

    fields: ClassVar = {"exponent": EXPONENT, "rows": decode_rows}

    def require_entails(self, stated: Self) -> None:
        """The stated bounds are no smaller; exponents may differ, the comparison is exact."""
        require_no_smaller(self.rows, stated.rows, finer_unit(self.exponent, stated.exponent), "rows")


class DirectPathUpper(UpperTable):
    """rows[m][q], q <= m: bounds max over y != m of EUPU[q,y] - EUPU[q,m], plus the margin."""


class ValuePathUpper(UpperTable):
    """rows[m][t], t <= m: bounds max over y != m of (EVOU[t,y] - EVOU[t,m] + max over p of PVOU[p,y] - PVOU[p,m])."""


@dataclass(frozen=True, slots=True)
class CubicTokens(Fact):
    """masks[m][q][n-1], q <= m: bit t set when t < m is accepted for the cell (q, m, n).

    A sequence with query q and maximum m is correct if exactly n >= 1 of its non-query positions hold a token other
    than m and all of those tokens are accepted.
    """

    masks: tuple[Rows, ...]

    fields: ClassVar = {"masks": partial(array, item=decode_rows)}

    def require_entails(self, stated: Self) -> None:
        """Every stated token is accepted."""

        def subset(accepted: int, claimed: int, path: str) -> None:
            if claimed < 0 or claimed & ~accepted:
                raise Rejected("token-not-accepted", path, f"a subset of {show_set(accepted)}", show_set(claimed))

        require_each(self.masks, stated.masks, 3, subset, "masks")


class Count(NamedTuple):
    """Of the inputs that have this label, a query in the set `queries`, and a number n of other positions that do not
    hold the label in the set `ns`, at least the weight `correct` is correct and at least the weight `wrong` is not.
    Sets are bit masks."""

    label: int
    queries: int
    ns: int
    correct: int
    wrong: int = 0


def decode_count(value: object, path: str) -> Count:
    """[label, queries, ns, correct, wrong]"""
    row = decode_row(value, path)
    if len(row) != 5:
        raise Malformed("wrong-type", path, "5 integers", f"{len(row)} integers")
    return Count(*row)


@dataclass(frozen=True, slots=True)
class Tally(Fact):
    """Lower bounds on the weight of correct and of wrong inputs, region by region."""

    counts: tuple[Count, ...]

    fields: ClassVar = {"counts": partial(array, item=decode_count)}

    def require_entails(self, stated: Self) -> None:
        """The same regions in the same order, and no count above the derived one."""

        def no_more(derived: Count, claimed: Count, path: str) -> None:
            if derived[:3] != claimed[:3]:
                raise Rejected("wrong-region", path)
            require_count(derived.correct, claimed.correct, f"{path}[3]")
            require_count(derived.wrong, claimed.wrong, f"{path}[4]")

        require_each(self.counts, stated.counts, 1, no_more, "counts")


@dataclass(frozen=True, slots=True)
class Accuracy(Fact):
    """Of the inputs at least the weight `correct` is correct and at least the weight `wrong` is not."""

    correct: int
    wrong: int

    fields: ClassVar = {"correct": NATURAL, "wrong": NATURAL}
    semantics: ClassVar = "exact-real"

    def require_entails(self, stated: Self) -> None:
        """Smaller numbers follow from larger ones."""
        require_count(self.correct, stated.correct, "correct")
        require_count(self.wrong, stated.wrong, "wrong")


class Float32Accuracy(Accuracy):
    """The same in every run of any float32 program: at least these inputs are correct, and at least these are not."""

    semantics: ClassVar = "float32-any-order"


@dataclass(frozen=True, slots=True)
class AtMargin(Accuracy):
    """An Accuracy at this margin, which may be negative."""

    margin: tuple[int, int]

    fields: ClassVar = {**Accuracy.fields, "margin": signed_fraction}

    def require_entails(self, stated: Self) -> None:
        """As of an Accuracy, at the same margin."""
        if self.margin != stated.margin:
            raise Rejected("wrong-margin", "margin")
        Accuracy.require_entails(self, stated)


@dataclass(frozen=True, slots=True)
class Profile(Accuracy):
    """An Accuracy; others at the margins of `profile`; and the mean over all inputs, by weight, of the cross entropy
    -log softmax(logits)[label], with the natural logarithm, is at most the fraction `mean_loss`."""

    profile: tuple[AtMargin, ...]
    mean_loss: tuple[int, int]

    fields: ClassVar = {**Accuracy.fields, "profile": partial(array, item=AtMargin.decode), "mean_loss": fraction}

    def require_entails(self, stated: Self) -> None:
        """Counts as of an Accuracy, at the same margins in the same order; no smaller bound on the mean loss."""
        Accuracy.require_entails(self, stated)
        require_same_length(len(self.profile), len(stated.profile), "profile")
        for index, (derived, claimed) in enumerate(zip(self.profile, stated.profile, strict=True)):
            with located(f"profile[{index}]"):
                derived.require_entails(claimed)
        (above, below), (claimed_above, claimed_below) = self.mean_loss, stated.mean_loss
        if not above * claimed_below <= claimed_above * below:
            raise Rejected("loss-too-small", "mean_loss")


class ValuePathSpread(UpperTable):
    """rows[0][t]: bounds max over y, y' of EVOU[t',y] - EVOU[t',y'] for every t' <= t."""


@dataclass(frozen=True, slots=True)
class DirectPathSpread(Fact):
    """For all q, y, y': (EUPU[q,y] - M[y]) - (EUPU[q,y'] - M[y']) is at most spread.rows[0][q] * 2^spread.exponent.

    M is (centre W_U + c), with c the constant row of EUPU and centre one row over d_model, or 0 if centre has no row.
    """

    centre: UpperTable
    spread: UpperTable

    fields: ClassVar = {"centre": UpperTable.decode, "spread": UpperTable.decode}

    def require_entails(self, stated: Self) -> None:
        """The same centre, and no smaller spreads."""
        if self.centre != stated.centre:
            raise Rejected("other-centre", "centre", "the centre of the arguments")
        with located("spread"):
            self.spread.require_entails(stated.spread)


@dataclass(frozen=True, slots=True)
class MaxTokenPath(Fact):
    """Bounds on the logits when the attention on m is a, and nothing is known of the other tokens.

    For q <= m, y != m, 0 <= a <= 1:  EUPU[q,y] - EUPU[q,m] + max over p of (PVOU[p,y] - PVOU[p,m])
    + a (EVOU[m,y] - EVOU[m,m])  <=  spread[q] + max over the lines of m (and n) of slope a + intercept.
    spread.rows is [[per q]]. lines.rows has one row slope, intercept, slope, ... per m, or n_ctx such rows
    (n = 0, 1, ...) per m.
    """

    spread: UpperTable
    lines: UpperTable

    fields: ClassVar = {"spread": UpperTable.decode, "lines": UpperTable.decode}

    def require_entails(self, stated: Self) -> None:
        """No smaller spreads, slopes and intercepts (a is not negative)."""
        with located("spread"):
            self.spread.require_entails(stated.spread)
        with located("lines"):
            self.lines.require_entails(stated.lines)


@dataclass(frozen=True, slots=True)
class ScoreApproximation(Fact):
    """For all q, t, t': |(S[q,t] - S[q,t']) - (K[q,t] - K[q,t'])| <= error[q] * 2^exponent.

    S = sE sqrt(d_head), K = kept * 2^exponent.
    """

    exponent: int
    kept: Rows
    error: tuple[int, ...]

    fields: ClassVar = {"exponent": EXPONENT, "kept": decode_rows, "error": decode_row}

    def require_entails(self, stated: Self) -> None:
        """Per query, the error grows by at least the spread of the change in the kept scores."""
        up, down = finer_unit(self.exponent, stated.exponent)
        require_same_length(len(self.kept), len(stated.kept), "kept")
        require_same_length(len(self.error), len(stated.error), "error")
        for q, (row, stated_row) in enumerate(zip(self.kept, stated.kept, strict=True)):
            require_same_length(len(row), len(stated_row), f"kept[{q}]")
            change = [(x << down) - (y << up) for x, y in zip(stated_row, row, strict=True)]
            needed = max(change) - min(change) + (self.error[q] << up)
            if not needed <= stated.error[q] << down:
                raise Rejected(
                    "error-too-small", f"error[{q}]", f">= {show(-(-needed >> down))}", show(stated.error[q])
                )


@dataclass(frozen=True, slots=True)
class AttentionRanges(Fact):
    """ranges[m][q][n] = (g, low, high): in a sequence of the cell (q, m, n) whose tokens other than m are all at most
    m - g, the attention on m is between low / 2^bits and high / 2^bits. An empty range says nothing about its cell."""

    bits: int
    ranges: tuple[tuple[Rows, ...], ...]

    fields: ClassVar = {"bits": BITS, "ranges": partial(array, item=partial(array, item=decode_rows))}

    def require_entails(self, stated: Self) -> None:
        """The same cells, gaps and unit, and no narrower ranges."""
        if self.bits != stated.bits:
            raise Rejected("wrong-unit", "bits", show(self.bits), show(stated.bits))

        def no_narrower(derived: tuple[int, ...], claimed: tuple[int, ...], path: str) -> None:
            require_same_length(len(derived), len(claimed), path)
            if derived:
                (gap, low, high), (claimed_gap, claimed_low, claimed_high) = derived, claimed
                if not (gap == claimed_gap and claimed_low <= low and high <= claimed_high):
                    expected, got = (", ".join(map(show, range_)) for range_ in (derived, claimed))
                    raise Rejected("range-too-narrow", path, expected, got)

        require_each(self.ranges, stated.ranges, 3, no_narrower, "ranges")


@dataclass(frozen=True, slots=True)
class Regions(Fact):
    """Every input that reaches a part of a group's automaton has the group's label. For every input of the i-th region
    what enters neuron j is between ranges[i][2 j] and ranges[i][2 j + 1], in units of 2^-bits."""

    bits: int
    groups: tuple[Group, ...]
    ranges: Rows

    fields: ClassVar = {"bits": BITS, "groups": decode_groups, "ranges": decode_rows}

    def require_entails(self, stated: Self) -> None:
        """The same regions and unit, and no narrower ranges."""
        if (self.bits, self.groups) != (stated.bits, stated.groups):
            raise Rejected("wrong-region", "groups", "the bits and the groups of the arguments")

        def no_narrower(derived: tuple[int, ...], claimed: tuple[int, ...], path: str) -> None:
            require_same_length(len(derived), len(claimed), path)
            for number, (end, claimed_end) in enumerate(zip(derived, claimed, strict=True)):
                if not (end <= claimed_end if number % 2 else claimed_end <= end):
                    raise Rejected("range-too-narrow", f"{path}[{number}]", show(end), show(claimed_end))

        require_each(self.ranges, stated.ranges, 1, no_narrower, "ranges")


@dataclass(frozen=True, slots=True)
class RegionGaps(Fact):
    """For every input of the i-th region and every output y of the j-th class of its group,
    logit_y - logit_label + margin is at most gaps[i][j] * 2^-bits, with the bits of the regions; of a model with a
    final LayerNorm these times d sigma, by whose sigma it divides, and which is not negative."""

    regions: Regions
    gaps: Rows

    fields: ClassVar = {"regions": Regions.decode, "gaps": decode_rows}

    def require_entails(self, stated: Self) -> None:
        """The same regions, and no smaller gaps."""
        with located("regions"):
            self.regions.require_entails(stated.regions)
        require_no_smaller(self.gaps, stated.gaps, (0, 0), "gaps")
