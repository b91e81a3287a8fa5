"""Enclosures of square roots and exponentials, against Arb, mpmath and fractions."""

import itertools
import tracemalloc
from fractions import Fraction
from math import isqrt

import flint
import mpmath
import pytest
from flint import arb, fmpq
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from checker.arithmetic.enclosures import (
    Enclosure,
    Power,
    aligned,
    exp_enclosure,
    exp_lower,
    exp_upper,
    halvings,
    largest_product,
    ln2_enclosure,
    partial_sums,
    pi_enclosure,
    plus,
    shift_down,
    shift_up,
    sqrt_enclosure,
)
from tests.support.derivations import whole

BITS = st.sampled_from([8, 9, 16, 32, 36, 64, 100, 200, 300])
FEW_ULP = arb(1) + arb(1) / 256  # each end of an enclosure is closer than this to the value, in units of 2^-bits


# To the unit
def test_numbers_are_rounded_to_the_next_ones() -> None:
    numbers = [(7, 1), (-7, 1), (5, 0), (5, -2), (-5, -2), (8, 3)]
    assert [shift_down(*each) for each in numbers] == [3, -4, 5, 20, -20, 1]
    assert [shift_up(*each) for each in numbers] == [4, -3, 5, 20, -20, 1]


def test_roots_between_neighbours() -> None:
    roots = {(2, 1, 8): (362, 363), (9, 4, 8): (384, 384), (2, 1, -1): (0, 1), (0, 1, 4): (0, 0), (1, 3, 5): (18, 19)}
    roots |= {(50, 1, -1): (3, 4), (36, 1, -1): (3, 3)}
    assert {asked: sqrt_enclosure(*asked) for asked in roots} == roots


def test_ln2_and_pi_between_neighbours() -> None:
    assert [ln2_enclosure(scale) for scale in (0, 1, 8, 20)] == [(0, 1), (1, 2), (177, 178), (726817, 726818)]
    assert [pi_enclosure(scale) for scale in (0, 1, 8, 20)] == [(3, 4), (6, 7), (804, 805), (3294198, 3294199)]
    low = 57952155664616982739  # floor(2^64 pi)
    assert pi_enclosure(64) == (low, low + 1)
    low = 12786308645202655659  # floor(2^64 ln 2)
    assert ln2_enclosure(64) == (low, low + 1)


@pytest.mark.parametrize(("scale", "low", "high"), [(188, -1, 1), (189, 0, 1), (644, 0, 2), (676, -1, 1)])
def test_pi_where_it_is_near_an_integer(scale: int, low: int, high: int) -> None:
    """So that what is allowed for the terms tells: how far the ends are from floor(2^scale pi)."""
    flint.ctx.prec = scale + 80
    below = whole((arb.pi() * arb(2) ** scale).floor())
    assert pi_enclosure(scale) == (below + low, below + high)


def test_exponentials_between_neighbours() -> None:
    """Near 0, 1, far out; e^-1 is 94.2 of 256."""
    found = [(halvings(*one[:2]), exp_lower(*one), exp_upper(*one)) for one in [(0, 8, 8), (1, 8, 8), (256, 8, 8)]]
    assert found == [(8, 256, 256), (8, 255, 256), (9, 94, 95)]
    found = [(halvings(*one[:2]), exp_lower(*one), exp_upper(*one)) for one in [(5000, 8, 8), (12345, 12, 16)]]
    assert found == [(13, 0, 1), (10, 3217, 3218)]
    # 254.00004 and 18.999999: so near an integer that what the last steps lose tells
    assert [(exp_lower(x, 16, 8), exp_upper(x, 16, 8)) for x in (514, 170442)] == [(253, 255), (18, 20)]
    assert (halvings(7, 0), exp_lower(7, 0, 30), exp_upper(7, 0, 30)) == (11, 979125, 979126)


