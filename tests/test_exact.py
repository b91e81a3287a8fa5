"""Exact arithmetic against oracles that share nothing with it: Arb, mpmath's plain floats, fractions, torch."""

import itertools
import tracemalloc
from collections.abc import Callable
from fractions import Fraction
from math import isqrt
from pathlib import Path

import flint
import mpmath
import numpy as np
import pytest
import safetensors.numpy
import torch
from derivations import whole
from flint import arb, fmpq
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from oracle import Oracle
from tiny import model_bytes, near_correct, random_tensors, tiny_model, zero_tensors

from checker.arithmetic.enclosures import aligned, exp_enclosure, ln2_enclosure, shift_down, shift_up, sqrt_enclosure
from checker.arithmetic.matrices import Matrix, add, add_row, matmul, transpose
from checker.errors import Refusal
from checker.lemmas.lanes import Lanes, count_correct
from checker.model.weights import read_weights
from checker.problem import Problem

BITS = st.sampled_from([8, 9, 16, 32, 36, 64, 100, 200, 300])
FEW_ULP = arb(1) + arb(1) / 256  # each end of an enclosure is closer than this to the value, in units of 2^-bits

torch.set_num_threads(1)

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
@settings(max_examples=150, deadline=None)
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
@settings(max_examples=1500)
def test_exp_against_arb(data: st.DataObject, bits: int) -> None:
    """From 0 to far below 2^-bits, at the scale that the checker uses and at others."""
    scale = data.draw(st.one_of(st.just(bits + 16), SCALES))
    check_exp(data.draw(st.integers(0, bits + 2 << scale)), scale, bits)


@given(st.data(), BITS, st.integers(-3, 3))
@settings(max_examples=800)
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
    lower, upper, shift = exp_enclosure(x, x, scale, bits, (max(1, low - below), high + above))
    value = exact_exp(x, scale, bits) * arb(2) ** shift
    assert 0 <= arb(lower) <= value <= arb(upper) <= arb(1 << bits)


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


# Matrices


def fractions(matrix: Matrix) -> list[list[Fraction]]:
    return [[x * Fraction(2) ** matrix.exponent for x in row] for row in matrix.rows]


def matrices(rows: int, columns: int) -> st.SearchStrategy[Matrix]:
    entries = st.lists(st.integers(-(10**30), 10**30), min_size=columns, max_size=columns)
    return st.builds(Matrix, st.lists(entries, min_size=rows, max_size=rows), st.integers(-200, 200))


EXTENT = st.integers(1, 4)


@given(st.data(), EXTENT, EXTENT, EXTENT)
def test_matmul(data: st.DataObject, n: int, inner: int, m: int) -> None:
    left, right = data.draw(matrices(n, inner)), data.draw(matrices(inner, m))
    a, b = fractions(left), fractions(right)
    expected = [[sum(a[i][j] * b[j][l] for j in range(inner)) for l in range(m)] for i in range(n)]  # noqa: E741
    assert fractions(matmul(left, right)) == expected


@given(st.data(), EXTENT, EXTENT)
def test_add(data: st.DataObject, n: int, m: int) -> None:
    left, right, row = data.draw(matrices(n, m)), data.draw(matrices(n, m)), data.draw(matrices(1, m))
    a, b, (c,) = fractions(left), fractions(right), fractions(row)
    assert fractions(add(left, right)) == [
        [x + y for x, y in zip(*rows, strict=True)] for rows in zip(a, b, strict=True)
    ]
    assert fractions(add_row(left, row)) == [[x + y for x, y in zip(r, c, strict=True)] for r in a]


@given(st.data(), EXTENT, EXTENT)
def test_transpose(data: st.DataObject, n: int, m: int) -> None:
    matrix = data.draw(matrices(n, m))
    assert fractions(transpose(matrix)) == [list(column) for column in zip(*fractions(matrix), strict=True)]


