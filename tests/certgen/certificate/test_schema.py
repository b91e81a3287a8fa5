"""schemas/certificate-v1.schema.json is what the generator says, fits real certificates, and refuses misshapen ones."""

import copy
import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from certgen import load_model, prove
from certgen.certificate.statement import json_schema
from certgen.strategies import STRATEGIES
from checker.rules import RULES
from tests.checker.test_corpus import error_codes
from tests.conftest import ROOT, TESTS

SCHEMA = ROOT / "schemas" / "certificate-v1.schema.json"
FORMAT = (ROOT / "schemas" / "CERTIFICATE.md").read_text(encoding="utf-8")
ACCEPTED = sorted((TESTS / "certificates" / "accept").iterdir())
# Codes of the malformed corpus that any JSON reader sees; the others are about bytes and digits.
SHAPE_CODES = ("unknown-field", "unknown-rule", "unsupported", "unsupported-version", "out-of-range", "wrong-type")


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = json.loads(SCHEMA.read_bytes())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.mark.parametrize("rule", RULES)
def test_the_format_describes_every_rule_and_fact(rule: str) -> None:
    headings = re.findall("^### (.*)$", FORMAT, re.MULTILINE)
    assert rule in ", ".join(headings).split(", ")
    assert f"| {RULES[rule].concludes.__name__} |" in FORMAT


def test_the_format_lists_every_error_code() -> None:
    assert sorted(code for code in error_codes() if f"`{code}`" not in FORMAT) == []


def read(path: Path) -> Any:
    data = path.read_bytes()
    return json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)


def test_the_file_is_what_the_generator_writes() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == json_schema(), "run: make schema"


def test_every_rule_of_the_checker_has_a_step(validator: Draft202012Validator) -> None:
    definitions = validator.schema["$defs"].values()
    rules = [fields["properties"]["rule"]["const"] for fields in definitions if "rule" in fields["properties"]]
    assert sorted(rules) == sorted(RULES)


@pytest.mark.parametrize("strategy", ["brute-force", "cubic", *list(STRATEGIES)[2::7]])
def test_certificates_of_every_strategy_are_valid(
    strategy: str, validator: Draft202012Validator, models: Path, tmp_path: Path
) -> None:
    path = tmp_path / "a.cert.json"
    prove(load_model(models / "tiny.safetensors"), strategy, margin="1/8").save(path)
    validator.validate(read(path))


@pytest.mark.parametrize("path", ACCEPTED, ids=lambda path: path.name)
def test_accepted_certificates_are_valid(path: Path, validator: Draft202012Validator) -> None:
    validator.validate(read(path))


TOO_LONG = ("out-of-range--step-huge", "out-of-range--step-too-large")  # for a bound that a schema could state
MALFORMED = [
    path
    for path in sorted((TESTS / "certificates" / "malformed").iterdir())
    if path.name.partition("--")[0] in SHAPE_CODES and not path.name.startswith(TOO_LONG)
]


@pytest.mark.parametrize("path", MALFORMED, ids=lambda path: path.name)
def test_malformed_certificates_are_not_valid(path: Path, validator: Draft202012Validator) -> None:
    assert not validator.is_valid(read(path))


def objects(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all objects in a JSON value."""
    if isinstance(value, dict):
        return [path] + [found for key, item in value.items() for found in objects(item, (*path, key))]
    if isinstance(value, list):
        return [found for index, item in enumerate(value) for found in objects(item, (*path, index))]
    return []


def at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


@pytest.mark.parametrize("name", ["tiny--cubic.cert.json", "tiny--brute-force.cert.json"])
def test_no_object_takes_another_field_and_no_value_another_type(name: str, validator: Draft202012Validator) -> None:
    certificate = read(TESTS / "certificates" / "accept" / name)
    paths = objects(certificate)
    assert len(paths) > 10
    for path in paths:
        mutated = copy.deepcopy(certificate)
        at(mutated, path)["another"] = 0
        assert not validator.is_valid(mutated), path
        for key in at(certificate, path):
            others: tuple[object, ...] = (None, True, 1.5, [[[[]]]])
            for other in others:
                mutated = copy.deepcopy(certificate)
                at(mutated, path)[key] = other
                assert not validator.is_valid(mutated), (path, key, other)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("predicate", "margin"), "-1"),
        (("predicate", "margin"), "0.5"),
        (("predicate", "claim", "correct"), -1),
        (("predicate", "claim", "wrong"), -1),
        (("predicate", "claim", "total"), 0),
        (("predicate", "formatVersion"), 2),
        (("predicate", "steps", 0, "rule"), "total"),
        (("predicate", "steps", 0, "premises"), [-1]),
        (("predicate", "steps", 2, "args", "bits"), 4097),
        (("predicate", "steps", 2, "conclusion"), {"correct": 1, "wrong": 0}),
        (("predicate", "steps", 4, "conclusion", "counts", 0), [0, 1, 2, 0]),
        (("subject",), []),
    ],
)
def test_values_outside_the_format(path: tuple[Any, ...], value: object, validator: Draft202012Validator) -> None:
    certificate = read(TESTS / "certificates" / "accept" / "tiny--cubic.cert.json")
    at(certificate, path[:-1])[path[-1]] = value
    assert not validator.is_valid(certificate)
