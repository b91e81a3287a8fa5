"""The true accuracy of a model, as a piece of work of its own: once per model and margin, not once per strategy."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from certgen.errors import UserError
from certgen.measures import true_accuracy
from certgen.models.model_file import load_model
from certgen.sweep.asked import Asked
from certgen.sweep.store import TRUTHS, Record, Store


def truth_identity(sha256: str, margin: str, problem_sha256: str | None) -> str:
    words = [sha256, margin, *([problem_sha256] if problem_sha256 else [])]
    return hashlib.sha256(json.dumps(words).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Truth:
    """What is to be done; paths are absolute."""

    path: Path
    sha256: str
    margin: str
    results: Path
    problem: Asked | None = None

    @property
    def problem_sha256(self) -> str | None:
        return self.problem.sha256 if self.problem else None

    @property
    def identity(self) -> str:
        return truth_identity(self.sha256, self.margin, self.problem_sha256)

    def finished(self, store: Store) -> bool:
        return store.done(TRUTHS, self.identity)

    def execute(self) -> Record:
        """The accuracy with its limits, from the disk if it is there."""
        return Store(self.results).once(TRUTHS, self.identity, self.measure)

    def measure(self) -> Record:
        try:
            asked = self.problem.read() if self.problem else None
            found = dataclasses.asdict(true_accuracy(load_model(self.path), self.margin, asked))
        except UserError as error:  # the model is at fault, and every row of it will say how
            found = {"accuracy": None, "low": None, "high": None, "how": error.message}
        return self.about | found

    @property
    def about(self) -> Record:
        return {"model_sha256": self.sha256, "problem_sha256": self.problem_sha256, "margin": self.margin}

    def fail(self, reason: str) -> Record:
        """A record for a measurement that took its worker down with it."""
        unknown = self.about | {"accuracy": None, "low": None, "high": None, "how": reason}
        return Store(self.results).once(TRUTHS, self.identity, lambda: unknown)
