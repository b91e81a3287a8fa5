"""The problem of a sweep, in a form that travels to other processes and machines."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from certgen.problem import MaxOfK, Problem
from certgen.problem.problem_file import parse_problem
from certgen.proving import AnyProblem, read_problem


@dataclass(frozen=True)
class Asked:
    """`text` is the problem as canonical JSON; `path` is what the user calls it."""

    text: str
    path: str

    @classmethod
    def of(cls, problem: AnyProblem) -> Asked:
        """UserError if it cannot be read."""
        path = "problem.json" if isinstance(problem, Problem | MaxOfK) else str(problem)
        fields = read_problem(problem).model_dump()
        return cls(json.dumps(fields, sort_keys=True, separators=(",", ":")), path)

    @property
    def sha256(self) -> str:
        """The same for the same fields, however a file writes them."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def read(self) -> Problem | MaxOfK:
        return parse_problem(self.text.encode(), self.path)
