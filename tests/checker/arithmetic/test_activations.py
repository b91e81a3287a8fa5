"""ReLU, SiLU and GELU of balls, against Arb."""

import random

import pytest
from flint import arb, fmpq

from checker.arithmetic.activations import SLOPES, Activation
from checker.arithmetic.balls import Ball
from tests.support.any_oracle import Balls, precision

# where each is steepest, about
STEEPEST = {"relu": 1.0, "silu": 2.399, "gelu_tanh": 1.4142, "gelu_erf": 1.4142}


def value(name: str, z: arb) -> arb:
    result: arb = getattr(Balls(), name)(z)
    return result


@pytest.mark.parametrize("bits", [8, 9, 30, 64, 300])
@pytest.mark.parametrize("name", SLOPES)
def test_the_ends_of_an_interval_are_mapped_into_the_ball(name: str, bits: int) -> None:
    """Small and large arguments, both signs, small and large radii."""
    rng, act = random.Random(bits), Activation(name, bits)
    near = [rng.randint(-6 << bits, 6 << bits) for _ in range(30)]
    far = [rng.choice([-1, 1]) * rng.randint(0, 3 * bits << bits) for _ in range(30)]
    huge = [rng.choice([-1, 1]) << (bits + rng.randint(0, 300)) for _ in range(4)]
    with precision(4 * bits + 600):
        for z in (0, 1, -1, *near, *far, *huge):
            r = rng.choice([1, 3, 1 << (bits - 2), 5 << bits])
            out = act(Ball([z], r))
            for end in (z - r, z, z + r):
                exact = value(name, arb(fmpq(end, 1 << bits))) * arb(2) ** bits
                assert abs(exact - out.centre[0]) <= out.radius
            assert act(Ball([z], 1)).radius <= 6


@pytest.mark.parametrize("name", SLOPES)
def test_the_radius_is_that_of_the_steepest_place(name: str) -> None:
    bits = 40
    centre, r = round(STEEPEST[name] * 2**bits), 1 << (bits - 8)
    out = Activation(name, bits)(Ball([centre], r))
    with precision(300):
        top = value(name, arb(fmpq(centre + r, 1 << bits))) * arb(2) ** bits - out.centre[0]
    assert 0.998 * out.radius < float(top) <= out.radius
    assert name == "relu" or top > 1.09 * r


def test_negative_zero_and_far_out_values_are_exact() -> None:
    for name in SLOPES:
        out = Activation(name, 20)(Ball([-1 << 60, 0, 1 << 60], 0))
        assert [abs(c - z) <= out.radius for c, z in zip(out.centre, (0, 0, 1 << 60), strict=True)] == [True] * 3
        assert out.radius <= 2
