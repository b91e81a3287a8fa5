"""Enclosures of attention weights against Arb."""

import itertools

import flint
import numpy as np
from flint import arb, fmpq
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from checker.arithmetic.matrices import Matrix
from checker.problem import Problem
from tests.support.problems import exact_rows, problem_of
from tests.support.tiny import model_bytes, zero_tensors


def test_weights_against_arb(tensors: dict[str, np.ndarray]) -> None:
    problem = problem_of(model_bytes(tensors))
    for bits in (8, 64, 300):
        check_weights(problem, bits, range(problem.v))


def check_weights(problem: Problem, bits: int, queries: range) -> None:
    """Enclosures of exp(score - largest score of the query), for tokens and for positions."""
    flint.ctx.prec = bits + 200
    root = arb(problem.circuits.h).sqrt()
    for q, scores in itertools.product(queries, (problem.circuits.token_scores, problem.circuits.position_scores)):
        row = exact_rows(Matrix(scores.rows[q : q + 1], scores.exponent))[0]
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


def test_weights_of_a_trained_model_against_arb(trained_problem: Problem) -> None:
    check_weights(trained_problem, 200, range(0, 64, 9))
