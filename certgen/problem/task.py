"""A problem together with the model that it is put to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from certgen.problem.inputs import Inputs, Weighted, Weights
from certgen.problem.labels import IntArray, Label


@dataclass(frozen=True, eq=False)
class Task:
    """What a certificate is about, besides the model: weighted inputs, the right output for each, the readout.

    `json` is what a certificate stores. `readout` is the position at which the answer is read, None in a model that
    pools. `is_max_of_k`: is this exactly what a certificate is about that has no problem file?
    """

    json: Mapping[str, Any]
    space: Inputs
    label: Label
    readout: int | None
    is_max_of_k: bool

    @property
    def k(self) -> int:
        return len(self.space.rows)

    @property
    def weights(self) -> Weights:
        """[k, d_vocab]: of each token at each position."""
        return self.space.weights

    @property
    def total(self) -> int:
        """The weight of all inputs."""
        return self.space.total

    @property
    def number(self) -> int:
        """How many inputs have a positive weight."""
        return self.space.number

    @property
    def query_position(self) -> int:
        """Where the query of an input stands: at the readout, in a model that pools at the last position."""
        return self.k - 1 if self.readout is None else self.readout

    def weight_of(self, query: int) -> int:
        """The weight of all inputs with this query."""
        row = self.space.rows[self.query_position]
        return self.total // sum(row) * row[query]

    def inputs(self, start: int, stop: int) -> Weighted:
        """The inputs `start` <= i < `stop` of those of positive weight, in lexicographic order."""
        return self.space.range(start, stop)

    def labels(self, tokens: IntArray) -> IntArray:
        """The right outputs [n] for inputs `tokens` [n, k]."""
        return self.label.of_inputs(tokens)

    @property
    def text(self) -> str:
        """The task in words, as check-cert says it."""
        if "inputs" not in self.json:
            return f"max-of-{self.k}"
        read = len(self.label.positions(self.k))
        if read == self.k:
            return f"{self.label.title} in {self.k} positions"
        if self.label.name == "automaton":
            return f"{self.label.title} reading {read} of {self.k} positions"
        return f"{self.label.title} of {read} in {self.k} positions"

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the problem in its normal form, which is the same however a file writes it."""
        label = {**self.label.model_dump(), "of": self.label.positions(self.k)}
        normal = {"inputs": self.space.rows, "label": label, "readout": self.readout}
        return hashlib.sha256(json.dumps(normal, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
