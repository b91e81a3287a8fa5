"""Regions hold the inputs that they should; worst cases over them are those of all these inputs."""

import numpy as np
import pytest

from certgen.problem import Problem
from certgen.regions.automata import DEAD, LabelStates, by_state
from certgen.regions.counting import weight_of
from certgen.regions.paths import Group, Layer, extremes, regions_of, worst_means
from tests.support.any_problem import Inputs, Json
from tests.support.layers import inputs_of, part_of
from tests.support.sized import sizes

PROBLEM: Json = {
    "inputs": [
        {"tokens": "0-3"},
        {"tokens": [3, 1, 0], "weights": [2, 0, 5]},
        {"tokens": "1-3", "weights": [1, 10**40, 3]},
        {"tokens": "0-1"},
    ],
    "label": {"name": "sum-mod", "modulus": 5},
    "readout": 2,
}
LABELS: list[Json] = [PROBLEM["label"], {"name": "argmax"}, {"name": "min", "of": [1, 3]}]


@pytest.mark.parametrize("label", LABELS)
def test_regions_are_the_inputs_of_a_query_that_end_in_a_part(label: Json) -> None:
    problem = PROBLEM | {"label": label}
    task = Problem.model_validate(problem).bound_to(sizes(4, 4, 9))
    states = LabelStates(task)
    groups = [
        Group(c, [1, 3], by_state(states, np.where(states.outputs == c, states.rank % 2, DEAD)), []) for c in range(5)
    ]
    groups += [groups[1]._replace(queries=[2])]
    wanted: dict[tuple[int, int, int], list[tuple[int, ...]]] = {}
    weights: dict[tuple[int, int, int], int] = {}
    for number, group in enumerate(groups):
        for tokens, weight, _ in Inputs(problem):
            part = part_of(group.automaton, np.array(tokens))
            if tokens[2] in group.queries and part >= 0:
                wanted.setdefault((number, tokens[2], part), []).append(tokens)
                weights[number, tokens[2], part] = weights.get((number, tokens[2], part), 0) + weight
    found = list(regions_of(task, groups))
    assert [(one.group, one.query, one.part) for one in found] == sorted(wanted)
    for one in found:
        key = (one.group, one.query, one.part)
        assert sorted(map(tuple, inputs_of(one).tolist())) == wanted[key]
        assert weight_of(one.layers, task.space.rows) == weights[key]
        assert one.ways >= sum(len(layer.source) for layer in one.layers)


@pytest.mark.parametrize("seed", range(4))
def test_worst_cases_are_those_of_all_inputs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    task = Problem.model_validate(PROBLEM | {"label": LABELS[seed % 3]}).bound_to(sizes(4, 4, 9))
    states = LabelStates(task)
    groups = [Group(c, [1, 2, 3], by_state(states, np.where(states.outputs == c, 0, DEAD)), []) for c in range(4)]
    places = np.arange(4)
    for region in regions_of(task, groups):
        inputs = inputs_of(region)
        gains, weights = rng.normal(size=(6, 4, 4)), np.exp(3 * rng.normal(size=(6, 4, 4)))
        weights[:, 3] *= seed % 2  # a position that attention does not see
        g, w = gains[:, places, inputs], weights[:, places, inputs]  # [n, input, position]
        most, along = extremes(region.layers, gains, np.stack([gains, weights], axis=1))
        assert np.allclose(most, g.sum(axis=2).max(axis=1))
        assert np.allclose(along[:, 0], most)
        assert np.allclose(along[:, 1], w.sum(axis=2)[np.arange(6), g.sum(axis=2).argmax(axis=1)])
        means = (g * w).sum(axis=2) / w.sum(axis=2)
        assert np.allclose(worst_means(region.layers, gains, weights), means.max(axis=1), rtol=1e-9, atol=1e-9)


def test_a_mean_by_weights_too_small_for_floats_is_the_largest_gain() -> None:
    """A bound, if a coarse one, and no division by 0."""
    layer = Layer(np.array([[0, 1]]), np.array([[0]]), np.array([[0]]))
    gains, weights = np.array([[[3.0, -1.0]], [[3.0, -1.0]]]), np.array([[[0.0, 0.0]], [[1.0, 1.0]]])
    assert worst_means([layer], gains, weights).tolist() == [3.0, 3.0]
    assert worst_means([layer], -gains, weights).tolist() == [1.0, 1.0]
