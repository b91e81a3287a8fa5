"""ReLU, SiLU and GELU of balls, as f(z) = max(z, 0) - tail(|z|) with a tail that is positive and falls to 0.

    SiLU        tail(a) = a sigmoid(-a)
    GELU, tanh  tail(a) = a sigmoid(-2 sqrt(2 / pi) (a + 0.044715 a^3))
    GELU, erf   tail(a) = a Phi(-a),  Phi(-a) = 1/2 - phi(a) (a + a^3/3 + a^5/(3 5) + ...)

The theorems are in docs/rules.md, section "Activations".
"""

from functools import cached_property

from checker.arithmetic.balls import Ball
from checker.arithmetic.enclosures import Enclosure, exp_enclosure, ln2_enclosure, pi_enclosure, sqrt_enclosure

SLOPES = {"relu": (1, 1), "silu": (11, 10), "gelu_tanh": (113, 100), "gelu_erf": (113, 100)}  # at least |f'|


class Activation:
    """One function on every entry. Arguments and values have `bits` bits, what is between has `work`."""

    def __init__(self, name: str, bits: int) -> None:
        self.name, self.bits, self.slope = name, bits, SLOPES[name]
        self.work = 3 * bits + 64  # the series of Phi cancels up to 1.5 bits for each bit

    @cached_property
    def constants(self) -> tuple[Enclosure, Enclosure]:
        """ln 2 and pi in units of 2^-work. ReLU never asks for them."""
        return ln2_enclosure(self.work), pi_enclosure(self.work)

    def __call__(self, x: Ball) -> Ball:
        """The slope bounds what becomes of the radius."""
        numerator, denominator = self.slope
        radius = -(-x.radius * numerator // denominator)
        if self.name == "relu":
            return Ball([max(z, 0) for z in x.centre], radius, x.moved)
        tails = [self.tail(abs(z)) for z in x.centre]
        centre = [max(z, 0) - tail.low for z, tail in zip(x.centre, tails, strict=True)]
        return Ball(centre, radius + max([high - low for low, high in tails]), self.moved(x))

    def moved(self, x: Ball) -> int:
        """In real numbers not at all."""
        return 0

    def tail(self, a: int) -> Enclosure:
        """Where a exp(-a), or the density of Phi, is below 2^-bits, the tail is below it as well."""
        far = a * a >> self.bits if self.name == "gelu_erf" else a
        if far >= 2 * self.bits << self.bits:
            return Enclosure(0, 1)
        low, high = self.normal(a) if self.name == "gelu_erf" else self.sigmoid(a)
        return Enclosure(a * max(low, 0) >> self.work, (a * high >> self.work) + 1)

    def exp(self, low: int, high: int) -> Enclosure:
        """exp(-x) for x between low and high; everything in units of 2^-work."""
        power = exp_enclosure(low, high, self.work, self.work, self.constants[0])
        return Enclosure(power.low >> power.shift, (power.high >> power.shift) + 1)

    def sigmoid(self, a: int) -> Enclosure:
        """e / (1 + e), which grows with e; e = exp(-a), or exp(-sqrt(8 / pi) (a + 0.044715 a^3))."""
        low = high = a << (self.work - self.bits)
        if self.name == "gelu_tanh":
            polynomial = 1_000_000 * (a << 2 * self.bits) + 44_715 * a**3  # in units of 2^-(3 bits) / 1,000,000
            unit, pi = 1_000_000 << 3 * self.bits, self.constants[1]
            low = sqrt_enclosure(8 << self.work, pi.high, self.work).low * polynomial // unit
            high = sqrt_enclosure(8 << self.work, pi.low, self.work).high * polynomial // unit + 1
        least, most = [(e << self.work) // ((1 << self.work) + e) for e in self.exp(low, high)]
        return Enclosure(least, most + 1)

    def normal(self, a: int) -> Enclosure:
        """Phi(-a) = 1/2 - phi(a) S(a), with phi(a) = exp(-a^2 / 2) / sqrt(2 pi)."""
        low, high = self.series(a, up=False), self.series(a, up=True)
        x = a * a << self.work
        density = self.exp(x >> 2 * self.bits + 1, (x >> 2 * self.bits + 1) + 1)
        least = density.low * sqrt_enclosure(1 << self.work, 2 * self.constants[1].high, self.work).low
        most = density.high * sqrt_enclosure(1 << self.work, 2 * self.constants[1].low, self.work).high
        half = 1 << (self.work - 1)
        return Enclosure(half - (most * high >> 2 * self.work) - 1, half - (least * low >> 2 * self.work))

    def series(self, a: int, up: bool) -> int:
        """S(a) = a + a^3/3 + a^5/(3 5) + ..., every term rounded one way; what follows the last is at most one unit."""
        square, order, sign = a * a, 1, -1 if up else 1
        term = total = a << (self.work - self.bits)
        while term > 1 or order << 2 * self.bits < 2 * square:
            order += 2
            term = sign * ((sign * term * square >> 2 * self.bits) // order)
            total += term
        return total + up
