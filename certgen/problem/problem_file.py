"""The problem file: inputs, label and readout as JSON, and the problem that a certificate has without one."""

from __future__ import annotations

import json
import os
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator
from pydantic.json_schema import models_json_schema
from pydantic_core import PydanticCustomError

from certgen.certificate.shapes import Positive, Shape
from certgen.errors import UserError
from certgen.files import read_input
from certgen.models.model_file import Model
from certgen.problem.inputs import Entry, Inputs
from certgen.problem.labels import LABELS, AnyLabel, Max
from certgen.problem.shapes import Index, Partial, misfit
from certgen.problem.task import Task

MAX_DIGITS = 4000  # of a number, as in a certificate

_HINT = "docs/problems.md describes every field"
_NAMES = f"choose one of {', '.join(LABELS)}"
_WORDS = {
    "missing": "this field is missing",
    "extra_forbidden": "there is no field of this name",
    "union_tag_not_found": "its name is missing",
    "union_tag_invalid": "there is no label of this name",
    "literal_error": "without inputs, a problem can only be max-of-k",
    "string_pattern_mismatch": 'write a list of tokens, or a range such as "0-9"',
    "too_short": "it is empty",
    "int_type": "expected an integer",
    "list_type": "expected a list",
    "model_type": "expected an object",
    "model_attributes_type": "expected an object",
}


class MaxOfK(Shape):
    """The largest of k tokens, read at the last of them, every sequence of the model's tokens alike."""

    name: Literal["max-of-k"]
    k: Positive

    def bound_to(self, model: Model) -> Task:
        """The task for a model. UserError when the model does not take k tokens and answer with one of them."""
        v, outputs, n_ctx = model.d_vocab, model.d_vocab_out, model.n_ctx
        if model.architecture.pool != "none":
            reason = "the model pools its positions, and max-of-k reads the answer at the last one"
        elif outputs != v:
            reason = f"the model has {outputs} outputs for {v} tokens, and max-of-k answers with one of the tokens"
        elif self.k != n_ctx:
            reason = f"the model has {n_ctx} positions, and the problem is max-of-{self.k}"
        else:
            return Task(self.model_dump(), Inputs([[1] * v] * n_ctx), Max(name="max"), n_ctx - 1, is_max_of_k=True)
        raise UserError(reason, "say in a problem file (--problem FILE) what the model is asked; docs/problems.md")


class Problem(Partial):
    """One entry of inputs for each position; the answer is read at `readout`, the last position unless given."""

    inputs: Annotated[list[Entry], Field(min_length=1)]
    label: AnyLabel
    readout: Index | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        k = len(self.inputs)
        self.label.require(k)
        if self.readout is not None and self.readout >= k:
            raise misfit("readout", f"there is no position {self.readout}: they are 0 to {k - 1}")
        return self

    def to_bytes(self) -> bytes:
        """The problem as a file."""
        return f"{json.dumps(self.model_dump())}\n".encode()

    def bound_to(self, model: Model) -> Task:
        """The task for a model. UserError when the problem does not fit the model: its positions, tokens, outputs."""
        try:
            return self._bound(model)
        except PydanticCustomError as error:
            place = (error.context or {})["place"]
            raise UserError(f"the problem does not fit the model, at {place}: {error.message()}", _HINT) from None

    def _bound(self, model: Model) -> Task:
        v, outputs, n_ctx, k = model.d_vocab, model.d_vocab_out, model.n_ctx, len(self.inputs)
        pools = model.architecture.pool != "none"
        if k > n_ctx:
            raise misfit("inputs", f"it has {k} positions, and the model {n_ctx}")
        for position, entry in enumerate(self.inputs):
            if entry.largest >= v:
                place = f"inputs[{position}].tokens"
                raise misfit(place, f"there is no token {entry.largest}: the model has 0 to {v - 1}")
        self.label.require_tokens(v)
        if pools and self.readout is not None:
            raise misfit("readout", "the model pools its positions, so leave the field out")
        space, positions = Inputs([entry.row(v) for entry in self.inputs]), self.label.positions(k)
        largest = self.label.largest([space.choices[position] for position in positions], positions)
        if largest >= outputs:
            raise misfit("label", f"{largest} is the right answer to some input, and the model has 0 to {outputs - 1}")
        readout = None if pools else k - 1 if self.readout is None else self.readout
        is_max_of_k = (
            isinstance(self.label, Max)
            and (k, positions, readout, outputs) == (n_ctx, list(range(k)), k - 1, v)
            and all(weight == 1 for row in space.rows for weight in row)
        )
        return Task(self.model_dump(), space, self.label, readout, is_max_of_k)


def max_of_k(model: Model) -> Task:
    """The task of a model about which nothing is said. UserError when the model is made for another."""
    return MaxOfK(name="max-of-k", k=model.n_ctx).bound_to(model)


def load_problem(path: str | os.PathLike[str]) -> Problem | MaxOfK:
    """Read the problem file at `path`. UserError says which field is wrong."""
    return parse_problem(read_input(path), path)


def parse_problem(data: bytes, path: str | os.PathLike[str]) -> Problem | MaxOfK:
    """The problem in the bytes of a problem file, as `load_problem` gives it; `path` is what it is called."""
    try:
        found = json.loads(data.decode("utf-8"), object_pairs_hook=_distinct_fields, parse_int=_canonical_integer)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not the JSON of a problem: {error}", _HINT) from None
    kind: type[Problem] | type[MaxOfK] = Problem
    if isinstance(found, dict) and "name" in found and "inputs" not in found:
        kind = MaxOfK
    try:
        return kind.model_validate(found)
    except ValidationError as error:
        raise _explained(error, path) from None


def _distinct_fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the field {next(name for name in fields if names.count(name) > 1)} occurs twice")
    return fields


def _canonical_integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS or digits == "-0":
        raise ValueError("-0 is not a canonical integer" if digits == "-0" else f"{digits[:10]}... is too long")
    return int(digits)


def _explained(error: ValidationError, path: str | os.PathLike[str]) -> UserError:
    """What is wrong first, at which field, and what to do."""
    first = error.errors()[0]
    parts = [part for part in first["loc"] if not str(part).startswith("<")]  # the kinds of a list of tokens
    if parts[:1] == ["label"]:
        parts = [parts[0], *parts[2:]]  # the second is the name of the label
    names = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).lstrip(".")
    place = ".".join(filter(None, (names, first.get("ctx", {}).get("place"))))
    words = _WORDS.get(first["type"], first["msg"])
    hint = _NAMES if first["type"].startswith("union_tag") else _HINT
    return UserError(f"{path}{f', at {place}' if place else ''}: {words}", hint)


def json_schema() -> str:
    """schemas/problem-v1.schema.json, as text."""
    _, definitions = models_json_schema([(Problem, "validation"), (MaxOfK, "validation")])
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Problem file",
        "anyOf": [{"$ref": "#/$defs/Problem"}, {"$ref": "#/$defs/MaxOfK"}],
        **definitions,
    }
    return json.dumps(schema, indent=2) + "\n"
