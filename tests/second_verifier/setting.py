"""What a rule is about: a model file, a problem, a margin."""

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any, NamedTuple

from tests.second_verifier.model_file import ModelFile
from tests.second_verifier.one_head import OneHead
from tests.support.any_oracle import AnyOracle
from tests.support.any_problem import Inputs


class Stated(NamedTuple):
    """A premise: what an earlier step states, at which margin."""

    kind: str
    fact: Any
    margin: Fraction


class Model:
    """A model file, and what is computed once of it, whatever the problem and the margin."""

    def __init__(self, file: ModelFile) -> None:
        self.file = file
        self.known: dict[Any, bool | None] = {}
        self.verifiers: dict[Any, Any] = {}
        self.tables: dict[Any, dict[Any, Any]] = {}

    @cached_property
    def one_head(self) -> OneHead:
        return OneHead(self.file)

    @cached_property
    def oracle(self) -> AnyOracle:
        return AnyOracle(self.file.tensors, self.file.architecture)


@dataclass(frozen=True)
class Setting:
    """The margin is that of a step."""

    model: Model
    problem: dict[str, Any]
    max_of_k: bool
    margin: Fraction

    def at(self, margin: Fraction) -> "Setting":
        return replace(self, margin=margin)

    @property
    def oracle(self) -> AnyOracle:
        return self.model.oracle

    @property
    def architecture(self) -> dict[str, Any]:
        return self.model.file.architecture

    @property
    def inputs(self) -> Inputs:
        return Inputs(self.problem)

    @property
    def total(self) -> int:
        return self.inputs.total

    @property
    def positions(self) -> int:
        return len(self.problem["inputs"])

    @property
    def vocabulary(self) -> int:
        return self.model.file.extents["d_vocab"]

    @property
    def outputs(self) -> int:
        return self.model.file.outputs
