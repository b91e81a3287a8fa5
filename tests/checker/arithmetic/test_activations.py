"""ReLU, SiLU and GELU of balls, against Arb."""

import random
from collections.abc import Callable
from fractions import Fraction
from math import ceil, floor, isqrt

import pytest
from flint import arb, fmpq

from checker.arithmetic.activations import SLOPES, Activation
from checker.arithmetic.balls import Ball
from checker.arithmetic.enclosures import Enclosure, sqrt_enclosure
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


def normal(z: arb) -> tuple[arb, arb]:
    """Phi and its density."""
    density = (-z * z / 2).exp() / (2 * arb.pi()).sqrt()
    return (1 + (z / arb(2).sqrt()).erf()) / 2, density


def of_sigmoid(z: arb, g: arb, rise: arb) -> arb:
    """The derivative of z sigmoid(g(z)), where g'(z) is `rise`."""
    s = 1 / (1 + (-g).exp())
    return s + z * rise * s * (1 - s)


def silu_slope(z: arb) -> arb:
    return of_sigmoid(z, z, arb(1))


def gelu_tanh_slope(z: arb) -> arb:
    root, a = (8 / arb.pi()).sqrt(), arb(fmpq(44_715, 1_000_000))
    return of_sigmoid(z, root * (z + a * z**3), root * (1 + 3 * a * z * z))


def gelu_erf_slope(z: arb) -> arb:
    phi, density = normal(z)
    return phi + z * density


DERIVATIVES: dict[str, Callable[[arb], arb]] = {
    "silu": silu_slope,
    "gelu_tanh": gelu_tanh_slope,
    "gelu_erf": gelu_erf_slope,
}


def between(low: fmpq, high: fmpq) -> arb:
    """All numbers from low to high."""
    return arb(low).union(arb(high))


@pytest.mark.parametrize("name", DERIVATIVES)
def test_the_derivatives_are_those_of_the_functions(name: str) -> None:
    """By differences on both sides of zero; and f'(z) + f'(-z) = 1."""
    h = arb(2) ** -60
    with precision(300):
        for z in (arb(fmpq(n, 7)) for n in range(-40, 41)):
            slope = DERIVATIVES[name](z)
            assert abs((value(name, z + h) - value(name, z - h)) / (2 * h) - slope) < arb(2) ** -100
            assert abs(slope + DERIVATIVES[name](-z) - 1) < arb(2) ** -200


@pytest.mark.parametrize("name", DERIVATIVES)
def test_the_stated_slopes_bound_the_derivatives(name: str) -> None:
    """On [-8, 8], by subdivision: for z >= 0 the derivative is from 1 - slope to slope; for -z it is 1 less that."""
    slope = fmpq(*SLOPES[name])
    waiting, parts = [(fmpq(0), fmpq(8))], 0
    with precision(64):
        while waiting:
            low, high = waiting.pop()
            parts += 1
            assert parts < 40_000, "a place where the slope is larger"
            derivative = DERIVATIVES[name](between(low, high))
            if not (derivative <= arb(slope) and derivative >= arb(1 - slope)):
                middle = (low + high) / 2
                waiting += [(low, middle), (middle, high)]
    assert parts > 10


def test_beyond_eight_the_slopes_are_almost_one() -> None:
    """1 + 3 g exp(-g) falls for g >= 1; g(8), of the tanh form, is far above, and for SiLU g = z and 1 + g exp(-g)."""
    with precision(64):
        g = (8 / arb.pi()).sqrt() * (8 + arb(fmpq(44_715, 1_000_000)) * 512)
        assert g > 1
        assert 1 + 3 * g * (-g).exp() < fmpq(10_001, 10_000)
        assert 1 + 8 * arb(-8).exp() < fmpq(*SLOPES["silu"])
        assert 1 + 8 * normal(arb(8))[1] < fmpq(*SLOPES["gelu_erf"])


def bent_sigmoid(z: arb, g: arb, rise: arb, bend: arb) -> arb:
    """The second derivative of z s(g(z)), s the sigmoid, where g'(z) is `rise` and g''(z) is `bend`."""
    s = 1 / (1 + (-g).exp())
    return s * (1 - s) * (2 * rise + z * bend + z * rise * rise * (1 - 2 * s))


def silu_bend(z: arb) -> arb:
    return bent_sigmoid(z, z, arb(1), arb(0))


def gelu_tanh_bend(z: arb) -> arb:
    root, a = (8 / arb.pi()).sqrt(), arb(fmpq(44_715, 1_000_000))
    return bent_sigmoid(z, root * (z + a * z**3), root * (1 + 3 * a * z * z), 6 * root * a * z)


def gelu_erf_bend(z: arb) -> arb:
    return (2 - z * z) * normal(z)[1]


BENDS: dict[str, Callable[[arb], arb]] = {"silu": silu_bend, "gelu_tanh": gelu_tanh_bend, "gelu_erf": gelu_erf_bend}


@pytest.mark.parametrize("name", BENDS)
def test_second_derivatives_are_at_most_four_fifths(name: str) -> None:
    """On [0, 8], by subdivision; they are even, and those of the functions."""
    h, most, parts = arb(2) ** -60, fmpq(4, 5), 0
    waiting = [(fmpq(n, 8), fmpq(n + 1, 8)) for n in range(64)]
    with precision(300):
        for z in (arb(fmpq(n, 7)) for n in range(-40, 41)):
            bend = BENDS[name](z)
            assert abs((DERIVATIVES[name](z + h) - DERIVATIVES[name](z - h)) / (2 * h) - bend) < arb(2) ** -100
            assert abs(bend - BENDS[name](-z)) < arb(2) ** -200
    with precision(64):
        while waiting:
            low, high = waiting.pop()
            parts += 1
            assert parts < 40_000, "a place where the function is more bent"
            if not abs(BENDS[name](between(low, high))) <= most:
                waiting += [(low, (low + high) / 2), ((low + high) / 2, high)]
        assert abs(BENDS[name](arb(8))) < fmpq(1, 50)


