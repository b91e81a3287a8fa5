"""The second verifier of regions: it verifies what the checker does, and refuses the same with the same code."""

import copy
import random
import re
from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from checker.errors import Rejected
from tests import region_corpus
from tests.second_verifier.refusal import Refused
from tests.second_verifier.regions import verify
from tests.support.any_case import Case
from tests.support.any_problem import Json
from tests.support.layer_cases import architectures, by_label, layer_case, said
from tests.support.region_hints import region_steps


def words(given: dict[str, Any]) -> str:
    return " ".join(str(value) for value in given.values())


def second(case: Case, steps: list[Json]) -> str:
    """The code of its refusal, or nothing."""
    try:
        verify(case, steps)
    except Refused as refused:
        return refused.code
    return ""


@pytest.mark.parametrize("given", list(architectures()), ids=words)
def test_it_verifies_what_the_checker_derives(given: dict[str, Any]) -> None:
    """With few bits and with many, best hints and worse ones; and it is close, so that neither leaves much room."""
    case = layer_case(1, **given)
    bits, slack = (40, 0) if given["mask"] == "full" else (50, 3000)
    steps = region_steps(case.data, case.problem, by_label(case, 2), bits, slack=slack)
    assert said(case, steps) == ("", "")
    assert second(case, steps) == ""
    if bits == 40:
        for place, row, entry, by in closest(steps):
            steps[1]["conclusion"][place][row][entry] -= by
            assert second(case, steps) == "bound-too-small"
            steps[1]["conclusion"][place][row][entry] += by


def closest(steps: list[Json]) -> list[tuple[str, int, int, int]]:
    """The gaps, and how much of 2^-40 each may exceed what the second verifier finds."""
    return [("gaps", i, j, 1 << 12) for i, row in enumerate(steps[1]["conclusion"]["gaps"]) for j in range(len(row))]


@cache
def proof() -> tuple[Case, list[Json]]:
    """Of a model with two heads and an MLP. To be read, not changed."""
    case = layer_case(1, heads=2, activation="gelu_tanh")
    return case, region_steps(case.data, case.problem, by_label(case, 2))


def of_group(name: str, change: Callable[[Any], Any]) -> Callable[[list[Json]], None]:
    """Both the argument and the conclusion of the first step say so of the first group."""

    def edit(steps: list[Json]) -> None:
        for part in ("args", "conclusion"):
            group = steps[0][part]["groups"][0]
            group[name] = change(copy.deepcopy(group[name]))

    return edit


def at(place: str, change: Callable[[Any], Any]) -> Callable[[list[Json]], None]:
    """A place like "1.args.hints[0]" changed."""

    def edit(steps: list[Json]) -> None:
        *outer, last = [int(key) if key.isdigit() else key for key in re.findall(r"\w+", place)]
        inner: Any = steps
        for key in outer:
            inner = inner[key]
        inner[last] = change(copy.deepcopy(inner[last]))

    return edit


def other_label(steps: list[Json]) -> None:
    """The first group says that its inputs have the label of the second, which is 1."""
    of_group("label", lambda _: 1)(steps)
    of_group("rivals", lambda _: [1 << 0, 1 << 2])(steps)


