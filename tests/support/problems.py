"""Problems of the checker about tiny models."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np

from checker.arithmetic.matrices import Matrix
from checker.model.weights import Weights, read_weights
from checker.problem import Problem
from checker.problem.problem_file import decode_problem
from tests.support.any_case import Case
from tests.support.oracle import Oracle
from tests.support.tiny import near_correct, random_tensors, tiny_model, zero_tensors


def exact_rows(matrix: Matrix) -> list[list[Fraction]]:
    return [[x * Fraction(2) ** matrix.exponent for x in row] for row in matrix.rows]


def problem_of(data: bytes, margin: tuple[int, int] = (0, 1)) -> Problem:
    return max_of_k(read_weights(data), margin, 1 << 40)


def of_case(case: Case) -> Problem:
    """What a case asks, of its model."""
    margin = case.margin.as_integer_ratio()
    return Problem(read_weights(case.data), decode_problem(case.problem, ""), margin, 1 << 40)


def max_of_k(weights: Weights, margin: tuple[int, int] = (0, 1), budget: int = 1 << 40) -> Problem:
    """The task that a certificate has when no problem is given."""
    return Problem(weights, weights.sizes["n_ctx"], margin, budget)


TINY: dict[str, Callable[[], dict[str, np.ndarray]]] = {
    "biases": lambda: near_correct(np.random.default_rng(0), 5, 4, biases=True),
    "random": lambda: random_tensors(np.random.default_rng(1), 4, 3, 2, 3, scale=2.0),
    "one token": lambda: random_tensors(np.random.default_rng(2), 1, 3, 2, 2),
    "one position": lambda: random_tensors(np.random.default_rng(3), 4, 1, 3, 2),
    "narrow": lambda: random_tensors(np.random.default_rng(4), 5, 4, 1, 1),
    "zeros": lambda: zero_tensors(3, 2, 1, 1),
}


def oracle_of(folder: Path, tensors: dict[str, np.ndarray]) -> Oracle:
    return Oracle(tiny_model(folder / "model.safetensors", tensors))
