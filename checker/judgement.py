"""Facts: what a step can conclude. Each is frozen, and accepts only stated facts that follow from it.

A fact is always about one problem: one model, the task max-of-k with k = n_ctx, one margin. A sequence is "correct"
when every wrong token's logit plus the margin is strictly below the logit of its largest token m.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, Self

from checker.decode import array, bounded, integer, record
from checker.errors import Malformed, Refusal, Rejected, show, show_set

Rows = tuple[tuple[int, ...], ...]


class Fact(Protocol):
    """What the kernel asks of a fact."""

    @classmethod
    def decode(cls, value: object, path: str) -> Self:
        """The stated fact, from JSON."""

    def require_entails(self, stated: Any) -> None:
        """Return if the stated fact, of the same type, follows from this one; raise Rejected if not."""


EXPONENT = bounded(-(1 << 14), 1 << 14)
BITS = bounded(8, 4096)


def decode_rows(value: object, path: str) -> Rows:
    """A table of integers."""
    return array(value, path, lambda row, at: array(row, at, integer))


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
        for j, (ours, theirs) in enumerate(zip(derived_row, stated_row, strict=True)):
            if not follows(ours, theirs):
                raise refusal(ours, theirs).under(f"{path}[{i}][{j}]")


@dataclass(frozen=True, slots=True)
class UpperTable:
    """Every entry of some table of real numbers is at most rows[i][j] * 2^exponent."""

    exponent: int
    rows: Rows

    @classmethod
    def decode(cls, value: object, path: str) -> Self:
        """{"exponent": e, "rows": [[...], ...]}"""
        fields = record(value, path, ("exponent", "rows"))
        return cls(EXPONENT(fields["exponent"], f"{path}.exponent"), decode_rows(fields["rows"], f"{path}.rows"))

    def require_entails(self, stated: Self) -> None:
        """The stated bounds are no smaller; exponents may differ, the comparison is exact."""
        ours, theirs = max(self.exponent - stated.exponent, 0), max(stated.exponent - self.exponent, 0)
        require_each(
            self.rows,
            stated.rows,
            lambda bound, claimed: bound << ours <= claimed << theirs,
            lambda bound, claimed: Rejected(
                "bound-too-small", "", f">= {show(-(-bound << ours >> theirs))}", show(claimed)
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
        for m, (ours, theirs) in enumerate(zip(self.masks, stated.masks, strict=True)):
            require_each(
                ours,
                theirs,
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


@dataclass(frozen=True, slots=True)
class Tally:
    """Lower bounds on numbers of correct and of wrong sequences, region by region."""

    counts: tuple[Count, ...]

    @classmethod
    def decode(cls, value: object, path: str) -> Self:
        """{"counts": [[m, queries, ns, correct, wrong], ...]}"""
        rows = decode_rows(record(value, path, ("counts",))["counts"], f"{path}.counts")
        for index, row in enumerate(rows):
            if len(row) != 5:
                raise Malformed("wrong-type", f"{path}.counts[{index}]", "five integers", f"{len(row)} integers")
        return cls(tuple([Count(*row) for row in rows]))

    def require_entails(self, stated: Self) -> None:
        """The same regions in the same order, and no count above the derived one."""
        require_same_length(len(self.counts), len(stated.counts), "counts")
        for index, (ours, theirs) in enumerate(zip(self.counts, stated.counts, strict=True)):
            if ours[:3] != theirs[:3]:
                raise Rejected("wrong-region", f"counts[{index}]")
            require_no_larger(theirs.correct, ours.correct, f"counts[{index}][3]")
            require_no_larger(theirs.wrong, ours.wrong, f"counts[{index}][4]")


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Of the d_vocab^k sequences at least `correct` are correct and at least `wrong` are not."""

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
