"""Readings of the cubic and brute-force proofs that look natural and are false: the checker must refuse each.

For each reading there are tiny models on which it certifies too much. An example writes the very certificate that the
reading would write; enumeration shows that its claim is false, and the checker refuses it for the right reason. The
same construction without the misreading is accepted on the same models.
"""

from collections.abc import Callable
from fractions import Fraction
from itertools import product
from math import comb
from pathlib import Path
from typing import Any, NamedTuple

import flint
import numpy as np
import pytest
from flint import arb, fmpq

from checker.errors import Rejected
from checker.kernel import Verdict
from checker.model.weights import read_weights
from tests.support.checking import outcome
from tests.support.derivations import step
from tests.support.oracle import Oracle
from tests.support.tiny import Tensors, tiny_model, zero_tensors

EXPONENT = -40  # of stated tables; all weights here are small multiples of 1/2
BITS = 64


COARSE = 8  # bits where enclosures should be wide


Masks = list[list[list[int]]]


READINGS = {
    "margin forgotten": "the margin belongs into every difference",
    "bias row forgotten": "(b_V W_O + b_O) W_U + b_U is part of EUPU",
    "b_Q forgotten": "b_Q W_K^T r(t,p)^T depends on t and p and does not cancel",
    "n = k - 1 for q < m": "m would not occur",
    "maximum in n slots": "n counts the positions that do not hold m",
    "only the lightest positions": "the worst end is not always the same",
    "only the heaviest positions": "the worst end is not always the same",
    "heavy positions used twice": "what t and m get has to add up to all non-query positions",
    "EUPU outside the exponential": "the direct path is multiplied by the denominator of the softmax",
    "tie is correct": "the inequality is strict",
    "no maximum over positions": "PVOU has to be the worst of all positions",
    "enclosures inverted": "a positive factor takes the upper end of its weight, a negative one the lower",
}


