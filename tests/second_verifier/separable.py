"""separable_counts: sequences whose sum of bounds could reach 0.

To the letter of the text but for what makes counting fast: sums are exact, of each sequence with its own query, so that the exponent, bits, steps and
phases have no effect. All of these only make more sequences count from above, and fewer from below.
"""

from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from typing import Any, NamedTuple

from tests.second_verifier.exponentials import Sum, add, sign, term
from tests.second_verifier.one_head import Sequence
from tests.second_verifier.refusal import require
from tests.second_verifier.setting import Setting, Stated

Args = dict[str, Any]


def members(mask: int) -> list[int]:
    return [bit for bit in range(mask.bit_length()) if mask >> bit & 1] if mask >= 0 else [-1]


class Class(NamedTuple):
    """Wrong tokens with a factor for each, and the queries over which D is taken."""

    factors: tuple[tuple[int, int], ...]
    queries: tuple[int, ...]


class Counter:
    """One group."""

    def __init__(self, setting: Setting, scores: Any, group: Any, path: str) -> None:
        self.setting, self.one, self.group, self.path = setting, setting.model.one_head, group, path
        self.m, self.margin = group["m"], setting.margin
        unit = Fraction(2) ** scores["exponent"]
        self.K = [[x * unit for x in row] for row in scores["kept"]]
        self.error = [x * unit for x in scores["error"]]
        self.of_token = cache(self.make_of_token)
        self.terms = cache(self.make_terms)

    def require_group(self) -> None:
        """The side conditions before those of blocks."""
        one, group = self.one, self.group
        require(0 <= self.m < one.v and bool(group["blocks"]), "no-such-region", self.path)
        for block in group["blocks"]:
            require(1 <= block["queries"] < 1 << (self.m + 1), "no-such-region", f"{self.path}.blocks")
        held = [p for pool in group["pools"] for p in members(pool)]
        require(0 not in group["pools"], "not-a-partition", f"{self.path}.pools")
        require(sorted(held) == list(range(one.k - 1)), "not-a-partition", f"{self.path}.pools")
        self.pools = [tuple(members(pool)) for pool in group["pools"]]
        self.pool_of = {p: pool for pool in self.pools for p in pool} | {one.k - 1: (one.k - 1,)}

    def classes_of(self, given: list[Any], queries: list[int], path: str) -> list[Class]:
        classes = []
        for entry in given:
            ys, factors = members(entry[0]), entry[1:]
            fits = bool(ys) and set(ys) <= set(self.one.others(self.m)) and all(factor > 0 for factor in factors)
            require(fits and len(factors) in (0, len(ys)), "no-such-class", path)
            pairs = zip(ys, factors or [1] * len(ys), strict=True)
            classes.append(Class(tuple(pairs), tuple(queries)))
        return classes

    # the bounds

    def direct(self, q: int, y: int) -> Fraction:
        return self.one.EUPU[q][y] - self.one.EUPU[q][self.m] + self.margin

    def D(self, cls: Class, y: int) -> Fraction:
        return max(self.direct(q, y) for q in cls.queries)

    def make_of_token(self, cls: Class, pool: tuple[int, ...], t: int) -> Fraction:
        one, m = self.one, self.m
        return max(
            c * (self.D(cls, y) + one.EVOU[t][y] - one.EVOU[t][m] + max(one.PVOU[p][y] - one.PVOU[p][m] for p in pool))
            for y, c in cls.factors
        )

    def of_query(self, cls: Class, q: int) -> Fraction:
        return max(c * (self.direct(q, y) - self.D(cls, y)) for y, c in cls.factors)

    def weights(self, q: int, pool: tuple[int, ...], t: int) -> tuple[Fraction, Fraction]:
        """The least and the largest exponent of the weight of t at a position of the pool."""
        scores = [self.one.position_scores[q][p] for p in pool]
        K, e = self.K[q][t], self.error[q]
        low, high = (K - e, K - e) if t == self.m else (K - 2 * e, K)
        return min(scores) + low, max(scores) + high

    def extreme(self, gain: Fraction, weights: tuple[Fraction, Fraction], largest: bool) -> Sum:
        """The largest, or the least, of gain times a weight."""
        return term(weights[(gain > 0) == largest], gain)

    def make_terms(self, cls: Class, q: int, p: int, t: int) -> Sum:
        pool = self.pool_of[p]
        gain = self.of_token(cls, pool, t) + self.of_query(cls, q)
        return self.extreme(gain, self.weights(q, pool, t), largest=True)

    def reaches(self, cls: Class, x: Sequence) -> bool:
        """From above: could a token of the class reach m?"""
        return sign(add(self.terms(cls, x[-1], p, t) for p, t in enumerate(x)), self.one.h) >= 0

    def surely_reaches(self, y: int, x: Sequence) -> bool:
        """From below."""
        one, m, q = self.one, self.m, x[-1]
        total = []
        for p, t in enumerate(x):
            pool = self.pool_of[p]
            gain = self.direct(q, y) + one.EVOU[t][y] - one.EVOU[t][m]
            gain += min(one.PVOU[at][y] - one.PVOU[at][m] for at in pool)
            total.append(self.extreme(gain, self.weights(q, pool, t), largest=False))
        return sign(add(total), one.h) >= 0

    # blocks and their parts

    def require_parts(self, block: Any, classes: list[Class], path: str) -> None:
        tokens = [part["token"] for part in block["parts"]]
        fits = tokens[-1:] == [-1] and len(set(tokens)) == len(tokens) and all(0 <= t < self.m for t in tokens[:-1])
        require(fits, "not-a-partition", f"{path}.parts")
        tables = len(self.pools) + 1
        for i, part in enumerate(block["parts"]):
            above = all(0 <= entry[0] < len(classes) and len(entry) == 2 + tables for entry in part["above"])
            ys = self.one.others(self.m)
            below = all(entry[0] in ys and len(entry) == 2 + tables for entry in part["below"])
            below = below and len(part["below"]) <= (1 if block["queries"].bit_count() == 1 else 0)
            require(above and below, "no-such-class", f"{path}.parts[{i}]")

    def sequences(self, queries: list[int]) -> Iterator[Sequence]:
        for q in queries:
            yield from self.one.sequences(self.m, q)

    def count(self, block: Any, shared: list[Class], path: str) -> list[int]:
        queries = members(block["queries"])
        classes = shared + self.classes_of(block["classes"], queries, f"{path}.classes")
        self.require_parts(block, classes, path)
        left = list(self.sequences(queries))
        correct, wrong = len(left), 0
        for i, part in enumerate(block["parts"]):
            own = [x for x in left if part["token"] in (-1, *x[:-1])]
            left = [x for x in left if x not in set(own)]
            counted = {entry[0] for entry in part["above"]}
            held = {y for number in counted for y, _ in classes[number].factors}
            for number, cls in enumerate(classes):
                if number not in counted and not {y for y, _ in cls.factors} <= held:
                    if not any(self.reaches(cls, x) for x in own):
                        held |= {y for y, _ in cls.factors}
            require(held == set(self.one.others(self.m)), "wrong-token-left-out", f"{path}.parts[{i}]")
            for entry in part["above"]:
                correct -= sum(self.reaches(classes[entry[0]], x) for x in own)
            for entry in part["below"]:
                wrong += sum(self.surely_reaches(entry[0], x) for x in own)
        return [self.m, block["queries"], (1 << self.one.k) - 1, max(correct, 0), wrong]

    def counts(self) -> Iterator[list[int]]:
        self.require_group()
        every = sorted({q for block in self.group["blocks"] for q in members(block["queries"])})
        shared = self.classes_of(self.group["classes"], every, f"{self.path}.classes")
        for i, block in enumerate(self.group["blocks"]):
            yield self.count(block, shared, f"{self.path}.blocks[{i}]")


def separable_counts(setting: Setting, premises: list[Stated], args: Args) -> Any:
    scores, v = premises[0].fact, setting.model.one_head.v
    fits = len(scores["kept"]) == len(scores["error"]) == v and all(len(row) == v for row in scores["kept"])
    require(fits, "wrong-shape", "premises[0]")
    counts = []
    for i, group in enumerate(args["groups"]):
        counts += Counter(setting, scores, group, f"args.groups[{i}]").counts()
    return {"counts": counts}
