"""The certificate as pydantic models: the shape of format version 1. The JSON Schema is generated from them."""

from __future__ import annotations

import gzip
import json
import os
import re
import zlib
from collections.abc import Mapping
from fractions import Fraction
from typing import Annotated, Any, Literal, Self

from pydantic import (
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from certgen.certificate.facts import Accuracy, AtMargin
from certgen.certificate.shapes import FRACTION, Digest, Positive, Shape, SignedFraction
from certgen.certificate.shapes import Fraction as FractionText
from certgen.certificate.steps import AnyStep
from certgen.errors import UserError
from certgen.files import has_digest, read_input, write_atomically
from certgen.problem import MaxOfK, Problem
from certgen.problem.shapes import Partial, misfit, without_null

MAX_BYTES = 1 << 28  # of a certificate, as the format says


def _kind(task: Any) -> str:
    has_inputs = "inputs" in task if isinstance(task, dict) else isinstance(task, Problem)
    return "<problem>" if has_inputs else "<max-of-k>"


AnyTask = Annotated[Annotated[MaxOfK, Tag("<max-of-k>")] | Annotated[Problem, Tag("<problem>")], Discriminator(_kind)]


_TASK: TypeAdapter[MaxOfK | Problem] = TypeAdapter(AnyTask)


def read_task(task: Mapping[str, Any]) -> MaxOfK | Problem:
    """The task as a certificate holds it. ValidationError if it has another shape."""
    return _TASK.validate_python(task)


_READOUT_SIZE = "^d_readout_(0|[1-9]|1[0-5])$"


def _readout_sizes(schema: dict[str, Any]) -> None:
    schema["patternProperties"] = {_READOUT_SIZE: schema.pop("additionalProperties")}
    schema["additionalProperties"] = False
    without_null(schema)


class ModelInfo(Partial):
    """The sizes that the model has, and the SHA-256 of each tensor's bytes by tensor name."""

    model_config = ConfigDict(extra="allow", json_schema_extra=_readout_sizes)
    __pydantic_extra__: dict[str, Positive]

    d_vocab: Positive
    d_model: Positive
    d_head: Positive | None = None
    n_ctx: Positive
    n_heads: Positive | None = None
    d_mlp: Positive | None = None
    d_vocab_out: Positive | None = None
    tensors: dict[str, Digest]

    @model_validator(mode="after")
    def _known_sizes(self) -> Self:
        for name in self.__pydantic_extra__:
            if not re.match(_READOUT_SIZE, name):
                raise misfit(name, "Extra inputs are not permitted")
        return self


def _together(schema: dict[str, Any]) -> None:
    without_null(schema)
    schema["dependentRequired"] = {"profile": ["mean_loss"], "mean_loss": ["profile"]}


class Claim(Accuracy, Partial):
    """Of inputs that weigh `total` together: without a problem file, d_vocab^k sequences.

    With a profile, of accuracies at several margins, there is a bound on the mean loss; without one there is none.
    """

    model_config = ConfigDict(json_schema_extra=_together)

    total: Positive
    profile: list[AtMargin] | None = None
    mean_loss: FractionText | None = None

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.profile is None) != (self.mean_loss is None):
            raise misfit("profile", "profile and mean_loss are given together")
        return self

    @property
    def accuracy(self) -> Fraction:
        """The lower bound that is claimed."""
        return Fraction(self.correct, self.total)

    @property
    def exact(self) -> bool:
        """Does it leave no input open?"""
        return self.correct + self.wrong == self.total


Semantics = Literal["exact-real", "float32-any-order"]  # what computes the model that a claim is about
EXACT: Semantics = "exact-real"
FLOAT32: Semantics = "float32-any-order"


class Predicate(Shape):
    formatVersion: Literal[1] = 1
    task: AnyTask
    model: ModelInfo
    semantics: Semantics = EXACT
    # proofs at negative margins are parts of others, and never in a file by themselves
    margin: Annotated[SignedFraction, WithJsonSchema({"pattern": FRACTION, "title": "Margin", "type": "string"})]
    claim: Claim
    strategy: str
    steps: list[AnyStep]


