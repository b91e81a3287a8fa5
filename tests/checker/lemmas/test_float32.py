"""How far float32 arithmetic moves one layer, part by part and to the unit; what runs do is in
tests/rules/test_float32_any_order.py."""

from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import pytest

from checker.arithmetic.balls import Ball, Linear
from checker.arithmetic.matrices import Matrix
from checker.errors import Rejected
from checker.lemmas.float32 import (
    BITS,
    Float32,
    Layer,
    gap_error,
    grown,
    require_float32,
    roundings,
    sizes_of,
    small,
)
from tests.support.layer_cases import in_eighths, layer_case
from tests.support.problems import of_case, problem_of
from tests.support.tiny import model_bytes, zero_tensors

ONE = 1 << BITS


def refused(rows: list[list[int]], exponent: int = 0, scale: tuple[int, int] = (1, 1)) -> str:
    """The code, of a model with this tensor."""
    weights: Any = SimpleNamespace(
        tensors={"unembed.W_U": Matrix(rows, exponent)}, architecture=SimpleNamespace(attn_scale_squared=scale)
    )
    try:
        require_float32(weights)
    except Rejected as refusal:
        return refusal.code
    return ""


@pytest.mark.parametrize(
    ("x", "exponent", "code"),
    [
        ((1 << 24) - 1, 0, ""),
        ((1 << 24) + 1, -20, "not-float32"),
        ((1 << 25) + 2, -20, "not-float32"),
        (((1 << 24) - 1) << 5, -40, ""),
        (-(1 << 24), -1, ""),
        (-(1 << 24), 0, "beyond-float32"),
        (1, -149, ""),
        (1, -150, "not-float32"),
        (2, -150, ""),
        (2, -151, "not-float32"),
        (1, 23, ""),
        (1, 24, "beyond-float32"),
    ],
)
def test_numbers_of_24_digits_down_to_the_last_place_and_below_2_to_the_24(x: int, exponent: int, code: str) -> None:
    """0 is one, whatever stands beside it."""
    assert refused([[x]], exponent) == refused([[0, x]], exponent) == code


@pytest.mark.parametrize("exponent", [-2000, -149, 0, 30])
def test_zeros_fit_in_any_unit(exponent: int) -> None:
    assert refused([[0, 0]], exponent) == ""


@pytest.mark.parametrize(("rows", "columns"), [(1, 1 << 16), (1 << 16, 1)])
def test_no_tensor_is_wider_or_longer_than_2_to_the_16(rows: int, columns: int) -> None:
    assert refused([[0] * columns for _ in range(rows)]) == ""
    more = columns + (rows == 1), rows + (columns == 1)
    assert refused([[0] * more[0] for _ in range(more[1])]) == "beyond-float32"


@pytest.mark.parametrize(
    ("scale", "code"),
    [
        ((1 << 16, 1), ""),
        (((1 << 16) + 1, 1), "beyond-float32"),
        ((1, 1 << 16), ""),
        ((1, (1 << 16) + 1), "beyond-float32"),
        ((1 << 17, 3), ""),
        ((3, 1 << 17), ""),
    ],
)
def test_scales_are_at_most_2_to_the_16_or_its_inverse(scale: tuple[int, int], code: str) -> None:
    assert refused([[0]], 0, scale) == code


def test_sizes_are_below_2_to_the_24() -> None:
    most = ONE << 24
    assert small([0, most - 1], "sums") == [0, most - 1]
    with pytest.raises(Rejected, match="beyond-float32"):
        small([0, most], "sums")


def test_relative_errors_are_at_most_a_half() -> None:
    """x / (1 - x), rounded up."""
    assert [grown(x) for x in (0, 1, ONE // 4, ONE // 2)] == [0, 2, ONE // 3 + 1, ONE]
    with pytest.raises(Rejected, match="beyond-float32"):
        grown(ONE // 2 + 1)


def test_sizes_are_those_of_any_vector_in_the_ball() -> None:
    assert sizes_of([Ball([3, -4], 2), Ball([0], 1)]) == [5, 6, 1]


def test_a_layer_counts_what_rounding_its_weights_costs() -> None:
    """A unit for each entry of weight and bias; three for those of a product, as Linear says: two units of x, and 2."""
    layer = Layer(Linear(Matrix([[1, -2], [0, 3]], 0), Matrix([[5, -7]], 0), BITS))
    assert layer([0, 0]) == [2, 2]
    assert layer([ONE, ONE]) == [ONE + 2 + 3, 5 * ONE + 2 + 3]
    assert layer.bias == [5 * ONE + 1, 7 * ONE + 1]
    assert layer.total([0, 0], [9, 9]) == [5 * ONE + 1 + 2 + 9, 7 * ONE + 1 + 2 + 9]
    sums = Fraction(2 + 1 + 4, 1 << 24)  # two products, a sum of them, one with the bias, and what is asked for
    error = sums / (1 - sums) * ONE
    assert layer.rounded([ONE, 0], 4) == [2 + int(error), 1]


def one_head() -> Float32:
    return Float32(problem_of(model_bytes(zero_tensors(2, 3, 1, 1))))


def test_weights_move_though_all_scores_are_0() -> None:
    """By what exponentials round, and together by a unit for scores that are flushed."""
    model = one_head()
    nothing = [0], [0]
    assert model.attention(nothing, nothing) == (1 + roundings(9 * 3), 2 * roundings(9 * 3))


def test_values_are_spread_from_the_lower_end_of_the_lowest_to_the_upper_end_of_the_highest() -> None:
    model = Float32(of_case(in_eighths(layer_case(heads=2))))
    for table, found in zip(model.layer.values, model.spreads, strict=True):
        balls = [ball for row in table for ball in row.values()]
        lows, highs = [[[x + side * ball.radius for x in ball.centre] for ball in balls] for side in (-1, 1)]
        for y, spread in enumerate(found):
            assert spread == max(row[y] for row in highs) - min(row[y] for row in lows)
            assert spread > max(row[y] for row in lows) - min(row[y] for row in lows)


def test_models_with_a_layer_norm_are_refused() -> None:
    with pytest.raises(Rejected, match="wrong-problem"):
        Float32(of_case(layer_case(normalization="LNPre", norms=["pre"], eps="1/4")))


@pytest.mark.parametrize(
    ("given", "units"),
    [
        ({"heads": 2}, 177698991519721),
        ({"activation": "relu"}, 114031760423251),
        ({"heads": 2, "activation": "silu", "mask": "full"}, 305472685018113),
        ({"activation": "gelu_erf"}, 126616097653431),
    ],
)
def test_the_bound_of_small_models_to_the_unit(given: dict[str, Any], units: int) -> None:
    """Recorded, so that no unit for what is rounded or flushed goes missing."""
    assert gap_error(of_case(in_eighths(layer_case(**given)))) == units
