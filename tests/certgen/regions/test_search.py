"""Which regions a proof is made of: what they lose is what is not proved, and splitting loses no input."""

from collections import Counter
from fractions import Fraction
from functools import partial
from typing import Any

import pytest

from certgen.errors import UserError
from certgen.progress import quiet
from certgen.regions import search as module
from certgen.regions.automata import LabelStates
from certgen.regions.paths import Group
from certgen.regions.search import Leaf, Search, Watch, left_of
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


def test_what_is_truly_wrong_is_not_split(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is lost in each of these regions, and a sample tells that most of it is wrong indeed."""
    search, watches, _ = searched(2, GIVEN[0])
    split = Counter[tuple[int, int]]()

    def counting(group: Group, leaf: Leaf) -> list[Leaf]:
        split[group.label, leaf.region.query] += 1
        assert leaf.wrong < leaf.lost
        return Search.split(search, group, leaf)

    monkeypatch.setattr(search, "split", counting)
    wrong: dict[tuple[int, int], int] = {}
    for watch in watches:
        label, query = watch.pair
        for leaf in watch.leaves:
            if not leaf.lost:
                continue
            held = inputs_of(leaf.region)
            ahead = ahead_of(search.gaps.layer, label, query, held) + 1 / 3
            outputs = [y for rivals in watch.group.rivals for y in rivals]
            true = sum(weight_of(x) for x, row in zip(held, ahead, strict=True) if row[outputs].max() >= 0)
            assert abs(leaf.wrong - true) <= 0.12 * leaf.weight + 1
            wrong[watch.pair] = wrong.get(watch.pair, 0) + (true == watch.weight)
    search.refine(watches, 200, search.task.total, quiet)
    assert split and any(wrong.values())
    assert not any(wrong[pair] for pair in split)


def test_splitting_ends_when_little_is_left_to_win(monkeypatch: pytest.MonkeyPatch) -> None:
    search, watches, _ = searched(2, GIVEN[0])
    everything = search.refine(watches, 200, search.task.total, quiet)
    most = search.growth
    monkeypatch.setattr(module, "ROUND", 4)
    monkeypatch.setattr(module, "LITTLE", 1e9)
    search.refine(watches, 200, search.task.total, quiet)
    assert 4 < max(search.growth) < max(most)
    monkeypatch.setattr(module, "CLOSE", 1.0)  # as much may still be won, but four splits are always made
    search.refine(watches, 200, search.task.total, quiet)
    assert max(search.growth) == 4
    search.refine(watches, 200, most[max(most)], quiet)  # what is asked for is reached all the same
    assert search.growth[max(search.growth)] == most[max(most)]
    assert list(most) == sorted(most) and min(most) == 0
    assert max(most) == sum(len(watch.leaves) for watch in everything) - sum(len(watch.leaves) for watch in watches)
    assert most[max(most)] == sum(max(weight, 0) for weight in left_of(everything).values())
    monkeypatch.setattr(module, "CLOSE", 0.0)
    monkeypatch.setattr(module, "LITTLE", 0.001)  # whatever the last four splits won, it is too little
    search.refine(watches, 200, search.task.total, quiet)
    assert max(search.growth) == 4


def test_a_label_of_too_many_states_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LabelStates", partial(LabelStates, most=3))
    with pytest.raises(UserError, match="the automaton of the task nth-largest 2 in 3 positions has too many states"):
        Search(gaps_of(fitted_case(1, PROBLEM)), 64)
