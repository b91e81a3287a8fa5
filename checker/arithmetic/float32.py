"""How far a float32 program may be from the model, step by step: Euclidean lengths of errors, in units of 2^-bits.

The theorems are in docs/rules.md, section "How far float32 moves".
"""

from math import isqrt
from operator import mul
from typing import NamedTuple

from checker.arithmetic.activations import Activation
from checker.arithmetic.balls import Ball, LayerNorm, Linear, TooCoarse, norm, root
from checker.arithmetic.enclosures import Enclosure, shift_up, sqrt_enclosure
from checker.arithmetic.matrices import Matrix

DIGITS = 24  # an operation is off by at most 2^-24 of its result
MOST = 1 << 24  # no number in a run is as large
FLUSHED = 48  # what is flushed to 0 moves no vector by 2^-48
ACT = 16  # roundings that an activation other than ReLU counts as, relative to its argument
SQUARINGS = 4  # the largest singular value of a matrix of n rows is found within a factor n^(1/32)
KEPT = 48  # bits of a matrix that is squared


def length(x: Ball) -> int:
    """At least that of any vector in the ball, and of any that is computed."""
    return norm(x.centre) + root(len(x.centre)) * x.radius + x.moved


def off(size: int, roundings: int, bits: int) -> int:
    """What so many roundings of each summand change, where the sums of sizes of summands are a vector of this length;
    and what is flushed."""
    if size >= MOST << bits or 2 * roundings > 1 << DIGITS:
        raise TooCoarse
    return -(-size * roundings // ((1 << DIGITS) - roundings)) + shift_up(1, FLUSHED - bits)


def grown(x: int, bits: int) -> int:
    """x / (1 - x)."""
    if 2 * x > 1 << bits:
        raise TooCoarse
    return -(-(x << bits) // ((1 << bits) - x))


def singular_value(rows: list[list[int]], squarings: int = SQUARINGS) -> int:
    """At least the largest one of a matrix M: its square is that of M M^T, and no more than the sum of squares."""
    shift = max(max([max(map(abs, row)) for row in rows]).bit_length() - KEPT, 0)
    kept = [[x >> shift for x in row] for row in rows]
    if squarings:
        square = singular_value([[sum(map(mul, row, other)) for other in kept] for row in kept], squarings - 1)
    else:
        square = sum([sum(map(mul, row, row)) for row in kept])
    return (root(square + 1) + root(len(rows) * len(rows[0]))) << shift


class Columns:
    """Of some columns of x -> x W + b: the largest singular value of W, and the lengths of all its entries and of b.
    Entries that are given are off by at most half a unit."""

    def __init__(self, rows: list[list[int]], bias: list[int]) -> None:
        doubt = root(len(rows) * len(bias))
        narrow = rows if len(rows) <= len(bias) else [list(column) for column in zip(*rows, strict=True)]
        self.gain, self.size = singular_value(narrow) + doubt, norm(list(map(norm, rows))) + doubt
        self.bias = norm(bias) + doubt


class Float32Linear(Linear):
    """Sums of products."""

    def __init__(self, W: Matrix, b: Matrix, bits: int, blocks: int = 1) -> None:
        super().__init__(W, b, bits, blocks)
        width = len(self.bias) // blocks
        parts = [slice(start, start + width) for start in range(0, len(self.bias), width)]
        self.columns = [Columns([row[part] for row in self.rows], self.bias[part]) for part in parts]

    def moves(self, x: Ball, *more: Ball) -> list[int]:
        """A summand is a product or not, is in a sum for each other one, and rounded at the end."""
        size, rest, roundings = length(x), sum(map(length, more)), len(self.rows) + 3
        sizes = [shift_up(size * part.size, self.bits) + part.bias + rest for part in self.columns]
        gains = [shift_up(x.moved * part.gain, self.bits) for part in self.columns]
        return [gain + off(size, roundings, self.bits) for gain, size in zip(gains, sizes, strict=True)]


class Float32LayerNorm(LayerNorm):
    """A mean and a variance in two passes, or merged from those of parts."""

    def moved(self, x: Ball, sigma: int) -> int:
        """The mean and the root may be off by `wrong` together, beside what comes from x."""
        n, eps = len(x.centre), sqrt_enclosure(*self.eps, self.bits).high
        fine = isqrt(n << 64)  # the root of n, in units of 2^-32
        wrong = off(-((-length(x) << 32) // fine) + eps, 11 * n + 24, self.bits)
        left = sigma + (-x.moved << 32) // fine
        if left < 2 * wrong:
            raise TooCoarse
        moved = -((-x.moved << self.bits) // left) - (-wrong * (fine + 1) << self.bits) // (left - wrong << 32)
        if not self.weights:
            return moved
        wide, (w, b) = root(n), self.weights
        scale = max(map(abs, w)) + 1
        size = shift_up(((wide << self.bits) + moved) * scale, self.bits) + norm(b) + wide
        return shift_up(moved * scale, self.bits) + off(size, 8, self.bits)


class Float32Activation(Activation):
    """ReLU is exact, another one is not."""

    def moved(self, x: Ball) -> int:
        """The slope bounds what becomes of an error."""
        numerator, denominator = self.slope
        return -(-x.moved * numerator // denominator) + off(length(x), ACT, self.bits)


def of_sum(parts: list[Ball], bits: int) -> int:
    """What rounds a sum of vectors, or a mean."""
    return off(sum(map(length, parts)), len(parts) + 3, bits)


class Attended(NamedTuple):
    """What a head attends to: keys and values of the positions that are seen, and their shares."""

    keys: list[Ball]
    values: list[Ball]
    shares: list[Enclosure]


def distances(balls: list[Ball], point: list[int]) -> list[int]:
    """Of the centres, at most."""
    return [norm([x - y for x, y in zip(ball.centre, point, strict=True)]) for ball in balls]


def of_mean(query: Ball, seen: Attended, mean: Ball, scale: int, k: int, bits: int) -> int:
    """A mean of values moves with them, with scores, which are multiplied by `scale`, and by what weights round. As far
    as all scores move together nothing changes: so a query moves them by how far keys are from one point."""
    key, value = max(map(length, seen.keys)), max(map(length, seen.values))
    product = shift_up(length(query) * key, bits)
    middle = [sum(entries) // len(seen.keys) for entries in zip(*[ball.centre for ball in seen.keys], strict=True)]
    apart = max(distances(seen.keys, middle)) + root(len(middle)) * max([ball.radius for ball in seen.keys])
    wrong = shift_up(query.moved * apart + max([ball.moved for ball in seen.keys]) * length(query), bits)
    shift = shift_up((wrong + off(product, len(query.centre) + 12, bits)) * scale, bits)
    total = sum([share.high * x for share, x in zip(seen.shares, distances(seen.values, mean.centre), strict=True)])
    spread = -(-total // sum([share.low for share in seen.shares]))
    spread += root(len(mean.centre)) * (max([ball.radius for ball in seen.values]) + mean.radius)
    exponents = shift_up(17 * product * scale, 2 * bits)
    shifted = shift_up(spread * grown(shift, bits), bits) + off(value, exponents + 20 * k + 6, bits)
    return max([ball.moved for ball in seen.values]) + shifted
