"""Every named label, and automata, beside what their definitions say in plain Python."""

import itertools
import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from certgen.problem import Problem
from certgen.problem.labels import LABELS
from tests.conftest import ROOT
from tests.support.raw_problems import problems
from tests.support.sized import sizes

Reference = Callable[[list[int], list[int], dict[str, Any]], int]  # of tokens, their positions, and the fields


def majority(tokens: list[int]) -> int:
    return min(token for token in tokens if all(tokens.count(token) >= tokens.count(other) for other in tokens))


def run(tokens: list[int], fields: dict[str, Any]) -> int:
    state = fields["start"]
    for token in tokens:
        state = fields["next"][state][token]
    return int(fields["output"][state])


REFERENCES: dict[str, Reference] = {
    "max": lambda tokens, positions, fields: max(tokens),
    "min": lambda tokens, positions, fields: min(tokens),
    "nth-largest": lambda tokens, positions, fields: sorted(tokens, reverse=True)[fields["n"] - 1],
    "argmax": lambda tokens, positions, fields: positions[tokens.index(max(tokens))],
    "sum-mod": lambda tokens, positions, fields: sum(tokens) % fields["modulus"],
    "contains": lambda tokens, positions, fields: int(fields["token"] in tokens),
    "first": lambda tokens, positions, fields: tokens[0],
    "last": lambda tokens, positions, fields: tokens[-1],
    "majority": lambda tokens, positions, fields: majority(tokens),
    "automaton": lambda tokens, positions, fields: run(tokens, fields),
}
MANY = 100  # outputs


def test_every_label_has_a_definition() -> None:
    assert list(LABELS) == list(REFERENCES)


@pytest.mark.parametrize("name", LABELS)
@given(data=st.data())
@settings(max_examples=40)
def test_a_label_is_what_its_definition_says(name: str, data: st.DataObject) -> None:
    raw, v = data.draw(problems(name))
    k = len(raw["inputs"])
    task = Problem.model_validate(raw).bound_to(sizes(k, v, MANY))
    positions = raw["label"].get("of", list(range(k)))
    inputs = [list(x) for x in itertools.product(*(sorted(entry["tokens"]) for entry in raw["inputs"]))]
    expected = [REFERENCES[name]([x[p] for p in positions], positions, raw["label"]) for x in inputs]
    found = task.labels(np.array(inputs))
    assert found.dtype == np.int64 and found.tolist() == expected
    choices = [task.space.choices[position] for position in positions]
    assert task.label.largest(choices, positions) == max(expected)


def test_a_majority_that_only_matching_can_decide() -> None:
    """Token 3 wins only if 0 and 1, once each, take the other two positions: 0 alone may not stand at both."""
    choices = [[3], [3], [0, 1], [0]]
    label = LABELS["majority"](name="majority")
    assert label.largest(choices, range(4)) == 3
    assert label.largest([[3], [0, 1], [0]], range(3)) == 0  # once each, or 0 twice


def test_the_documentation_shows_every_name_with_its_answer() -> None:
    page = (ROOT / "docs" / "problems.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\{.*\})` \| .* \| (\d+) \|$", page, re.MULTILINE)
    labels = [json.loads(label) | {"of": [1, 3, 5, 7]} for label, _ in rows]
    assert [label["name"] for label in labels] == [name for name in LABELS if name != "automaton"]
    for label, (_, answer) in zip(labels, rows, strict=True):
        problem = Problem.model_validate({"inputs": [{"tokens": "0-3"}] * 8, "label": label})
        assert problem.label.of_inputs(np.array([[0, 3, 0, 1, 0, 3, 0, 0]])).tolist() == [int(answer)], label
