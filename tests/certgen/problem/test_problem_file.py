"""Problem files: what is read, what is refused and at which field, digests, the words of a task, the JSON Schema."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from certgen.errors import UserError
from certgen.models.model_file import Model
from certgen.problem import MaxOfK, Problem, load_problem, max_of_k
from certgen.problem.problem_file import json_schema, parse_problem
from tests.conftest import ROOT
from tests.support.sized import sizes

SCHEMA = ROOT / "schemas" / "problem-v1.schema.json"
BITS = {"tokens": [0, 1]}
PARITY = {"name": "automaton", "states": 2, "start": 0, "next": [[0, 1], [1, 0]], "output": [0, 1]}


def problem(label: object = None, *entries: object, **fields: object) -> dict[str, Any]:
    return {"inputs": list(entries) or [BITS, BITS], "label": label or {"name": "max"}, **fields}


def read(raw: object) -> Problem | MaxOfK:
    return parse_problem((raw if isinstance(raw, str) else json.dumps(raw)).encode(), "p.json")


def test_a_file_is_read_and_stored_as_it_was_given(tmp_path: Path) -> None:
    raw = problem(
        {"name": "max", "of": [1, 2]}, {"tokens": [10]}, {"tokens": "0-9"}, {"tokens": [3, 1], "weights": [2, 1]}
    )
    path = tmp_path / "problem.json"
    path.write_text(json.dumps(raw), encoding="utf-8")
    task = load_problem(path).bound_to(sizes(4, 12, 10))
    assert task.json == raw
    assert (task.readout, task.is_max_of_k) == (2, False)
    assert task.labels(np.array([[10, 0, 3], [10, 9, 1]])).tolist() == [3, 9]


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (problem({"name": "max"}), "max in 2 positions"),
        (problem({"name": "min", "of": [1]}), "min of 1 in 2 positions"),
        (problem({"name": "nth-largest", "n": 2, "of": [0, 2]}, BITS, BITS, BITS), "nth-largest 2 of 2 in 3 positions"),
        (problem({"name": "nth-largest", "n": 2}), "nth-largest 2 in 2 positions"),
        (problem({"name": "sum-mod", "modulus": 2, "of": [0, 1]}), "sum-mod 2 in 2 positions"),
        (problem({"name": "contains", "token": 1}), "contains 1 in 2 positions"),
        (problem(PARITY), "automaton of 2 states in 2 positions"),
        (problem(PARITY | {"of": [1]}), "automaton of 2 states reading 1 of 2 positions"),
        ({"name": "max-of-k", "k": 3}, "max-of-3"),
    ],
)
def test_the_words_of_a_task(raw: object, text: str) -> None:
    assert read(raw).bound_to(sizes(3, 2)).text == text


def test_the_digest_is_that_of_the_normal_form() -> None:
    label = {"n": 1, "name": "nth-largest", "of": [0, 1]}
    normal = {"inputs": [[0, 2, 1], [1, 1, 1]], "label": label, "readout": 0}
    expected = hashlib.sha256(json.dumps(normal, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    short = problem(
        {"name": "nth-largest", "n": 1}, {"tokens": [2, 1], "weights": [1, 2]}, {"tokens": "0-2"}, readout=0
    )
    long = problem(label, {"tokens": [0, 1, 2], "weights": [0, 2, 1]}, {"tokens": [0, 1, 2]}, readout=0)
    assert {read(raw).bound_to(sizes(2, 3)).digest for raw in (short, long)} == {expected}
    pooled = read(problem({"name": "nth-largest", "n": 1})).bound_to(sizes(2, 2, pool="mean"))
    normal = {"inputs": [[1, 1], [1, 1]], "label": label, "readout": None}
    assert (
        pooled.digest == hashlib.sha256(json.dumps(normal, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    )


def test_max_of_k_and_its_copies() -> None:
    model = sizes(2, 3)
    default = max_of_k(model)
    uniform = {"tokens": "0-2"}
    same = problem({"name": "max"}, uniform, uniform)
    assert default.is_max_of_k and default.json == {"name": "max-of-k", "k": 2} and default.readout == 1
    assert read(default.json).bound_to(model).digest == default.digest == read(same).bound_to(model).digest
    assert read(same).bound_to(model).is_max_of_k
    for other, given in [
        (problem({"name": "max", "of": [0]}, uniform, uniform), model),
        (problem({"name": "min"}, uniform, uniform), model),
        (problem({"name": "max"}, uniform, uniform, readout=0), model),
        (problem({"name": "max"}, uniform, {"tokens": "0-2", "weights": [1, 1, 2]}), model),
        (problem({"name": "max"}, uniform, {"tokens": "0-1"}), model),
        (same, sizes(3, 3)),
        (same, sizes(2, 4)),
        (same, sizes(2, 3, 4)),
        (same, sizes(2, 3, pool="sum")),
    ]:
        assert not read(other).bound_to(given).is_max_of_k, other


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (sizes(2, 3, 4), "the model has 4 outputs for 3 tokens"),
        (sizes(2, 3, pool="sum"), "the model pools"),
    ],
)
def test_max_of_k_is_refused_for_a_model_of_another_kind(model: Model, message: str) -> None:
    with pytest.raises(UserError, match=message) as refused:
        max_of_k(model)
    assert "--problem" in refused.value.hint


def test_max_of_another_k_is_refused() -> None:
    with pytest.raises(UserError, match="the model has 2 positions, and the problem is max-of-3"):
        read({"name": "max-of-k", "k": 3}).bound_to(sizes(2, 3))


SHAPES: list[tuple[object, str]] = [  # what JSON Schema sees too
    ([], "p.json: expected an object"),
    ({}, "at inputs: this field is missing"),
    (problem(more=1), "at more: there is no field of this name"),
    (problem() | {"inputs": []}, "at inputs: it is empty"),
    (problem(None, {"tokens": 3}), r"at inputs\[0\].tokens: expected a list"),
    (problem(None, BITS, {"tokens": []}), r"at inputs\[1\].tokens: it is empty"),
    (problem(None, {"tokens": [True]}), r"at inputs\[0\].tokens\[0\]: expected an integer"),
    (problem(None, {"tokens": [0.0]}), r"at inputs\[0\].tokens\[0\]: expected an integer"),
    (problem(None, {"tokens": [-1]}), r"at inputs\[0\].tokens\[0\]: .*greater than or equal to 0"),
    (problem(None, {"tokens": "0"}), r'at inputs\[0\].tokens: write a list of tokens, or a range such as "0-9"'),
    (problem(None, {"tokens": "00-1"}), r"at inputs\[0\].tokens: write a list"),
    (problem(None, {"tokens": [0], "weight": [1]}), r"at inputs\[0\].weight: there is no field"),
    (problem(None, {"tokens": [0], "weights": None}), r"at inputs\[0\].weights: null is no value"),
    (problem(None, {"tokens": [0], "weights": [1.0]}), r"at inputs\[0\].weights\[0\]: expected an integer"),
    (problem("max"), "at label: expected an object"),
    (problem({"of": [0]}), "at label: its name is missing\nchoose one of max, min"),
    (problem({"name": "maximum"}), "at label: there is no label of this name\nchoose one of max, min"),
    (problem({"name": "max", "n": 1}), "at label.n: there is no field of this name"),
    (problem({"name": "max", "of": []}), "at label.of: it is empty"),
    (problem({"name": "max", "of": None}), "at label.of: null is no value"),
    (problem({"name": "nth-largest"}), "at label.n: this field is missing"),
    (problem({"name": "nth-largest", "n": 0}), "at label.n: .*greater than or equal to 1"),
    (problem({"name": "sum-mod", "modulus": 0}), "at label.modulus: .*greater than or equal to 1"),
    (problem({"name": "contains", "token": "1"}), "at label.token: expected an integer"),
    (problem(PARITY | {"output": [0, -1]}), r"at label.output\[1\]: .*greater than or equal to 0"),
    (problem(readout=-1), "at readout: .*greater than or equal to 0"),
    ({"name": "max", "k": 2}, "at name: without inputs, a problem can only be max-of-k"),
    ({"name": "max-of-k", "k": 0}, "at k: .*greater than or equal to 1"),
    ({"name": "max-of-k"}, "at k: this field is missing"),
]
MEANINGS: list[tuple[object, str]] = [
    ("{", "p.json is not the JSON of a problem"),
    ('{"inputs": [], "inputs": []}', "the field inputs occurs twice"),
    ('{"name": "max-of-k", "k": -0}', "-0 is not a canonical integer"),
    ('{"name": "max-of-k", "k": 1' + "0" * 4000 + "}", "1000000000... is too long"),
    ('{"inputs": ' + "[" * 100_000, "p.json is not the JSON of a problem"),
    ("\ufeff{}", "p.json is not the JSON of a problem"),
    (problem(None, {"tokens": "0-1\n"}), r"at inputs\[0\].tokens: write a list"),
    (problem(None, {"tokens": [1, 0, 1]}), r"at inputs\[0\].tokens: token 1 is there twice"),
    (problem(None, {"tokens": "2-1"}), r"at inputs\[0\].tokens: the range 2-1 has no tokens"),
    (problem(None, {"tokens": "0-2147483648"}), r"at inputs\[0\].tokens: there is no token 2147483648"),
    (problem(None, {"tokens": "0-2", "weights": [1, 1]}), r"at inputs\[0\].weights: there are 2 weights for 3 tokens"),
    (problem(None, {"tokens": [0], "weights": [0]}), r"at inputs\[0\].weights: all weights are 0"),
    (problem({"name": "max", "of": [1, 0]}), "at label.of: position 0 comes after 1"),
    (problem({"name": "max", "of": [1, 1]}), "at label.of: position 1 comes after 1"),
    (problem({"name": "max", "of": [2]}), "at label.of: there is no position 2: they are 0 to 1"),
    (problem({"name": "nth-largest", "n": 2, "of": [0]}), "at label.n: there is no 2-th largest of 1 tokens"),
    (problem(PARITY | {"states": 3}), "at label.next: it has 2 entries, and the automaton has 3 states"),
    (problem(PARITY | {"output": [0]}), "at label.output: it has 1 entries, and the automaton has 2 states"),
    (problem(PARITY | {"start": 2}), "at label.start: there is no state 2: they are 0 to 1"),
    (problem(PARITY | {"next": [[0, 1], [2, 0]]}), r"at label.next\[1\]: there is no state 2: they are 0 to 1"),
    (problem(readout=2), "at readout: there is no position 2: they are 0 to 1"),
]


@pytest.mark.parametrize(("raw", "message"), SHAPES + MEANINGS)
def test_a_file_of_another_form_is_refused_with_its_field(raw: object, message: str) -> None:
    with pytest.raises(UserError, match=message) as refused:
        read(raw)
    assert refused.value.hint


@pytest.mark.parametrize(
    ("raw", "model", "message"),
    [
        (problem(), sizes(1, 2), "at inputs: it has 2 positions, and the model 1"),
        (
            problem(None, BITS, {"tokens": [1, 2, 0]}),
            sizes(2, 2),
            r"inputs\[1\].tokens: there is no token 2: .* 0 to 1",
        ),
        (problem(None, {"tokens": "0-2147483647"}), sizes(2, 2), "there is no token 2147483647"),
        (problem({"name": "contains", "token": 2}), sizes(2, 2), "at label.token: there is no token 2"),
        (problem(PARITY), sizes(2, 3), r"at label.next\[0\]: it has 2 entries, and there are 3 tokens"),
        (problem(readout=0), sizes(2, 2, pool="mean"), "at readout: the model pools its positions"),
        (problem(), sizes(2, 2, 1), "at label: 1 is the right answer to some input, and the model has 0 to 0"),
        (problem(PARITY | {"output": [0, 2]}), sizes(2, 2), "at label: 2 is the right answer to some input"),
    ],
)
def test_a_problem_that_does_not_fit_the_model_is_refused(raw: object, model: Model, message: str) -> None:
    with pytest.raises(UserError, match=f"the problem does not fit the model, .*{message}"):
        read(raw).bound_to(model)


def test_only_answers_that_some_input_has_count() -> None:
    never = problem(PARITY | {"states": 3, "next": [[0, 1], [1, 0], [2, 2]], "output": [0, 1, 9]})
    weightless = problem({"name": "max"}, BITS, {"tokens": [0, 5], "weights": [1, 0]})
    assert read(never).bound_to(sizes(2, 2)).number == 4
    assert read(weightless).bound_to(sizes(2, 6, 2)).number == 2


def test_the_schema_is_what_the_generator_writes() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == json_schema(), "run: make schema"


def test_the_schema_takes_problems_and_refuses_misshapen_ones() -> None:
    schema = json.loads(SCHEMA.read_bytes())
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    weighted = problem(PARITY | {"of": [0]}, {"tokens": "0-1", "weights": [1, 2]}, BITS, readout=1)
    accepted: tuple[object, ...] = (weighted, problem(), {"name": "max-of-k", "k": 2})
    for raw in accepted:
        read(raw)
        validator.validate(raw)
    for raw, message in SHAPES:
        # There, a number is an integer when its fraction is 0.
        if "1.0" not in json.dumps(raw) and "0.0" not in json.dumps(raw):
            assert not validator.is_valid(raw), message
