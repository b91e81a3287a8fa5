"""The certificate: a JSON statement (in-toto Statement v1) decoded into typed steps. Nothing in it is believed yet."""

from typing import NamedTuple

from checker.budget import MEMORY
from checker.decode import (
    Integer,
    array,
    choice,
    constant,
    decompress,
    digest,
    fraction,
    integer,
    load_json,
    mapping,
    record,
    signed_fraction,
    text,
)
from checker.errors import Malformed
from checker.facts import NATURAL, Accuracy, Fact, Float32Accuracy, Profile
from checker.problem.problem_file import Stated, decode_problem
from checker.rules import RULES

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:compact-proofs:accuracy-certificate:v1"


class Step(NamedTuple):
    """One inference: a rule applied to facts of earlier steps, and what it is said to conclude; at a margin of its own,
    or if it has none at that of the claim."""

    rule: str
    premises: tuple[int, ...]
    args: dict[str, object]
    conclusion: Fact
    margin: tuple[int, int] | None


class Certificate(NamedTuple):
    """A decoded certificate."""

    file_digest: str
    tensor_digests: dict[str, str]
    sizes: dict[str, int]
    problem: Stated
    margin: tuple[int, int]
    claim: Accuracy
    total: int
    steps: tuple[Step, ...]


def decode_step(value: object, path: str) -> Step:
    """A step whose rule exists, with exactly that rule's arguments and kind of conclusion."""
    fields = record(value, path, ("rule", "premises", "args", "conclusion"), ("margin",))
    name = text(fields["rule"], f"{path}.rule")
    if name not in RULES:
        raise Malformed("unknown-rule", f"{path}.rule", f"one of {', '.join(RULES)}")
    rule = RULES[name]
    raw = record(fields["args"], f"{path}.args", tuple(rule.args))
    args = {key: decode(raw[key], f"{path}.args.{key}") for key, decode in rule.args.items()}
    premises = array(fields["premises"], f"{path}.premises", integer)
    margin = signed_fraction(fields["margin"], f"{path}.margin") if "margin" in fields else None
    return Step(name, premises, args, rule.concludes.decode(fields["conclusion"], f"{path}.conclusion"), margin)


def decode_certificate(data: bytes, integer_type: Integer = int, memory: int = MEMORY) -> Certificate:
    """The whole file, strictly: unknown fields, versions, rules and semantics are refused."""
    content = load_json(decompress(data, memory), integer_type, memory)
    if isinstance(content, dict) and ({"payload", "signatures"} <= set(content) or "dsseEnvelope" in content):
        raise Malformed("signed-envelope", "", "a certificate; this is a DSSE envelope, check its decoded payload")
    statement = record(content, "", ("_type", "subject", "predicateType", "predicate"))
    constant(statement["_type"], "_type", STATEMENT_TYPE)
    kind = statement["predicateType"]
    ours = isinstance(kind, str) and kind.startswith(PREDICATE_TYPE.rstrip("1"))
    constant(kind, "predicateType", PREDICATE_TYPE, "unsupported-version" if ours else "unsupported")
    subjects = array(statement["subject"], "subject", lambda value, path: record(value, path, ("name", "digest")))
    if len(subjects) != 1:
        raise Malformed("unsupported", "subject", "one model", str(len(subjects)))
    text(subjects[0]["name"], "subject[0].name")
    file_digest = record(subjects[0]["digest"], "subject[0].digest", ("sha256",))

    at = "predicate"
    fields = ("formatVersion", "task", "model", "semantics", "margin", "claim", "strategy", "steps")
    # The version comes first: a newer certificate should be refused for its version, not for a field it added.
    if isinstance(statement["predicate"], dict) and "formatVersion" in statement["predicate"]:
        constant(statement["predicate"]["formatVersion"], f"{at}.formatVersion", 1, "unsupported-version")
    predicate = record(statement["predicate"], at, fields)
    exact = choice(Accuracy.semantics, Float32Accuracy.semantics)(predicate["semantics"], f"{at}.semantics")
    text(predicate["strategy"], f"{at}.strategy")
    model = mapping(predicate["model"], f"{at}.model")
    tensors = mapping(model.pop("tensors", None), f"{at}.model.tensors")
    claim = mapping(predicate["claim"], f"{at}.claim")
    kind = Float32Accuracy if exact != Accuracy.semantics else Profile if "profile" in claim else Accuracy
    record(claim, f"{at}.claim", (*kind.fields, "total"))
    return Certificate(
        file_digest=digest(file_digest["sha256"], "subject[0].digest.sha256"),
        tensor_digests={name: digest(value, f"{at}.model.tensors") for name, value in tensors.items()},
        sizes={name: integer(value, f"{at}.model") for name, value in model.items()},
        problem=decode_problem(predicate["task"], f"{at}.task"),
        margin=fraction(predicate["margin"], f"{at}.margin"),
        claim=kind.decode({name: claim[name] for name in kind.fields}, f"{at}.claim"),
        total=NATURAL(claim["total"], f"{at}.claim.total"),
        steps=array(predicate["steps"], f"{at}.steps", decode_step),
    )
