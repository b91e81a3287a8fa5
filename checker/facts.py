"""Facts: what a step can conclude. Each is frozen, and accepts only stated facts that follow from it.

A fact is always about one problem: one model, one task with weights for its inputs, one margin. An input is "correct"
when every other output's logit plus the margin is strictly below the logit of its label. Facts that speak of a maximum
m are about the task max-of-k with k = n_ctx, where every input, called a sequence, weighs 1 and m is the label.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol, Self

from checker.decode import Rows, array, bounded, decode_rows, integer, record
from checker.errors import Malformed, Refusal, Rejected, located, show, show_set
from checker.problem.regions import Group, decode_groups


class Fact(Protocol):
    """What the kernel asks of a fact."""

    @classmethod
    def decode(cls, value: object, path: str) -> Self:
        """The stated fact, from JSON."""

    def require_entails(self, stated: Any) -> None:
        """Return if the stated fact, of the same type, follows from this one; raise Rejected if not."""


EXPONENT = bounded(-(1 << 14), 1 << 14)
BITS = bounded(8, 4096)


def decode_precisions(value: object, path: str) -> tuple[int, ...]:
    """One to eight increasing numbers of bits."""
    bits = array(value, path, BITS)
    if not 1 <= len(bits) <= 8:
        raise Malformed("out-of-range", path, "one to eight numbers", str(len(bits)))
    if list(bits) != sorted(set(bits)):
        raise Malformed("not-increasing", path, "increasing numbers")
    return bits


def require_same_length(derived: int, stated: int, path: str) -> None:
    """A table with entries missing or added speaks about something else."""
    if derived != stated:
        raise Rejected("wrong-shape", path, f"{derived} entries", str(stated))


def require_no_larger(stated: int, derived: int, path: str) -> None:
    """Of fewer sequences the same is true."""
    if not stated <= derived:
        raise Rejected("count-too-large", path, f"<= {show(derived)}", show(stated))


def require_each(
    derived: Rows,
    stated: Rows,
    follows: Callable[[int, int], bool],
    refusal: Callable[[int, int], Refusal],
    path: str = "rows",
) -> None:
    """Tables of one shape in which every stated entry follows from the derived one."""
    require_same_length(len(derived), len(stated), path)
    for i, (derived_row, stated_row) in enumerate(zip(derived, stated, strict=True)):
        require_same_length(len(derived_row), len(stated_row), f"{path}[{i}]")
        for j, (derived_entry, stated_entry) in enumerate(zip(derived_row, stated_row, strict=True)):
            if not follows(derived_entry, stated_entry):
                raise refusal(derived_entry, stated_entry).under(f"{path}[{i}][{j}]")


def finer_unit(derived: int, stated: int) -> tuple[int, int]:
    """How far numbers in units of 2^derived and of 2^stated are shifted up to be in the finer of the two units."""
    return max(derived - stated, 0), max(stated - derived, 0)


@dataclass(frozen=True, slots=True)
class UpperTable:
    """Every entry of some table of real numbers is at most rows[i][j] * 2^exponent; as an argument, these numbers."""

    exponent: int
    rows: Rows

    @classmethod
    def decode(cls, value: object, path: str) -> Self:
        """{"exponent": e, "rows": [[...], ...]}"""
        fields = record(value, path, ("exponent", "rows"))
        return cls(EXPONENT(fields["exponent"], f"{path}.exponent"), decode_rows(fields["rows"], f"{path}.rows"))

    def require_entails(self, stated: Self) -> None:
        """The stated bounds are no smaller; exponents may differ, the comparison is exact."""
        up, down = finer_unit(self.exponent, stated.exponent)
        require_each(
            self.rows,
            stated.rows,
            lambda bound, claimed: bound << up <= claimed << down,
            lambda bound, claimed: Rejected(
                "bound-too-small", "", f">= {show(-(-bound << up >> down))}", show(claimed)
            ),
        )


class DirectPathUpper(UpperTable):
    """rows[m][q], q <= m: bounds max over y != m of EUPU[q,y] - EUPU[q,m], plus the margin."""


class ValuePathUpper(UpperTable):
    """rows[m][t], t <= m: bounds max over y != m of (EVOU[t,y] - EVOU[t,m] + max over p of PVOU[p,y] - PVOU[p,m])."""


@dataclass(frozen=True, slots=True)
class CubicTokens:
    """masks[m][q][n-1], q <= m: bit t set when t < m is accepted for the cell (q, m, n).

    A sequence with query q and maximum m is correct if exactly n >= 1 of its non-query positions hold a token other
    than m and all of those tokens are accepted.
    """

    masks: tuple[Rows, ...]

    @classmethod
    def decode(cls, value: object, path: str) -> Self:
        """{"masks": [[[mask for n = 1, 2, ...] for q] for m]}"""
        masks = record(value, path, ("masks",))["masks"]
        return cls(array(masks, f"{path}.masks", decode_rows))

    def require_entails(self, stated: Self) -> None:
        """Every stated token is accepted."""
        require_same_length(len(self.masks), len(stated.masks), "masks")
        for m, (derived, claimed_masks) in enumerate(zip(self.masks, stated.masks, strict=True)):
            require_each(
                derived,
                claimed_masks,
                lambda accepted, claimed: claimed >= 0 and claimed & ~accepted == 0,
                lambda accepted, claimed: Rejected(
                    "token-not-accepted", "", f"a subset of {show_set(accepted)}", show_set(claimed)
                ),
                f"masks[{m}]",
            )


class Count(NamedTuple):
    """Of the sequences that have maximum m, a query in the set `queries`, and a number n of non-query positions that
    do not hold m in the set `ns`, at least `correct` are correct and at least `wrong` are not. Sets are bit masks."""

    m: int
    queries: int
    ns: int
    correct: int
    wrong: int = 0


class Branch(NamedTuple):
    """Of the inputs that have this token at the branching position, at least the weight `correct` is correct and at
    least the weight `wrong` is not. That is the first position that can hold more than one token, or else the first."""

    token: int
    correct: int
    wrong: int


@dataclass(frozen=True, slots=True)
class Counts:
    """Lower bounds on the weight of correct and of wrong inputs, region by region."""

    entry: ClassVar[type[Count] | type[Branch]]
    counts: tuple[Any, ...]

    @classmethod
    def decode(cls, value: object, path: str) -> Self:
        """{"counts": [[what names the region, ..., correct, wrong], ...]}"""
        rows = decode_rows(record(value, path, ("counts",))["counts"], f"{path}.counts")
        size = len(cls.entry._fields)
        for index, row in enumerate(rows):
            if len(row) != size:
                raise Malformed("wrong-type", f"{path}.counts[{index}]", f"{size} integers", f"{len(row)} integers")
        return cls(tuple([cls.entry(*row) for row in rows]))

    def require_entails(self, stated: Self) -> None:
        """The same regions in the same order, and no count above the derived one."""
        require_same_length(len(self.counts), len(stated.counts), "counts")
        for index, (derived, claimed) in enumerate(zip(self.counts, stated.counts, strict=True)):
            if derived[:-2] != claimed[:-2]:
                raise Rejected("wrong-region", f"counts[{index}]")
            require_no_larger(claimed.correct, derived.correct, f"counts[{index}][{len(derived) - 2}]")
            require_no_larger(claimed.wrong, derived.wrong, f"counts[{index}][{len(derived) - 1}]")


class Tally(Counts):
    """Sequences of max-of-k, by maximum, queries and numbers of positions that do not hold the maximum."""

    entry = Count


class Branches(Counts):
    """All inputs of a problem, by their token at the branching position, in the order of tokens: each one once."""

    entry = Branch


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Of the inputs at least the weight `correct` is correct and at least the weight `wrong` is not."""

    correct: int
    wrong: int

    @classmethod
    def decode(cls, value: object, path: str) -> Self:
        """{"correct": N, "wrong": M}"""
        fields = record(value, path, ("correct", "wrong"))
        return cls(integer(fields["correct"], f"{path}.correct"), integer(fields["wrong"], f"{path}.wrong"))

    def require_entails(self, stated: Self) -> None:
        """Smaller numbers follow from larger ones."""
        require_no_larger(stated.correct, self.correct, "correct")
        require_no_larger(stated.wrong, self.wrong, "wrong")


