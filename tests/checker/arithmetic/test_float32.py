"""What float32 may do to vectors: singular values, lengths, what roundings add; LayerNorm in all ways that programs may
compute it."""

import random
from fractions import Fraction
from math import ceil, isqrt, sqrt, tanh

import numpy as np
import pytest

from checker.arithmetic import float32
from checker.arithmetic.balls import Ball, TooCoarse, norm
from checker.arithmetic.enclosures import Enclosure
from checker.arithmetic.float32 import (
    Attended,
    Columns,
    Float32Activation,
    Float32LayerNorm,
    Float32Linear,
    grown,
    length,
    of_mean,
    of_sum,
    off,
    singular_value,
)
from checker.arithmetic.matrices import Matrix
from tests.support.float32_any import AnyhowElse, Taped, normed, value

BITS = 64
SEEDS = [range(40), pytest.param(range(40, 4000), marks=pytest.mark.slow)]


def test_the_length_of_a_ball_holds_what_is_computed() -> None:
    assert length(Ball([3, 4, 0], 3, 7)) == 5 + 2 * 3 + 7


@pytest.mark.parametrize("seeds", SEEDS, ids=str)
def test_singular_values_are_bounded(seeds: range) -> None:
    """Of matrices that are narrow or wide, of one rank or all, of numbers with many bits or few."""
    for seed in seeds:
        draw, rng = np.random.default_rng(seed), random.Random(seed)
        n, m = rng.randint(1, 9), rng.randint(1, 9)
        M = draw.normal(size=(n, m)) * 2.0 ** rng.choice([1, 8, 45, 60])
        if rng.random() < 0.3:
            M = np.outer(M[:, 0], M[0]) / abs(M[0, 0])
        rows = [[int(x) for x in row] for row in M]
        exact = float(np.linalg.norm(np.array(rows, dtype=float), 2))
        found = singular_value(rows)
        assert exact * (1 - 1e-9) <= found <= exact * min(n, m) ** (1 / 32) * 1.001 + 8 * sqrt(n * m), seed


def test_entries_that_are_cut_off_count_in_full() -> None:
    """Each of 64 that loses nearly one unit of those that are kept."""
    c = (1 << 60) - 1
    assert 8 * c <= singular_value([[c] * 8] * 8, 0) <= 8 * c + (2 << 12)
    assert 8 * c <= singular_value([[-c] * 8] * 8, 1) <= 8 * c + (20 << 12)


def test_more_squares_are_closer() -> None:
    rows = [[3, 4, 0], [4, -3, 1], [0, 1, 2]]
    scaled = [[x << 40 for x in row] for row in rows]
    found = [singular_value(scaled, squarings) / (1 << 40) for squarings in range(6)]
    assert found == sorted(found, reverse=True)
    assert singular_value([[0, 0], [0, 0]]) < 1 << 8 and singular_value([[3 << 47, 0]], 0) >> 47 == 3
    assert found[-1] >= float(np.linalg.norm(np.array(rows), 2)) - 1e-9


def test_a_matrix_is_squared_four_times() -> None:
    """Of nine equal singular values the power 32 is added up."""
    rows = [[(i == j) << 40 for j in range(9)] for i in range(9)]
    assert singular_value(rows) / (1 << 40) == pytest.approx(9 ** (1 / 32), rel=1e-6)


@pytest.mark.parametrize("shape", [(2, 5), (5, 2), (3, 1), (1, 1)])
def test_columns_allow_for_what_their_entries_are_off_by(shape: tuple[int, int]) -> None:
    """Up to half a unit each: with few bits that is much."""
    draw = np.random.default_rng(0)
    rows, bias = draw.integers(-9, 9, shape), draw.integers(-9, 9, shape[1])
    columns = Columns(rows.tolist(), bias.tolist())
    for _ in range(50):
        W, b = rows + draw.choice([-0.5, 0.5], shape), bias + draw.choice([-0.5, 0.5], shape[1])
        assert columns.gain >= np.linalg.norm(W, 2)
        assert columns.size >= np.linalg.norm(W)
        assert columns.bias >= np.linalg.norm(b)


def test_columns_whose_entries_are_all_off_by_half_a_unit() -> None:
    columns = Columns([[9] * 16] * 16, [9] * 16)
    assert columns.size >= 16 * 9.5 and columns.gain >= 16 * 9.5 and columns.bias >= 4 * 9.5


def test_what_roundings_add() -> None:
    one = 1 << BITS
    assert off(0, 1, BITS) == 1 << (BITS - 48)
    assert off(1 << 24, 1, BITS) - off(0, 1, BITS) == 2
    assert off(one, 1 << 23, BITS) - off(0, 1, BITS) == one
    assert off(1, 1, 8) == 2
    for size, roundings in ((one << 24, 1), (one, (1 << 23) + 1)):
        with pytest.raises(TooCoarse):
            off(size, roundings, BITS)
    assert off((one << 24) - 1, 1, BITS)


