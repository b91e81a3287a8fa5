"""separable_counts: sequences in which a wrong token could reach the maximum, given approximate scores.

Classes, factors, pools, the exponent, bits, steps and phases are there to count fast: each wrong token is looked at by
itself here, with exact gains at each position, so that from above no more sequences count, and from below no fewer.
"""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from tests.second_verifier.exponentials import add, sign, term
from tests.second_verifier.one_head import Sequence
from tests.second_verifier.refusal import require
from tests.second_verifier.setting import Setting, Stated

Args = dict[str, Any]


def members(mask: int) -> list[int]:
    return [bit for bit in range(mask.bit_length()) if mask >> bit & 1] if mask >= 0 else [-1]


class Counter:
    """One group."""

    def __init__(self, setting: Setting, scores: Any, group: Any, path: str) -> None:
        self.setting, self.one, self.group, self.path = setting, setting.model.one_head, group, path
        self.m = group["m"]
        self.wrong = frozenset(self.one.others(self.m))
        unit = Fraction(2) ** scores["exponent"]
        self.K = [[x * unit for x in row] for row in scores["kept"]]
        self.error = [x * unit for x in scores["error"]]
        self.known = setting.model.tables.setdefault((repr(scores), setting.margin), {})

    def require_group(self) -> None:
        """The side conditions before those of blocks."""
        one, group = self.one, self.group
        require(0 <= self.m < one.v and bool(group["blocks"]), "no-such-region", self.path)
        for block in group["blocks"]:
            require(1 <= block["queries"] < 1 << (self.m + 1), "no-such-region", f"{self.path}.blocks")
        held = [p for pool in group["pools"] for p in members(pool)]
        require(0 not in group["pools"], "not-a-partition", f"{self.path}.pools")
        require(sorted(held) == list(range(one.k - 1)), "not-a-partition", f"{self.path}.pools")

    def classes_of(self, given: list[list[int]], path: str) -> list[frozenset[int]]:
        classes = []
        for mask, *factors in given:
            ys = frozenset(members(mask))
            fits = bool(ys) and ys <= self.wrong and all(factor > 0 for factor in factors)
            require(fits and len(factors) in (0, len(ys)), "no-such-class", path)
            classes.append(ys)
        return classes

    def reaches(self, y: int, x: Sequence, surely: bool) -> bool:
        key = y, x, surely
        if key not in self.known:
            self.known[key] = self.find_whether_it_reaches(y, x, surely)
        return bool(self.known[key])

    def find_whether_it_reaches(self, y: int, x: Sequence, surely: bool) -> bool:
        """Is the sum of gain times weight not negative, for the weights that the scores allow: for some, or for all?"""
        q, total = x[-1], []
        for p, t in enumerate(x):
            gain = self.one.lead(q, self.m, y, p, t) + self.setting.margin
            K, e = self.K[q][t], self.error[q]
            low, high = (K - e, K - e) if t == self.m else (K - 2 * e, K)
            weight = low if (gain > 0) == surely else high
            total.append(term(self.one.position_scores[q][p] + weight, gain))
        return sign(add(total), self.one.h) >= 0

    def any_reaches(self, ys: frozenset[int], x: Sequence) -> bool:
        return any(self.reaches(y, x, False) for y in ys)

    # blocks and their parts

    def require_parts(self, block: Any, classes: list[frozenset[int]], path: str) -> None:
        tokens = [part["token"] for part in block["parts"]]
        fits = tokens[-1:] == [-1] and len(set(tokens)) == len(tokens) and all(0 <= t < self.m for t in tokens[:-1])
        require(fits, "not-a-partition", f"{path}.parts")
        tables = len(self.group["pools"]) + 1
        for i, part in enumerate(block["parts"]):
            above = all(0 <= entry[0] < len(classes) and len(entry) == 2 + tables for entry in part["above"])
            below = all(entry[0] in self.wrong and len(entry) == 2 + tables for entry in part["below"])
            below = below and len(part["below"]) <= (1 if block["queries"].bit_count() == 1 else 0)
            require(above and below, "no-such-class", f"{path}.parts[{i}]")

    def count(self, block: Any, shared: list[frozenset[int]], path: str) -> list[int]:
        classes = shared + self.classes_of(block["classes"], f"{path}.classes")
        self.require_parts(block, classes, path)
        left = [x for q in members(block["queries"]) for x in self.one.sequences(self.m, q)]
        correct, wrong = len(left), 0
        for i, part in enumerate(block["parts"]):
            own = [x for x in left if part["token"] in (-1, *x[:-1])]
            left = [x for x in left if x not in set(own)]
            counted = {entry[0] for entry in part["above"]}
            behind = [ys for ys in classes if not any(self.any_reaches(ys, x) for x in own)]
            held = frozenset().union(*[classes[number] for number in counted], *behind)
            require(held == self.wrong, "wrong-token-left-out", f"{path}.parts[{i}]")
            for entry in part["above"]:
                correct -= sum(self.any_reaches(classes[entry[0]], x) for x in own)
            for entry in part["below"]:
                wrong += sum(self.reaches(entry[0], x, True) for x in own)
        return [self.m, block["queries"], (1 << self.one.k) - 1, max(correct, 0), wrong]

    def counts(self) -> Iterator[list[int]]:
        self.require_group()
        shared = self.classes_of(self.group["classes"], f"{self.path}.classes")
        for i, block in enumerate(self.group["blocks"]):
            yield self.count(block, shared, f"{self.path}.blocks[{i}]")


def separable_counts(setting: Setting, premises: list[Stated], args: Args) -> Any:
    scores, v = premises[0].fact, setting.model.one_head.v
    fits = len(scores["kept"]) == len(scores["error"]) == v and all(len(row) == v for row in scores["kept"])
    require(fits, "wrong-shape", "premises[0]")
    counts: list[list[int]] = []
    for i, group in enumerate(args["groups"]):
        counts += Counter(setting, scores, group, f"args.groups[{i}]").counts()
    return {"counts": counts}
