"""Which regions a proof is made of: what they lose is what is not proved, and splitting loses no input."""

from fractions import Fraction
from functools import partial
from typing import Any

import pytest

from certgen.errors import UserError
from certgen.progress import quiet
from certgen.regions import search as module
from certgen.regions.automata import LabelStates
from certgen.regions.search import Search, Watch, left_of
from tests.support.any_case import Case
from tests.support.any_problem import Json
from tests.support.fitted import fitted_case
from tests.support.layers import ahead_of, gaps_of, inputs_of

PROBLEM: Json = {
    "inputs": [{"tokens": "0-3", "weights": [3, 2, 1, 1]}] * 3,
    "label": {"name": "nth-largest", "n": 2},
    "readout": 1,
}
GIVEN: list[dict[str, Any]] = [{"heads": 2}, {"heads": 2, "activation": "relu"}]


def searched(seed: int, given: dict[str, Any]) -> tuple[Search, list[Watch], Case]:
    case = fitted_case(seed, PROBLEM, **given)
    case.margin = Fraction(1, 3)
    search = Search(gaps_of(case), 64)
    wholes = [search.whole(label, query) for label in search.labels for query in search.queries]
    return search, [watch for whole in wholes if whole for watch in search.watched(whole)], case


def weight_of(tokens: Any) -> int:
    a, b, c = ([3, 2, 1, 1][t] for t in tokens)
    return a * b * c


@pytest.mark.parametrize("given", GIVEN, ids=str)
def test_every_output_is_watched_in_every_input_and_what_is_lost_is_enough(given: dict[str, Any]) -> None:
    search, watches, _ = searched(2, given)
    gaps = search.gaps
    for most in (0, 40):
        watches = search.refine(watches, most, search.task.total, quiet)
        for label, query in {watch.pair for watch in watches}:
            own = [watch for watch in watches if watch.pair == (label, query)]
            assert sorted(y for watch in own for rivals in watch.group.rivals for y in rivals) == [
                y for y in range(4) if y != label
            ]
            for watch in own:
                inputs = [tuple(x) for leaf in watch.leaves for x in inputs_of(leaf.region).tolist()]
                assert len(set(inputs)) == len(inputs)
                assert sum(map(weight_of, inputs)) == watch.weight  # nothing is left out
                lost = 0
                for leaf in watch.leaves:
                    held = inputs_of(leaf.region)
                    assert sum(map(weight_of, held)) == leaf.weight
                    ahead = (
                        ahead_of(gaps.layer, label, query, held)[:, [y for ys in watch.group.rivals for y in ys]]
                        + 1 / 3
                    )
                    lost += sum(weight_of(x) for x, row in zip(held, ahead, strict=True) if row.max() >= 0)
                assert lost <= watch.lost


@pytest.mark.parametrize("given", GIVEN, ids=str)
def test_splitting_stops_when_enough_is_proved(given: dict[str, Any]) -> None:
    search, watches, _ = searched(2, given)

    def proved(found: list[Watch]) -> int:
        return sum(max(weight, 0) for weight in left_of(found).values())

    def size(found: list[Watch]) -> int:
        return sum(len(watch.leaves) for watch in found)

    everything = search.refine(watches, 200, search.task.total, quiet)
    start, end = proved(watches), proved(everything)
    assert start + 10 < end
    assert search.refine(watches, 200, start, quiet) == watches
    halfway = search.refine(watches, 200, (start + end) // 2, quiet)
    assert (start + end) // 2 <= proved(halfway)
    assert size(watches) < size(halfway) < size(everything)


def test_a_label_of_too_many_states_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LabelStates", partial(LabelStates, most=3))
    with pytest.raises(UserError, match="the automaton of the task nth-largest 2 in 3 positions has too many states"):
        Search(gaps_of(fitted_case(1, PROBLEM)), 64)