@pytest.mark.parametrize(
    ("function", "shapes"),
    [
        (add, ((3, 2), (4, 2))),
        (add, ((3, 2), (3, 1))),
        (add, ((3, 2), (1, 2))),
        (add, ((1, 2), (3, 2))),
        (add_row, ((3, 2), (3, 2))),
        (add_row, ((3, 2), (2, 2))),
        (add_row, ((3, 2), (1, 3))),
        (matmul, ((3, 2), (3, 2))),
        (matmul, ((3, 2), (1, 3))),
        (matmul, ((1, 1), (2, 1))),
    ],
)
def test_shapes_that_do_not_fit_are_refused(
    function: Callable[[Matrix, Matrix], Matrix], shapes: tuple[tuple[int, int], tuple[int, int]]
) -> None:
    """Silently dropping or repeating a row would be a bound on another model: hints are matrices of any shape."""
    left, right = (Matrix([[1] * columns for _ in range(rows)], 0) for rows, columns in shapes)
    with pytest.raises(Refusal) as caught:
        function(left, right)
    assert (caught.value.exit_code, caught.value.code) == (1, "wrong-shape")


# The tables of a problem


def problem_of(data: bytes, margin: tuple[int, int] = (0, 1)) -> Problem:
    return Problem(read_weights(data), margin, 1 << 25)


TINY: dict[str, Callable[[], dict[str, np.ndarray]]] = {
    "biases": lambda: near_correct(np.random.default_rng(0), 5, 4, biases=True),
    "random": lambda: random_tensors(np.random.default_rng(1), 4, 3, 2, 3, scale=2.0),
    "one token": lambda: random_tensors(np.random.default_rng(2), 1, 3, 2, 2),
    "one position": lambda: random_tensors(np.random.default_rng(3), 4, 1, 3, 2),
    "narrow": lambda: random_tensors(np.random.default_rng(4), 5, 4, 1, 1),
    "zeros": lambda: zero_tensors(3, 2, 1, 1),
}


@pytest.fixture(params=TINY)
def tensors(request: pytest.FixtureRequest) -> dict[str, np.ndarray]:
    return TINY[request.param]()


def oracle_of(folder: Path, tensors: dict[str, np.ndarray]) -> Oracle:
    return Oracle(tiny_model(folder / "model.safetensors", tensors))


def is_correct(oracle: Oracle, x: tuple[int, ...], margin: Fraction = Fraction(0)) -> bool:
    """The truth about one sequence; a tie is wrong."""
    bound = fmpq(margin.numerator, margin.denominator)
    return all(oracle.exact_sign(x, y, bound) < 0 for y in range(oracle.v) if y != max(x))


def test_tables_against_the_definition(tmp_path: Path, tensors: dict[str, np.ndarray]) -> None:
    """EUPU + EVOU + PVOU is what the definition adds to the logits when all attention goes to one position.

    The definition keeps the value bias in every value; the tables move it to the direct path.
    """
    oracle, problem = oracle_of(tmp_path, tensors), problem_of(model_bytes(tensors))
    EUPU, EVOU, PVOU = (
        fractions(table) for table in (problem.circuits.EUPU, problem.circuits.EVOU, problem.circuits.PVOU)
    )
    token, position = fractions(problem.circuits.token_scores), fractions(problem.circuits.position_scores)
    for q, p, t in itertools.product(range(oracle.v), range(oracle.k), range(oracle.v)):
        for y in range(oracle.v):
            logit = oracle.direct[q, y] + oracle.attended[p][t, y]
            assert EUPU[q][y] + EVOU[t][y] + PVOU[p][y] == Fraction(int(logit.p), int(logit.q))
        # scores may differ by a number that depends on the query only (the b_K term)
        difference = oracle.scores[p][q, t] - oracle.scores[0][q, 0]
        ours = token[q][t] + position[q][p] - token[q][0] - position[q][0]
        assert ours == Fraction(int(difference.p), int(difference.q))


def test_weights_against_arb(tensors: dict[str, np.ndarray]) -> None:
    problem = problem_of(model_bytes(tensors))
    for bits in (8, 64, 300):
        check_weights(problem, bits, range(problem.v))