@pytest.mark.parametrize(
    ("lower", "upper", "scale", "bits", "power"),
    [
        (0, 0, 8, 8, (256, 256, 0)),
        (256, 256, 8, 8, (188, 189, 1)),
        (100, 140, 8, 8, (148, 174, 0)),
        (-256, -256, 8, 8, (173, 175, -2)),
        (-700, -600, 8, 8, (165, 249, -4)),
        (-30, 50, 8, 8, (105, 145, -1)),
        (-1, -1, 4, 16, (32953, 35079, -1)),
        (4096, 4096, 8, 8, (232, 255, 23)),
        (12345, 12346, 12, 16, (51464, 51528, 4)),
        (177, 177, 8, 4, (8, 9, 0)),
        (178, 178, 8, 4, (15, 16, 1)),
        (1 << 30, (1 << 30) + 1, 24, 24, (13323868, 13323942, 92)),
    ],
)
def test_powers_to_the_unit(lower: int, upper: int, scale: int, bits: int, power: tuple[int, int, int]) -> None:
    """Recorded; the next tests say that they are enclosures. ln 2 is 177.4 of 256."""
    assert exp_enclosure(lower, upper, scale, bits, ln2_enclosure(scale)) == power


# Rounding
@given(st.integers(), st.integers(-80, 80))
def test_shifts_round_by_their_direction(number: int, bits: int) -> None:
    exact = Fraction(number) / Fraction(2) ** bits
    assert shift_down(number, bits) == exact.__floor__()
    assert shift_up(number, bits) == exact.__ceil__()


# sqrt
def check_sqrt(numerator: int, denominator: int, bits: int) -> None:
    lower, upper = sqrt_enclosure(numerator, denominator, bits)
    square = Fraction(numerator, denominator) * Fraction(4) ** bits
    assert lower >= 0 and lower**2 <= square <= upper**2
    exact = lower**2 == square
    assert upper == lower + (not exact)
    flint.ctx.prec = 2 * square.numerator.bit_length() + 2 * square.denominator.bit_length() + 64
    root = arb(fmpq(square.numerator, square.denominator)).sqrt()
    if exact:
        assert root.contains(lower)
    else:
        assert arb(lower) < root < arb(upper)


@given(st.integers(0, 1 << 300), st.integers(1, 1 << 100), st.integers(-60, 300))
@settings(max_examples=600)
def test_sqrt_against_fractions_and_arb(numerator: int, denominator: int, bits: int) -> None:
    check_sqrt(numerator, denominator, bits)


@given(st.integers(0, 1 << 150), st.integers(1, 1 << 40), st.integers(-20, 80), st.integers(-1, 1))
@settings(max_examples=400)
def test_sqrt_next_to_perfect_squares(root: int, denominator: int, bits: int, step: int) -> None:
    """Where a wrong rounding of the root or of the division would show."""
    numerator = root**2 * denominator + step
    assume(numerator >= 0)
    check_sqrt(numerator, denominator, bits)
    if step == 0 and bits >= 0:
        assert sqrt_enclosure(numerator, denominator, bits) == (root << bits, root << bits)


def test_sqrt_of_the_scores_of_the_head_sizes() -> None:
    for head, bits in itertools.product((1, 2, 3, 4, 31, 32, 64), (0, 80, 600)):
        for numerator in (0, 1, 2, 7, 10**30):
            check_sqrt(numerator**2, head, bits)


# exp
def exact_exp(x: int, scale: int, bits: int) -> arb:
    """exp(-x / 2^scale) * 2^bits with at least 64 bits after the point."""
    flint.ctx.prec = bits + x.bit_length() + scale + 128
    return (-arb(fmpq(x, 1 << scale))).exp() * arb(1 << bits)


def check_exp(x: int, scale: int, bits: int) -> None:
    """With ln 2 as the checker has it; close where the error of ln 2 does not tell."""
    low, high, shift = exp_enclosure(x, x, scale, bits, ln2_enclosure(scale))
    value = exact_exp(x, scale, bits) * arb(2) ** shift
    assert 0 <= arb(low) <= value <= arb(high) <= arb(1 << bits)
    if scale >= bits + 16 + x.bit_length() - scale:
        assert value - low < FEW_ULP
        assert high - value < FEW_ULP
        assert high >= 1 << bits - 1


