"""Generator and checker read one problem file alike: they share no code."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from certgen.problem.labels import LABELS
from certgen.problem.problem_file import parse_problem
from checker.decode import load_json
from checker.model.weights import read_weights
from checker.problem import Problem
from checker.problem.problem_file import decode_problem
from tests.support.raw_problems import problems
from tests.support.sized import sizes


@pytest.mark.parametrize("name", LABELS)
@given(data=st.data())
@settings(max_examples=15)
def test_both_sides_read_the_same_task(name: str, data: st.DataObject) -> None:
    raw, v = data.draw(problems(name, weighted=True))
    model, text = sizes(len(raw["inputs"]), v, 100), json.dumps(raw).encode()
    task = parse_problem(text, "p.json").bound_to(model)
    checked = Problem(read_weights(model.file_bytes), decode_problem(load_json(text), ""), (0, 1), 1 << 25)
    assert (task.text, task.digest, task.total) == (checked.text, checked.digest, checked.total)
    assert (task.readout, task.space.choices) == (checked.readout, [sorted(row) for row in checked.choices])
    tokens, weights = task.inputs(0, task.number)
    for input_, weight, label in zip(tokens.tolist(), weights.tolist(), task.labels(tokens).tolist(), strict=True):
        state, weighed = checked.label.start, 1
        for position, token in enumerate(input_):
            state, weighed = checked.label.step(state, position, token), weighed * checked.choices[position][token]
        assert (label, weight) == (checked.label.output(state), weighed)
