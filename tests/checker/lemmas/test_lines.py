"""Lines above and below activations, against Arb; and readings that look right and are not bounds."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
from flint import arb, fmpq

from checker.arithmetic.activations import SLOPES, Activation
from checker.arithmetic.balls import Ball
from checker.lemmas.lines import PIECES, intercept
from tests.support.any_oracle import Balls, precision

BITS = [8, 24, 60]


def ranges(rng: random.Random, bits: int) -> Iterator[tuple[int, int]]:
    """Of one point, narrow and wide, on both sides of 0 and around it."""
    yield from [(0, 0), (-1, 1), (-5 << bits, 5 << bits), (3 << bits - 1, 6 << bits), (-1 << bits + 8, 1 << bits)]
    for _ in range(6):
        low = rng.randint(-8 << bits, 8 << bits)
        yield low, low + rng.choice([0, 1, 63, rng.randint(0, 4 << bits)])


def off(name: str, bits: int, low: int, high: int, slope: int, above: bool) -> list[arb]:
    """How far the line is from the function, in units, at points of the range and its kink or bend."""
    act, b = Activation(name, bits), intercept(Activation(name, bits), low, high, slope, above)
    assert act.bits == bits
    inside = {low, high, *[z for z in (0, 1, -1) if low <= z <= high]}
    points = [*map(fmpq, inside), *[low + fmpq((high - low) * i, 3 * PIECES) for i in range(3 * PIECES)]]
    unit = arb(2) ** bits
    values = [getattr(Balls(), name)(arb(z) / unit) * unit for z in points]
    rest = [slope * arb(z) / unit + b - value for z, value in zip(points, values, strict=True)]
    return rest if above else [-x for x in rest]


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("name", SLOPES)
def test_a_line_of_any_slope_is_on_its_side_and_near(name: str, bits: int) -> None:
    """Everywhere in the range; and it nearly touches, as far as 64 pieces can tell."""
    rng = random.Random(bits)
    with precision(3 * bits + 100):
        for low, high in ranges(rng, bits):
            slope = rng.choice([0, 1 << bits, -1, rng.randint(-2 << bits, 2 << bits), rng.choice([-1, 1]) << 3 * bits])
            for above in (True, False):
                rest = off(name, bits, low, high, slope, above)
                assert all(x >= 0 for x in rest), (low, high, slope)
                width = arb(high - low) / PIECES + 2
                bend = arb(0) if name == "relu" else width * width / arb(2) ** (bits + 2)
                assert any(x <= 8 + 3 * bend for x in rest)


@pytest.mark.parametrize("name", ["gelu_tanh", "gelu_erf"])
def test_a_chord_is_off_where_a_gelu_bends_most(name: str) -> None:
    """Pieces from 0 to 1/2, and a slope that makes the line touch between."""
    with precision(200):
        for slope in (0x60, 0x80, 0xA8, 0xB0, 0xB8):
            rest = off(name, 40, -16 << 40, 16 << 40, slope << 32, False)
            assert all(x >= 0 for x in rest), slope


class Doubtful:
    """z, somewhere within 5 of what it says."""

    name, bits = "silu", 8

    def __init__(self, by: int) -> None:
        self.by = by

    def __call__(self, x: Ball) -> Ball:
        return Ball([z + self.by for z in x.centre], x.radius + 5)


@pytest.mark.parametrize("by", [-5, 0, 5])
def test_what_is_not_known_of_an_activation_is_on_the_safe_side(by: int) -> None:
    act: Any = Doubtful(by)
    assert intercept(act, 0, 64, 1 << 8, True) == by + 5 + 2
    assert intercept(act, 0, 64, 1 << 8, False) == by - 5 - 2


def test_a_relu_touches_at_its_ends_or_its_kink() -> None:
    """The chord above it, and below it a line through 0, one unit away for what is rounded."""
    act = Activation("relu", 10)
    chord = (2 << 10) // 3
    assert intercept(act, -1 << 10, 2 << 10, chord, True) in (683 + 1, 683 + 2)
    assert intercept(act, -1 << 10, 2 << 10, chord, False) == -1
    assert [intercept(act, 3, 9, 1 << 10, above) for above in (True, False)] == [1, -1]
    assert [intercept(act, -9, -3, 0, above) for above in (True, False)] == [1, -1]


def test_neither_chord_nor_tangent_nor_monotony_bound_a_gelu() -> None:
    """gelu(3) is above the chord over [1.5, 6], and the minimum of [-2, 0] is inside: the intercepts know."""
    bits = 40
    act = Activation("gelu_erf", bits)
    with precision(200):
        f = [Balls().gelu_erf(arb(z)) for z in (1.5, 6, 3, -2, 0, -0.75)]
        slope = (f[1] - f[0]) / arb(4.5)
        assert f[2] > f[0] + slope * arb(1.5)
        whole = int((slope * arb(2) ** bits).mid().floor().unique_fmpz())  # type: ignore[arg-type]
        b = intercept(act, 3 << bits - 1, 6 << bits, whole, True)
        assert arb(b) / arb(2) ** bits > f[0] - slope * arb(1.5)
        assert arb(b) / arb(2) ** bits >= f[2] - slope * 3
        flat = intercept(act, -2 << bits, 0, 0, False)
        assert arb(flat) / arb(2) ** bits < f[5] < f[3]
