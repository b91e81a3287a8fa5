"""How far float32 arithmetic may move the logits of one attention layer; theorem: docs/rules.md#float32_any_order.

Sizes and errors are bounds from above, in units of 2^-BITS and rounded up.
"""

from collections.abc import Iterable
from itertools import chain
from operator import mul

from checker.arithmetic.balls import Ball, Linear
from checker.arithmetic.enclosures import shift_up, sqrt_enclosure
from checker.arithmetic.float32 import ACT, DIGITS, MOST
from checker.arithmetic.matrices import Matrix, matmul
from checker.errors import Rejected
from checker.model.one_layer import plain
from checker.model.weights import Weights
from checker.problem import Problem

BITS = 64
LAST_PLACE = -149  # of float32
WIDEST = 1 << 16  # no sum has more terms
SCALES = 1 << 16  # attn_scale_squared is between this and its inverse
EXP = 8  # roundings that an exponential counts as; 4 units of the last place are no more
Sizes = list[int]


def require_float32(weights: Weights) -> None:
    """Every weight is a float32 number, and not too large; no tensor is too wide."""
    for name, (rows, exponent) in weights.tensors.items():
        for x in chain(*rows):
            zeros = (x & -x).bit_length() - 1
            if abs(x).bit_length() - zeros > DIGITS or (x and exponent + zeros < LAST_PLACE):
                raise Rejected("not-float32", "rule", f"float32 numbers in {name}")
            if x and abs(x).bit_length() + exponent > MOST.bit_length() - 1:
                raise beyond(f"in {name}")
        if max(len(rows), len(rows[0])) > WIDEST:
            raise Rejected("beyond-float32", "rule", f"at most {WIDEST} rows and columns in {name}")
    numerator, denominator = weights.architecture.attn_scale_squared
    if numerator > denominator * SCALES or denominator > numerator * SCALES:
        raise Rejected("beyond-float32", "rule", f"attn_scale_squared from 1/{SCALES} to {SCALES}")


def beyond(what: str) -> Rejected:
    """Sums of sizes are below MOST: so nothing overflows, and what is flushed to 0 does not matter."""
    return Rejected("beyond-float32", "rule", f"numbers below {MOST} {what}")


def small(sizes: Sizes, what: str) -> Sizes:
    """The same, which occur in a run."""
    if max(sizes) >= MOST << BITS:
        raise beyond(f"in {what}")
    return sizes


