"""Real vectors within one radius of a centre, and what linear layers and LayerNorm do to them.

Where the claim is about float32 programs a ball also says how far what they compute may be from the real vector. What
each step does to that is 0 here, and float32.py has the same steps with other methods for it.

The unit of a centre and a radius is 2^-bits, for one number of bits throughout. The theorems are in docs/rules.md,
section "Balls".
"""

from functools import lru_cache, reduce
from math import isqrt
from operator import mul
from typing import NamedTuple

from checker.arithmetic.enclosures import shift_up, sqrt_enclosure
from checker.arithmetic.matrices import Matrix
from checker.arithmetic.packing import repeat, side_by_side, split
from checker.errors import Rejected

LONGEST = 1 << 14  # bits of a number that is multiplied; only weights near the largest of float64 lead there


class TooCoarse(Rejected):
    """Nothing can be said: with this radius or so few bits a denominator may be zero, or numbers get too long."""

    def __init__(self, code: str = "too-coarse", path: str = "", expected: str = "more bits", got: str = "") -> None:
        super().__init__(code, path, expected, got)


class Ball(NamedTuple):
    """All real vectors with every entry within `radius` of the entry of `centre`, in units of 2^-bits; and vectors that
    float32 programs compute instead of one of them, which are from it by a Euclidean length of at most `moved`."""

    centre: list[int]
    radius: int
    moved: int = 0

    def plus(self, other: "Ball") -> "Ball":
        """The sums of vectors of the two balls."""
        centre = [x + y for x, y in zip(self.centre, other.centre, strict=True)]
        return Ball(centre, self.radius + other.radius, self.moved + other.moved)


def root(n: int) -> int:
    """The square root, rounded up."""
    return isqrt(n - 1) + 1 if n else 0


def norm(x: list[int]) -> int:
    """The Euclidean length, rounded up."""
    return root(sum(map(mul, x, x)))


def rounded(matrix: Matrix, bits: int) -> list[list[int]]:
    """The entries to the nearest multiple of 2^-bits: none is off by more than half of that unit."""
    shift = -matrix.exponent - bits
    if shift <= 0:
        return [[x << -shift for x in row] for row in matrix.rows]
    half = 1 << (shift - 1)
    return [[(x + half) >> shift for x in row] for row in matrix.rows]


class Linear:
    """x -> x W + b, plus more. The rows of W lie packed in one integer each: one product for each entry of x. Columns
    stand in `blocks`, of each of which it is said how far it moves."""

    def __init__(self, W: Matrix, b: Matrix, bits: int, blocks: int = 1) -> None:
        self.blocks, self.bits, self.rows, (self.bias,) = blocks, bits, rounded(W, bits), rounded(b, bits)
        columns = [sum(map(abs, column)) for column in zip(*self.rows, strict=True)]
        self.sum = max(columns)
        self.norm = self.sum + len(W.rows)  # at least the largest column sum of |W|, in units
        self.packed = lru_cache(4)(self.pack)  # few sizes occur

    def pack(self, size: int) -> tuple[int, int, int, list[int]]:
        """Bits of a lane, half its range, the packed bias and the packed rows, for centres below 2^size."""
        bias = [x << self.bits for x in self.bias]
        span = ((self.sum << size) + max(map(abs, bias))).bit_length() + 1
        half = 1 << (span - 1)
        start, *rows = [side_by_side(row, span) for row in [bias, *self.rows]]
        return span, half, start + half * repeat(1, len(bias), span), rows

    def __call__(self, x: Ball, *more: Ball) -> Ball:
        """What all blocks move, they move together."""
        return reduce(Ball.plus, more, self.image(x)._replace(moved=norm(self.moves(x, *more))))

    def image(self, x: Ball) -> Ball:
        """Within radius * norm of the image of the centre; W costs half a unit for each entry of x, rounding 2."""
        size = -max(map(abs, x.centre)).bit_length() // 16 * -16
        if size > LONGEST:
            raise TooCoarse
        span, half, start, rows = self.packed(size)
        lanes = split(sum(map(mul, rows, x.centre), start), len(self.bias), span)
        low = half >> self.bits
        error = shift_up(x.radius * self.norm, self.bits) + shift_up(sum(map(abs, x.centre)), self.bits + 1) + 2
        return Ball([(lane >> self.bits) - low for lane in lanes], error)

    def moves(self, x: Ball, *more: Ball) -> list[int]:
        """How far each block moves, of the rest what the sum of all rounds. In real numbers not at all."""
        return [0] * self.blocks


class LayerNorm:
    """x -> (x - mean) / sqrt(var + eps), then times w plus b if these are given."""

    def __init__(self, eps: tuple[int, int], weights: list[Matrix], bits: int) -> None:
        self.eps, self.bits = eps, bits
        self.weights = [rounded(weight, bits)[0] for weight in weights]

    def __call__(self, x: Ball) -> Ball:
        """Error (2 r + r max|LN(c)|) / max(sigma(c) - r, sqrt(eps)); sigma is kept to `fine` more bits."""
        bits, n, (numerator, denominator) = self.bits, len(x.centre), self.eps
        total, fine = sum(x.centre), self.bits + 16
        deviations = [n * c - total for c in x.centre]
        cube = n * n * n
        variance = sum(map(mul, deviations, deviations)) * denominator + ((numerator * cube) << (2 * bits))
        sigma = sqrt_enclosure(variance, cube * denominator, fine).low
        floor = sqrt_enclosure(numerator, denominator, bits + fine).low
        least = max(sigma - (x.radius << fine), floor)
        if least <= 0 or sigma <= 0:
            raise TooCoarse
        centre = [(d << (bits + fine)) // (n * sigma) for d in deviations]
        largest = max(map(abs, centre)) + 1
        spread = -(-((x.radius * ((2 << bits) + largest)) << fine) // least)
        ball = Ball(centre, spread - -largest // sigma + 1, self.moved(x, least >> fine))
        if not self.weights:
            return ball
        w, b = self.weights
        scale = max(map(abs, w)) + 1
        error = shift_up(ball.radius * scale, bits) + shift_up(largest, bits + 1) + 2
        return Ball([((c * x) >> bits) + y for c, x, y in zip(centre, w, b, strict=True)], error, ball.moved)

    def moved(self, x: Ball, sigma: int) -> int:
        """Of the result, where sqrt(var + eps) is at least sigma. In real numbers not at all."""
        return 0