class ValuePathSpread(UpperTable):
    """rows[0][t]: bounds max over y, y' of EVOU[t',y] - EVOU[t',y'] for every t' <= t."""


@dataclass(frozen=True, slots=True)
class DirectPathSpread:
    """For all q, y, y': (EUPU[q,y] - M[y]) - (EUPU[q,y'] - M[y']) is at most spread.rows[0][q] * 2^spread.exponent.

    M is (centre W_U + c), with c the constant row of EUPU and centre one row over d_model, or 0 if centre has no row.
    """

    centre: UpperTable
    spread: UpperTable

    @classmethod
    def decode(cls, value: object, path: str) -> Self:
        """{"centre": {"exponent": e, "rows": []} or one row, "spread": {"exponent": e, "rows": [[...]]}}"""
        fields = record(value, path, ("centre", "spread"))
        centre = UpperTable.decode(fields["centre"], f"{path}.centre")
        return cls(centre, UpperTable.decode(fields["spread"], f"{path}.spread"))

    def require_entails(self, stated: Self) -> None:
        """The same centre, and no smaller spreads."""
        if self.centre != stated.centre:
            raise Rejected("other-centre", "centre", "the centre of the arguments")
        with located("spread"):
            self.spread.require_entails(stated.spread)


@dataclass(frozen=True, slots=True)
class MaxTokenPath:
    """Bounds on the logits when the attention on m is a, and nothing is known of the other tokens.

    For q <= m, y != m, 0 <= a <= 1:  EUPU[q,y] - EUPU[q,m] + max over p of (PVOU[p,y] - PVOU[p,m])
    + a (EVOU[m,y] - EVOU[m,m])  <=  spread[q] + max over the lines of m (and n) of slope a + intercept.
    spread.rows is [[per q]]. lines.rows has one row slope, intercept, slope, ... per m, or n_ctx such rows
    (n = 0, 1, ...) per m.
    """

    spread: UpperTable
    lines: UpperTable

    @classmethod
    def decode(cls, value: object, path: str) -> Self:
        """{"spread": {"exponent": e, "rows": [[...]]}, "lines": {"exponent": e, "rows": [[...], ...]}}"""
        fields = record(value, path, ("spread", "lines"))
        spread = UpperTable.decode(fields["spread"], f"{path}.spread")
        return cls(spread, UpperTable.decode(fields["lines"], f"{path}.lines"))

    def require_entails(self, stated: Self) -> None:
        """No smaller spreads, slopes and intercepts (a is not negative)."""
        with located("spread"):
            self.spread.require_entails(stated.spread)
        with located("lines"):
            self.lines.require_entails(stated.lines)


