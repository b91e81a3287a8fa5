"""The inputs of a problem: all of them, in order, with exact weights."""

import itertools
import math
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from certgen.problem import Problem
from tests.support.sized import sizes


@st.composite
def entries(draw: st.DrawFn) -> dict[str, Any]:
    tokens = draw(st.lists(st.integers(0, 5), min_size=1, max_size=4, unique=True))
    if not draw(st.booleans()):
        return {"tokens": tokens}
    weights = draw(st.lists(st.integers(0, 3), min_size=len(tokens), max_size=len(tokens)).filter(any))
    return {"tokens": tokens, "weights": weights}


def weights_of(entry: dict[str, Any]) -> dict[int, int]:
    given = zip(entry["tokens"], entry.get("weights", itertools.repeat(1)), strict=False)
    return {token: weight for token, weight in sorted(given) if weight}


@given(
    given_entries=st.lists(entries(), min_size=1, max_size=4), cuts=st.tuples(st.integers(-2, 90), st.integers(0, 90))
)
def test_the_inputs_are_those_of_positive_weight_in_order(
    given_entries: list[dict[str, Any]], cuts: tuple[int, int]
) -> None:
    task = Problem.model_validate({"inputs": given_entries, "label": {"name": "max"}}).bound_to(sizes(4, 6))
    rows = [weights_of(entry) for entry in given_entries]
    expected = list(itertools.product(*rows))
    weights = [math.prod(row[token] for row, token in zip(rows, x, strict=True)) for x in expected]

    every = task.inputs(0, task.number)
    assert [tuple(x) for x in every.tokens.tolist()] == expected and every.weights.tolist() == weights
    assert (task.number, task.total, task.k) == (len(expected), sum(weights), len(rows))
    assert task.weights.tolist() == [[row.get(token, 0) for token in range(6)] for row in rows]

    start, stop = cuts
    part = task.inputs(start, stop)
    assert [tuple(x) for x in part.tokens.tolist()] == expected[max(start, 0) : stop]
    assert part.weights.tolist() == weights[max(start, 0) : stop]

    position = task.query_position
    assert position == (len(rows) - 1 if task.readout is None else task.readout)
    for query in range(6):
        assert task.weight_of(query) == sum(w for x, w in zip(expected, weights, strict=True) if x[position] == query)


def test_large_numbers_stay_exact() -> None:
    heavy = {"tokens": [0, 1], "weights": [10**30, 1]}
    entries = [heavy, *[{"tokens": "0-9"}] * 40]
    task = Problem.model_validate({"inputs": entries, "label": {"name": "max"}}).bound_to(sizes(41, 10))
    assert task.number == 2 * 10**40 and task.total == (10**30 + 1) * 10**40
    found = task.inputs(10**40 - 1, 10**40 + 1)
    assert found.tokens.tolist() == [[0] + [9] * 40, [1] + [0] * 40]
    assert found.weights.tolist() == [10**30, 1] and task.weights.dtype == object
    assert task.weight_of(3) == task.total // 10
    assert np.array_equal(task.labels(found.tokens), [9, 1])
