"""Irrational numbers between integers: sqrt, ln 2 and exp in fixed point, rounded outward.

The error proofs are in docs/rules.md, section "Enclosures".
"""

from itertools import accumulate, count
from math import isqrt
from typing import NamedTuple


class Enclosure(NamedTuple):
    """A real number between low and high, in a unit that the context names."""

    low: int
    high: int


class Power(NamedTuple):
    """A real number between low and high in units of 2^-(bits + shift), so that small numbers keep their digits."""

    low: int
    high: int
    shift: int


def shift_down(number: int, bits: int) -> int:
    """floor(number / 2^bits); exact for negative bits."""
    return number >> bits if bits >= 0 else number << -bits


def shift_up(number: int, bits: int) -> int:
    """ceil(number / 2^bits); exact for negative bits."""
    return -(-number >> bits) if bits >= 0 else number << -bits


def sqrt_enclosure(numerator: int, denominator: int, bits: int) -> Enclosure:
    """lower <= sqrt(numerator / denominator) * 2^bits <= upper, one apart, or equal when the root is exact there.

    Requires numerator >= 0, denominator > 0; bits may be negative.
    """
    scaled = numerator << (2 * max(bits, 0))
    divisor = denominator << (2 * max(-bits, 0))
    lower = isqrt(scaled // divisor)
    return Enclosure(lower, lower if lower * lower * divisor == scaled else lower + 1)


def ln2_enclosure(scale: int) -> Enclosure:
    """lower <= ln 2 * 2^scale <= upper, from ln 2 = sum over j >= 1 of 1 / (j 2^j)."""
    work = scale + 16
    lower = sum([(1 << (work - j)) // j for j in range(1, work + 1)])
    # each term lost less than 1, and all that follow are less than 1 together
    return Enclosure(lower >> 16, ((lower + work + 1) >> 16) + 1)


def pi_enclosure(scale: int) -> Enclosure:
    """lower <= pi * 2^scale <= upper, from Machin's pi = 16 arctan(1/5) - 4 arctan(1/239)."""
    work, total, terms = scale + 16, 0, 0
    # arctan(1/n) = sum over j of (-1)^j / ((2j + 1) n^(2j + 1))
    for sign, power, n in ((1, (16 << work) // 5, 5), (-1, (4 << work) // 239, 239)):
        for odd in count(1, 2):
            if power == 0:
                break
            total += sign * (power // odd)
            sign, power, terms = -sign, power // (n * n), terms + 1
    doubt = 3 * (terms + 2)  # each term lost less than 3, and what follows the last of a series is less than 3
    return Enclosure((total - doubt) >> 16, -(-(total + doubt) >> 16))


def exp_enclosure(lower: int, upper: int, scale: int, bits: int, ln2: Enclosure) -> Power:
    """(low, high, shift) with low <= exp(-x) * 2^(bits + shift) <= high for every x in [lower, upper] / 2^scale.

    Requires lower <= upper, and ln2 an enclosure of ln 2 * 2^scale. high is at most 2^bits, and both are near it
    however small or large exp(-x) is: the shift is negative where exp(-x) is above 1.
    """
    least, most = ln2 if lower >= 0 else ln2[::-1]  # the ends that leave a smallest and a largest remainder
    shift = lower // most
    low = exp_lower(upper - shift * least, scale, bits)
    return Power(low, exp_upper(lower - shift * most, scale, bits), shift)


def halvings(x: int, scale: int) -> int:
    """How often x / 2^scale is halved before the series is summed, to leave less than 2^-8."""
    return max(0, x.bit_length() - scale) + 8


def exp_lower(x: int, scale: int, bits: int) -> int:
    """A lower bound on exp(-x / 2^scale) * 2^bits: every step rounds against us, the series of exp upwards."""
    count = halvings(x, scale)
    work = bits + count + 16
    one = 1 << work
    z = shift_up(x, scale + count - work)
    total = term = one
    index = 0
    while term > 1:
        index += 1
        term = -(-term * z // (index << work))
        total += term
    value = (one << work) // (total + term)  # the tail of the series is at most its last term, as z < 1/2
    for _ in range(count):
        value = (value * value) >> work
    return value >> (work - bits)


def exp_upper(x: int, scale: int, bits: int) -> int:
    """An upper bound on exp(-x / 2^scale) * 2^bits: the mirror image, the series of exp downwards."""
    count = halvings(x, scale)
    work = bits + count + 16
    one = 1 << work
    z = shift_down(x, scale + count - work)
    total = term = one
    index = 0
    while term > 0:
        index += 1
        term = term * z // (index << work)
        total += term
    value = -(-(one << work) // total)
    for _ in range(count):
        value = shift_up(value * value, work)
    return shift_up(value, work - bits)


def plus(a: Enclosure, b: Enclosure) -> Enclosure:
    """The sum of two enclosed numbers of one unit."""
    return Enclosure(a.low + b.low, a.high + b.high)


def largest_product(factor: int, enclosure: Enclosure) -> int:
    """The largest value of factor * w for w in the enclosure of a non-negative number."""
    return factor * (enclosure.high if factor >= 0 else enclosure.low)


def aligned(powers: list[Power], bits: int) -> list[Enclosure]:
    """The same numbers up to one power of two, rounded outward; the largest keep their bits."""
    least = min([power.shift for power in powers])
    return [Enclosure(low >> (shift - least), ((high - 1) >> (shift - least)) + 1) for low, high, shift in powers]


def partial_sums(weights: list[Enclosure], heaviest: bool) -> list[Enclosure]:
    """Entry n encloses the sum of the n smallest (or largest) weights."""
    lows = sorted([weight.low for weight in weights], reverse=heaviest)
    highs = sorted([weight.high for weight in weights], reverse=heaviest)
    return list(map(Enclosure, accumulate(lows, initial=0), accumulate(highs, initial=0)))
