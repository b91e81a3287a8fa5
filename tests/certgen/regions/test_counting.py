"""What is counted as reaching the label is never less than what does, and with one head and fine steps hardly more."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from certgen.problem import Task
from certgen.regions.counting import Class, continuations, joint, reaching
from certgen.regions.paths import regions_of
from certgen.regions.search import Search
from tests.certgen.regions.test_gaps import GIVEN, groups_of
from tests.support.any_case import Case
from tests.support.any_problem import Json
from tests.support.fitted import fitted_case
from tests.support.layers import ahead_of, gaps_of, inputs_of

ROWS: list[list[int]] = [[1, 0, 7, 2], [1, 1, 1, 1], [10**30, 3, 0, 5]]
PROBLEM: Json = {
    "inputs": [{"tokens": "0-3", "weights": row} for row in ROWS],
    "label": {"name": "nth-largest", "n": 2},
    "readout": 1,
}


def weights_of(task: Task, inputs: Any) -> list[int]:
    return [int(np.prod([task.space.rows[p][t] for p, t in enumerate(row)], dtype=object)) for row in inputs.tolist()]


@pytest.mark.parametrize("given", GIVEN, ids=str)
@pytest.mark.parametrize("steps", [1, 1 << 14])
def test_at_least_those_that_reach_the_label_are_counted(given: dict[str, Any], steps: int) -> None:
    case = fitted_case(1, PROBLEM, **given)
    gaps = gaps_of(Case(case.tensors, case.entry, case.problem, Fraction(1, 3)))
    search, task = Search(gaps, steps), gaps.layer.question.task
    groups = groups_of(search)
    exact = total = 0
    for region in regions_of(task, groups):
        group, inputs = groups[region.group], inputs_of(region)
        weights = weights_of(task, inputs)
        assert min(weights) > 0
        found = gaps.of(region, group)
        ahead = ahead_of(gaps.layer, group.label, region.query, inputs) + 1 / 3
        for (rival,), gap, hint in zip(group.rivals, found.gaps, found.hints, strict=True):
            own, slopes, constant = gaps.ahead(region.query, group.label, (rival,), found.ranges)
            means = np.array(hint[len(slopes) :], float) * 2.0**-48
            counted = reaching(gaps, region, Class(own, constant, means), sum(weights), steps)
            true = sum(weight for weight, wrong in zip(weights, ahead[:, rival] >= 0, strict=True) if wrong)
            assert true <= counted.reaching <= sum(weights)
            assert counted.reaching == 0 or gap >= 0 or gaps.layer.heads > 1
            exact, total = exact + (counted.reaching == true), total + 1
    if given == {"heads": 1} and steps > 1000:
        assert exact == total > 10


def test_the_heads_together_are_ahead_no_more_than_their_table_says() -> None:
    """Each head divided by bounds on its own denominator; the sum over positions bounds the sum of means."""
    rng = np.random.default_rng(3)
    gains, weights = rng.normal(size=(3, 4, 5)), np.exp(rng.normal(size=(3, 4, 5)))
    inputs = rng.integers(0, 5, (400, 4))
    places = np.arange(4)
    w = weights[:, places, inputs]
    least, most = w.sum(axis=2).min(axis=1), w.sum(axis=2).max(axis=1)
    means = rng.normal(size=3)
    table = joint(gains, weights, means, least, most)
    true = ((w * gains[:, places, inputs]).sum(axis=2) / w.sum(axis=2)).sum(axis=0)
    assert (table[places, inputs].sum(axis=1) + means.sum() >= true - 1e-9).all()
    assert np.allclose(
        joint(gains[:1], weights[:1], means[:1], least[:1], least[:1]) * least[0], weights[0] * (gains[0] - means[0])
    )


def test_continuations_are_the_best_that_can_follow() -> None:
    gaps = gaps_of(fitted_case(1, PROBLEM))
    search = Search(gaps, 1)
    rng = np.random.default_rng(0)
    for region in regions_of(search.task, groups_of(search)):
        table = rng.normal(size=(3, 4))
        inputs = inputs_of(region)
        best = continuations(region.layers, table)
        assert np.isclose(best[0][0], table[np.arange(3), inputs].sum(axis=1).max())
        assert (best[-1] == 0).all()
