"""The wrong tokens that can reach the maximum in sequences of one pair (q, m), side by side in big integers."""

from collections.abc import Iterable

from checker.arithmetic.enclosures import largest_product
from checker.budget import words
from checker.lemmas.separation import Numerators

ROUNDINGS = 7  # a value is less than this below its bound: six table entries and the margin were rounded


class Rivals:
    """Upper bounds on F_p(t) for every rival: a wrong token whose largest ones, m among them, can add up to 0 or more.

    terms[p][t] has a lane for each rival that holds bound + offset >= 0; adding n_ctx of them never overflows a lane.
    A bound is less than doubt[p][t] above F_p(t), and doubt[p][t] is at most 4 offset.
    """

    def __init__(self, tables: Numerators, q: int, m: int) -> None:
        k, v = tables.problem.k, tables.problem.v
        weights = tables.weights(q, m, range(m + 1))
        self.doubt = [[ROUNDINGS * high + (high - low) * tables.bound for low, high in row] for row in weights]
        (EUPU, EVOU, PVOU), of_maximum = tables.upper, tables.of_maximum
        behind = [[of_maximum(q, m, p, t) for t in range(m + 1)] for p in range(k)]
        self.bounds: dict[int, list[list[int]]] = {}
        for y in range(v):
            ahead = [EUPU[q][y] + row[y] for row in PVOU]
            bounds = [
                [largest_product(ahead[p] + EVOU[t][y] - behind[p][t], weights[p][t]) for t in range(m + 1)]
                for p in range(k)
            ]
            if y != m and largest_sum(bounds, q, m) >= 0:
                self.bounds[y] = bounds
        self.offset = tables.bound << tables.bits
        self.width = (8 * k * self.offset).bit_length() + 1
        self.ones = sum([1 << (self.width * lane) for lane in range(len(self.bounds))])
        self.tops = self.ones << (self.width - 1)
        lanes = k * (m + 1) * len(self.bounds) * (4 + words(self.width * len(self.bounds)) // 2)
        tables.problem.budget.spend(lanes)
        self.terms = [[self.largest(p, [t]) for t in range(m + 1)] for p in range(k)]
        # moves a sum of zero to the top bit of its lane; then even the doubts can be taken off without a borrow
        self.start = self.terms[-1][q] + self.tops - k * self.offset * self.ones

    def largest(self, p: int, tokens: Iterable[int]) -> int:
        """Lane by lane the largest term at a position; 0 without tokens."""
        terms = [max([table[p][t] + self.offset for t in tokens], default=0) for table in self.bounds.values()]
        return sum([term << (self.width * lane) for lane, term in enumerate(terms)])

    def reaching(self, total: int) -> list[int]:
        """The rivals whose top bits are set."""
        return [y for lane, y in enumerate(self.bounds) if (total >> (self.width * (lane + 1) - 1)) & 1]


def largest_sum(bounds: list[list[int]], q: int, m: int) -> int:
    """The most that bounds[p][t] can add up to over the positions of a sequence with query q and maximum m."""
    *others, last = bounds
    peaks = [max(row) for row in others]
    # for q < m, some position before the query holds m
    holding = 0 if q == m else max([row[m] - peak for row, peak in zip(others, peaks, strict=True)], default=0)
    return sum(peaks) + holding + last[q]
