"""Shares of a total of exponentials: how much of the attention goes to tokens of one score."""

from typing import NamedTuple

from checker.arithmetic.enclosures import Enclosure, Power, aligned
from checker.problem import Problem


class Ratio(NamedTuple):
    """The quotient of two enclosed numbers, both at most 1."""

    above: Enclosure
    below: Enclosure


def exponential(problem: Problem, difference: int, exponent: int, bits: int) -> Ratio:
    """exp(difference * 2^exponent / sqrt(d_head)) as a quotient, in units of 2^-bits."""
    power = problem.attention.exp_below(abs(difference), exponent, bits)
    one, small = aligned([Power(1 << bits, 1 << bits, 0), power], bits)
    return Ratio(one, small) if difference >= 0 else Ratio(small, one)


def share(ratio: Ratio, own: Enclosure, others: Enclosure, bits: int) -> Enclosure:
    """own x / (own x + others y) in units of 2^-bits, for positive x and y of that ratio."""
    x, y = ratio
    part, rest = own.low * x.low, others.high * y.high
    low = (part << bits) // (part + rest)
    part, rest = own.high * x.high, others.low * y.low
    high = ((part << bits) + part + rest - 1) // (part + rest)
    return Enclosure(low, high)