class CubicReading:
    """The tables of a model, and the proofs that follow from them, under one misreading; the empty one is right."""

    def __init__(self, tensors: Tensors, margin: Fraction, misreading: str = "") -> None:
        flint.ctx.prec = 200
        self.is_ = misreading.__eq__
        W = {name.rpartition(".")[2]: np.vectorize(Fraction, otypes=[object])(x) for name, x in tensors.items()}
        W = {name: x[0] if x.ndim == 3 or name in ("b_Q", "b_K", "b_V") else x for name, x in W.items()}
        self.v, self.k, h = len(W["W_E"]), len(W["W_pos"]), W["W_Q"].shape[1]
        self.margin = Fraction(0) if self.is_("margin forgotten") else margin
        residual = W["W_E"] + W["W_pos"][-1]
        OVU = W["W_V"] @ W["W_O"] @ W["W_U"]
        constant = (W["b_V"] @ W["W_O"] + W["b_O"]) @ W["W_U"] + W["b_U"]
        self.EUPU = residual @ W["W_U"] + constant * (not self.is_("bias row forgotten"))
        self.EVOU, self.PVOU = W["W_E"] @ OVU, W["W_pos"] @ OVU
        query = (residual @ W["W_Q"] + W["b_Q"] * (not self.is_("b_Q forgotten"))) @ W["W_K"].T
        root = arb(h).sqrt()
        exp = np.vectorize(lambda x: (arb(fmpq(x.numerator, x.denominator)) / root).exp(), otypes=[object])
        self.token_weights, self.position_weights = exp(query @ W["W_E"].T), exp(query @ W["W_pos"].T)

    def times(self, factor: Any, weight: arb) -> arb:
        """factor * weight; an enclosure of a weight is 1 + 2^-6 wide, and here the wrong end of it is taken."""
        factor = arb(fmpq(factor.numerator, factor.denominator)) if isinstance(factor, Fraction | int) else factor
        if self.is_("enclosures inverted"):
            weight = weight * (1 - arb(2) ** -6) if factor > 0 else weight * (1 + arb(2) ** -6)
        return factor * weight

    def negative(self, value: arb) -> bool:
        return not value > 0 if self.is_("tie is correct") else bool(value < 0)

    def pairs(self) -> list[tuple[int, int]]:
        """(m, q) in the order of the certificate."""
        return [(m, q) for m in range(self.v) for q in range(m if self.k == 1 else 0, m + 1)]

    def is_correct(self, sequence: tuple[int, ...]) -> bool:
        q, m = sequence[-1], max(sequence)
        for y in set(range(self.v)) - {m}:
            direct = self.EUPU[q, y] - self.EUPU[q, m] + self.margin
            outside = self.is_("EUPU outside the exponential")
            total = self.times(direct, arb(1)) if outside else arb(0)
            for p, t in enumerate(sequence):
                value = self.EVOU[t, y] - self.EVOU[t, m] + self.PVOU[p, y] - self.PVOU[p, m]
                total += self.times(
                    value + direct * (not outside), self.token_weights[q, t] * self.position_weights[q, p]
                )
            if not self.negative(total):
                return False
        return True

    def direct(self) -> list[list[Fraction]]:
        """u[m][q]"""
        rows = []
        for m in range(self.v):
            others = [y for y in range(self.v) if y != m]
            rows.append([max(self.EUPU[q, y] - self.EUPU[q, m] for y in others) + self.margin for q in range(m + 1)])
        return rows

    def value(self) -> list[list[Fraction]]:
        """c[m][t]"""
        rows = []
        for m in range(self.v):
            positions = self.PVOU[-1:] if self.is_("no maximum over positions") else self.PVOU
            best = {y: max(row[y] - row[m] for row in positions) for y in range(self.v) if y != m}
            rows.append([max(self.EVOU[t, y] - self.EVOU[t, m] + best[y] for y in best) for t in range(m + 1)])
        return rows

    def masks(self) -> Masks:
        u, c = self.direct(), self.value()
        table: Masks = []
        for m in range(self.v):
            table.append([])
            for q in range(m + 1):
                cells = range(1, self.k - (q < m and not self.is_("n = k - 1 for q < m")))
                table[m].append([self.mask(q, m, n, u[m][q], c[m]) for n in cells])
        return table

    def mask(self, q: int, m: int, n: int, u: Fraction, c: list[Fraction]) -> int:
        outside = self.is_("EUPU outside the exponential")
        slots = self.k - 1 - n if self.is_("maximum in n slots") else n
        *others, last = self.position_weights[q]
        light = sorted(others, key=float)
        ends = {
            "light": (light[:slots], light[slots:]),
            "heavy": (light[len(light) - slots :], light[: len(light) - slots]),
        }
        if self.is_("heavy positions used twice"):
            ends["light"] = (ends["heavy"][0], ends["light"][1])
        if self.is_("only the lightest positions"):
            del ends["heavy"]
        if self.is_("only the heaviest positions"):
            del ends["light"]

        def term(t: int, weights: list[arb]) -> arb:
            slope = self.times(c[t] + u * (not outside), self.token_weights[q, t])
            return self.times(slope, sum(weights, arb(0)))

        mask = 0
        for t in range(m):
            start = self.times(u, arb(1)) if outside else arb(0)
            if all(self.negative(start + term(t, a) + term(m, b) + term(q, [last])) for a, b in ends.values()):
                mask |= 1 << t
        return mask

    def pure_counts(self) -> list[list[int]]:
        return [[m, 1 << q, 1, int(self.is_correct((m,) * (self.k - 1) + (q,))), 0] for m, q in self.pairs()]

    def all_counts(self) -> list[list[int]]:
        counts = []
        for m, q in self.pairs():
            sequences = [(*others, q) for others in product(range(m + 1), repeat=self.k - 1) if max(*others, q, q) == m]
            counts.append([m, 1 << q, (1 << self.k - (q < m)) - 1, sum(map(self.is_correct, sequences)), 0])
        return counts

    def cubic_counts(self, masks: Masks) -> list[list[int]]:
        """A mask is worth what its n says, whatever n meant."""
        counts = []
        for m, rows in enumerate(masks):
            for q, row in enumerate(rows):
                if row:
                    correct = sum(mask.bit_count() ** n * comb(self.k - 1, n) for n, mask in enumerate(row, start=1))
                    counts.append([m, 1 << q, (2 << len(row)) - 2, correct, 0])
        return counts