def test_what_grows_is_at_most_doubled() -> None:
    """x / (1 - x), rounded up, to x = 1/2."""
    one = 1 << BITS
    assert [grown(x, BITS) for x in (0, one // 2, 1)] == [0, one, 2]
    assert grown(one // 4, BITS) == one // 3 + 1
    with pytest.raises(TooCoarse):
        grown(one // 2 + 1, BITS)


@pytest.mark.parametrize("digits", [12, 24])
@pytest.mark.parametrize("seeds", SEEDS, ids=str)
def test_layer_norm_of_any_machine_is_as_near_as_is_said(
    seeds: range, digits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In two passes, one by one, or merged; of a vector that has moved already. Means far from 0, and roots near it."""
    monkeypatch.setattr(float32, "DIGITS", digits)
    said = 0
    for seed in seeds:
        rng = random.Random(seed)
        n, eps = rng.choice([1, 2, 3, 5, 9, 17]), rng.choice([(0, 1), (1, 4), (1, 1 << 16)])
        x = [rng.gauss(rng.choice([0, 1, 8]), rng.choice([1, 1, 0.1])) for _ in range(n)]
        drift = [rng.choice([0, 0, 1e-3, 1e-2]) * rng.choice([-1, 1]) for _ in x]
        w, b = np.array([rng.gauss(0, 2) for _ in x]), np.array([rng.gauss(0, 1) for _ in x])
        ball = Ball([round(each * 2**BITS) for each in x], 1, round(sqrt(sum(d * d for d in drift)) * 2**BITS) + 1)
        weights = [Matrix([[round(each * 2**40) for each in part]], -40) for part in (w, b)]
        try:
            moved = Float32LayerNorm(eps, weights, BITS)(ball).moved / 2**BITS
        except TooCoarse:
            continue
        said += 1
        mean = sum(x) / n
        sigma = sqrt(sum((each - mean) ** 2 for each in x) / n + eps[0] / eps[1])
        exact = (np.array(x) - mean) / sigma * w + b
        computed = [each + d for each, d in zip(x, drift, strict=True)]
        for machine in (AnyhowElse(digits, rng), Taped(digits, seed, Ups())):
            out = np.array([value(each) for each in normed(machine, computed, eps[0] / eps[1], w, b)])
            assert np.linalg.norm(out - exact) <= moved + 1e-12, seed
    assert said > len(seeds) // 3


@pytest.mark.parametrize(("eps", "far"), [((0, 1), 2.0**-6), ((0, 1), 0.5), ((1, 4), 2.0**-6), ((1, 4), 1.0)])
def test_layer_norm_grows_by_the_inverse_of_the_deviation(eps: tuple[int, int], far: float) -> None:
    """At most, whichever way a vector moves; and by hardly less across it, where half of what is said is not enough."""
    x, across = np.array([1.0, -1.0, 3.0, -3.0]), np.array([3.0, -3.0, -1.0, 1.0])
    ball = Ball([round(each * 2**BITS) for each in x], 0, round(far * 2**BITS))
    moved = Float32LayerNorm(eps, [], BITS)(ball).moved / 2**BITS

    def normal(x: np.ndarray) -> np.ndarray:
        centred: np.ndarray = x - x.mean()
        return np.asarray(centred / sqrt(centred @ centred / len(x) + eps[0] / eps[1]))

    draw = np.random.default_rng(0)
    ways = [across, -x, x, *draw.normal(size=(200, 4))]
    parts = [np.linalg.norm(normal(x + far * way / np.linalg.norm(way)) - normal(x)) / moved for way in ways]
    assert max(parts) <= 1
    assert parts[0] > (0.85 if far < 0.1 else 0.5)


class Ups(list[float]):
    """Every rounding up."""

    def __getitem__(self, at: object) -> float:  # type: ignore[override]
        return 1.0


def test_a_root_that_may_be_too_small_is_refused() -> None:
    """Where sigma is less than twice what mean and root may lose."""
    layer, one = Float32LayerNorm((0, 1), [], BITS), 1 << BITS
    wrong = off(one + 1, 11 * 4 + 24, BITS)
    for spread, fits in ((2 * wrong - one // 10**9, False), (2 * wrong + one // 10**9, True)):
        ball = Ball([one, one - 2 * spread] * 2, 1)
        if fits:
            assert layer(ball).moved > 0
        else:
            with pytest.raises(TooCoarse):
                layer(ball)
    with pytest.raises(TooCoarse):
        layer(Ball([one, one - 4 * wrong - one // 10**8] * 2, 1, wrong // 2 + one // 10**8))


# What each step rounds: how large the summands are together, and how often each of them is rounded

ONE = 1 << BITS
LOST = 1000  # what stands for each rounding
Rounded = list[tuple[int, int]]


@pytest.fixture
def rounded(monkeypatch: pytest.MonkeyPatch) -> Rounded:
    """Of every step that is asked for, the size and the number of roundings."""
    found: Rounded = []

    def lost(size: int, roundings: int, bits: int) -> int:
        assert bits == BITS
        found.append((size, roundings))
        return LOST

    monkeypatch.setattr(float32, "off", lost)
    return found


def test_summands_of_a_linear_layer(rounded: Rounded) -> None:
    """x F + |b| + the residual for each block of columns; a product, a sum for each other summand, and the end."""
    W = Matrix([[3, 0], [4, 12], [0, 5]], 0)
    layer = Float32Linear(W, Matrix([[2, -6]], 0), BITS, blocks=2)
    x, residual = Ball([2 * ONE, 3 * ONE, 6 * ONE], 0), Ball([0, 0], 0, 7 * ONE)
    assert layer.moves(x, residual) == [LOST, LOST]
    of_roots = 2  # root(3), for entries of W and of b that were rounded
    sizes = [7 * (5 * ONE + of_roots) + 2 * ONE, 7 * (13 * ONE + of_roots) + 6 * ONE]
    assert rounded == [(size + of_roots + 7 * ONE, 3 + 3) for size in sizes]


def test_a_linear_layer_moves_with_its_argument(rounded: Rounded) -> None:
    """By the largest singular value of each block, and of what all of them move by the Euclidean length."""
    layer = Float32Linear(Matrix([[3, 0], [4, 12], [0, 5]], 0), Matrix([[0, 0]], 0), BITS, blocks=2)
    x = Ball([0, 0, 0], 0, 11 * ONE)
    found = layer.moves(x)
    assert layer(x).moved == norm(found)
    for moved, gain in zip(found, (5, 13), strict=True):
        assert 11 * gain * ONE <= moved - LOST <= 11 * gain * ONE * (1 + 1e-9)


EPS, SIGMA, FINE = (1, 4), 9 * ONE, 1 << 32


def test_a_mean_and_a_deviation(rounded: Rounded) -> None:
    """Of four entries of length sqrt(11) + 2/4 + 16, half of which is a, and the root of eps, which is 1/2: mean and
    root are off by D together; the vector by m/s + 2 D/(s - D), s = 9 - 16/2."""
    x = Ball([3 * ONE, -ONE, ONE, 0], ONE // 4, 16 * ONE)
    found = Float32LayerNorm(EPS, [], BITS).moved(x, SIGMA)
    assert rounded == [(ceil(Fraction(norm(x.centre) + 33 * ONE // 2, 2)) + ONE // 2, 11 * 4 + 24)]
    assert found == 16 * ONE + ceil(Fraction(LOST * ONE * (2 * FINE + 1), (ONE - LOST) * FINE))


def test_the_root_of_a_number_of_entries_is_between_two_sides(rounded: Rounded) -> None:
    """Of two entries: a length is divided by less than the root of 2, and D multiplied by more."""
    found = Float32LayerNorm((0, 1), [], BITS).moved(Ball([ONE, 0], 0, ONE), 9 * ONE)
    ((size, _),) = rounded
    left = 9 * ONE - ceil(Fraction(ONE * FINE, isqrt(2 * FINE**2)))
    lost = found - ceil(Fraction(ONE * ONE, left))
    for high, low in ((size, 2 * ONE / sqrt(2)), (9 * ONE - left, ONE / sqrt(2))):
        assert high == pytest.approx(low, rel=1e-9)
    assert 2 * size**2 >= (2 * ONE) ** 2 and 2 * (9 * ONE - left) ** 2 >= ONE**2
    assert ((lost - 1) * (left - LOST)) ** 2 < 2 * (LOST * ONE) ** 2 <= (lost * (left - LOST)) ** 2


def test_the_deviation_of_a_ball_is_the_least_of_its_vectors() -> None:
    layer = Float32LayerNorm((0, 1), [], BITS)
    ball = Ball([3 * ONE, -3 * ONE], ONE, ONE // 2)
    assert layer(ball).moved == layer.moved(ball, 2 * ONE) > layer.moved(ball, 3 * ONE)


def test_a_deviation_is_at_least_twice_what_it_may_be_off_by(rounded: Rounded) -> None:
    layer = Float32LayerNorm((0, 1), [], BITS)
    four = Ball([ONE, 0, 0, 0], 0)
    assert layer.moved(four, 2 * LOST) == 2 * ONE + ceil(Fraction(ONE, FINE))
    assert layer.moved(four._replace(moved=7), 2 * LOST + 4)
    for moved, sigma in ((0, 2 * LOST - 1), (7, 2 * LOST + 3)):
        with pytest.raises(TooCoarse):
            layer.moved(four._replace(moved=moved), sigma)


def test_the_weights_of_a_layer_norm(rounded: Rounded) -> None:
    """The largest may be a unit larger, the bias a unit in each of four entries, of length 2."""
    x = Ball([3 * ONE, -ONE, ONE, 0], 0, 16 * ONE)
    before = Float32LayerNorm(EPS, [], BITS).moved(x, SIGMA)
    weights = [Matrix([[2, -3, 1, 0]], 0), Matrix([[3, 0, -4, 0]], 0)]
    found = Float32LayerNorm(EPS, weights, BITS).moved(x, SIGMA)
    scale = 3 + Fraction(1, ONE)
    assert rounded[2:] == [(ceil((2 * ONE + before) * scale) + 5 * ONE + 2, 8)]
    assert found == ceil(before * scale) + LOST


def test_an_activation_moves_by_its_slope_and_what_it_rounds(rounded: Rounded) -> None:
    act = Float32Activation("silu", BITS)
    assert act.moved(Ball([3 * ONE, 4 * ONE], 0, 7)) == ceil(7 * Fraction(*act.slope)) + LOST
    assert Fraction(*act.slope) > 1 and rounded == [(5 * ONE + 7, 16)]


def test_summands_of_a_sum_of_vectors(rounded: Rounded) -> None:
    assert of_sum([Ball([3, 4], 1), Ball([5, 12], 0, 100)], BITS) == LOST
    assert rounded == [(5 + 2 + 13 + 100, 2 + 3)]


def test_what_attention_rounds_and_how_far_it_moves(rounded: Rounded) -> None:
    """Scores of a query of length 5 and keys of lengths 1 and 2; values of lengths 10 and 5, in a mean of three
    positions. All of them move, and one share is not known exactly."""
    query = Ball([3 * ONE, 4 * ONE], 0, 1 << 30)
    keys = [Ball([0, ONE], 0, 1 << 20), Ball([2 * ONE, 0], 1 << 41, 1 << 10)]
    values = [Ball([6 * ONE, 8 * ONE], 0, 1 << 31), Ball([3 * ONE, 0], 1 << 40, 1 << 34)]
    mean, shares = Ball([3 * ONE, 4 * ONE], 1 << 50), [Enclosure(300, 301), Enclosure(100, 150)]
    found = of_mean(query, Attended(keys, values, shares), mean, ONE // 2, 3, BITS)
    Q, K, V = 5 * ONE + (1 << 30), 2 * ONE + (1 << 42) + (1 << 10), 10 * ONE + (1 << 31)
    product = ceil(Fraction(Q * K, ONE))
    exponents = ceil(Fraction(17 * product, 2 * ONE))
    assert rounded == [(product, 2 + 12), (V, exponents + 20 * 3 + 6)]
    apart = norm([ONE, ONE // 2]) + (1 << 42)  # from (1, 1/2)
    wrong = ceil(Fraction((1 << 30) * apart + (1 << 20) * Q, ONE))
    shift = ceil(Fraction(wrong + LOST, 2))
    spread = ceil(Fraction(301 * 5 * ONE + 150 * 4 * ONE, 400)) + 2 * ((1 << 40) + (1 << 50))
    assert found == (1 << 34) + ceil(Fraction(spread * grown(shift, BITS), ONE)) + LOST


@pytest.mark.parametrize("far", [0.001, 0.1, 0.4])
@pytest.mark.parametrize("common", [0, 8])
def test_a_mean_moves_no_farther_than_scores_let_it(far: float, common: int) -> None:
    """Two scores may be so far off in opposite ways, by keys or by a query: of values 1 and -1 the mean becomes
    tanh(far). By how much keys have in common the query moves both."""
    moved, one = round(far * ONE), Ball([ONE], 0)
    values = [one, Ball([-ONE], 0)]
    by_keys = one, [Ball([0], 0, moved)] * 2
    by_query = Ball([0], 0, moved), [Ball([(common + sign) * ONE], 0) for sign in (1, -1)]
    for query, keys in (by_keys, by_query):
        found = of_mean(query, Attended(keys, values, [Enclosure(1, 1)] * 2), Ball([0], 0), ONE, 2, BITS) / ONE
        assert tanh(far) <= found <= far / (1 - far) + 1e-4


def test_more_exponents_count_where_scores_are_large(rounded: Rounded) -> None:
    """17 roundings for each unit of a score, rounded up."""
    query, key, value = Ball([0, 10 * ONE], 0), Ball([0, 10 * ONE], 0), Ball([0, 0], 0)
    for scale, exponents in ((ONE, 1700), (ONE + 1, 1701)):
        of_mean(query, Attended([key], [value], [Enclosure(1, 1)]), value, scale, 1, BITS)
        assert rounded[-1] == (0, exponents + 26)