FAR = 1 << 50
EDITS: list[tuple[str, Callable[[list[Json]], None]]] = [
    ("", at("1.args.hints[0][0][2]", lambda mean: mean)),
    ("", at("2.conclusion.counts[0][3]", lambda count: count - 1)),
    ("bad-automaton", of_group("symbols", lambda given: given[:-1])),
    ("bad-automaton", of_group("parts", lambda given: [-2, *given[1:]])),
    ("bad-automaton", of_group("next", lambda given: [[len(given), *given[0][1:]], *given[1:]])),
    ("no-such-region", of_group("label", lambda _: 3)),
    ("no-such-region", of_group("queries", lambda _: 0)),
    ("no-such-region", of_group("queries", lambda given: given | 1 << 9)),
    ("no-such-region", of_group("rivals", lambda given: [*given, 0])),
    ("no-such-region", of_group("rivals", lambda given: [*given, -1])),
    ("no-such-region", of_group("rivals", lambda given: [*given, 8])),
    ("no-such-region", of_group("rivals", lambda given: [*given, 7])),
    ("wrong-label", other_label),
    ("wrong-shape", at("0.args.hints", lambda given: [*given, given[0]])),
    ("wrong-shape", at("0.args.hints[1]", lambda given: given[1:])),
    ("mean-above-bound", at("0.args.hints[0][1][1]", lambda low: low + FAR)),
    ("mean-above-bound", at("0.args.hints[0][1][2]", lambda high: high - FAR)),
    ("range-too-narrow", at("0.conclusion.ranges[0][1]", lambda high: high - FAR)),
    ("range-too-narrow", at("0.conclusion.ranges[0][2]", lambda low: low + FAR)),
    ("wrong-region", at("0.conclusion.groups[0].label", lambda label: 1 - label)),
    ("mean-above-bound", at("1.args.hints[0][0][3]", lambda mean: mean - FAR)),
    ("wrong-shape", at("1.args.hints[0][0]", lambda given: given[1:])),
    ("bound-too-small", at("1.conclusion.gaps[0][0]", lambda gap: gap - FAR)),
    ("range-too-narrow", at("1.conclusion.regions.ranges[0][0]", lambda low: low + FAR)),
    ("wrong-shape", at("2.args.hints", lambda given: [*given, given[0]])),
    ("wrong-shape", at("2.args.hints[0][0]", lambda given: given[1:] if given else [1])),
    ("count-too-large", at("2.conclusion.counts[0][3]", lambda count: count + 1000)),
    ("count-too-large", at("2.conclusion.counts[0][4]", lambda count: count + 1)),
    ("wrong-region", at("2.conclusion.counts[0][0]", lambda label: label + 1)),
    ("wrong-shape", at("2.conclusion.counts", lambda counts: counts[1:])),
]


@pytest.mark.parametrize(("code", "edit"), EDITS, ids=[f"{n} {code}" for n, (code, _) in enumerate(EDITS)])
def test_it_refuses_what_the_checker_refuses(code: str, edit: Callable[[list[Json]], None]) -> None:
    case, steps = proof()
    changed = copy.deepcopy(steps)
    edit(changed)
    assert said(case, changed)[0] == code
    assert second(case, changed) == code


def test_any_hints_prove_what_is_so_to_both() -> None:
    """Slopes and means of any size: what the checker grants, the second verifier does."""
    seen: Counter[str] = Counter()
    for seed in range(11, 24):
        rng = random.Random(seed)
        case = layer_case(seed, heads=rng.choice([1, 2, 3]), activation=rng.choice(["relu", "silu"]))
        size = rng.choice([8, 30, 60])
        try:
            steps = region_steps(
                case.data,
                case.problem,
                by_label(case),
                bits=rng.choice([50, 90]),
                steps=rng.choice([1, 5, 400]),
                slopes=lambda *_, rng=rng, size=size: rng.randint(-1 << size, 1 << size) >> rng.randint(0, size),
            )
        except Rejected as refused:
            seen[refused.code] += 1
            continue
        assert second(case, steps) == "", seed
        seen["some correct"] += any(count[3] for count in steps[2]["conclusion"]["counts"])
    assert seen["some correct"] > 3 and seen["too-coarse"] < 4


@pytest.mark.parametrize("name", region_corpus.cases())
def test_it_verifies_the_corpus(name: str) -> None:
    steps = region_corpus.beside(name)["predicate"]["steps"]
    assert [step["rule"] for step in steps[:3]] == ["regions", "region_gaps", "region_counts"]
    verify(region_corpus.cases()[name], steps[:3])
