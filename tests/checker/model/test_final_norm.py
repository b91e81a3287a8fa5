"""What a final LayerNorm divides by, and the matrix in front of it, against exact numbers."""

import random
from fractions import Fraction
from itertools import product
from math import isqrt

import pytest

from checker.arithmetic.balls import Ball
from checker.model.final_norm import divisor, unembedding
from checker.model.weights import read_weights
from tests.support.any_oracle import Rational, rational
from tests.support.layer_cases import layer_case

BITS = 20


def square(x: list[Fraction], eps: Fraction) -> Fraction:
    """(d sigma)^2, from the definition."""
    d, mean = len(x), sum(x, Fraction(0)) / len(x)
    return d * d * (sum(((e - mean) ** 2 for e in x), Fraction(0)) / d + eps)


def drawn(rng: random.Random, size: int, radius: int) -> list[Ball]:
    return [Ball([rng.randint(-size, size) for _ in range(3)], radius) for _ in range(3)]


@pytest.mark.parametrize("seed", range(30))
def test_the_divisor_of_any_sum_of_means_is_within(seed: int) -> None:
    """Any vectors in the balls, any weights."""
    rng = random.Random(seed)
    size, radius = rng.choice([3, 1 << BITS, 9 << BITS]), rng.choice([0, 1, 1000])
    eps = rng.choice([Fraction(0), Fraction(1, 7), Fraction(5)])
    parts = [drawn(rng, size, radius) for _ in range(rng.randint(1, 3))]
    low, high = divisor(eps.as_integer_ratio(), parts, BITS)
    assert 0 <= low <= high
    for _ in range(40):
        x = [Fraction(0)] * 3
        for part in parts:
            shares = [rng.choice([0, 1, rng.random()]) for _ in part]
            shares[rng.randrange(len(part))] += 1
            for share, ball in zip(shares, part, strict=True):
                weight = Fraction(share) / Fraction(sum(map(Fraction, shares)))
                inside = [c + rng.choice([-ball.radius, 0, ball.radius]) for c in ball.centre]
                x = [a + weight * b for a, b in zip(x, inside, strict=True)]
        assert low**2 <= square(x, eps * 4**BITS) <= high**2


def test_the_largest_divisor_is_reached() -> None:
    """By two parts that point one way; and the least by two that cancel. Both ends are within two units."""
    eps = Fraction(1, 3)
    up, down = [Ball([1 << BITS, 0, 0], 0)], [Ball([-1 << BITS, 0, 0], 0)]
    for parts, x in (((up, up), [Fraction(2), Fraction(0), Fraction(0)]), ((up, down), [Fraction(0)] * 3)):
        low, high = divisor(eps.as_integer_ratio(), parts, BITS)
        exact = square(x, eps) * 4**BITS
        near = high if parts[1] is up else low
        assert (near - 4) ** 2 <= exact <= (near + 4) ** 2
        assert low**2 <= exact <= high**2


def test_the_radius_counts_in_full() -> None:
    """The spread of a ball grows with its radius, and no less than by its most extreme vectors."""
    (_, small), (_, large) = (divisor((0, 1), [[Ball([0, 0, 0, 0], radius)]], BITS) for radius in (10, 11))
    assert (small, large) == (40, 44)  # of (10, 10, -10, -10) it is 4 * 10


@pytest.mark.parametrize("eps", [Fraction(0), Fraction(1, 3), Fraction(7)])
def test_the_ends_are_as_near_as_integers_get(eps: Fraction) -> None:
    """The least is that of eps alone; for the most the largest deviations of all parts, and of what is not known."""
    parts = [[Ball([1, 2, 4, 9], 3), Ball([0, 0, 0, 5], 1)], [Ball([-8, 0, 1, 1], 0), Ball([70, 70, 70, 70], 2)]]
    largest = 0
    for part in parts:
        squares = [sum((4 * x - sum(ball.centre)) ** 2 for x in ball.centre) for ball in part]
        spreads = [ceil_sqrt(Fraction(square, 4)) + 4 * ball.radius for square, ball in zip(squares, part, strict=True)]
        largest += max(spreads)
    for bits in (0, 3):
        own = 16 * eps * 4**bits
        low = isqrt(int(own))
        assert divisor(eps.as_integer_ratio(), parts, bits) == (low, ceil_sqrt(largest**2 + own))


def ceil_sqrt(x: Fraction) -> int:
    root = isqrt(int(x))
    return root if root * root == x else root + 1


@pytest.mark.parametrize("normalization", ["LN", "LNPre"])
def test_the_logits_times_the_divisor_are_linear(normalization: str) -> None:
    """x times the matrix, plus the divisor times the row, for residuals whose divisor is rational."""
    case = layer_case(3, normalization=normalization, norms=["final"], eps="1")
    matrix, bias = unembedding(read_weights(case.data))
    found = 0
    for x in product(range(-4, 5), repeat=3):
        divided = square(list(map(Fraction, x)), Fraction(1))
        root = Fraction(round(float(divided) ** 0.5))
        if root * root != divided:
            continue
        model = case.oracle.rationals
        exact = model.norm([rational(e) for e in x], "ln_final")
        U, b_U = model.tensors["unembed.W_U"], model.tensors["unembed.b_U"]
        assert isinstance(model.kind, Rational)
        for y, logit in enumerate(model.linear(exact, U, b_U)):
            linear = sum(e * row[y] for e, row in zip(x, matrix.rows, strict=True)) * Fraction(2) ** matrix.exponent
            offset = bias.rows[0][y] * Fraction(2) ** bias.exponent
            assert linear + root * offset == root * Fraction(int(logit.p), int(logit.q))
        found += 1
    assert found > 5


def test_without_it_nothing_is_changed() -> None:
    weights = read_weights(layer_case(3).data)
    assert unembedding(weights) == (weights.tensors["unembed.W_U"], weights.tensors["unembed.b_U"])
