"""Inferences of the published float32 code, and natural misreadings, that do not follow: the checker refuses each.

The sub-cubic proof is written here a second time, in fractions and Arb balls, with a switch for every misreading. For
each there is a tiny model on which believing it would certify more sequences than are correct. The certificate that the
misreading writes is refused, where it enters, with the right code; without the misreading the same model's is accepted.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import comb
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from flint import arb

from checker.errors import Refusal
from checker.facts import Accuracy
from checker.kernel import Verdict
from tests.support.derivations import Derivation, Meaning, Statement, as_json, ball, spread, statement, step, whole
from tests.support.oracle import Oracle, precision
from tests.support.tiny import Tensors, tiny_model, zero_tensors

UNIT = -40  # exponent of stated tables
BITS = 64


SLACK = 1 << 16  # in units of 2^-BITS, above the checker's rounding for the small scores used here
LINES = {"mean": "max_token_mean", "drop": "max_token_drop", "envelope": "max_token_envelope"}


# reading: the rule whose step is refused, the code, and what is wrong
READINGS = {
    "largest slope on both sides": ("max_token_mean", "bound-too-small", "below the centre the smallest slope counts"),
    "only the lower end": ("attention_ranges", "range-too-narrow", "f may be larger where there is more attention"),
    "only the upper end": ("attention_ranges", "range-too-narrow", "f may be larger where there is less attention"),
    "cross terms dropped": ("score_residual_spread", "error-too-small", "they vanish for exact singular vectors only"),
    "rounded to float32": ("direct_path_spread", "bound-too-small", "a bound rounded down is no bound"),
    "constant forgotten": ("max_token_*", "bound-too-small", "M includes (b_V W_O + b_O) W_U + b_U"),
    "b_Q forgotten": ("score_residual_spread", "error-too-small", "b_Q W_K^T W_E^T depends on the token"),
    "margin forgotten": ("gap_cells", "count-too-large", "the margin belongs into every difference"),
    "maximum in n slots": ("attention_ranges", "range-too-narrow", "n counts the positions that do not hold m"),
    "n = k - 1 for q < m": ("attention_ranges", "wrong-shape", "m would not occur"),
    "n = k - 1 for q < m, counted": ("gap_cells", "wrong-shape", "m would not occur"),
    "gap 0": ("attention_ranges", "wrong-shape", "m itself is not below m"),
    "gap above m": ("attention_ranges", "bad-gap", "there is no token at most m - g"),
    "query within the gap": ("attention_ranges", "bad-gap", "the query is one of the tokens other than m"),
    "f at the lower end": ("gap_cells", "count-too-large", "f may be larger where there is more attention"),
    "f at the upper end": ("gap_cells", "count-too-large", "f may be larger where there is less attention"),
    "tokens beyond the gap": ("gap_cells", "count-too-large", "m - g is one of the tokens"),
    "direct path weighed": ("gap_cells", "count-too-large", "the direct path is no part of the attention's average"),
    "tie is correct": ("gap_cells", "count-too-large", "the inequality is strict"),
    "values of the maximum": ("value_path_spread", "bound-too-small", "every token up to m - g may be attended to"),
    "mean of the positions": ("max_token_*", "bound-too-small", "all attention may go to the worst position"),
}


class SubCubicReading(Meaning):
    """The sub-cubic proof of one model, under one misreading; the empty one is right."""

    def __init__(self, example: "Example", misreading: str) -> None:
        super().__init__(example.tensors(), Fraction(example.margin))
        self.is_ = misreading.__eq__
        self.example = example

    def margin_used(self) -> Fraction:
        return Fraction(0) if self.is_("margin forgotten") else self.margin

    def direct(self) -> tuple[list[list[int]], list[Fraction]]:
        """(centre, spread[q])"""
        if self.example.centre is None:
            exact = [spread(row) for row in self.EUPU]
            return [], [Fraction(float(np.float32(x))) for x in exact] if self.is_("rounded to float32") else exact
        rest = self.residual - np.array(self.example.centre, dtype=object)
        return [self.example.centre], [sum(abs(row) * [spread(w) for w in self.W["W_U"]], Fraction(0)) for row in rest]

    def lines(self, m: int) -> list[tuple[Fraction, Fraction]]:
        """Of every y != m: slope and intercept."""
        kept = self.constant * 0
        if self.example.centre is not None:
            kept = np.array(self.example.centre, dtype=object) @ self.W["W_U"]
            kept = kept if self.is_("constant forgotten") else kept + self.constant
        position = self.positions(m)
        if self.is_("mean of the positions"):
            position = (self.PVOU - self.PVOU[:, m : m + 1]).sum(axis=0) / Fraction(self.k)
        lines = [(self.EVOU[m, y] - self.EVOU[m, m], kept[y] - kept[m] + position[y]) for y in range(self.v) if y != m]
        slopes, bases = zip(*lines, strict=True)
        if self.example.lines == "drop":
            return [(max(slopes), max(bases))]
        if self.example.lines == "envelope":
            assert self.v == 2, "with two tokens there is one line, and it is its own envelope"
            return lines
        a0 = Fraction(self.example.a0, 16)
        top = max(b + a0 * s for s, b in lines)
        ends = (max(slopes), max(slopes) if self.is_("largest slope on both sides") else min(slopes))
        return [(s, top - a0 * s) for s in ends]

    def scores(self) -> tuple[np.ndarray, list[Fraction]]:
        """(kept, error[q]), for the projectors of the example; without any, the exact scores."""
        exact, four = self.token_scores, self.example.peels
        if four is None:
            return exact, [Fraction(0)] * self.v
        W = self.W
        bias = np.zeros(1, dtype=object) if self.is_("b_Q forgotten") else W["b_Q"] @ W["W_K"].T @ W["W_E"].T
        factors = [self.residual, W["W_Q"], W["W_K"].T, W["W_E"].T]
        peeled: list[np.ndarray] = []
        terms: list[np.ndarray] = []
        for number, (factor, (onto, along)) in enumerate(zip(factors, four, strict=True)):
            P = np.outer(np.array(onto, dtype=object), np.array(along, dtype=object))
            part = P @ factor if number == 3 else factor @ P
            term = part
            for other in reversed(peeled):
                term = other @ term
            for other in factors[number + 1 :]:
                term = term @ other
            terms.append(term)
            peeled.append(factor - part)
        residual = peeled[0] @ peeled[1] @ peeled[2] @ peeled[3]
        kept = terms[0] if self.is_("cross terms dropped") else sum(terms[1:], terms[0])
        return kept + bias, [spread(row) for row in residual]

    def range(self, q: int, m: int, n: int, gap: int) -> tuple[int, int]:
        """The attention on m, outward."""
        kept, error = self.kept[q], self.error[q]
        below = kept[: max(m - gap, 0) + 1]
        near, far = kept[m] - max(below) - error, kept[m] - min(below) + error
        *others, last = self.position_scores[q]
        others = sorted(others)
        slots = n if self.is_("maximum in n slots") else len(others) - n
        own, rest = ([last], []) if q == m else ([], [last])
        ends = []
        with precision(200):
            root = arb(self.h).sqrt()

            def weight(scores: list[Fraction]) -> arb:
                return sum(((ball(x) / root).exp() for x in scores), arb(0))

            rest_slots = len(others) - slots
            light, heavy = (others[:slots], others[slots:]), (others[rest_slots:], others[:rest_slots])
            for (mine, remaining), lead in ((light, near), (heavy, far)):
                x, y = weight(mine + own) * (ball(lead) / root).exp(), weight(remaining + rest)
                end = x / (x + y) * arb(2) ** BITS if mine or own else arb(0)
                ends.append(whole(end.lower().floor()))
        low, high = ends[0] - SLACK, ends[1] + SLACK
        if self.is_("only the lower end"):
            high = low
        return (high, high) if self.is_("only the upper end") else (low, high)

    def good(self, q: int, m: int, gap: int, ends: tuple[int, ...]) -> bool:
        """f < 0 at these attentions?"""
        most = Fraction(self.values[max(m - gap - self.is_("tokens beyond the gap"), 0)])
        if self.is_("f at the lower end"):
            ends = ends[:1]
        if self.is_("f at the upper end"):
            ends = ends[-1:]
        for end in ends:
            a = Fraction(end, 1 << BITS)
            direct = self.spreads[q] * (1 - a if self.is_("direct path weighed") else 1)
            for slope, base in self.stated_lines[m]:
                f = slope * a + base + (1 - a) * most + direct + self.margin_used()
                if f > 0 or (f == 0 and not self.is_("tie is correct")):
                    return False
        return True

    def allowed(self, q: int, m: int, n: int) -> list[int]:
        """Gaps to try, the best first; 0 is none, unless read otherwise."""
        if q == m and n == 0:
            return []
        most = m if q == m else m if self.is_("query within the gap") else m - q
        gaps = list(range(1, most + 1))
        if self.is_("gap 0"):
            return [0]
        return [*gaps, m + 1] if self.is_("gap above m") else gaps

    def steps(self) -> list[dict[str, Any]]:
        """The proof. Stated tables are rounded up, and everything later follows from what is stated."""
        v, k = self.v, self.k
        centre, spreads = self.direct()
        unit = Fraction(2) ** UNIT
        up = lambda x: int(-(-x // unit))  # noqa: E731
        spread_rows = [[up(x) for x in spreads]]
        self.spreads = [x * unit for x in spread_rows[0]]
        line_rows = [[up(x) for line in self.lines(m) for x in line] for m in range(v)]
        pairs = [zip(row[::2], row[1::2], strict=True) for row in line_rows]
        self.stated_lines = [[(slope * unit, base * unit) for slope, base in row] for row in pairs]
        kept, error = self.scores()
        self.kept = np.array([[up(x) for x in row] for row in kept], dtype=object) * unit
        self.error = [up(spread(row - exact) + e) * unit for row, exact, e in zip(self.kept, kept, error, strict=True)]
        each = [spread(row) for row in self.EVOU]
        running = each if self.is_("values of the maximum") else [max(each[: t + 1]) for t in range(v)]
        value_rows = [[up(x) for x in running]]
        self.values = [x * unit for x in value_rows[0]]

        gaps: list[Any] = []
        ranges: list[Any] = []
        counts: list[list[int]] = []
        for m in range(v):
            gaps.append([])
            ranges.append([])
            for q in range(m + 1):
                extra = q < m and self.is_("n = k - 1 for q < m")
                row = [self.best(q, m, n) for n in range(k - (q < m) + extra)]
                gaps[m].append([gap for gap, _ in row])
                ranges[m].append([ends for _, ends in row])
                for n, (gap, ends) in enumerate(row):
                    alone = q == m and n == 0
                    good = self.good(q, m, 1, (1 << BITS,)) if alone else bool(ends)
                    worth = 1 if alone else comb(k - 1, n) * max(m - gap + 1, 0) ** n
                    counts.append([m, 1 << q, 1 << n, worth if good else 0, 0])
                if q < m and self.is_("n = k - 1 for q < m, counted"):
                    whole = (m - row[-1][0] + 1) ** (k - 1) if row and row[-1][1] else 0
                    counts.append([m, 1 << q, 1 << k - 1, whole, 0])

        table = lambda rows: {"exponent": UNIT, "rows": rows}  # noqa: E731
        rule = "direct_path_centred_spread" if centre else "direct_path_spread"
        of_centre = {"exponent": 0, "rows": centre}
        treatment = self.example.lines
        if treatment == "mean":
            line_rows = [row for row in line_rows for _ in range(k)]
        centres = {"centres": {"exponent": -4, "rows": [[self.example.a0] * k] * v}}
        given = self.example.peels or []
        peels = [{"onto": [[x] for x in onto], "along": [along], "exponent": 0} for onto, along in given]
        score_rule, score_args = ("score_residual_spread", {"peels": peels}) if peels else ("score_exact", {})
        approximation = {
            "exponent": UNIT,
            "kept": [[int(x / unit) for x in row] for row in self.kept],
            "error": [int(x / unit) for x in self.error],
        }
        precision_args = {"bits": BITS, "gaps": gaps}
        return [
            step(
                rule,
                [],
                {"centre": of_centre} if centre else {},
                {"centre": of_centre, "spread": table(spread_rows)},
            ),
            step(
                LINES[treatment],
                [0],
                centres if treatment == "mean" else {},
                {"spread": table(spread_rows), "lines": table(line_rows)},
            ),
            step(score_rule, [], score_args, approximation),
            step("attention_ranges", [2], precision_args, {"bits": BITS, "ranges": ranges}),
            step("value_path_spread", [], {}, table(value_rows)),
            step("gap_cells", [3, 1, 4], {}, {"counts": counts}),
        ]

    def best(self, q: int, m: int, n: int) -> tuple[int, list[int]]:
        """The first gap that proves the cell, with its range; (0, []) if there is none."""
        for gap in self.allowed(q, m, n):
            ends = self.range(q, m, n, gap)
            if self.good(q, m, gap, ends):
                return gap, [gap, *ends]
        return 0, []


class Example(NamedTuple):
    """A model on which a reading claims too much, and the treatment of lines, centre and projectors that it needs."""

    reading: str
    sizes: tuple[int, int, int, int]
    weights: Mapping[str, Sequence[float]]
    margin: str = "0"
    lines: str = "mean"
    a0: int = 8  # sixteenths
    centre: list[int] | None = None
    peels: list[tuple[list[int], list[int]]] | None = None

    def tensors(self) -> Tensors:
        return zero_tensors(*self.sizes, **dict[str, Any](self.weights))

    def certificate(self, path: Path, misreading: str) -> Statement:
        """What the reading writes; `total` adds up."""
        steps = SubCubicReading(self, misreading).steps()
        correct = sum(count[3] for count in steps[-1]["conclusion"]["counts"])
        claim = Accuracy(correct, 0)
        steps.append(step("total", [5], {}, as_json(claim)))
        return statement(Derivation(path).weights, Fraction(self.margin), steps, claim)


# Most models have a residual of (feature, written by the head[, read by queries]); the head copies the feature of the
# tokens it attends to into logit 0, and b_U favours the largest token.
HEAD = {"W_V": [1, 0], "W_O": [0, 1]}


# Attending to token 1 favours 0, attending to token 0 nothing.
TOKEN_1_FAVOURS_0 = dict(W_E=[0, 0, 1, 0, 0, 0], W_U=[0, 0, 0, 3, 0, 0], b_U=[0, 0, 1], **HEAD)


# The same, but token 1 takes all attention from 2, and token 0 takes none.
TOKEN_1_TAKES_ALL = dict(W_E=[-1, 0, 1, 0, 0, 0], b_Q=[1], W_K=[5, 0], W_U=[0, 0, 0, 3, 0, 0], b_U=[0, 0, 2], **HEAD)


# Attending to token 2 favours 0. Next to token 0 all attention is on 2, next to token 1 none.
EITHER_ALL_OR_NONE = {
    "W_E": [-1, 0, 0, 1, 0, 0, 0, 0, 1],
    "b_Q": [1],
    "W_K": [5, 0, 0],
    "W_V": [0, 0, 1],
    "W_O": [0, 1, 0],
    "W_U": [0, 0, 0, 3, 0, 0, 0, 0, 0],
    "b_U": [0, 0, 1],
}


EXAMPLES: list[Example] = [
    Example(  # the table's numbers, times 4: at a0 = 1 all is well, at a = 1/2 token 1 wins
        "largest slope on both sides",
        (3, 2, 2, 1),
        dict(W_E=[0, 0, 0, 0, 1, 0], W_U=[0, 0, 0, 0, -4, 0], b_U=[0, 4, 1], **HEAD),
        a0=16,
        centre=[0, 0],
    ),
    *(
        Example(reading, (3, 2, 3, 1), EITHER_ALL_OR_NONE, a0=0, centre=[0, 0, 0])
        for reading in ("only the lower end", "f at the lower end")
    ),
    *(
        Example(reading, (3, 2, 2, 1), TOKEN_1_TAKES_ALL, centre=[0, 0])
        for reading in ("only the upper end", "f at the upper end")
    ),
    Example(  # all of the scores is in a term after the first
        "cross terms dropped",
        (3, 2, 3, 1),
        {
            "W_E": [0, 0, 0, 1, 0, 0, 0, 0, 0],
            "W_pos": [0, 0, 1, 0, 0, 1],
            "W_Q": [0, 0, 1],
            "W_K": [5, 0, 0],
            "W_V": [1, 0, 0],
            "W_O": [0, 1, 0],
            "W_U": [0, 0, 0, 3, 0, 0, 0, 0, 0],
            "b_U": [0, 0, 2],
        },
        centre=[0, 0, 1],
        peels=[([1, 0, 0], [1, 0, 0]), ([0], [0]), ([1, 0, 0], [0, 1, 0]), ([1, 0, 0], [1, 0, 0])],
    ),
    Example(  # 2^24 + 1 is not a float32
        "rounded to float32",
        (2, 2, 2, 1),
        dict(W_E=[0, 0, 1, 0], W_U=[2**24 + 1, 0, -(2**24) - 0.5, 0], **HEAD),
        lines="envelope",
    ),
    Example("constant forgotten", (2, 3, 1, 1), {"W_E": [-1, 0], "W_U": [1, 0], "b_U": [0, -1]}, centre=[-2], a0=0),
    Example(
        "b_Q forgotten",
        (3, 2, 2, 1),
        dict(W_E=[0, 0, 1, 0, 0, 0], b_Q=[1], W_K=[5, 0], W_U=[0, 0, 0, 3, 0, 0], b_U=[0, 0, 2], **HEAD),
        centre=[0, 0],
        peels=[([1, 0], [1, 0]), ([1], [1]), ([1, 0], [0, 1]), ([0, 1], [0, 1])],
    ),
    Example("margin forgotten", (2, 2, 1, 1), {"b_U": [0, 1]}, margin="3", lines="drop", centre=[0]),
    Example(
        "maximum in n slots",
        (2, 2, 2, 2),
        {
            "W_E": [0, -2, 1, 0],
            "W_V": [-1, 0, 0, 1],
            "W_O": [3, 0, -1, 0],
            "b_V": [0, 2],
            "b_O": [3, 0],
            "W_U": [0, -1, 0, 0],
        },
        lines="envelope",
    ),
    Example("n = k - 1 for q < m", (2, 2, 1, 2), {"b_U": [-1, 0]}, lines="envelope", centre=[-2]),
    Example("n = k - 1 for q < m, counted", (3, 2, 1, 1), {"b_U": [0, 0, 1]}, lines="drop", centre=[2]),
    Example("gap 0", (2, 3, 1, 2), {"b_U": [1, 0]}, centre=[1]),
    *(
        Example(reading, (3, 2, 2, 1), TOKEN_1_FAVOURS_0, centre=[0, 0])
        for reading in ("gap above m", "query within the gap", "tokens beyond the gap")
    ),
    Example("direct path weighed", (3, 2, 2, 2), {"W_U": [0, 0, 0, 0, -1, 0]}, lines="drop", centre=[2, -1]),
    Example("tie is correct", (2, 3, 1, 2), {}, lines="envelope"),
    Example(  # attending to token 0 favours 0, attending to token 1 nothing
        "values of the maximum",
        (3, 2, 2, 1),
        dict(W_E=[1, 0, 0, 0, 0, 0], W_U=[0, 0, 0, 3, 0, 0], b_U=[0, 0, 1], **HEAD),
        centre=[0, 0],
    ),
    Example(  # the first position takes all attention, and favours 0
        "mean of the positions",
        (2, 2, 2, 1),
        dict(W_pos=[1, 0, -1, 0], b_Q=[1], W_K=[3, 0], W_U=[0, 0, 3, 0], b_U=[0, 1], **HEAD),
        lines="drop",
        centre=[-1, 0],
    ),
]


def rule_of(example: Example) -> str:
    """The rule whose step is refused; "max_token_*" is the one that the example uses."""
    rule = READINGS[example.reading][0]
    return LINES[example.lines] if rule == "max_token_*" else rule


def inferences_of(rule: str) -> pytest.MarkDecorator:
    """`example`: each that claims too much in a step of this rule."""
    examples = [example for example in EXAMPLES if rule_of(example) == rule]
    return pytest.mark.parametrize("example", examples, ids=[example.reading for example in examples])


def require_refused(example: Example, folder: Path) -> None:
    """The inference claims too much, and is refused where it enters."""
    path = tiny_model(folder / "model", example.tensors())
    certificate = example.certificate(path, example.reading)
    truth = Oracle(path).truth(Fraction(example.margin)).correct
    assert certificate["predicate"]["claim"]["correct"] > truth, "believing it would certify too much"

    refused = Derivation(path).outcome(certificate)
    assert isinstance(refused, Refusal), str(refused)
    number = int(refused.path.partition("steps[")[2].partition("]")[0])
    assert refused.code == READINGS[example.reading][1], str(refused)
    assert certificate["predicate"]["steps"][number]["rule"] == rule_of(example)
    assert refused.exit_code == 1


def require_right_accepted(example: Example, folder: Path) -> None:
    """The right inference on the same model."""
    path = tiny_model(folder / "model", example.tensors())
    certificate = example.certificate(path, "")
    accepted = Derivation(path).outcome(certificate)
    assert isinstance(accepted, Verdict), str(accepted)
    truth = Oracle(path).truth(Fraction(example.margin)).correct
    assert accepted.correct == certificate["predicate"]["claim"]["correct"] <= truth
