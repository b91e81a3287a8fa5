"""Inputs of a region drawn at random: all of them are its own, and each is as frequent as its weight says."""

from collections import Counter

import numpy as np
import pytest

from certgen.problem import Problem
from certgen.regions.automata import DEAD, LabelStates, by_state
from certgen.regions.paths import Group, regions_of
from certgen.regions.sampling import sampled
from tests.certgen.regions.test_paths import LABELS, PROBLEM
from tests.support.any_problem import Json
from tests.support.layers import inputs_of
from tests.support.sized import sizes

NUMBER = 2000


@pytest.mark.parametrize("label", LABELS)
def test_inputs_of_a_region_are_drawn_by_their_weights(label: Json) -> None:
    weights = [[1, 2, 3, 4], [4, 0, 2, 2], [0, 1, 10, 3], [1, 1, 0, 3]]
    inputs = [{"tokens": "0-3", "weights": row} for row in weights]
    task = Problem.model_validate(PROBLEM | {"inputs": inputs, "label": label}).bound_to(sizes(4, 4, 9))
    states, compared = LabelStates(task), 0
    groups = [Group(c, [1, 2], by_state(states, np.where(states.outputs == c, 0, DEAD)), []) for c in range(5)]
    for region in regions_of(task, groups):
        held = inputs_of(region).tolist()
        wanted = np.array([np.prod([weights[p][t] for p, t in enumerate(x)]) for x in held])
        found = Counter(map(tuple, sampled(region.layers, task.space.rows, np.random.default_rng(0), NUMBER).tolist()))
        shares = np.array([found.pop(tuple(x), 0) for x in held]) / NUMBER
        assert not found
        assert np.abs(shares - wanted / wanted.sum()).max() < 0.05
        compared += len(held) > 5
    assert compared > 1


def test_weights_beyond_any_float_are_no_obstacle() -> None:
    row = {"tokens": "0-3", "weights": [10**400, 10**400, 10**10, 1]}
    task = Problem.model_validate({"inputs": [row] * 3, "label": {"name": "min"}}).bound_to(sizes(3, 4, 4))
    states = LabelStates(task)
    for c in range(4):
        group = Group(c, [3], by_state(states, np.where(states.outputs == c, 0, DEAD)), [])
        (region,) = regions_of(task, [group])
        found = sampled(region.layers, task.space.rows, np.random.default_rng(0), 50)
        assert set(map(tuple, found.tolist())) <= set(map(tuple, inputs_of(region).tolist()))