class Sha256(Shape):
    sha256: Digest


class Subject(Shape):
    name: str
    digest: Sha256


class Certificate(Shape):
    """An in-toto Statement v1 about one model file."""

    type_: Annotated[Literal["https://in-toto.io/Statement/v1"], Field(alias="_type")] = (
        "https://in-toto.io/Statement/v1"
    )
    subject: Annotated[list[Subject], Field(min_length=1, max_length=1)]
    predicateType: Literal["urn:compact-proofs:accuracy-certificate:v1"] = "urn:compact-proofs:accuracy-certificate:v1"
    predicate: Predicate

    def to_bytes(self) -> bytes:
        """Compact JSON, one step a line."""
        statement: dict[str, Any] = self.model_dump(by_alias=True)
        steps = statement["predicate"].pop("steps")
        order = ("rule", "margin", "premises", "args", "conclusion")
        ordered = [{key: step[key] for key in order if key in step} for step in steps]
        lines = ",\n".join(json.dumps(step, separators=(",", ":")) for step in ordered)
        head = json.dumps(statement, indent=1).removesuffix("\n }\n}")
        return f'{head},\n  "steps": [\n{lines}\n  ]\n }}\n}}\n'.encode()

    def save(self, path: str | os.PathLike[str]) -> int:
        """Write the certificate, gzipped if the name ends in .gz; returns the size of the file in bytes.

        The write is atomic, and the same certificate always gives the same bytes. Raises UserError if it is impossible,
        would replace the model that the certificate is about, or would make a file too large for check-cert.
        """
        if has_digest(path, self.subject[0].digest.sha256):
            raise UserError(f"{path} holds the model that this certificate is about", "choose another path")
        data = self.to_bytes()
        if len(data) > MAX_BYTES:
            reason = f"the certificate would have {len(data):,} bytes, and check-cert reads at most {MAX_BYTES:,}"
            raise UserError(reason, "choose a strategy with a shorter proof, such as separable-by-max")
        if str(path).endswith(".gz"):
            data = gzip.compress(data, mtime=0)  # the same certificate is the same file
        write_atomically(path, data)
        return len(data)

    def about(self, task: Mapping[str, Any]) -> Self:
        """The same about the same task, in the words of a problem file."""
        return self.model_copy(update={"predicate": self.predicate.model_copy(update={"task": read_task(task)})})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a certificate, gzipped or not. This checks its shape only; check-cert checks what it says.

        Raises UserError if the file cannot be read or has another shape.
        """
        data = read_input(path)
        try:
            data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
            read = cls.model_validate_json(data)  # pydantic's own reader refuses halves of characters, json does not
        except (ValidationError, EOFError, OSError, zlib.error) as error:
            reason = _first(error) if isinstance(error, ValidationError) else str(error)
            raise UserError(
                f"{path} is not a version 1 certificate: {reason}", "check-cert says exactly where"
            ) from None
        if read.predicate.margin.startswith("-"):
            reason = f"{path} is not a version 1 certificate: at predicate.margin: it is negative"
            raise UserError(reason, "check-cert says exactly where")
        return read


def _first(error: ValidationError) -> str:
    """What is wrong first, and where: a path as check-cert writes it, without the tags of unions."""
    first = error.errors()[0]
    if first["type"] == "union_tag_invalid":
        first["msg"] = "there is no rule of this name"  # the message lists all of them
    place = tuple(part for part in first["loc"] if not str(part).startswith("<"))  # tags of unions
    place += tuple(filter(None, [first.get("ctx", {}).get("place")]))  # where parts do not fit together
    if place[:2] == ("predicate", "steps"):
        place = place[:3] + place[4:]  # the fourth is the rule, which tells the steps apart
    names = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in place]
    return f"at {''.join(names).lstrip('.')}: {first['msg']}" if names else first["msg"]


def json_schema() -> str:
    """schemas/certificate-v1.schema.json, as text."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Certificate.model_json_schema(by_alias=True, mode="serialization"),
    }
    return json.dumps(schema, indent=2) + "\n"
