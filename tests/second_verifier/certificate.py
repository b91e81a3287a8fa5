"""Section 3, Fields: the certificate as JSON that has the declared form, or a refusal."""

from typing import Any

from tests.second_verifier.architecture import one_of
from tests.second_verifier.facts import KINDS, profile_entry
from tests.second_verifier.problem import task
from tests.second_verifier.refusal import require
from tests.second_verifier.rules import RULES
from tests.second_verifier.strict_json import (
    Json,
    Reader,
    constant,
    digest,
    fraction,
    integer,
    list_of,
    parse,
    record,
    text,
    unpacked,
)

PREDICATE_TYPE = "urn:compact-proofs:accuracy-certificate:v1"


def subject(value: Json, path: str) -> Json:
    require(isinstance(value, list), "wrong-type", path)
    require(len(value) == 1, "unsupported", path)
    return list_of(record({"name": text, "digest": record({"sha256": digest})}))(value, path)


def predicate_type(value: Json, path: str) -> Json:
    text(value, path)
    if value != PREDICATE_TYPE:
        version = value.startswith(PREDICATE_TYPE.removesuffix("1"))
        require(False, "unsupported-version" if version else "unsupported", path)
    return value


def rule_name(value: Json, path: str) -> Json:
    text(value, path)
    require(value in RULES, "unknown-rule", path)
    return value


def each(reader: Reader) -> Reader:
    """An object with any names."""

    def read(value: Json, path: str) -> Json:
        require(isinstance(value, dict), "wrong-type", path)
        for name, item in value.items():
            reader(item, f"{path}.{name}")
        return value

    return read


def model(value: Json, path: str) -> Json:
    require(isinstance(value, dict), "wrong-type", path)
    require("tensors" in value, "missing-field", path)
    for name, item in value.items():
        (each(digest) if name == "tensors" else integer())(item, f"{path}.{name}")
    return value


def claim(value: Json, path: str) -> Json:
    natural = integer(0)
    fields = {"correct": natural, "wrong": natural, "total": natural}
    if isinstance(value, dict) and "profile" in value:
        fields |= {"profile": list_of(profile_entry), "mean_loss": fraction(signed=False)}
    return record(fields)(value, path)


def step(value: Json, path: str) -> Json:
    anything: Reader = lambda given, _: given  # noqa: E731
    known: dict[str, Reader] = {
        "rule": rule_name,
        "premises": list_of(integer()),
        "args": anything,
        "conclusion": anything,
    }
    record(known, {"margin": fraction(signed=True)})(value, path)
    rule = RULES[value["rule"]]
    record(rule.args)(value["args"], f"{path}.args")
    KINDS[rule.concludes].read(value["conclusion"], f"{path}.conclusion")
    return value


def predicate(value: Json, path: str) -> Json:
    require(isinstance(value, dict), "wrong-type", path)
    require("formatVersion" in value, "missing-field", path)
    version = constant(1, "unsupported-version")
    version(value["formatVersion"], f"{path}.formatVersion")
    fields = {
        "formatVersion": version,
        "task": task,
        "model": model,
        "semantics": one_of("exact-real", "float32-any-order"),
        "margin": fraction(signed=False),
        "claim": claim,
        "strategy": text,
        "steps": list_of(step),
    }
    record(fields)(value, path)
    exact = value["semantics"] == "exact-real"
    require(exact or "profile" not in value["claim"], "unknown-field", f"{path}.claim")
    return value


STATEMENT = record(
    {
        "_type": constant("https://in-toto.io/Statement/v1", "unsupported"),
        "subject": subject,
        "predicateType": predicate_type,
        "predicate": predicate,
    }
)


def read_certificate(data: bytes) -> dict[str, Any]:
    value = parse(unpacked(data))
    if isinstance(value, dict):
        envelope = "dsseEnvelope" in value or {"payload", "signatures"} <= value.keys()
        require(not envelope, "signed-envelope")
    return dict(STATEMENT(value, ""))