@given(st.integers(8, 200), st.sampled_from([0, 1, 60, 1000, 16000]), st.integers(-3, 3), st.integers(0, 40))
@settings(max_examples=25, deadline=None)
def test_exp_at_any_magnitude(bits: int, size: int, step: int, extra: int) -> None:
    """Multiples of ln 2 and powers of two, give or take a little; the value itself is far below every number here."""
    scale = bits + extra
    flint.ctx.prec = 2 * size + scale + 64
    ln2 = whole((arb(2).log() * arb(1 << scale) * arb(1 << size)).mid().floor())
    for x in (0, max(0, ln2 + step), (1 << size + scale) + step):
        check_exp(max(0, x), scale, bits)


def test_ln2_against_arb() -> None:
    for scale in [*range(0, 300), 1000, 4128, 20000]:
        low, high = ln2_enclosure(scale)
        flint.ctx.prec = scale + 64
        value = arb(2).log() * arb(1 << scale)
        assert arb(low) <= value <= arb(high)
        assert high - low <= 2


SCALES = st.sampled_from([0, 1, 7, 24, 52, 80, 116, 216])


@given(st.data(), BITS)
@settings(max_examples=600)
def test_exp_against_arb(data: st.DataObject, bits: int) -> None:
    """From 0 to far below 2^-bits, at the scale that the checker uses and at others."""
    scale = data.draw(st.one_of(st.just(bits + 16), SCALES))
    check_exp(data.draw(st.integers(0, bits + 2 << scale)), scale, bits)


@given(st.data(), BITS, st.integers(-3, 3))
@settings(max_examples=400)
def test_exp_of_near_integers(data: st.DataObject, bits: int, step: int) -> None:
    scale = data.draw(st.one_of(st.just(bits + 16), SCALES))
    check_exp(max(0, (data.draw(st.integers(0, bits + 1)) << scale) + step), scale, bits)


@given(st.data(), BITS, st.integers(-2, 2))
@settings(max_examples=400)
def test_exp_where_the_value_is_nearly_a_power_of_two(data: st.DataObject, bits: int, step: int) -> None:
    """x = n log 2: floor and ceiling are decided by the last digit."""
    scale = bits + 16
    flint.ctx.prec = scale + 64
    n = data.draw(st.integers(1, bits))
    x = whole((arb(n) * arb(2).log() * arb(1 << scale)).mid().floor())
    check_exp(max(0, x + step), scale, bits)


@given(st.data(), BITS)
@settings(max_examples=400)
def test_exp_of_tiny_arguments(data: st.DataObject, bits: int) -> None:
    scale = bits + 16
    check_exp(data.draw(st.integers(0, 1 << 20)), scale, bits)


