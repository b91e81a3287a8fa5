"""The search of brute-force in pieces, by several processes or machines. Each piece leaves a record, so that a search
that was stopped goes on."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from certgen.counts.evaluation import PIECE, Part, Question, Setting, evaluate_part, evaluate_pieces
from certgen.counts.work import SEARCHED_A_SECOND, evaluation_work
from certgen.errors import UserError, missing_extra
from certgen.files import is_regular
from certgen.models.model_file import parse_model
from certgen.problem.problem_file import parse_problem
from certgen.progress import Track
from certgen.strategies.brute_force import Search
from certgen.sweep.engines import Engine, Task
from certgen.sweep.store import ROWS, Record, Store

SIZE = 4 * PIECE  # inputs of a piece, at most
SECONDS = 5  # that a piece takes, roughly
LONG = 20 * SEARCHED_A_SECOND  # thousands of multiply-adds


@dataclass(frozen=True)
class Source:
    """A question in a form that travels."""

    model: bytes
    path: str
    problem: str
    margin: str

    @classmethod
    def of(cls, question: Question) -> Source:
        problem = json.dumps(question.task.json, sort_keys=True)
        return cls(question.model.file_bytes, str(question.model.path), problem, str(question.margin))


@lru_cache(maxsize=1)
def question_of(source: Source) -> Question:
    """Once in each process."""
    model = parse_model(source.model, source.path)
    task = parse_problem(source.problem.encode(), "problem.json").bound_to(model)
    return Question(model, task, Fraction(source.margin))


@dataclass(frozen=True)
class Piece:
    """The inputs `start` <= i < `stop`; `root` is where its record goes."""

    source: Source
    setting: Setting
    start: int
    stop: int
    root: Path

    @property
    def identity(self) -> str:
        source = self.source
        digest = hashlib.sha256(source.model).hexdigest()
        words = [digest, source.problem, source.margin, *self.setting, self.start, self.stop]
        return hashlib.sha256(json.dumps(words).encode()).hexdigest()[:32]

    def finished(self, store: Store) -> bool:
        return store.done(ROWS, self.identity)

    def execute(self) -> Record:
        """Its part, from the disk if it is there."""
        return Store(self.root).once(ROWS, self.identity, self.evaluate)

    def evaluate(self) -> Record:
        found = evaluate_part(question_of(self.source), self.start, self.stop, self.setting)
        return found.model_dump(mode="json")

    def fail(self, reason: str) -> Record:
        raise UserError(f"the search was stopped: {reason}", "run the command again: it goes on where it was")


def in_pieces(root: Path, engine: Engine) -> Search:
    """A search for `brute_force.evaluate_all` that keeps its records in the directory `root`, which it removes at the
    end."""

    def search(question: Question, setting: Setting, track: Track) -> list[Part]:
        store, source = Store(root.absolute()), Source.of(question)
        store.prepare()
        number = question.task.number
        size = piece_size(question)
        pieces = [
            Piece(source, setting, start, min(start + size, number), store.root) for start in range(0, number, size)
        ]
        left: list[Task] = [piece for piece in pieces if not piece.finished(store)]
        finished = engine(left, store)
        for _ in track(range(len(left)), "brute-force"):
            next(finished)
        parts = [Part.model_validate(store.read(ROWS, piece.identity)) for piece in pieces]
        shutil.rmtree(store.root, ignore_errors=True)
        return parts

    return search


def piece_size(question: Question) -> int:
    """Inputs that take some seconds: little is lost when a search is stopped, and all processes end together."""
    needed = evaluation_work(question.model, question.task)
    return max(1, min(SIZE, int(SECONDS * SEARCHED_A_SECOND) * question.task.number // needed))


def search_for(question: Question, output: Path, engine: Engine, wanted: bool) -> Search:
    """In pieces beside `output` if the search is long, or `wanted`; else at once.

    UserError if it is wanted and the extra is missing; a long search that nobody asked to share does without.
    """
    if question.is_classic and wanted:
        reason = "max-of-k by one head is proved on this machine, and only adaptive and two-sided share the work"
        raise UserError(reason, "leave --engine and --scheduler out, and --jobs with other strategies")
    has_joblib = find_spec("joblib") is not None
    if wanted and not has_joblib:
        raise missing_extra("a search by several processes", "joblib", "sweep")
    long = evaluation_work(question.model, question.task) > LONG
    if question.is_classic or not (wanted or (long and has_joblib and is_regular(output))):
        return evaluate_pieces
    return in_pieces(output.with_name(f"{output.name}.partial"), engine)
