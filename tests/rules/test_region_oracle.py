"""regions, region_gaps, region_counts: attacked with arbitrary certificates of tiny models, against the oracle."""

import numpy as np
import pytest

from checker.errors import Rejected
from checker.model.weights import read_weights
from checker.problem import Problem
from checker.problem.problem_file import decode_problem
from checker.problem.regions import Group, require_valid
from tests.support.any_case import Case
from tests.support.any_model import architecture, zeros


def test_no_part_escapes_the_check_of_labels() -> None:
    """Only -1 is no part. With -2, an input of another label would be counted as one of this label."""
    given = architecture()
    sizes = {"d_vocab": 2, "d_model": 2, "n_ctx": 1, "n_heads": 1, "d_head": 1, "d_vocab_out": 2}
    tensors = zeros(given, sizes, W_E=np.eye(2), W_U=np.eye(2), b_U=[9, 0])
    case = Case(tensors, given, {"inputs": [{"tokens": "0-1"}], "label": {"name": "last"}})
    problem = Problem(read_weights(case.data), decode_problem(case.problem, ""), (0, 1), 1 << 32)
    for part, code in ((-2, "bad-automaton"), (0, "wrong-label")):
        with pytest.raises(Rejected) as refused:
            require_valid(problem, Group(0, 2, (2,), (0, 0), ((1,), (-1,)), (-1, part)))
        assert refused.value.code == code
