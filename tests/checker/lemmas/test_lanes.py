"""Lanes prove what is true, and all of it when precise."""

import itertools
from fractions import Fraction
from pathlib import Path

import flint
import numpy as np
import pytest
import torch
from flint import arb, fmpq
from hypothesis import given, settings
from hypothesis import strategies as st

from checker.arithmetic.enclosures import Enclosure
from checker.arithmetic.matrices import Matrix
from checker.lemmas.lanes import Lanes, count_correct
from checker.problem import Problem
from tests.support.forward import forward, loaded
from tests.support.oracle import Oracle
from tests.support.problems import exact_rows, oracle_of, problem_of
from tests.support.tiny import model_bytes, near_correct, zero_tensors


def is_correct(oracle: Oracle, x: tuple[int, ...], margin: Fraction = Fraction(0)) -> bool:
    """The truth about one sequence; a tie is wrong."""
    bound = fmpq(margin.numerator, margin.denominator)
    return all(oracle.exact_sign(x, y, bound) < 0 for y in range(oracle.v) if y != max(x))


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


def test_lanes_hold_values_of_a_negative_margin(tmp_path: Path, tensors: dict[str, np.ndarray]) -> None:
    """As far below 0 as logits can be above it: what is added to the size of a value is the size of the margin."""
    oracle, data = oracle_of(tmp_path, tensors), model_bytes(tensors)
    size = Lanes(problem_of(data), -60, 200).bound
    for numerator in (size // 2, size, 2 * size):
        margin = Fraction(-numerator, 1 << 60)
        lanes = Lanes(problem_of(data, margin.as_integer_ratio()), -60, 200)
        for x in itertools.product(range(oracle.v), repeat=oracle.k):
            assert proved(lanes, x) == is_correct(oracle, x, margin), x


def test_a_tie_is_not_correct_and_of_no_tokens_there_is_no_sequence() -> None:
    """One sequence, and two; a bound of exactly 0 in the lowest lane, or one unit below."""
    for b_U, exponent, correct in (([0, 0], 0, 0), ([-1, 0], 0, 1)):
        lanes = Lanes(problem_of(model_bytes(zero_tensors(2, 3, 1, 1, b_U=b_U))), exponent, 8)
        *others, last = lanes.terms(1, 1, [0, 1])
        assert count_correct(lanes, 1, last[1], [row[:1] for row in others]) == correct
        assert count_correct(lanes, 1, last[1], others) == 4 * correct
        assert count_correct(lanes, 1, last[1], [others[0], []]) == 0
        assert count_correct(lanes, 1, last[1], [[], []]) == 0


def test_a_product_set_is_all_its_sequences() -> None:
    """Of several tokens at four positions before the query, or fewer, some of them correct."""
    problem = problem_of(model_bytes(near_correct(np.random.default_rng(2), 3, 5, noise=1)))
    lanes = Lanes(problem, -40, 60)
    *others, (query,) = [*lanes.terms(2, 2, [0, 1, 2])[:-1], lanes.terms(2, 2, [2])[-1]]
    found = []
    for sets in ([[0, 1, 2]] * 4, [[0], [0, 1], [0, 1, 2], [1, 2]], [[0, 2], [1], [0], [0, 1]], [[1]] * 4):
        choices = [[row[t] for t in tokens] for row, tokens in zip(others, sets, strict=True)]
        found.append(count_correct(lanes, 2, query, choices))
        assert found[-1] == sum(proved(lanes, (*x, 2)) for x in itertools.product(*sets))
    assert found == [45, 6, 2, 0]  # of 81, 12, 4 and 1


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
        exact_rows(table) for table in (problem.circuits.EUPU, problem.circuits.EVOU, problem.circuits.PVOU)
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


def test_lanes_hold_for_every_weight_of_a_wide_enclosure(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lower end times a value, and the rest times the largest size of any value; in a lane of its own."""
    lanes = Lanes(problem_of(model_bytes(near_correct(np.random.default_rng(2), 3, 3, biases=True)), (1, 3)), -3, 8)
    problem, (EUPU, EVOU, PVOU) = lanes.problem, lanes.upper
    for ends in (Enclosure(3, 9), Enclosure(0, 256), Enclosure(7, 7)):
        monkeypatch.setattr(
            lanes, "weights", lambda q, m, tokens, ends=ends: [[ends for _ in tokens] for _ in range(problem.k)]
        )
        terms = lanes.terms(1, 2, [0, 2])
        for p, (i, t), y in itertools.product(range(problem.k), enumerate([0, 2]), range(problem.v)):
            lane = terms[p][i] >> lanes.width * y & (1 << lanes.width) - 1
            value = EUPU[1][y] + EVOU[t][y] + PVOU[p][y] - lanes.of_maximum(1, 2, p, t)
            assert abs(value) <= lanes.bound
            assert lane - lanes.offset == ends.low * value + (ends.high - ends.low) * lanes.bound
            assert 0 <= lane <= 2 * lanes.offset


def true_weights(problem: Problem, scores: Matrix, q: int, count: int, bits: int) -> list[arb]:
    """The weights that the enclosures of the first `count` scores are about, in the same unit."""
    unit = arb(2) ** (bits + min(shift for _, _, shift in problem.attention.exponentials(scores, q, bits)[:count]))
    row = exact_rows(Matrix(scores.rows[q : q + 1], scores.exponent))[0]
    gaps = [max(row) - score for score in row[:count]]
    return [(-arb(fmpq(gap.numerator, gap.denominator)) / arb(problem.circuits.h).sqrt()).exp() * unit for gap in gaps]


def proved(lanes: Lanes, x: tuple[int, ...]) -> bool:
    """One sequence, as a product set of one element."""
    terms = lanes.terms(x[-1], max(x), list(x))
    choices = [[row[p]] for p, row in enumerate(terms[:-1])]
    return bool(count_correct(lanes, max(x), terms[-1][-1], choices))


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
