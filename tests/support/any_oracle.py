"""The truth about any tiny model and any tiny problem: every input evaluated from the definition of the function.

Independent of the product. An input is evaluated with rational numbers where every step has a rational result (then
ties are decided), else with Arb balls of more and more bits. What no precision decides is counted as open: at that
distance it is a tie, and nobody can prove more of it than that it is not correct.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from functools import cache
from math import isqrt
from operator import mul
from typing import Any, NamedTuple

import flint
import numpy as np
from flint import arb, fmpq

from tests.support.any_model import Architecture
from tests.support.any_problem import Inputs, Json, Tokens

Number = Any  # arb or fmpq
Vector = list[Number]
Rows = list[Vector]
LAST_PRECISION = 4096


class Irrational(Exception):
    """A step has no rational result, or none that is known here."""


class Undefined(Exception):
    """LayerNorm divides by zero."""


class Region(NamedTuple):
    """Weights of the inputs of one label and query: correct; not correct, by more than a tie; ties and undefined."""

    label: int
    query: int
    correct: int
    wrong: int
    open: int


@contextmanager
def precision(bits: int) -> Iterator[None]:
    """Arb works with this precision inside."""
    before, flint.ctx.prec = flint.ctx.prec, bits
    try:
        yield
    finally:
        flint.ctx.prec = before


class Rational:
    """Steps of the function on rationals, where they have rational results."""

    def number(self, value: fmpq) -> fmpq:
        return value

    def mean(self, scores: Vector, scale_squared: fmpq, values: Rows) -> Vector:
        """Means weighted by exp(score / sqrt(scale_squared)): rational if all scores or all values are equal."""
        same = all(score == scores[0] for score in scores)
        means = []
        for column in zip(*values, strict=True):
            if not same and any(value != column[0] for value in column):
                raise Irrational
            means.append(column[0] if not same else sum(column, fmpq(0)) / len(column))
        return means

    def normalized(self, x: Vector, eps: fmpq) -> Vector:
        mean = sum(x, fmpq(0)) / len(x)
        centred = [entry - mean for entry in x]
        square = sum((entry * entry for entry in centred), fmpq(0)) / len(x) + eps
        if square == 0:
            raise Undefined
        if not any(centred):
            return centred
        root = fmpq(isqrt(int(square.p)), isqrt(int(square.q)))
        if root * root != square:
            raise Irrational
        return [entry / root for entry in centred]

    def relu(self, z: fmpq) -> fmpq:
        return z if z > 0 else fmpq(0)

    def smooth(self, z: fmpq) -> fmpq:
        if z != 0:
            raise Irrational
        return z

    silu = gelu_tanh = gelu_erf = smooth


class Balls:
    """The same steps on Arb balls."""

    def number(self, value: fmpq) -> arb:
        return arb(value)

    def mean(self, scores: Vector, scale_squared: fmpq, values: Rows) -> Vector:
        top = max(scores, key=lambda score: score.mid())
        root = arb(scale_squared).sqrt()
        weights = [((score - top) / root).exp() for score in scores]
        total = sum(weights, arb(0))
        return [sum(map(mul, weights, column), arb(0)) / total for column in zip(*values, strict=True)]

    def normalized(self, x: Vector, eps: fmpq) -> Vector:
        mean = sum(x, arb(0)) / len(x)
        centred = [entry - mean for entry in x]
        root = (sum((entry * entry for entry in centred), arb(0)) / len(x) + arb(eps)).sqrt()
        return [entry / root for entry in centred]

    def relu(self, z: arb) -> arb:
        return z if z > 0 else arb(0) if z <= 0 else z.max(arb(0))

    def sigmoid(self, z: arb) -> arb:
        """e^z / (1 + e^z), each half with the exponential that does not overflow."""
        return 1 / (1 + (-z).exp()) if z.mid() > 0 else z.exp() / (1 + z.exp())

    def silu(self, z: arb) -> arb:
        return z * self.sigmoid(z)

    def gelu_tanh(self, z: arb) -> arb:
        """(1 + tanh u) / 2 is the sigmoid of 2u."""
        return z * self.sigmoid(2 * (2 / arb.pi()).sqrt() * (z + arb(fmpq(44715, 1000000)) * z * z * z))

    def gelu_erf(self, z: arb) -> arb:
        return z / 2 * (-z / arb(2).sqrt()).erfc()


class Model:
    """The function of one model, on numbers of one kind."""

    def __init__(self, kind: Rational | Balls, exact: Mapping[str, Any], architecture: Architecture) -> None:
        self.kind, self.architecture = kind, architecture
        self.tensors = {name: convert(array, kind.number) for name, array in exact.items()}
        self.scale_squared = rational(architecture["attn_scale_squared"])
        self.eps = rational(architecture["eps"])

    def linear(self, x: Vector, weight: Rows, bias: Vector) -> Vector:
        assert len(x) == len(weight)
        columns = zip(*weight, strict=True)
        return [sum(map(mul, x, column), offset) for column, offset in zip(columns, bias, strict=True)]

    def norm(self, x: Vector, name: str) -> Vector:
        y = self.kind.normalized(x, self.eps)
        if self.architecture["normalization"] == "LNPre":
            return y
        return [a * w + b for a, w, b in zip(y, self.tensors[f"{name}.w"], self.tensors[f"{name}.b"], strict=True)]

    def attention(self, xs: Rows, block: int) -> Rows:
        """What the heads of a block write at each position."""
        weights = {name: self.tensors[f"blocks.{block}.attn.{name}"] for name in ("W_Q", "W_K", "W_V", "W_O")}
        biases = {name: self.tensors[f"blocks.{block}.attn.{name}"] for name in ("b_Q", "b_K", "b_V", "b_O")}
        written = [list(biases["b_O"]) for _ in xs]
        none = [self.kind.number(fmpq(0))] * len(xs[0])
        for head in range(self.architecture["heads"]):
            queries, keys, values = (
                [self.linear(x, weights[f"W_{name}"][head], biases[f"b_{name}"][head]) for x in xs] for name in "QKV"
            )
            for p, query in enumerate(queries):
                visible = range(p + 1 if self.architecture["mask"] == "causal" else len(xs))
                scores = [sum(map(mul, query, keys[j]), none[0]) for j in visible]
                mixed = self.kind.mean(scores, self.scale_squared, [values[j] for j in visible])
                written[p] = plus(written[p], self.linear(mixed, weights["W_O"][head], none))
        return written

    def mlp(self, x: Vector, block: int) -> Vector:
        w = {name: self.tensors[f"blocks.{block}.mlp.{name}"] for name in ("W_in", "b_in", "W_out", "b_out")}
        act = getattr(self.kind, self.architecture["activation"])
        return self.linear([act(z) for z in self.linear(x, w["W_in"], w["b_in"])], w["W_out"], w["b_out"])

    def logits(self, tokens: Tokens, readout: int | None) -> Vector:
        """One for each output."""
        t, norms = self.tensors, self.architecture["norms"]
        xs = [plus(t["embed.W_E"][token], t["pos_embed.W_pos"][p]) for p, token in enumerate(tokens)]
        for i in range(self.architecture["blocks"]):
            ys = [self.norm(x, f"blocks.{i}.ln1") for x in xs] if "pre" in norms else xs
            xs = [plus(x, y) for x, y in zip(xs, self.attention(ys, i), strict=True)]
            if "post" in norms:
                xs = [self.norm(x, f"blocks.{i}.ln1") for x in xs]
            if self.architecture["activation"] != "none":
                ys = [self.norm(x, f"blocks.{i}.ln2") for x in xs] if "pre" in norms else xs
                xs = [plus(x, self.mlp(y, i)) for x, y in zip(xs, ys, strict=True)]
                if "post" in norms:
                    xs = [self.norm(x, f"blocks.{i}.ln2") for x in xs]
        if "final" in norms:
            xs = [self.norm(x, "ln_final") for x in xs]
        if self.architecture["pool"] == "none":
            assert readout is not None
            z = xs[readout]
        else:
            z = [sum(column, self.kind.number(fmpq(0))) for column in zip(*xs, strict=True)]
            if self.architecture["pool"] == "mean":
                z = [entry / len(xs) for entry in z]
        for j in range(self.architecture["readout_layers"]):
            z = [self.kind.relu(a) for a in self.linear(z, t[f"readout.{j}.W"], t[f"readout.{j}.b"])]
        return self.linear(z, t["unembed.W_U"], t["unembed.b_U"])


def rational(value: str | Fraction | float) -> fmpq:
    return fmpq(*Fraction(value).as_integer_ratio())


def plus(x: Vector, y: Vector) -> Vector:
    return [a + b for a, b in zip(x, y, strict=True)]


def convert(nested: Any, number: Callable[[Any], Number]) -> Any:
    """Every number of nested lists as one of this kind."""
    if isinstance(nested, list):
        return [convert(item, number) for item in nested]
    return number(nested)


class AnyOracle:
    """One model, as tensors and architecture; tensors are arrays or nested lists of exact numbers."""

    def __init__(self, tensors: Mapping[str, np.ndarray | list[Any]], architecture: Architecture) -> None:
        lists = {name: a.tolist() if isinstance(a, np.ndarray) else a for name, a in tensors.items()}
        self.exact = {name: convert(a, rational) for name, a in lists.items()}
        self.architecture = architecture
        self.pooled = architecture["pool"] != "none"
        self.rationals = Model(Rational(), self.exact, architecture)
        self.balls = cache(self.model_of)
        self.logits = cache(self.logits_of)  # which several labels, margins and problems are asked about

    def model_of(self, bits: int) -> Model:
        """On balls of this precision."""
        with precision(bits):
            return Model(Balls(), self.exact, self.architecture)

    def leads(self, tokens: Tokens, readout: int | None, label: int, bits: int | None = None) -> Vector:
        """logit_y - logit_label for every other output y: rationals, or balls of this many bits."""
        logits = self.logits(tokens, readout, bits)
        if logits is None:
            raise Irrational
        return [logit - logits[label] for y, logit in enumerate(logits) if y != label]

    def logits_of(self, tokens: Tokens, readout: int | None, bits: int | None) -> Vector | None:
        """Rationals, or None where they are irrational; or balls of this many bits."""
        if bits is not None:
            with precision(bits):
                return self.balls(bits).logits(tokens, readout)
        try:
            return self.rationals.logits(tokens, readout)
        except Irrational:
            return None

    def sign(self, tokens: Tokens, readout: int | None, label: int, margin: Fraction, last: int) -> int | None:
        """The sign of max over y of logit_y + margin - logit_label: -1 is correct. None if it is undefined or open."""
        offset = rational(margin)
        try:
            leads = self.leads(tokens, readout, label)
        except Irrational:
            pass
        except Undefined:
            return None
        else:
            return max((-1 if lead + offset < 0 else int(lead + offset > 0) for lead in leads), default=-1)
        bits = 64
        while bits <= last:
            with precision(bits):
                leads = [lead + arb(offset) for lead in self.leads(tokens, readout, label, bits)]
                if all(lead < 0 for lead in leads):
                    return -1
                if any(lead > 0 for lead in leads):
                    return 1
            bits *= 4
        return None

    def regions(self, problem: Json, margin: Fraction | int = 0, last: int = LAST_PRECISION) -> list[Region]:
        """The truth, for each label and query that some input has; the query is the token that is read last: where the
        logits are, or in a pooled model at the last position."""
        inputs = Inputs(problem)
        readout = inputs.readout(self.pooled)
        sums: dict[tuple[int, int], list[int]] = {}
        for tokens, weight, label in inputs:
            sign = self.sign(tokens, readout, label, Fraction(margin), last)
            entry = sums.setdefault((label, tokens[-1 if readout is None else readout]), [0, 0, 0])
            entry[0 if sign == -1 else 1 if sign == 1 else 2] += weight
        return [Region(*region, *entry) for region, entry in sorted(sums.items())]

    def largest(self, tokens: Tokens, readout: int | None) -> int:
        """The output of the largest logit, about; 0 where that is undefined."""
        with precision(256):
            logits = self.balls(256).logits(tokens, readout)
            finite = [y for y, logit in enumerate(logits) if logit.is_finite()]
            return max(finite, key=lambda y: logits[y].mid(), default=0)

    def lead(self, tokens: Tokens, readout: int | None, label: int, bits: int = 1024) -> Fraction | None:
        """max over y of logit_y - logit_label, about; None where it is not finite or there is no other output."""
        with precision(bits):
            leads = self.leads(tokens, readout, label, bits)
            if not leads or not all(lead.is_finite() for lead in leads):
                return None
            mantissa, exponent = max(lead.mid() for lead in leads).man_exp()
        if abs(int(exponent)) > 8 * bits:
            return None
        return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)
