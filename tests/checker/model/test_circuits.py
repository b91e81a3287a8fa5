"""The exact tables of a model against its definition and against torch."""

import itertools
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

from checker.arithmetic.matrices import Matrix
from checker.problem import Problem
from tests.support.forward import loaded
from tests.support.problems import exact_rows, oracle_of, problem_of
from tests.support.tiny import model_bytes


def test_tables_against_the_definition(tmp_path: Path, tensors: dict[str, np.ndarray]) -> None:
    """EUPU + EVOU + PVOU is what the definition adds to the logits when all attention goes to one position.

    The definition keeps the value bias in every value; the tables move it to the direct path.
    """
    oracle, problem = oracle_of(tmp_path, tensors), problem_of(model_bytes(tensors))
    EUPU, EVOU, PVOU = (
        exact_rows(table) for table in (problem.circuits.EUPU, problem.circuits.EVOU, problem.circuits.PVOU)
    )
    token, position = exact_rows(problem.circuits.token_scores), exact_rows(problem.circuits.position_scores)
    for q, p, t in itertools.product(range(oracle.v), range(oracle.k), range(oracle.v)):
        for y in range(oracle.v):
            logit = oracle.direct[q, y] + oracle.attended[p][t, y]
            assert EUPU[q][y] + EVOU[t][y] + PVOU[p][y] == Fraction(int(logit.p), int(logit.q))
        # scores may differ by a number that depends on the query only (the b_K term)
        difference = oracle.scores[p][q, t] - oracle.scores[0][q, 0]
        ours = token[q][t] + position[q][p] - token[q][0] - position[q][0]
        assert ours == Fraction(int(difference.p), int(difference.q))


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
        matrix: Matrix = getattr(trained_problem.circuits, name)
        ours = torch.tensor([[float(x) for x in row] for row in exact_rows(matrix)], dtype=torch.float64)
        assert ours.shape == table.shape
        assert float((ours - table).abs().max()) < 1e-12 * float(table.abs().max())