def check_weights(problem: Problem, bits: int, queries: range) -> None:
    """Enclosures of exp(score - largest score of the query), for tokens and for positions."""
    flint.ctx.prec = bits + 200
    root = arb(problem.h).sqrt()
    for q, scores in itertools.product(queries, (problem.circuits.token_scores, problem.circuits.position_scores)):
        row = fractions(Matrix(scores.rows[q : q + 1], scores.exponent))[0]
        for score, (lower, upper, shift) in zip(row, problem.attention.exponentials(scores, q, bits), strict=True):
            gap = max(row) - score
            if gap == 0:
                assert (lower, upper, shift) == (1 << bits, 1 << bits, 0)
                continue
            weight = (-arb(fmpq(gap.numerator, gap.denominator)) / root).exp() * arb(2) ** (bits + shift)
            assert 0 <= arb(lower) <= weight <= arb(upper) <= arb(1 << bits)
            assert upper - lower <= 3
            assert upper >= 1 << bits - 1


@given(st.sampled_from(range(-3000, 3000, 7)), st.integers(1, 1 << 60), st.sampled_from([8, 64, 200]))
@settings(max_examples=300, deadline=None)
def test_exponentials_of_scores_of_any_size(exponent: int, difference: int, bits: int) -> None:
    """Relative precision wherever the score is, up to scores of 2^160."""
    assume(difference.bit_length() + exponent <= 160)
    problem = problem_of(model_bytes(zero_tensors(1, 1, 1, 2)))
    low, high, shift = problem.attention.exp_below(difference, exponent, bits)
    flint.ctx.prec = abs(exponent) + difference.bit_length() + bits + 200
    log = -arb(difference) * arb(2) ** exponent / arb(2).sqrt()
    value = (log + arb(2).log() * (bits + shift)).exp()
    assert 0 <= arb(low) <= value <= arb(high) <= arb(1 << bits)
    assert value - low < 2 and high - value < 2
    assert high >= 1 << bits - 1


MANTISSAS = st.integers(0, 1 << 200)


@given(st.lists(st.tuples(MANTISSAS, MANTISSAS, st.integers(0, 300)), min_size=1, max_size=6), st.integers(8, 200))
def test_aligned_numbers_enclose_the_same_in_one_unit(pairs: list[tuple[int, int, int]], bits: int) -> None:
    """The unit is that of the largest; ends round outward, by less than one."""
    powers = [(min(a, b) >> 200 - bits, (max(a, b) >> 200 - bits) + 1, shift) for a, b, shift in pairs]
    unit = Fraction(1, 1 << min(shift for _, _, shift in powers))
    for (low, high), power in zip(aligned(powers, bits), powers, strict=True):
        true_low, true_high = (Fraction(end, 1 << power[2]) for end in power[:2])
        assert low * unit <= true_low < (low + 1) * unit
        assert (high - 1) * unit < true_high <= high * unit


@given(st.fractions(0, 100), st.integers(-60, 10))
def test_the_margin_is_rounded_up(margin: Fraction, exponent: int) -> None:
    problem = problem_of(model_bytes(zero_tensors(1, 1, 1, 1)), (margin.numerator, margin.denominator))
    assert problem.margin_upper(exponent) == (margin / Fraction(2) ** exponent).__ceil__()


# The lanes


@pytest.mark.parametrize("margin", [Fraction(0), Fraction(1, 3), Fraction(2)])
def test_lanes_prove_what_is_true_and_all_of_it(
    tmp_path: Path, tensors: dict[str, np.ndarray], margin: Fraction
) -> None:
    """Every sequence of the tiny models: proved correct exactly when it is."""
    oracle = oracle_of(tmp_path, tensors)
    problem = problem_of(model_bytes(tensors), (margin.numerator, margin.denominator))
    lanes = Lanes(problem, -60, 200)
    for x in itertools.product(range(oracle.v), repeat=oracle.k):
        assert proved(lanes, x) == is_correct(oracle, x, margin), x