@dataclass(frozen=True, slots=True)
class ScoreApproximation:
    """For all q, t, t': |(S[q,t] - S[q,t']) - (K[q,t] - K[q,t'])| <= error[q] * 2^exponent.

    S = sE sqrt(d_head), K = kept * 2^exponent.
    """

    exponent: int
    kept: Rows
    error: tuple[int, ...]

    @classmethod
    def decode(cls, value: object, path: str) -> Self:
        """{"exponent": e, "kept": [[...] per q], "error": [... per q]}"""
        fields = record(value, path, ("exponent", "kept", "error"))
        exponent = EXPONENT(fields["exponent"], f"{path}.exponent")
        error = array(fields["error"], f"{path}.error", integer)
        return cls(exponent, decode_rows(fields["kept"], f"{path}.kept"), error)

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
class AttentionRanges:
    """ranges[m][q][n] = (g, low, high): in a sequence of the cell (q, m, n) whose tokens other than m are all at most
    m - g, the attention on m is between low / 2^bits and high / 2^bits. An empty range says nothing about its cell."""

    bits: int
    ranges: tuple[tuple[Rows, ...], ...]

    @classmethod
    def decode(cls, value: object, path: str) -> Self:
        """{"bits": b, "ranges": [[[[g, low, high] or [] for n] for q] for m]}"""
        fields = record(value, path, ("bits", "ranges"))
        ranges = array(fields["ranges"], f"{path}.ranges", lambda row, at: array(row, at, decode_rows))
        return cls(BITS(fields["bits"], f"{path}.bits"), ranges)

    def require_entails(self, stated: Self) -> None:
        """The same cells, gaps and unit, and no narrower ranges."""
        if self.bits != stated.bits:
            raise Rejected("wrong-unit", "bits", show(self.bits), show(stated.bits))
        require_same_length(len(self.ranges), len(stated.ranges), "ranges")
        for m, (rows, stated_rows) in enumerate(zip(self.ranges, stated.ranges, strict=True)):
            require_same_length(len(rows), len(stated_rows), f"ranges[{m}]")
            for q, (row, stated_row) in enumerate(zip(rows, stated_rows, strict=True)):
                path = f"ranges[{m}][{q}]"
                require_same_length(len(row), len(stated_row), path)
                for n, (derived, claimed) in enumerate(zip(row, stated_row, strict=True)):
                    require_same_length(len(derived), len(claimed), f"{path}[{n}]")
                    if not derived:
                        continue
                    (gap, low, high), (claimed_gap, claimed_low, claimed_high) = derived, claimed
                    if not (gap == claimed_gap and claimed_low <= low and high <= claimed_high):
                        expected, got = (", ".join(map(show, range_)) for range_ in (derived, claimed))
                        raise Rejected("range-too-narrow", f"{path}[{n}]", expected, got)


