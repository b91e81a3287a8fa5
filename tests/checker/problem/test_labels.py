"""Labels by name against plain definitions, the tables that follow from them, and what these cost."""

from collections.abc import Callable
from functools import reduce
from itertools import combinations, product
from typing import Any

import pytest

from checker.budget import Budget
from checker.errors import Rejected
from checker.problem.labels import Task, automaton, label_of, tables_of

# What a label is of the tokens that are read, and of their positions.
PLAIN: dict[str, tuple[dict[str, Any], Callable[[list[int], tuple[int, ...]], int]]] = {
    "max": ({}, lambda x, of: max(x)),
    "min": ({}, lambda x, of: min(x)),
    "nth-largest": ({"n": 2}, lambda x, of: sorted(x)[-2]),
    "argmax": ({}, lambda x, of: of[x.index(max(x))]),
    "sum-mod": ({"modulus": 4}, lambda x, of: sum(x) % 4),
    "contains": ({"token": 2}, lambda x, of: 2 in x),
    "first": ({}, lambda x, of: x[0]),
    "last": ({}, lambda x, of: x[-1]),
    "majority": ({}, lambda x, of: min(x, key=lambda t: (-x.count(t), t))),
}


@pytest.mark.parametrize("name", PLAIN)
def test_a_label_and_its_tables_are_its_plain_definition(name: str) -> None:
    """Of all inputs, and all sets of positions that are read."""
    args, plain = PLAIN[name]
    places = [of for size in (2, 3, 4) for of in combinations(range(4), size)]
    for of in [(0,), (3,), *places][2 * (name == "nth-largest") :]:
        label = label_of(Task(name, args, of), of, 3)
        tables, _ = tables_of(label, [dict.fromkeys(range(3), 1)] * 4, Budget(1 << 30))
        for x in product(range(3), repeat=4):
            state = reduce(lambda state, at: label.step(state, *at), enumerate(x), label.start)
            expected = plain([x[p] for p in of], of)
            assert label.output(state) == expected
            assert reduce(lambda state, at: at[1][at[0]][state], zip(x, tables, strict=True), 0) == expected


def test_the_nth_largest_needs_as_many_positions() -> None:
    assert label_of(Task("nth-largest", {"n": 2}, None), (0, 2), 3)
    assert label_of(Task("majority", {}, None), (0,), 3)
    with pytest.raises(Rejected, match="wrong-task"):
        label_of(Task("nth-largest", {"n": 3}, None), (0, 2), 3)


def test_every_row_of_an_automaton_has_all_tokens() -> None:
    given = {"states": 2, "start": 1, "next": [[0, 1], [1, 0]], "output": [1, 0]}
    assert automaton(given, 2).start == 1
    for change in ({"next": [[0, 1], [1]]}, {"next": [[0], [1, 0]]}, {"output": [1]}, {"start": 2}, {"states": 3}):
        with pytest.raises(Rejected, match="bad-automaton"):
            automaton(given | change, 2)


def test_tables_cost_their_tokens_times_states() -> None:
    """Of a label of one state, then two; a little more at later positions."""
    label, choices = label_of(Task("last", {}, None), tuple(range(9)), 3), [{0: 1, 2: 1}] * 9
    each = [2 * 12, *[4 * (12 + p // 4) for p in range(1, 9)]]
    budget = Budget(1 << 20)
    _, cost = tables_of(label, choices, budget)
    assert cost == budget.spent == sum(each)