def grown(x: int) -> int:
    """x / (1 - x): how far factors from 1 - x_i to 1 / (1 - x_i) are from 1 together, where the x_i add up to x."""
    if 2 * x > 1 << BITS:
        raise Rejected("beyond-float32", "rule", "relative errors of at most 1/2")
    return -(-(x << BITS) // ((1 << BITS) - x))


def roundings(number: int) -> int:
    """What so many roundings do."""
    return grown(number << BITS - DIGITS)


def times(factor: int, sizes: Sizes) -> Sizes:
    """All of them times the factor."""
    return [shift_up(factor * x, BITS) for x in sizes]


def plus(*parts: Sizes) -> Sizes:
    """The sums of entries."""
    return [sum(entries) for entries in zip(*parts, strict=True)]


def largest(rows: Iterable[Sizes]) -> Sizes:
    """The largest entries."""
    return [max(entries) for entries in zip(*rows, strict=True)]


def sizes_of(balls: Iterable[Ball]) -> Sizes:
    """Of the entries of vectors in these balls, side by side."""
    return [abs(x) + ball.radius for ball in balls for x in ball.centre]


class Layer:
    """The sizes |W| and |b| of x -> x W + b."""

    def __init__(self, linear: Linear) -> None:
        none = Matrix([[0] * len(linear.bias)], -BITS)
        self.sizes = Linear(Matrix([[abs(x) + 1 for x in row] for row in linear.rows], -BITS), none, BITS)
        self.bias, self.terms = [abs(x) + 1 for x in linear.bias], len(linear.rows)

    def __call__(self, x: Sizes) -> Sizes:
        """x |W|, for errors of x."""
        ball = self.sizes(Ball(x, 0))
        return [c + ball.radius for c in ball.centre]

    def total(self, x: Sizes, *more: Sizes) -> Sizes:
        """x |W| + |b|, and more: what is summed."""
        return small(plus(self(x), self.bias, *more), "sums")

    def rounded(self, total: Sizes, more: int) -> Sizes:
        """The error of a sum with this total: a product, a sum for each term but one, the bias, and more; and one unit
        for what is flushed."""
        return [1 + x for x in times(roundings(self.terms + 1 + more), total)]


class Float32:
    """The errors of one layer of a problem, with what they need of all positions and tokens."""

    def __init__(self, problem: Problem) -> None:
        require_float32(problem.weights)
        self.layer, self.k, tensors = problem.one_layer(BITS), problem.k, problem.weights.tensors
        if problem.weights.architecture.norms:
            raise Rejected("wrong-problem", "rule", "a model without LayerNorm")
        self.forward, (block,) = self.layer.forward, self.layer.forward.blocks
        self.of = {part: Layer(linear) for part, linear in [*block.linear.items(), ("U", self.forward.unembed)]}
        maps = [tensors[name] for name in ("unembed.W_U", "blocks.0.mlp.W_in") if name in tensors]
        self.from_heads = [Layer(plain(matmul(tensors["blocks.0.attn.W_O"], into), BITS)) for into in maps]
        self.from_neurons = Layer(plain(self.layer.out, BITS)) if self.layer.neurons else None
        seen = [(p, t) for p, row in enumerate(self.layer.seen) for t in row]
        self.keys, self.values = [
            list(map(largest, zip(*[self.part(part, p, t) for p, t in seen], strict=True))) for part in "KV"
        ]
        tables = [[ball for row in table for ball in row.values()] for table in self.layer.values]
        self.spreads = [
            plus(*[largest([[sign * x + radius for x in centre] for centre, radius, _ in table]) for sign in (1, -1)])
            for table in tables
        ]
        numerator, denominator = problem.weights.architecture.attn_scale_squared
        self.scale = sqrt_enclosure(denominator, numerator, BITS).high

    def part(self, part: str, p: int, t: int) -> tuple[Sizes, Sizes]:
        """The sizes of queries, keys or values of all heads, and their errors."""
        linear, x = self.of[part], sizes_of([self.forward.embedded(p, t)])
        error = linear.rounded(linear.total(x), 2)  # the sum of token and position is rounded, too
        return sizes_of(self.forward.first(p, t).heads(part)), error

    def attention(self, query: tuple[Sizes, Sizes], keys: tuple[Sizes, Sizes]) -> tuple[int, int]:
        """How far the logarithms of a query's weights may move together, and apart in numerator and denominator."""
        (size, error), (key, doubt) = query, keys
        whole, wrong = plus(size, error), roundings(len(size) + 12)
        product = sum(map(mul, whole, plus(key, doubt)))
        (score,) = small([shift_up(product * self.scale, 2 * BITS)], "scores")
        inexact = shift_up(wrong * product, BITS) + sum(map(mul, whole, doubt)) + sum(map(mul, error, key))
        exponents = times(roundings(4), [2 * score])[0] + roundings((EXP + 1) * self.k)
        return shift_up(inexact * self.scale, 2 * BITS) + 1 + exponents, 2 * exponents

    def errors(self, q: int) -> Sizes:
        """Of the logits of every input with this query."""
        layer, heads, direct = self.layer, self.layer.heads, sizes_of([self.forward.embedded(self.layer.readout, q)])
        query, (value, doubt) = self.part("Q", self.layer.readout, q), self.values
        width, moved, mixed = len(value) // heads, [0] * len(self.spreads[0]), []
        for head in range(heads):
            own = slice(head * width, (head + 1) * width)
            both, apart = self.attention((query[0][own], query[1][own]), (self.keys[0][own], self.keys[1][own]))
            moved = plus(moved, [shift_up(both * x, BITS + 1) for x in self.spreads[head]])
            share = grown(apart + ((2 * self.k + 6) << BITS - DIGITS))
            sums = plus(value[own], doubt[own])
            mixed += plus(doubt[own], times(share, sums), [1] * width)
        total = self.of["O"].total(plus(value, mixed), direct)
        error = self.of["O"].rounded(total, 3)
        x, ys = plus(total, error), len(self.of["U"].bias)
        logits = plus(moved[:ys], self.from_heads[0](mixed))
        if self.from_neurons:
            inner, outer = self.of["in"], self.of["out"]
            total = inner.total(x)
            entering = plus(inner.rounded(total, 1), inner(error), moved[ys:], self.from_heads[1](mixed))
            total = small(plus(total, entering), "neurons")
            numerator, denominator = layer.act.slope
            entering = [-(-z * numerator // denominator) for z in entering]
            if layer.act.name != "relu":
                entering = plus(entering, times(roundings(ACT), total))
            entering = [1 + z for z in entering]
            logits = plus(logits, self.from_neurons(entering))
            total = outer.total(plus(total, entering), x)
            after = outer.rounded(total, 2)
            x, error = plus(total, after), plus(error, after)
        return plus(logits, self.of["U"].rounded(self.of["U"].total(x), 1), self.of["U"](error))


def gap_error(problem: Problem) -> int:
    """How far the difference of two logits may move in any input."""
    model = Float32(problem)
    return max([sum(sorted(model.errors(q))[-2:]) for q in problem.choices[model.layer.readout]])