@given(st.integers(1, 4000).map(lambda n: (n, 4096)) | st.integers(1, 600).map(lambda n: (n, 1000)))
@settings(max_examples=25)
def test_exp_at_the_largest_depths(case: tuple[int, int]) -> None:
    nats, bits = case
    check_exp((nats << bits + 16) // 3 + 1, bits + 16, bits)


@given(st.data(), BITS)
@settings(max_examples=400)
def test_exp_of_intervals(data: st.DataObject, bits: int) -> None:
    """The lower end is that of exp at the right end of the interval, the upper end that at the left."""
    scale = bits + 16
    ends = sorted(data.draw(st.lists(st.integers(0, bits + 2 << scale), min_size=2, max_size=2)))
    check_interval(ends, data.draw(st.integers(*ends)), scale, bits)


@given(st.data(), BITS, st.integers(1, 3000))
@settings(max_examples=300)
def test_exp_of_intervals_far_out(data: st.DataObject, bits: int, ln2s: int) -> None:
    """Between multiples of ln 2, where the value moves into the shift; the ends may lie on both sides of one."""
    scale = bits + 32
    low, high = ln2_enclosure(scale)
    start = data.draw(st.integers(ln2s * low - 3, ln2s * high + 3) | st.integers(ln2s * low, (ln2s + 1) * low))
    ends = [start, start + data.draw(st.integers(0, 3) | st.integers(0, 3 << scale))]
    check_interval(ends, data.draw(st.integers(*ends)), scale, bits)


@pytest.mark.parametrize("bits", [8, 36, 100])
def test_exp_above_one_and_on_both_sides_of_it(bits: int) -> None:
    """Of numbers below 0, which the shift takes away as well."""
    scale = bits + 32
    low, high = ln2_enclosure(scale)
    for start in (-1, -low, -high, -high - 1, -7 * low - 3, -7 * high + 3, -(5 << scale) // 3, -100 << scale):
        for width in (0, 1, low, 1 << scale):
            check_interval([start, start + width], start + width // 2, scale, bits)


def check_interval(ends: list[int], inside: int, scale: int, bits: int) -> None:
    """Both ends enclose, and each is close to the value that it bounds."""
    lower, upper, shift = exp_enclosure(ends[0], ends[1], scale, bits, ln2_enclosure(scale))
    least, value, largest = (exact_exp(x, scale, bits) * arb(2) ** shift for x in (ends[1], inside, ends[0]))
    assert arb(lower) <= least and largest <= arb(upper) <= arb(1 << bits)
    assert arb(lower) <= value <= arb(upper)
    assert least - lower < FEW_ULP
    assert upper - largest < FEW_ULP


@given(st.data(), BITS, st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=200, deadline=None)
def test_exp_with_any_enclosure_of_ln2(data: st.DataObject, bits: int, below: int, above: int) -> None:
    """A wider enclosure of ln 2 widens the answer; it never moves it."""
    scale = bits
    low, high = ln2_enclosure(scale)
    x = data.draw(st.integers(0, 50 * high))
    lower, upper, shift = exp_enclosure(x, x, scale, bits, Enclosure(max(1, low - below), high + above))
    value = exact_exp(x, scale, bits) * arb(2) ** shift
    assert 0 <= arb(lower) <= value <= arb(upper) <= arb(1 << bits)


@pytest.mark.parametrize("x", [-1, 0, 1, -177, 177, -1000, 1000])
def test_exp_with_a_wide_enclosure_of_ln2_on_both_sides_of_0(x: int) -> None:
    """The end that is used is that which leaves the remainder that is safe, whatever the sign of the number."""
    low, high = ln2_enclosure(8)
    for below, above in ((0, 0), (40, 0), (0, 40), (40, 40)):
        lower, upper, shift = exp_enclosure(x, x, 8, 30, Enclosure(low - below, high + above))
        value = exact_exp(x, 8, 30) * arb(2) ** shift
        assert 0 <= arb(lower) <= value <= arb(upper)


@given(st.data(), BITS)
@settings(max_examples=600)
def test_exp_against_mpmath(data: st.DataObject, bits: int) -> None:
    """A second oracle, in plain high precision."""
    scale = bits + 32
    x = data.draw(st.integers(1, bits + 2 << scale))
    lower, upper, shift = exp_enclosure(x, x, scale, bits, ln2_enclosure(scale))
    with mpmath.workprec(2 * bits + scale + 128):
        value = mpmath.exp(-mpmath.mpf(x) / mpmath.mpf(2) ** scale) * mpmath.mpf(2) ** (bits + shift)
        slack = mpmath.mpf(2) ** -64
        assert lower - slack < value < upper + slack
        assert upper - lower <= 3


@pytest.mark.parametrize("bits", [8, 36, 64, 4096])
@pytest.mark.parametrize("scale", [0, 80, 4112])
def test_exp_of_zero_is_one(scale: int, bits: int) -> None:
    ln2 = ln2_enclosure(scale)
    assert exp_enclosure(0, 0, scale, bits, ln2) == (1 << bits, 1 << bits, 0)
    low, high, shift = exp_enclosure(0, 5 * bits << scale, scale, bits, ln2)
    assert (low, high, shift) == (0, 1 << bits, 0)


@pytest.mark.parametrize("bits", [8, 36, 200, 4096])
def test_exp_of_tiny_values_keeps_its_bits(bits: int) -> None:
    """However small the value is, nothing is lost."""
    for nats in (bits, 2 * bits, 100 * bits, 1 << 20):
        scale = bits + 48
        lower, upper, shift = exp_enclosure(nats << scale, nats << scale, scale, bits, ln2_enclosure(scale))
        assert upper - lower <= 3
        assert upper >= 1 << bits - 1
        assert abs(shift - nats * 1.4426950408889634) < 2
        check_exp(nats << scale, scale, bits)


@pytest.mark.parametrize("size", [10**6, 10**30, 10**300])
def test_huge_arguments_form_no_huge_number(size: int) -> None:
    """No number is much longer than the argument: the shift carries the size."""
    for scale, bits in ((80, 64), (4112, 4096)):
        x, ln2 = size << scale, ln2_enclosure(scale)
        tracemalloc.start()
        lower, upper, _ = exp_enclosure(x, x + 1, scale, bits, ln2)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert 0 <= lower <= upper <= 1 << bits
        assert peak < 20_000


@given(st.data(), BITS)
@settings(max_examples=300)
def test_exp_falls(data: st.DataObject, bits: int) -> None:
    scale = bits + 16
    ln2 = ln2_enclosure(scale)
    x = data.draw(st.integers(0, bits << scale))
    y = x + data.draw(st.integers(0, 1 << scale))
    low, _, of_y = exp_enclosure(y, y, scale, bits, ln2)
    _, high, of_x = exp_enclosure(x, x, scale, bits, ln2)
    assert Fraction(low, 1 << of_y) <= Fraction(high, 1 << of_x)


MANTISSAS = st.integers(0, 1 << 200)


@given(st.lists(st.tuples(MANTISSAS, MANTISSAS, st.integers(0, 300)), min_size=1, max_size=6), st.integers(8, 200))
def test_aligned_numbers_enclose_the_same_in_one_unit(pairs: list[tuple[int, int, int]], bits: int) -> None:
    """The unit is that of the largest; ends round outward, by less than one."""
    powers = [Power(min(a, b) >> 200 - bits, (max(a, b) >> 200 - bits) + 1, shift) for a, b, shift in pairs]
    unit = Fraction(1, 1 << min(shift for _, _, shift in powers))
    for (low, high), power in zip(aligned(powers, bits), powers, strict=True):
        true_low, true_high = (Fraction(end, 1 << power[2]) for end in power[:2])
        assert low * unit <= true_low < (low + 1) * unit
        assert (high - 1) * unit < true_high <= high * unit


def test_isqrt_is_the_floor() -> None:
    """The one library function under the enclosures."""
    for n in (0, 1, 2, 3, 4, 10**40 - 1, 10**40, 10**40 + 1, (1 << 4000) - 1):
        assert isqrt(n) ** 2 <= n < (isqrt(n) + 1) ** 2


@pytest.mark.parametrize("scales", [range(100), range(2900, 2910)], ids=str)
def test_pi_and_ln_2_lie_between_neighbours_or_nearly(scales: range) -> None:
    flint.ctx.prec = 4000
    for scale in scales:
        for (low, high), value in ((pi_enclosure(scale), arb.pi()), (ln2_enclosure(scale), arb(2).log())):
            assert low <= value * arb(2) ** scale <= high
            assert high - low <= 3


def test_sums_and_products_of_enclosed_numbers() -> None:
    assert plus(Enclosure(1, 3), Enclosure(10, 20)) == (11, 23)
    assert [largest_product(factor, Enclosure(2, 5)) for factor in (-3, -1, 0, 1, 3)] == [-6, -2, 0, 5, 15]
    weights = [Enclosure(4, 5), Enclosure(1, 9), Enclosure(2, 2)]
    assert partial_sums(weights, heaviest=False) == [(0, 0), (1, 2), (3, 7), (7, 16)]
    assert partial_sums(weights, heaviest=True) == [(0, 0), (4, 9), (6, 14), (7, 16)]
    assert partial_sums([], heaviest=True) == [(0, 0)]