@dataclass(frozen=True, slots=True)
class Regions:
    """Every input that reaches a part of a group's automaton has the group's label. For every input of the i-th region
    what enters neuron j is between ranges[i][2 j] and ranges[i][2 j + 1], in units of 2^-bits."""

    bits: int
    groups: tuple[Group, ...]
    ranges: Rows

    @classmethod
    def decode(cls, value: object, path: str) -> Self:
        """{"bits": b, "groups": [...], "ranges": [[low, high, ... per neuron] per region]}"""
        fields = record(value, path, ("bits", "groups", "ranges"))
        groups = decode_groups(fields["groups"], f"{path}.groups")
        return cls(BITS(fields["bits"], f"{path}.bits"), groups, decode_rows(fields["ranges"], f"{path}.ranges"))

    def require_entails(self, stated: Self) -> None:
        """The same regions and unit, and no narrower ranges."""
        if (self.bits, self.groups) != (stated.bits, stated.groups):
            raise Rejected("wrong-region", "groups", "the bits and the groups of the arguments")
        require_same_length(len(self.ranges), len(stated.ranges), "ranges")
        for i, (derived, claimed) in enumerate(zip(self.ranges, stated.ranges, strict=True)):
            require_same_length(len(derived), len(claimed), f"ranges[{i}]")
            for j, (end, claimed_end) in enumerate(zip(derived, claimed, strict=True)):
                if not (claimed_end >= end if j % 2 else claimed_end <= end):
                    raise Rejected("range-too-narrow", f"ranges[{i}][{j}]", show(end), show(claimed_end))


@dataclass(frozen=True, slots=True)
class RegionGaps:
    """For every input of the i-th region and every output y of the j-th class of its group,
    logit_y - logit_label + margin is at most gaps[i][j] * 2^-bits, with the bits of the regions."""

    regions: Regions
    gaps: Rows

    @classmethod
    def decode(cls, value: object, path: str) -> Self:
        """{"regions": {...}, "gaps": [[... per class] per region]}"""
        fields = record(value, path, ("regions", "gaps"))
        regions = Regions.decode(fields["regions"], f"{path}.regions")
        return cls(regions, decode_rows(fields["gaps"], f"{path}.gaps"))

    def require_entails(self, stated: Self) -> None:
        """The same regions, and no smaller gaps."""
        with located("regions"):
            self.regions.require_entails(stated.regions)
        require_each(
            self.gaps,
            stated.gaps,
            lambda bound, claimed: bound <= claimed,
            lambda bound, claimed: Rejected("bound-too-small", "", f">= {show(bound)}", show(claimed)),
            "gaps",
        )