def within(low: int, high: int, exact: arb, unit: int, width: int) -> None:
    """The number is between the ends, in units of 2^-unit, and these are not further apart."""
    assert low <= exact * arb(2) ** unit <= high
    assert high - low <= width


@pytest.mark.parametrize("bits", [8, 9, 30])
def test_exponentials_and_series_are_enclosed_and_near(bits: int) -> None:
    act, rng = Activation("gelu_erf", bits), random.Random(bits)
    with precision(2000):
        for _ in range(40):
            x = rng.randint(0, (1 << rng.randint(0, 5)) << act.work)
            wide = rng.choice([0, 1, 1 << act.work])
            low, high = act.exp(x, x + wide)
            exact = [(-arb(fmpq(end, 1 << act.work))).exp() * arb(2) ** act.work for end in (x + wide, x)]
            assert low <= exact[0] < low + 2 and high - 2 < exact[1] <= high
        for a in [0, 1, 2, *[rng.randint(0, 4 << bits) for _ in range(20)]]:
            z = arb(fmpq(a, 1 << bits))
            phi, density = normal(z)
            terms = a * a // (1 << 2 * bits - 3) + 2 * act.work  # at most, each of which loses less than a unit
            series = (phi - arb(0.5)) / density
            within(act.series(a, up=False), act.series(a, up=True), series, act.work, terms)
            within(*act.normal(a), 1 - phi, act.work, terms + round(float(4 * series)))


@pytest.mark.parametrize("bits", [8, 9, 30])
@pytest.mark.parametrize("name", ["silu", "gelu_tanh"])
def test_sigmoids_are_enclosed_and_near(name: str, bits: int) -> None:
    act, rng = Activation(name, bits), random.Random(bits)
    with precision(2000):
        for a in [0, 1, 2, *[rng.randint(0, 8 << bits) for _ in range(60)]]:
            z = arb(fmpq(a, 1 << bits))
            g = z if name == "silu" else (8 / arb.pi()).sqrt() * (z + arb(fmpq(44_715, 1_000_000)) * z**3)
            within(*act.sigmoid(a), 1 / (1 + g.exp()), act.work, 3)


@pytest.mark.parametrize("bits", [8, 9, 30])
@pytest.mark.parametrize("name", ["silu", "gelu_tanh", "gelu_erf"])
def test_tails_are_enclosed_between_neighbours(name: str, bits: int) -> None:
    """To the last place; and 0 to 1 from where they are below one unit."""
    act, rng = Activation(name, bits), random.Random(bits)
    with precision(2000):
        for a in [0, 1, 2, *[rng.randint(0, 8 << bits) for _ in range(60)]]:
            z = arb(fmpq(a, 1 << bits))
            exact = (z * (a > 0) - value(name, z)) * arb(2) ** bits
            within(*act.tail(a), exact, 0, 1)
    far = 2 * bits << bits if name != "gelu_erf" else isqrt((2 * bits << 2 * bits) - 1) + 1
    act.sigmoid = act.normal = lambda a: Enclosure(7 << act.work, 7 << act.work)  # type: ignore[method-assign]
    assert [act.tail(a) == (0, 1) for a in (far - 1, far, far + 1, 2 * far)] == [False, True, True, True]
    act.sigmoid = act.normal = lambda a: Enclosure(-1, 1)  # type: ignore[method-assign]
    assert act.tail(far - 1) == (0, 1)


@pytest.mark.parametrize(("name", "slope"), [("relu", 1), ("silu", 1.1), ("gelu_tanh", 1.13), ("gelu_erf", 1.13)])
def test_a_radius_grows_by_the_slope_and_what_is_not_known(name: str, slope: float) -> None:
    """Rounded up, and the widest tail of all."""
    act = Activation(name, 20)
    widths = {5: 0, 1 << 20: 4, 3 << 20: 1}
    act.tail = lambda a: Enclosure(100, 100 + widths[a])  # type: ignore[method-assign]
    x = [5, -(1 << 20), 3 << 20]
    for radius in (0, 1, 10, 99, 1000):
        out = act(Ball(x, radius))
        less, most = (0, 0) if name == "relu" else (100, 4)
        assert out == ([max(z, 0) - less for z in x], -(-radius * round(100 * slope) // 100) + most, 0)


def test_phi_is_made_of_its_parts_rounded_outward() -> None:
    """1/2 less the density times the series, whose exponential is asked for a^2 / 2 and hardly more."""
    act, asked = Activation("gelu_erf", 8), list[tuple[int, int]]()
    unit, series, power = 1 << act.work, (123_456_789, 123_456_791), Enclosure(1234 << 70, 1235 << 70)
    act.series = lambda a, up: series[up]  # type: ignore[method-assign]
    act.exp = lambda low, high: asked.append((low, high)) or power  # type: ignore[func-returns-value, method-assign]
    pi = act.constants[1]
    roots = sqrt_enclosure(unit, 2 * pi.high, act.work).low, sqrt_enclosure(unit, 2 * pi.low, act.work).high
    products = [Fraction(e * root * s, unit * unit) for e, root, s in zip(power, roots, series, strict=True)]
    half = Fraction(unit, 2)
    for a in (0, 1, 2, 1000):
        assert act.normal(a) == (floor(half - products[1]), ceil(half - products[0]))
        low, high = asked.pop()
        assert low <= Fraction(a * a * unit, 2 << 2 * act.bits) <= high <= low + 1
