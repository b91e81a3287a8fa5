"""Automata that cut the inputs of a label, beside every input and every word."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from certgen.problem import Problem, Task
from certgen.problem.labels import LABELS
from certgen.regions.automata import DEAD, Automaton, LabelStates, TooManyStates, by_state, minimal, of_products
from tests.support.layers import all_inputs, part_of
from tests.support.raw_problems import problems
from tests.support.sized import sizes

MANY = 100  # outputs


def task_of(label: dict[str, Any], v: int = 4, k: int = 3) -> Task:
    raw = {"inputs": [{"tokens": f"0-{v - 1}"}] * k, "label": label}
    return Problem.model_validate(raw).bound_to(sizes(k, v, MANY))


def whole(states: LabelStates, label: int) -> Automaton:
    return by_state(states, np.where(states.outputs == label, 0, DEAD))


def final_state(task: Task, tokens: list[int]) -> Any:
    state = task.label.initial
    for p in task.label.positions(task.k):
        state = task.label.step(state, p, tokens[p])
    return state


@pytest.mark.parametrize("name", LABELS)
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_inputs_are_cut_by_the_final_state_of_their_label(name: str, data: st.DataObject) -> None:
    raw, v = data.draw(problems(name, weighted=True))
    task = Problem.model_validate(raw).bound_to(sizes(len(raw["inputs"]), v, MANY))
    inputs, states = all_inputs(task), LabelStates(task)
    labels = task.labels(inputs)
    ends = [final_state(task, tokens) for tokens in inputs.tolist()]
    assert [task.label.answer(state) for state in ends] == labels.tolist()
    for label in set(labels.tolist()):
        one = whole(states, label)
        assert [part_of(one, tokens) for tokens in inputs] == np.where(labels == label, 0, -1).tolist()
        fine = by_state(states, np.where(states.outputs == label, states.rank, DEAD))
        parts = [part_of(fine, tokens) for tokens in inputs]
        assert [part >= 0 for part in parts] == (labels == label).tolist()
        wanted = {(state, part) for state, part in zip(ends, parts, strict=True) if part >= 0}
        assert len(wanted) == len({state for state, _ in wanted}) == len({part for _, part in wanted})
        assert [state for state, _ in sorted(wanted, key=lambda pair: pair[1])] == sorted(state for state, _ in wanted)


SMALLEST: list[tuple[dict[str, Any], int, int]] = [  # label, answer, states
    ({"name": "max"}, 0, 2),
    ({"name": "max"}, 2, 2),
    ({"name": "min"}, 1, 2),
    ({"name": "min"}, 3, 2),
    ({"name": "sum-mod", "modulus": 3}, 0, 3),
    ({"name": "contains", "token": 1}, 0, 1),
    ({"name": "contains", "token": 1}, 1, 2),
    ({"name": "first"}, 2, 2),
    ({"name": "last"}, 2, 2),
    ({"name": "nth-largest", "n": 2}, 2, 6),  # none, one, two or more of 2, with or without a larger one
]


@pytest.mark.parametrize(("label", "answer", "count"), SMALLEST)
def test_as_few_states_as_one_needs(label: dict[str, Any], answer: int, count: int) -> None:
    found = whole(LabelStates(task_of(label)), answer)
    assert len(found.next) == len(found.parts) <= count
    assert found.next.shape[1] == len(set(found.symbols.tolist())) <= 4
    if label["name"] != "nth-largest":
        assert len(found.next) == count


@pytest.mark.parametrize("seed", range(30))
def test_minimal_is_the_smallest_that_does_the_same(seed: int) -> None:
    """States are one if no word tells them apart: in n states words of n letters are enough."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 6))
    table, parts = rng.integers(-1, n, (n, 3)), rng.integers(-1, 2, n)
    words = [word for length in range(n + 1) for word in itertools.product(range(3), repeat=length)]

    def meaning(table: Any, parts: Any, symbols: Any, state: int) -> tuple[int, ...]:
        return tuple(part_from(table, parts, state, [int(symbols[t]) for t in word]) for word in words)

    behaviour = [meaning(table, parts, range(3), state) for state in range(n)]
    found = minimal(table, parts)
    assert meaning(found.next, found.parts, found.symbols, 0) == behaviour[0]
    reached = {0}
    while more := {int(s) for state in reached for s in table[state] if s >= 0} - reached:
        reached |= more
    useful = {behaviour[state] for state in reached if max(behaviour[state]) >= 0}
    assert len(found.next) == max(len(useful), 1)


def part_from(table: Any, parts: Any, state: int, word: list[int]) -> int:
    for symbol in word:
        state = int(table[state, symbol])
        if state < 0:
            return -1
    return int(parts[state])


@pytest.mark.parametrize("seed", range(12))
def test_products_of_token_sets_are_parts_with_the_final_states_that_are_theirs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels: list[dict[str, Any]] = [{"name": "sum-mod", "modulus": 4}, {"name": "argmax"}, {"name": "max", "of": [1]}]
    task = task_of(labels[seed % 3])
    states = LabelStates(task)
    automaton = by_state(states, np.where(states.outputs <= 2, states.rank, DEAD))
    products: list[tuple[list[np.ndarray], np.ndarray]] = [
        ([np.arange(4)] * 3, np.flatnonzero(automaton.parts >= 0)),
    ]
    for _ in range(5):  # split one of them, by tokens or by final states
        rows, ends = products.pop(int(rng.integers(len(products))))
        p = int(rng.integers(4))
        one, other = halves(rng, ends if p == 3 else rows[p])
        for side in (one, other):
            products.append((rows, side) if p == 3 else ([*rows[:p], side, *rows[p + 1 :]], ends))
    left = products[1:]  # what is in no product is in no part
    cut = of_products(automaton, [rows for rows, _ in left], [ends for _, ends in left], 3)
    for tokens in all_inputs(task):
        state = 0
        for t in tokens:
            state = int(automaton.next[state, automaton.symbols[t]])
        own = [
            number
            for number, (rows, ends) in enumerate(left)
            if state in ends and all(t in row for t, row in zip(tokens, rows, strict=True))
        ]
        assert part_of(cut, tokens) == (own or [-1])[0]
        assert len(own) <= 1


def halves(rng: np.random.Generator, members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    own = rng.random(len(members)) < 0.5
    return members[own], members[~own]


def test_an_automaton_of_too_many_states_is_given_up() -> None:
    with pytest.raises(TooManyStates):
        LabelStates(task_of({"name": "majority"}, v=4, k=4), most=20)
