"""Exponentials of scores, which attention divides by the square root of a number: exp(-x / sqrt(s))."""

from functools import cache

from checker.arithmetic.balls import TooCoarse
from checker.arithmetic.enclosures import (
    Enclosure,
    Power,
    exp_enclosure,
    ln2_enclosure,
    shift_down,
    shift_up,
    sqrt_enclosure,
)


class ScaledExp:
    """For one s > 0, a numerator and a denominator."""

    def __init__(self, squared: tuple[int, int]) -> None:
        self.squared, self.constants = squared, cache(self.enclose_constants)

    def enclose_constants(self, scale: int) -> tuple[Enclosure, Enclosure]:
        """1 / sqrt(s) and ln 2 in units of 2^-scale."""
        numerator, denominator = self.squared
        return sqrt_enclosure(denominator, numerator, scale), ln2_enclosure(scale)

    def __call__(self, lower: int, upper: int, exponent: int, bits: int) -> Power:
        """exp(-x / sqrt(s)) for every x from lower * 2^exponent to upper * 2^exponent. Too coarse if the exponents are
        so far apart that one weight could be 2^-bits of another, or all of them."""
        numerator, denominator = self.squared
        doubt = (upper - lower).bit_length() + exponent - (numerator.bit_length() - denominator.bit_length()) // 2
        if upper > lower and doubt > bits.bit_length() + 4:
            raise TooCoarse
        size = max(max(abs(lower), abs(upper)).bit_length() + exponent, 0)  # |x| < 2^size
        scale = bits + 16 + (1 << size.bit_length())  # bits + 16 after those of x, and few scales occur
        root, ln2 = self.constants(scale)
        low = shift_down(lower * (root.low if lower >= 0 else root.high), -exponent)
        high = shift_up(upper * (root.high if upper >= 0 else root.low), -exponent)
        return exp_enclosure(low, high, scale, bits, ln2)