@given(st.integers(-40, 20), st.integers(8, 40), st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_lanes_of_any_precision_are_sound(
    tmp_path_factory: pytest.TempPathFactory, exponent: int, bits: int, seed: int
) -> None:
    """Coarse rounding may lose correct sequences; it never gains a wrong one."""
    rng = np.random.default_rng(seed)
    tensors = near_correct(rng, 3, 3, biases=True, noise=0.3)
    oracle = oracle_of(tmp_path_factory.mktemp("lanes"), tensors)
    lanes = Lanes(problem_of(model_bytes(tensors)), exponent, bits)
    for x in itertools.product(range(3), repeat=3):
        if proved(lanes, x):
            assert is_correct(oracle, x)


@pytest.mark.parametrize(("exponent", "bits"), [(-8, 8), (-3, 9), (2, 8), (-40, 60)])
def test_every_lane_of_a_term_is_an_upper_bound(tensors: dict[str, np.ndarray], exponent: int, bits: int) -> None:
    """Lane y, without its offset, is at least exp(s) V in units of 2^exponent, for the weights' own unit."""
    margin = Fraction(1, 3)
    problem = problem_of(model_bytes(tensors), (1, 3))
    lanes = Lanes(problem, exponent, bits)
    EUPU, EVOU, PVOU = (
        fractions(table) for table in (problem.circuits.EUPU, problem.circuits.EVOU, problem.circuits.PVOU)
    )
    flint.ctx.prec = bits + 200
    for q in range(problem.v):
        positions = true_weights(problem, problem.circuits.position_scores, q, problem.k, bits)
        for m in range(q, problem.v):
            tokens = true_weights(problem, problem.circuits.token_scores, q, m + 1, bits)
            terms = lanes.terms(q, m, range(m + 1))
            for p, t, y in itertools.product(range(problem.k), range(m + 1), range(problem.v)):
                lane = terms[p][t] >> lanes.width * y & (1 << lanes.width) - 1
                assert 0 <= lane <= 2 * lanes.offset
                V = EUPU[q][y] - EUPU[q][m] + EVOU[t][y] - EVOU[t][m] + PVOU[p][y] - PVOU[p][m] + margin
                V /= Fraction(2) ** exponent
                exact = positions[p] * tokens[t] / arb(1 << bits) * arb(fmpq(V.numerator, V.denominator))
                assert exact <= arb(lane - lanes.offset)


def true_weights(problem: Problem, scores: Matrix, q: int, count: int, bits: int) -> list[arb]:
    """The weights that the enclosures of the first `count` scores are about, in the same unit."""
    unit = arb(2) ** (bits + min(shift for _, _, shift in problem.attention.exponentials(scores, q, bits)[:count]))
    row = fractions(Matrix(scores.rows[q : q + 1], scores.exponent))[0]
    gaps = [max(row) - score for score in row[:count]]
    return [(-arb(fmpq(gap.numerator, gap.denominator)) / arb(problem.h).sqrt()).exp() * unit for gap in gaps]


def proved(lanes: Lanes, x: tuple[int, ...]) -> bool:
    """One sequence, as a product set of one element."""
    terms = lanes.terms(x[-1], max(x), list(x))
    choices = [[row[p]] for p, row in enumerate(terms[:-1])]
    return bool(count_correct(lanes, max(x), terms[-1][-1], choices))


# A trained model


@pytest.fixture(scope="module")
def trained(shipped: Path) -> Path:
    return shipped


@pytest.fixture(scope="module")
def trained_problem(trained: Path) -> Problem:
    return problem_of(trained.read_bytes())


def loaded(path: Path, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    arrays = safetensors.numpy.load_file(path)
    return {name.rpartition(".")[2]: torch.from_numpy(array).to(dtype) for name, array in arrays.items()}


def forward(w: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """Logits at the last position, [batch, d_vocab], from the definition of the architecture."""
    residual = w["W_E"][x] + w["W_pos"]
    query = residual[:, -1] @ w["W_Q"][0] + w["b_Q"][0]
    key = residual @ w["W_K"][0] + w["b_K"][0]
    value = residual @ w["W_V"][0] + w["b_V"][0]
    scores = torch.einsum("bh,bph->bp", query, key) / query.shape[-1] ** 0.5
    mixed = torch.einsum("bp,bph->bh", scores.softmax(-1), value)
    return (residual[:, -1] + mixed @ w["W_O"][0] + w["b_O"]) @ w["W_U"] + w["b_U"]


def test_tables_of_a_trained_model_against_torch(trained: Path, trained_problem: Problem) -> None:
    w = loaded(trained, torch.float64)
    OVU = w["W_V"][0] @ w["W_O"][0] @ w["W_U"]
    last = w["W_E"] + w["W_pos"][-1]
    query_key = (last @ w["W_Q"][0] + w["b_Q"][0]) @ w["W_K"][0].T
    expected = {
        "EVOU": w["W_E"] @ OVU,
        "PVOU": w["W_pos"] @ OVU,
        "EUPU": last @ w["W_U"] + (w["b_V"][0] @ w["W_O"][0] + w["b_O"]) @ w["W_U"] + w["b_U"],
        "token_scores": query_key @ w["W_E"].T,
        "position_scores": query_key @ w["W_pos"].T,
    }
    for name, table in expected.items():
        matrix: Matrix = getattr(trained_problem, name)
        ours = torch.tensor([[float(x) for x in row] for row in fractions(matrix)], dtype=torch.float64)
        assert ours.shape == table.shape
        assert float((ours - table).abs().max()) < 1e-12 * float(table.abs().max())


def test_weights_of_a_trained_model_against_arb(trained_problem: Problem) -> None:
    check_weights(trained_problem, 200, range(0, 64, 9))


def test_answers_of_a_trained_model_against_torch_float32(trained: Path, trained_problem: Problem) -> None:
    """Random sequences, and those of a larger sample that are nearest to the edge, on both sides of it."""
    w = loaded(trained, torch.float32)
    sample = torch.randint(64, (60_000, 4), generator=torch.Generator().manual_seed(0))
    logits = forward(w, sample)
    largest = sample.max(dim=1, keepdim=True).values
    right = logits.gather(1, largest)[:, 0]
    gap = right - logits.scatter(1, largest, -torch.inf).max(dim=1).values  # positive: correct
    assert 0.995 < float((gap > 0).float().mean()) < 1
    chosen = torch.cat([torch.arange(150), gap.abs().argsort()[:150], gap.argsort()[:50]])
    lanes = Lanes(trained_problem, -24, 40)
    answers = []
    for index in chosen.tolist():
        if abs(float(gap[index])) > 1e-3:  # far above the rounding of float32
            answer = bool(logits[index].argmax() == largest[index])
            assert proved(lanes, tuple(sample[index].tolist())) == answer
            answers.append(answer)
    assert len(answers) > 300
    assert answers.count(False) >= 50


def test_the_margin_counts_on_a_trained_model(trained: Path) -> None:
    """With a margin between the two closest logits' distances, exactly the sequences above it are proved."""
    w = loaded(trained, torch.float64)
    sample = torch.randint(64, (40, 4), generator=torch.Generator().manual_seed(1))
    logits = forward(w, sample)
    largest = sample.max(dim=1, keepdim=True).values
    gap = logits.gather(1, largest)[:, 0] - logits.scatter(1, largest, -torch.inf).max(dim=1).values
    margin = Fraction(float(gap.sort().values[19:21].mean())).limit_denominator(1000)
    lanes = Lanes(problem_of(trained.read_bytes(), (margin.numerator, margin.denominator)), -30, 60)
    ours = [proved(lanes, tuple(x)) for x in sample.tolist()]
    assert ours == [float(g) > margin for g in gap]
    assert ours.count(True) == 20


def test_isqrt_is_the_floor() -> None:
    """The one library function under the enclosures."""
    for n in (0, 1, 2, 3, 4, 10**40 - 1, 10**40, 10**40 + 1, (1 << 4000) - 1):
        assert isqrt(n) ** 2 <= n < (isqrt(n) + 1) ** 2
