"""Pairs, cells, and sets of queries."""

from collections import Counter
from itertools import product

import pytest

from checker.errors import Rejected
from checker.model.weights import read_weights
from checker.problem.cells import require_queries, sequences_of_pair
from tests.support.problems import max_of_k
from tests.support.tiny import model_bytes, zero_tensors


def test_the_pairs_are_a_partition_of_all_sequences() -> None:
    for v, k in product(range(1, 6), range(1, 5)):
        problem = max_of_k(read_weights(model_file(v, k)), (0, 1), 1 << 16)
        sizes = Counter((x[-1], max(x)) for x in product(range(v), repeat=k))
        pairs = list(require_queries(problem, tuple((2 << m) - 1 for m in range(v))))
        assert {pair: sequences_of_pair(problem, *pair) for pair in pairs if sizes[pair]} == sizes
        assert all(sequences_of_pair(problem, *pair) == 0 for pair in pairs if not sizes[pair])


def model_file(v: int, k: int) -> bytes:
    return model_bytes(zero_tensors(v, k, 1, 1))


def test_masks_that_do_not_fit_are_refused() -> None:
    problem = max_of_k(read_weights(model_file(2, 2)), (0, 1), 1 << 16)
    assert list(require_queries(problem, (0, 3))) == [(0, 1), (1, 1)]
    for masks in ((1,), (1, 3, 1), (-1, 3), (2, 3), (1, 4), (0, -1)):
        with pytest.raises(Rejected, match="wrong-shape"):
            require_queries(problem, masks)
