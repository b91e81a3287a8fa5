"""Both sides of the accuracy: which pairs (q, m) are counted together, which by themselves, in which parts, how finely.

Half of the wrong sequences lie in a few pairs in a hundred. All pairs of a maximum are counted with one class first;
those that lose much are looked at by themselves, and the worst of these are split into parts and counted finely.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from certgen.counts.cells import queries_of
from certgen.counts.maxima import Found, Maxima, Wanted, Written
from certgen.processes import Processes
from certgen.progress import Track


class Rung(NamedTuple):
    """With how many tokens parts begin, in how many steps losses are counted; what may stay open, of all that may be
    wrong, in pairs that are left out; and how many pairs come this far at most."""

    depth: int
    steps: int
    open: float
    most: int


class Fineness(NamedTuple):
    """In how many steps losses of pairs are counted that are counted together; then the ladder that the others climb,
    as far as they are worth it."""

    steps: int
    ladder: tuple[Rung, ...]


LEVELS = (  # each proves more than the one before it, and is longer
    Fineness(8, ()),
    Fineness(8, (Rung(0, 16, 0.3, 3000),)),
    Fineness(8, (Rung(0, 16, 0.2, 3000), Rung(0, 32, 0.1, 3000))),
    Fineness(8, (Rung(0, 32, 0.05, 4000), Rung(0, 64, 0.05, 3000))),
    Fineness(16, (Rung(0, 32, 0.02, 5000), Rung(0, 128, 0.03, 3000))),
    Fineness(16, (Rung(0, 32, 0.01, 5000), Rung(0, 128, 0.01, 3000), Rung(2, 128, 0.02, 500))),
    Fineness(
        64,
        (
            Rung(0, 64, 0.01, 5000),
            Rung(0, 128, 0.01, 3000),
            Rung(2, 128, 0.01, 500),
            Rung(3, 512, 0.02, 150),
            Rung(5, 512, 0.03, 50),
        ),
    ),
)
FINEST = LEVELS[-1]
MANY = 10  # positions; each rounds a number, and with more of them more wrong tokens win in more ways
CONCEDED = 0.001  # of all that may be wrong, what is not looked at, where the maximum is small


def usual(k: int) -> Fineness:
    """What a proof takes that has no limit and no target, of k positions."""
    return LEVELS[5 if k > MANY else 4]


class Search:
    """Counts all pairs together, then the worst by themselves, then the worst of these in parts.

    What is counted from below says where counting from above is worth more.
    """

    def __init__(self, processes: Processes[Maxima], track: Track, ladder: tuple[Rung, ...]) -> None:
        self.processes, self.maxima, self.track, self.ladder = processes, processes.state, track, ladder
        self.found: dict[tuple[int, int], Found] = {}
        self.left = self.look_at_the_worst()
        for rung in range(1, len(self.ladder)):
            self.refine(rung)

    def look_at_the_worst(self) -> float:
        """Pairs by themselves, until those that are left may be wrong in little; returns in how much."""
        pairs = []
        for m in self.track(range(self.maxima.v), "all pairs"):
            shares = self.maxima.shares(m)
            pairs += [(float(x), m, q) for q, x in zip(queries_of(self.maxima.k, m), shares, strict=True) if x > 0]
        pairs.sort(reverse=True)
        left, upper = sum(x for x, _, _ in pairs), 0.0
        first = self.ladder[0] if self.ladder else Rung(0, 1, 1.0, 0)
        pairs = pairs[: first.most]
        found = self.looked_at([Wanted(m, q, first.depth, first.steps, own=False) for _, m, q in pairs])
        for x, m, q in self.track(pairs, "pair by pair"):
            if left <= first.open * (upper + left):
                break
            self.found[m, q] = next(found)
            left, upper = left - x, upper + self.found[m, q].upper
        return left

    def refine(self, rung: int) -> None:
        """To this rung, the pairs with most between their bounds first, until little stays open in the others."""
        depth, steps, open_, most = self.ladder[rung]
        order = sorted(self.found, key=lambda key: -self.found[key].gap)[:most]
        left, upper = sum(one.gap for one in self.found.values()), sum(one.upper for one in self.found.values())
        finer = self.looked_at([Wanted(m, q, depth, steps, own=True, split=self.found[m, q].split) for m, q in order])
        for key in self.track(order, f"finer, {rung} of {len(self.ladder) - 1}"):
            if left <= open_ * upper:
                break
            left -= self.found[key].gap
            self.found[key] = next(finer)

    def looked_at(self, wanted: Sequence[Wanted]) -> Iterator[Found]:
        """Each of these pairs, in order, when it is asked for."""
        return self.processes.each(Maxima.look_at, wanted)

    def written(self) -> list[Written]:
        """What the certificate states, maximum by maximum."""
        upper = self.left + sum(found.upper for found in self.found.values())
        v, k = self.maxima.v, self.maxima.k
        first = max([m for m in range(v) if (m / v) ** k <= CONCEDED * upper])
        asked = [(m, {q: self.found[m, q] for q in range(m + 1) if (m, q) in self.found}) for m in range(first, v)]
        each = self.processes.each(Maxima.written, asked)
        return [one for _ in self.track(asked, "certain counts") for one in next(each)]