def ceiling(rows: list[list[Fraction]]) -> dict[str, Any]:
    """A stated table of upper bounds."""
    return {"exponent": EXPONENT, "rows": [[-(-x * 2**-EXPONENT // 1) for x in row] for row in rows]}


def cubic_steps(
    tables: CubicReading, masks: CubicReading, counts: CubicReading, pure: CubicReading, bits: int
) -> list[dict[str, Any]]:
    """The cubic proof, each part after its own reading."""
    weights = {"bits": bits}
    return [
        step("direct_path_upper", [], {"exponent": EXPONENT}, ceiling(tables.direct())),
        step("value_path_upper", [], {}, ceiling(tables.value())),
        step("cubic_tokens", [0, 1], weights, {"masks": masks.masks()}),
        step("pure_sequences", [], {"exponent": EXPONENT, **weights}, {"counts": pure.pure_counts()}),
        step("count_cubic", [2], {}, {"counts": counts.cubic_counts(counts.masks())}),
    ]


def brute_force_steps(reading: CubicReading, bits: int) -> list[dict[str, Any]]:
    args = {"exponent": EXPONENT, "bits": bits}
    return [step("enumerate_sequences", [], args, {"counts": reading.all_counts()})]


def summing_all(path: Path, margin: Fraction, steps: list[dict[str, Any]]) -> dict[str, Any]:
    """The certificate that sums all tallies."""
    tallies = [number for number, item in enumerate(steps) if "counts" in item["conclusion"]]
    correct = sum(count[3] for number in tallies for count in steps[number]["conclusion"]["counts"])
    weights = read_weights(path.read_bytes())
    sizes = weights.sizes
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": path.name, "digest": {"sha256": weights.file_digest}}],
        "predicateType": "urn:compact-proofs:accuracy-certificate:v1",
        "predicate": {
            "formatVersion": 1,
            "task": {"name": "max-of-k", "k": sizes["n_ctx"]},
            "model": {**sizes, "tensors": weights.tensor_digests},
            "semantics": "exact-real",
            "margin": str(margin),
            "claim": {"correct": correct, "wrong": 0, "total": sizes["d_vocab"] ** sizes["n_ctx"]},
            "strategy": "reading",
            "steps": [*steps, step("total", tallies, {}, {"correct": correct, "wrong": 0})],
        },
    }


def cubic_lie(enters: str) -> Callable[[CubicReading, CubicReading, int], list[dict[str, Any]]]:
    """A cubic proof that is wrong from one part on: tables, masks, counts; or in the pure sequences only."""
    parts = ("tables", "masks", "counts")

    def steps(right: CubicReading, wrong: CubicReading, bits: int) -> list[dict[str, Any]]:
        first = parts.index(enters) if enters in parts else len(parts)
        tables, masks, counts = (wrong if number >= first else right for number in range(len(parts)))
        return cubic_steps(tables, masks, counts, pure=wrong if enters == "pure" else right, bits=bits)

    return steps


# Where the misreading enters: the code of the refusal, the step that is refused, and the steps.
LIES: dict[str, tuple[str, int, Callable[[CubicReading, CubicReading, int], list[dict[str, Any]]]]] = {
    "direct path table": ("bound-too-small", 0, cubic_lie("tables")),
    "value path table": ("bound-too-small", 1, cubic_lie("tables")),
    "accepted tokens": ("token-not-accepted", 2, cubic_lie("masks")),
    "cells": ("wrong-shape", 2, cubic_lie("masks")),
    "cells counted": ("wrong-region", 4, cubic_lie("counts")),
    "tokens counted": ("count-too-large", 4, cubic_lie("counts")),
    "pure sequences": ("count-too-large", 3, cubic_lie("pure")),
    "all sequences": ("count-too-large", 0, lambda right, wrong, bits: brute_force_steps(wrong, bits)),
}


class Example(NamedTuple):
    """A model on which a reading, where it enters, claims too much."""

    reading: str
    lie: str
    margin: str
    sizes: tuple[int, int, int, int]
    weights: dict[str, list[float]]

    def tensors(self) -> Tensors:
        return zero_tensors(*self.sizes, **dict[str, Any](self.weights))

    def certificate(self, path: Path, misreading: str) -> dict[str, Any]:
        tensors, margin = self.tensors(), Fraction(self.margin)
        bits = COARSE if self.reading == "enclosures inverted" else BITS
        right, wrong = CubicReading(tensors, margin), CubicReading(tensors, margin, misreading)
        return summing_all(path, margin, LIES[self.lie][2](right, wrong, bits))


EXAMPLES: list[Example] = [
    Example("margin forgotten", "direct path table", "2", (3, 3, 2, 2), {"b_U": [0, 0, 1]}),
    Example("margin forgotten", "accepted tokens", "2", (3, 3, 2, 2), {"b_U": [0, 0, 1]}),
    Example("margin forgotten", "pure sequences", "2", (3, 3, 2, 2), {"b_U": [0, 0, 1]}),
    Example("margin forgotten", "all sequences", "2", (3, 3, 2, 2), {"b_U": [0, 0, 1]}),
    Example(
        "bias row forgotten", "direct path table", "0", (3, 2, 1, 2), {"W_E": [0, 1, 0], "b_O": [-1], "W_U": [0, 1, 0]}
    ),
    Example(
        "bias row forgotten", "accepted tokens", "0", (3, 2, 1, 2), {"W_E": [0, 1, 0], "b_O": [-1], "W_U": [0, 1, 0]}
    ),
    Example(
        "bias row forgotten",
        "pure sequences",
        "0",
        (3, 2, 1, 2),
        {"W_pos": [-1, 0], "W_V": [1, 0], "W_O": [-1, 0], "W_U": [0, 1, 2], "b_U": [0, 2, 0]},
    ),
    Example(
        "bias row forgotten", "all sequences", "0", (3, 2, 1, 2), {"W_E": [0, 1, 0], "b_O": [-1], "W_U": [0, 1, 0]}
    ),
    Example(
        "b_Q forgotten",
        "accepted tokens",
        "0",
        (2, 2, 1, 2),
        {
            "W_E": [0, -3],
            "W_pos": [2, 2],
            "W_K": [0, 1],
            "W_V": [0, 1],
            "W_O": [0, 1],
            "b_Q": [0, -1],
            "b_V": [0, -3],
            "b_O": [3],
            "W_U": [1, 2],
            "b_U": [2, 3],
        },
    ),
    Example(
        "b_Q forgotten",
        "pure sequences",
        "0",
        (3, 2, 2, 2),
        {
            "W_pos": [0, 1, 1, 2],
            "W_Q": [0, -1, 0, 0],
            "W_K": [0, 1, 0, 0],
            "W_V": [0, 0, 0, 1],
            "W_O": [0, 0, 2, 0],
            "b_Q": [0, 1],
            "b_V": [0, -2],
            "b_O": [1, 0],
            "W_U": [0, 0, -1, 0, 3, 3],
            "b_U": [0, 2, 3],
        },
    ),
    Example(
        "b_Q forgotten",
        "all sequences",
        "0",
        (3, 3, 2, 2),
        {
            "W_E": [1, 0, 0, 0, 0, 0],
            "W_K": [0, 1, 0, 0],
            "W_V": [1, 0, 0, 0],
            "W_O": [0, 1, 0, 0],
            "b_Q": [0, -1],
            "W_U": [0, 0, 0, 1, 3, 0],
            "b_U": [1, 0, 0],
        },
    ),
    Example("n = k - 1 for q < m", "cells", "0", (3, 3, 2, 1), {"b_U": [-1, 0, -1]}),
    Example("n = k - 1 for q < m", "cells counted", "0", (3, 3, 2, 1), {"b_U": [-1, 0, -1]}),
    Example(
        "maximum in n slots",
        "accepted tokens",
        "0",
        (2, 3, 2, 1),
        {"W_E": [0, 1, 0, 0], "W_pos": [0, -1, 0, -1, 0, -1], "W_V": [0, 1], "W_O": [0, -3], "W_U": [0, 0, 0, 1]},
    ),
    Example(
        "maximum in n slots",
        "tokens counted",
        "0",
        (2, 3, 2, 1),
        {"W_E": [0, 1, 0, 0], "W_pos": [0, -1, 0, -1, 0, -1], "W_V": [0, 1], "W_O": [0, -3], "W_U": [0, 0, 0, 1]},
    ),
    Example(
        "only the lightest positions",
        "accepted tokens",
        "0",
        (3, 3, 2, 2),
        {
            "W_E": [1, 1, -2, 0, 0, 0],
            "W_pos": [0, -1, -1, 0, -1, 0],
            "W_K": [0, 0, -1, 0],
            "W_V": [-2, 0, -1, 0],
            "W_O": [3, 0, 0, 0],
            "b_Q": [-2, 0],
            "b_O": [-1, -3],
            "W_U": [-1, 1, 0, 0, -3, 0],
            "b_U": [3, -3, 0],
        },
    ),
    Example(
        "only the heaviest positions",
        "accepted tokens",
        "0",
        (3, 3, 2, 2),
        {
            "W_E": [0, 0, -3, 0, 0, 0],
            "W_pos": [2, 0, 0, 0, 0, -1],
            "W_Q": [0, 0, -1, 0],
            "W_K": [1, 0, 0, 0],
            "W_V": [0, 1, 0, 0],
            "W_O": [0, 0, 0, 1],
            "b_V": [0, -1],
            "b_O": [2, -1],
            "W_U": [0, 0, 2, 2, 3, 0],
            "b_U": [1, 0, 0],
        },
    ),
    Example(
        "heavy positions used twice",
        "accepted tokens",
        "0",
        (2, 3, 2, 1),
        {
            "W_E": [3, -1, 0, -2],
            "W_pos": [1, 0, 0, 1, 1, 0],
            "W_K": [0, -1],
            "W_V": [-1, -2],
            "W_O": [0, 1],
            "b_Q": [-1],
            "b_O": [2, 0],
            "W_U": [-1, -3, 3, 0],
        },
    ),
    Example(
        "EUPU outside the exponential",
        "accepted tokens",
        "0",
        (2, 3, 2, 1),
        {
            "W_E": [0, 1, 0, 0],
            "W_pos": [0, -3, 0, -2, -1, 0],
            "W_V": [2, 1],
            "W_O": [0, -1],
            "b_O": [0, -2],
            "W_U": [0, 0, 0, 1],
        },
    ),
    Example(
        "EUPU outside the exponential",
        "pure sequences",
        "0",
        (2, 3, 2, 1),
        {"W_E": [0, 0, 0, -2], "W_V": [0, 1], "W_O": [1, 0], "b_V": [3], "W_U": [1, 0, 0, 0]},
    ),
    Example(
        "EUPU outside the exponential",
        "all sequences",
        "0",
        (3, 3, 1, 1),
        {"W_pos": [0, 0, -1], "W_K": [1], "W_V": [1], "W_O": [1], "b_Q": [-1], "b_V": [3], "W_U": [0, -1, 0]},
    ),
    Example(
        "tie is correct",
        "accepted tokens",
        "0",
        (3, 3, 1, 1),
        {"W_pos": [0, 0, -2], "b_O": [1], "W_U": [-3, 0, 1], "b_U": [-1, 0, 3]},
    ),
    Example("tie is correct", "pure sequences", "0", (3, 2, 2, 2), {}),
    Example("tie is correct", "all sequences", "0", (3, 2, 2, 2), {}),
    Example(
        "no maximum over positions",
        "value path table",
        "0",
        (2, 3, 2, 1),
        {
            "W_E": [0, 0, 0, -1],
            "W_pos": [0, 0, 0, 0, 0, -1],
            "W_V": [0, 1],
            "W_O": [2, 0],
            "b_V": [3],
            "b_O": [-3, 0],
            "W_U": [1, 0, 0, 0],
        },
    ),
    Example(
        "no maximum over positions",
        "accepted tokens",
        "0",
        (2, 3, 2, 1),
        {
            "W_E": [0, 0, 0, -1],
            "W_pos": [0, 0, 0, 0, 0, -1],
            "W_V": [0, 1],
            "W_O": [2, 0],
            "b_V": [3],
            "b_O": [-3, 0],
            "W_U": [1, 0, 0, 0],
        },
    ),
    Example(
        "enclosures inverted",
        "accepted tokens",
        "0",
        (3, 3, 2, 2),
        {
            "W_E": [1, 0, 0, 0, 0, 0],
            "W_V": [3, 0, 0, 0],
            "W_O": [-1, 0, 0, 0],
            "b_O": [0, -1],
            "W_U": [1, 1, 0, 0, 0, 1],
        },
    ),
    Example(
        "enclosures inverted",
        "pure sequences",
        "0",
        (3, 3, 1, 2),
        {
            "W_E": [1, 0, -3],
            "W_pos": [0, -1, 1],
            "W_V": [-1, 0],
            "W_O": [2, 0],
            "b_V": [-2, 0],
            "b_O": [-1],
            "W_U": [1, -1, 0],
            "b_U": [-1, -3, -2],
        },
    ),
    Example(
        "enclosures inverted",
        "all sequences",
        "0",
        (3, 3, 1, 1),
        {"W_E": [0, 2, 0], "W_pos": [1, 1, 0], "W_V": [1], "W_O": [1], "b_O": [-1], "W_U": [0, 2, 1], "b_U": [0, 0, 1]},
    ),
]


REFUSING = {  # the rule whose step is refused
    "direct path table": "direct_path_upper",
    "value path table": "value_path_upper",
    "accepted tokens": "cubic_tokens",
    "cells": "cubic_tokens",
    "cells counted": "count_cubic",
    "tokens counted": "count_cubic",
    "pure sequences": "pure_sequences",
    "all sequences": "enumerate_sequences",
}


def readings_of(rule: str) -> pytest.MarkDecorator:
    """`example`: each that claims too much in a step of this rule."""
    examples = [example for example in EXAMPLES if REFUSING[example.lie] == rule]
    return pytest.mark.parametrize("example", examples, ids=[f"{each.reading}: {each.lie}" for each in examples])


def require_refused(example: Example, folder: Path) -> None:
    """The reading claims too much, and is refused where it enters."""
    path = tiny_model(folder / "model", example.tensors())
    truth = Oracle(path).truth(Fraction(example.margin)).correct
    certificate = example.certificate(path, example.reading)
    assert certificate["predicate"]["claim"]["correct"] > truth, "the reading has to be false here"

    refused = outcome(path, certificate)
    code, number, _ = LIES[example.lie]
    assert isinstance(refused, Rejected), str(refused)
    assert refused.code == code
    assert refused.path.startswith(f"predicate.steps[{number}].conclusion")
    assert certificate["predicate"]["steps"][number]["rule"] == REFUSING[example.lie]


def require_right_accepted(example: Example, folder: Path) -> None:
    """The same construction on the same model, rightly read."""
    if example.reading == "enclosures inverted":
        example = example._replace(reading="")  # with full precision: coarse enclosures prove less than real numbers
    path = tiny_model(folder / "model", example.tensors())
    truth = Oracle(path).truth(Fraction(example.margin)).correct
    certificate = example.certificate(path, "")
    accepted = outcome(path, certificate)
    assert isinstance(accepted, Verdict), str(accepted)
    assert accepted.correct == certificate["predicate"]["claim"]["correct"] <= truth
