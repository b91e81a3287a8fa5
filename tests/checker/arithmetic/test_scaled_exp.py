"""exp(-x / sqrt(s)), against Arb; how many bits it works with, and what is too coarse for it."""

import math
import random
from fractions import Fraction
from itertools import product as tuples
from typing import Any

import pytest
from flint import arb, fmpq

from checker.arithmetic import scaled_exp
from checker.arithmetic.balls import TooCoarse
from checker.arithmetic.enclosures import sqrt_enclosure
from checker.arithmetic.scaled_exp import ScaledExp
from tests.support.any_oracle import precision

SQUARED = [(1, 1), (3, 1), (64, 1), (2, 7), (1, 1000), (10**30, 7)]


def exact(x: int, exponent: int, squared: tuple[int, int]) -> arb:
    x_squared = Fraction(x) * Fraction(2) ** exponent
    return (-arb(fmpq(*x_squared.as_integer_ratio())) / arb(fmpq(*squared)).sqrt()).exp()


@pytest.mark.parametrize("squared", SQUARED)
def test_both_ends_are_enclosed_and_near(squared: tuple[int, int]) -> None:
    """Of both signs, around 0, of one number; in coarse and fine units."""
    rng, of_s = random.Random(str(squared)), ScaledExp(squared)
    with precision(3000):
        for _ in range(120):
            bits, exponent = rng.choice([8, 9, 30, 64]), rng.choice([-200, -30, -5, 0, 3])
            size = 1 << rng.randint(0, max(8 - exponent, 0))
            start = rng.randint(-size, size)
            ends = start, start + rng.choice([0, 0, 1, rng.randint(0, max(1, (1 << 2 - min(exponent, 2)) - 1))])
            try:
                low, high, shift = of_s(*ends, exponent, bits)
            except TooCoarse:
                assert ends[0] < ends[1]
                continue
            unit = arb(2) ** (bits + shift)
            most, least = (exact(x, exponent, squared) * unit for x in ends)
            assert 0 <= low <= least and most <= high <= 1 << bits
            assert least - low < 1.01 and high - most < 1.01


def test_it_works_with_few_bits_more_than_are_asked_for() -> None:
    """Sixteen, and at least two for each bit of x before the point; whole powers of two of these."""
    for x, exponent, more in [
        (0, 0, 1),
        (1, 0, 2),
        (-1, 0, 2),
        (1, -1, 1),
        (1, -3, 1),
        (3, 0, 4),
        (-3, 2, 8),
        (16, 3, 16),
    ]:
        of_s: Any = ScaledExp((5, 3))
        asked: list[int] = []
        of_s.constants = lambda scale, asked=asked, of_s=of_s: asked.append(scale) or of_s.enclose_constants(scale)
        of_s(x, x, exponent, 8)
        of_s(min(x, 0), max(x, 0), exponent, 8)
        assert asked == [8 + 16 + more] * 2, (x, exponent)
    root, _ = ScaledExp((5, 3)).enclose_constants(20)
    assert root == sqrt_enclosure(3, 5, 20)


@pytest.mark.parametrize("exponent", [-3, 0, 2])
def test_ends_are_divided_by_the_root_that_moves_them_outward(exponent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the smaller or the larger end of 1 / sqrt(s), by their signs; and rounded outward."""
    monkeypatch.setattr(scaled_exp, "exp_enclosure", lambda *ends: ends[:2])
    of_s: Any = ScaledExp((5, 3))
    for lower, upper in tuples((-9, -2, -1, 0, 1, 2, 9), repeat=2):
        if lower <= upper:
            low, high = of_s(lower, upper, exponent, 8)
            scale = 8 + 16 + (1 << max(max(-lower, upper).bit_length() + exponent, 0).bit_length())
            roots = sqrt_enclosure(3, 5, scale)
            assert low == math.floor(min(lower * root for root in roots) * Fraction(2) ** exponent)
            assert high == math.ceil(max(upper * root for root in roots) * Fraction(2) ** exponent)


@pytest.mark.parametrize("bits", [8, 100])
@pytest.mark.parametrize(
    ("squared", "more"), [((1, 1), 0), ((16, 1), 2), ((1, 16), -2), ((2, 1), 0), ((1, 2), -1), ((8, 1), 1)]
)
def test_what_is_too_coarse(bits: int, squared: tuple[int, int], more: int) -> None:
    """Ends that are 2^(bit length of bits + 4) root(s) apart, to the next power of two; however large each is."""
    limit, of_s = bits.bit_length() + 4 + more, ScaledExp(squared)
    for start, length in ((0, 1), (-5, 1), (1000, 6), (-(1 << 70), 9)):
        width = (1 << length) - 1
        assert of_s(start, start + width, limit - length, bits)
        with pytest.raises(TooCoarse):
            of_s(start, start + width, limit - length + 1, bits)
    assert of_s(7, 7, 100, bits) and of_s(-7, -7, 100, bits)
