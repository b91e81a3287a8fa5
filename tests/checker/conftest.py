"""Models for the tests of the checker's rooms."""

from pathlib import Path

import numpy as np
import pytest

from checker.problem import Problem
from tests.support.problems import TINY, problem_of


@pytest.fixture(params=TINY)
def tensors(request: pytest.FixtureRequest) -> dict[str, np.ndarray]:
    return TINY[request.param]()


@pytest.fixture(scope="module")
def trained(shipped: Path) -> Path:
    return shipped


@pytest.fixture(scope="module")
def trained_problem(trained: Path) -> Problem:
    return problem_of(trained.read_bytes())
