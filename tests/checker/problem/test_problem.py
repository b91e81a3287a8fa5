"""The problem: its margin."""

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.support.problems import problem_of
from tests.support.tiny import model_bytes, near_correct, zero_tensors


@given(st.fractions(-100, 100), st.integers(-60, 10))
def test_the_margin_is_rounded_up(margin: Fraction, exponent: int) -> None:
    problem = problem_of(model_bytes(zero_tensors(1, 1, 1, 1)), (margin.numerator, margin.denominator))
    assert problem.margin_upper(exponent) == (margin / Fraction(2) ** exponent).__ceil__()


def test_another_margin_shares_what_does_not_depend_on_it() -> None:
    """Tables and attention weights are made once, whichever margin asks first; the budget is one."""
    problem = problem_of(model_bytes(near_correct(np.random.default_rng(0), 3, 2)), (1, 3))
    other = problem.at((-5, 1))
    assert (problem.margin, other.margin) == ((1, 3), (-5, 1))
    assert other.circuits is problem.circuits and other.attention is problem.attention
    assert other.one_layer(40) is problem.one_layer(40) and other.budget is problem.budget
    assert [each.margin_upper(-1) for each in (problem, other, problem.at((-1, 3)))] == [1, -10, 0]
