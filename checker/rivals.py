"""The wrong tokens that can reach the maximum in sequences of one pair (q, m), side by side in big integers."""

from collections.abc import Iterable

from checker.exact import times
from checker.numerators import Numerators


class Rivals:
    """Upper bounds on F_p(t) for every rival: a wrong token whose largest ones, m among them, can add up to 0 or more.

    terms[p][t] has a lane for each rival that holds bound + offset >= 0; adding n_ctx of them never overflows a lane.
    A bound is less than doubt[p][t] above F_p(t), and doubt[p][t] is at most 4 offset.
    """

    def __init__(self, tables: Numerators, q: int, m: int) -> None:
        (EUPU, EVOU, PVOU), k = tables.upper, tables.problem.k
        weights = tables.weights(q, m, range(m + 1))
        # a value is less than 7 below its bound: six table entries and the margin were rounded
        self.doubt = [[7 * high + (high - low) * tables.bound for low, high in row] for row in weights]
        behind = [[tables.of_maximum(q, m, p, t) for t in range(m + 1)] for p in range(k)]
        self.tokens: list[int] = []
        self.bounds: list[list[list[int]]] = []
        for y in range(tables.problem.v):
            ahead = [EUPU[q][y] + row[y] for row in PVOU]
            bounds = [
                [times(a + EVOU[t][y] - b, w) for t, (b, w) in enumerate(zip(bs, ws, strict=True))]
                for a, bs, ws in zip(ahead, behind, weights, strict=True)
            ]
            peaks = [max(row) for row in bounds[:-1]]
            # for q < m, some position before the query holds m
            holding = 0 if q == m else max([row[m] - peak for row, peak in zip(bounds, peaks, strict=False)], default=0)
            if y != m and sum(peaks) + holding + bounds[-1][q] >= 0:
                self.tokens.append(y)
                self.bounds.append(bounds)
        self.offset = tables.bound << tables.bits
        self.width = (8 * k * self.offset).bit_length() + 1
        self.ones = sum([1 << self.width * i for i in range(len(self.tokens))])
        self.tops = self.ones << self.width - 1
        self.terms = [[self.largest(p, [t]) for t in range(m + 1)] for p in range(k)]
        # moves a sum of zero to the top bit of its lane; then even the doubts can be taken off without a borrow
        self.start = self.terms[-1][q] + self.tops - k * self.offset * self.ones

    def largest(self, p: int, tokens: Iterable[int]) -> int:
        """Lane by lane the largest term at a position; 0 without tokens."""
        terms = [max([rows[p][t] + self.offset for t in tokens], default=0) for rows in self.bounds]
        return sum([term << self.width * i for i, term in enumerate(terms)])

    def reaching(self, total: int) -> list[int]:
        """The rivals whose top bits are set."""
        return [y for i, y in enumerate(self.tokens) if total >> self.width * (i + 1) - 1 & 1]
