"""Sums of exponentials, and their signs.

A sum is {s: c}: the number sum of c * exp(s / sqrt(h)), s and c fractions. Exponentials of different algebraic numbers
are linearly independent over the rational numbers (Lindemann and Weierstrass), so a sum is 0 only if all c are;
otherwise enough precision decides its sign.
"""

from collections.abc import Iterable
from fractions import Fraction

from flint import arb

from tests.support.any_oracle import precision, rational

Sum = dict[Fraction, Fraction]


def term(exponent: Fraction, coefficient: Fraction | int = 1) -> Sum:
    return {exponent: Fraction(coefficient)}


def add(sums: Iterable[Sum]) -> Sum:
    total: Sum = {}
    for given in sums:
        for s, c in given.items():
            total[s] = total.get(s, Fraction(0)) + c
    return total


def times(given: Sum, factor: Fraction | int, exponent: Fraction | int = 0) -> Sum:
    """factor * exp(exponent / sqrt(h)) times it."""
    return {s + exponent: c * factor for s, c in given.items()}


def product(one: Sum, other: Sum) -> Sum:
    return add(times(one, c, s) for s, c in other.items())


def sign(given: Sum, h: Fraction | int) -> int:
    """-1, 0 or 1."""
    terms = [(s, c) for s, c in given.items() if c]
    signs = {1 if c > 0 else -1 for _, c in terms}
    if len(signs) < 2:
        return signs.pop() if signs else 0
    top, bits = max(s for s, _ in terms), 128
    while True:
        with precision(bits):
            root = arb(rational(h)).sqrt()
            value = sum((arb(rational(c)) * (arb(rational(s - top)) / root).exp() for s, c in terms), arb(0))
            if value < 0 or value > 0:
                return -1 if value < 0 else 1
        bits *= 2
