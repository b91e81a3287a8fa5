"""The problem: its margin."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from tests.support.problems import problem_of
from tests.support.tiny import model_bytes, zero_tensors


@given(st.fractions(0, 100), st.integers(-60, 10))
def test_the_margin_is_rounded_up(margin: Fraction, exponent: int) -> None:
    problem = problem_of(model_bytes(zero_tensors(1, 1, 1, 1)), (margin.numerator, margin.denominator))
    assert problem.margin_upper(exponent) == (margin / Fraction(2) ** exponent).__ceil__()
