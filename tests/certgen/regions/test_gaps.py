"""How far wrong outputs stay behind in a region: never less than in its worst input, and hardly more."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from certgen.models.forward import ACTIVATIONS
from certgen.regions.automata import DEAD, by_state
from certgen.regions.gaps import best_slopes, intercepts
from certgen.regions.paths import Group, regions_of
from certgen.regions.search import Search
from tests.support.any_case import Case
from tests.support.layer_cases import layer_case
from tests.support.layers import ahead_of, gaps_of, inputs_of

GIVEN: list[dict[str, Any]] = [
    {"heads": 1},
    {"heads": 3, "mask": "causal"},
    {"heads": 2, "normalization": "LN", "norms": ["pre"], "eps": "1/100000"},
    *({"heads": 2, "activation": activation} for activation in ("relu", "silu", "gelu_tanh", "gelu_erf")),
]


def groups_of(search: Search, rivals: list[tuple[int, ...]] | None = None) -> list[Group]:
    states = search.states
    return [
        Group(
            label,
            search.queries,
            by_state(states, np.where(states.outputs == label, states.rank, DEAD)),
            search.rivals(label) if rivals is None else rivals,
        )
        for label in search.labels
    ]


@pytest.mark.parametrize("margin", [Fraction(0), Fraction(3, 7)])
@pytest.mark.parametrize("given", GIVEN, ids=str)
def test_gaps_are_above_those_of_every_input_and_near(given: dict[str, Any], margin: Fraction) -> None:
    case = layer_case(5, **given)
    gaps = gaps_of(Case(case.tensors, case.entry, case.problem, margin))
    search, unit = Search(gaps, 64), 2.0**-48
    groups = groups_of(search)
    for region in regions_of(search.task, groups):
        group = groups[region.group]
        found = gaps.of(region, group)
        ahead = ahead_of(gaps.layer, group.label, region.query, inputs_of(region)) + float(margin)
        for (rival,), gap, hint in zip(group.rivals, found.gaps, found.hints, strict=True):
            worst = ahead[:, rival].max()
            assert gap * unit >= worst
            assert len(hint) == gaps.layer.neurons + gaps.layer.heads
            if given == {"heads": 1}:
                assert gap * unit <= worst + 1e-8
        assert found.settled == (max(found.gaps) < 0)
        assert found.only([1]).gaps == found.gaps[1:]
        assert found.only([1]).hints == found.hints[1:]


def test_a_class_of_outputs_is_as_far_ahead_as_any_of_them() -> None:
    case = layer_case(6, outputs=5, heads=2, activation="relu")
    gaps = gaps_of(case)
    search = Search(gaps, 64)
    for group in groups_of(search, [(2, 3, 4)]):
        for region in regions_of(search.task, [group]):
            ahead = ahead_of(gaps.layer, group.label, region.query, inputs_of(region))
            assert gaps.of(region, group).gaps[0] * 2.0**-48 >= ahead[:, 2:].max()


@pytest.mark.parametrize("activation", ["relu", "silu", "gelu_tanh", "gelu_erf"])
def test_neurons_stay_in_their_ranges(activation: str) -> None:
    gaps = gaps_of(layer_case(7, heads=2, activation=activation))
    layer, search = gaps.layer, Search(gaps, 64)
    groups = groups_of(search)
    for region in regions_of(search.task, groups):
        inputs = inputs_of(region)
        found = gaps.of(region, groups[region.group])
        own, places = gaps.layer.shares(region.query, inputs), np.arange(inputs.shape[1])
        z = layer.direct[region.query] + np.einsum("hnp,hnpf->nf", own, layer.values[:, places, inputs])
        z = z[:, layer.outputs :] * 2.0**48
        assert (z >= np.array(found.ranges[::2], float)).all()
        assert (z <= np.array(found.ranges[1::2], float)).all()
        for neuron, means in enumerate(found.means):
            each = np.einsum("hnp,hnp->hn", own, layer.values[:, places, inputs, layer.outputs + neuron]) * 2.0**48
            assert (each.min(axis=1) >= np.array(means[:2], float)).all()
            assert (each.max(axis=1) <= np.array(means[2:], float)).all()


@pytest.mark.parametrize("activation", ["relu", "silu", "gelu_tanh", "gelu_erf"])
def test_lines_are_above_or_below_on_the_whole_range(activation: str) -> None:
    rng = np.random.default_rng(0)
    low = np.array([-3, 1.5, -2, 0, -1e-9, *rng.normal(scale=3, size=60)])
    high = low + np.array([2, 4.5, 5, 0, 1e-9, *rng.exponential(size=60) ** 3])
    above = rng.random(len(low)) < 0.5
    f, points = ACTIVATIONS[activation], np.linspace(low, high, 500)
    for slopes in (best_slopes(activation, low, high, above), rng.normal(scale=3, size=len(low))):
        rest = f(points) - slopes * points - intercepts(activation, low, high, slopes, above, 2.0**-48)
        assert (np.where(above, rest, -rest) <= 0).all()
        assert (np.abs(rest).min(axis=0) <= 1e-9 + ((high - low) / 64 + 1e-9) ** 2).all()
