"""Facts of the sub-cubic rules: what is kept of a path, and how far the rest can stray."""

from dataclasses import dataclass
from typing import Self

from checker.decode import array, integer, record
from checker.errors import Rejected, located, show
from checker.judgement import BITS, EXPONENT, Rows, UpperTable, decode_rows, require_same_length


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
        ours, theirs = max(self.exponent - stated.exponent, 0), max(stated.exponent - self.exponent, 0)
        require_same_length(len(self.kept), len(stated.kept), "kept")
        require_same_length(len(self.error), len(stated.error), "error")
        for q, (row, stated_row) in enumerate(zip(self.kept, stated.kept, strict=True)):
            require_same_length(len(row), len(stated_row), f"kept[{q}]")
            change = [(x << theirs) - (y << ours) for x, y in zip(stated_row, row, strict=True)]
            needed = max(change) - min(change) + (self.error[q] << ours)
            if not needed <= stated.error[q] << theirs:
                raise Rejected(
                    "error-too-small", f"error[{q}]", f">= {show(-(-needed >> theirs))}", show(stated.error[q])
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
                for n, (ours, theirs) in enumerate(zip(row, stated_row, strict=True)):
                    require_same_length(len(ours), len(theirs), f"{path}[{n}]")
                    if ours and not (ours[0] == theirs[0] and theirs[1] <= ours[1] and ours[2] <= theirs[2]):
                        raise Rejected(
                            "range-too-narrow", f"{path}[{n}]", ", ".join(map(show, ours)), ", ".join(map(show, theirs))
                        )
