"""What a sweep left behind: one row per model and strategy, and the certificates."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from certgen.certificate.statement import EXACT as EXACT_REAL
from certgen.certificate.statement import Certificate, Semantics
from certgen.errors import UserError
from certgen.models.model_file import Model, load_model
from certgen.proving import read_semantics
from certgen.report import require_extra
from certgen.sweep.table import EXHAUSTIVE

COLUMNS = (
    *("model", "model_path", "model_sha256", "k", "d_vocab", "seed", "strategy", "cost_class", "margin"),
    *("correct", "total", "true_accuracy", "true_low", "true_high", "true_how", "length_ops"),
    *("unexplained_dimension", "certificate", "command", "error"),
)
EXACT = 1 << 53  # counts up to this can be told from the float of their share
_SWEEP_HINT = "the directory must be one that `certgen sweep` wrote"
Value = TypeVar("Value")


class Task(NamedTuple):
    """max-of-k over d_vocab tokens, or the task that `other` names; in the order of the paper's columns."""

    k: int
    d_vocab: int
    other: str = ""

    def __str__(self) -> str:
        return f"{self.other or f'max-of-{self.k}'}, {self.d_vocab} tokens"

    @property
    def file_name(self) -> str:
        """A part of the name of a figure."""
        other = re.sub("[^a-z0-9]+", "-", self.other.lower())
        return f"{self.k}-vocab-{self.d_vocab}" + (f"-{other}" if other else "")


@dataclass(frozen=True)
class Row:
    """One proof. None where the sweep has no number: a length not measured, a true accuracy not known.

    `model_sha256` is what rows about one model have in common: its digest, with the start of the problem's if there is
    one, since a model that is asked two questions is two subjects.
    """

    model: str
    model_path: str
    model_sha256: str
    task: Task
    seed: int | None
    strategy: str
    cost_class: str
    margin: str
    semantics: Semantics
    correct: int
    total: int
    true_accuracy: float | None
    true_low: float | None
    true_high: float | None
    true_how: str
    length_ops: float | None
    unexplained_dimension: float | None
    certificate: str
    command: str

    @property
    def file_sha256(self) -> str:
        return self.model_sha256.partition(":")[0]

    @property
    def bound(self) -> Fraction:
        """The accuracy that is proved."""
        return Fraction(self.correct, self.total)

    @property
    def lost(self) -> Fraction:
        """The share of the sequences that is not proved."""
        return 1 - self.bound

    @property
    def truth(self) -> Fraction | None:
        """The true accuracy: all sequences counted, or an estimate. A count was rounded down to a float; see EXACT."""
        if self.true_accuracy is None:
            return None
        return self.counted(self.true_accuracy) if self.truth_is_counted else Fraction(self.true_accuracy)

    @property
    def truth_is_counted(self) -> bool:
        return self.true_how.startswith(("exact", "certified"))

    def counted(self, accuracy: float) -> Fraction:
        """The count of sequences that was rounded down to this float, as a share."""
        return Fraction(math.ceil(Fraction(accuracy) * self.total), self.total)

    @property
    def of_truth(self) -> Fraction | None:
        """The bound as a share of the true accuracy; 1 only if it is known to be all of it, or an estimate says so."""
        truth = self.truth
        if not truth:
            return None
        if self.truth_is_counted and self.total > EXACT and self.cost_class not in EXHAUSTIVE:
            return self.bound / Fraction(math.nextafter(float(truth), math.inf))
        return self.bound / truth


@dataclass(frozen=True)
class Failure:
    """A proof that the sweep could not make, and why."""

    model: str
    strategy: str
    error: str
    command: str


@dataclass(frozen=True)
class Results:
    """The rows of one semantics and one margin, those that failed, the other margins, and what else the file has."""

    directory: Path
    semantics: Semantics
    margin: str
    rows: list[Row]
    failures: list[Failure]
    other_margins: list[str]
    other_semantics: list[Semantics]

    @property
    def tasks(self) -> list[Task]:
        return sorted({row.task for row in self.rows}, key=lambda task: (task.k, task.d_vocab, task.other))

    def of(self, task: Task) -> list[Row]:
        """The rows of one task."""
        return [row for row in self.rows if row.task == task]

    @cached_property
    def models(self) -> dict[str, list[Row]]:
        """The rows about each model, by its digest, in the order of tasks."""
        found: dict[str, list[Row]] = {}
        for task in self.tasks:
            for row in self.of(task):
                found.setdefault(row.model_sha256, []).append(row)
        return found

    @cached_property
    def names(self) -> dict[str, str]:
        """What each model is called, by its digest; where two have one name, with the first digits of that."""
        others = {digest: rows[0].task.other for digest, rows in self.models.items()}
        names = {
            digest: rows[0].model + (f", {others[digest]}" if others[digest] else "")
            for digest, rows in self.models.items()
        }
        often = Counter(names.values())
        return {digest: f"{name} ({digest[:8]})" if often[name] > 1 else name for digest, name in names.items()}


def load_results(directory: Path) -> Results:
    """Read RESULTS/results.parquet. A report is about one semantics, real numbers if there are any, and one margin, the
    smallest.

    UserError when the file is missing, is no parquet file, lacks a column, has a value of the wrong kind, or no row.
    """
    records = read_parquet(directory / "results.parquet")
    failures = [failure(record) for record in records if record["error"]]
    rows = [row(number, record) for number, record in enumerate(records) if not record["error"]]
    if not records:
        raise UserError(f"{directory}/results.parquet has no row", _SWEEP_HINT)
    kinds = sorted({row.semantics for row in rows} or {semantics_of(0, records[0])})  # exact-real comes first
    rows = [row for row in rows if row.semantics == kinds[0]]
    margins = sorted({row.margin for row in rows} or {str(records[0]["margin"])}, key=Fraction)
    chosen = [row for row in rows if row.margin == margins[0]]
    return Results(directory, kinds[0], margins[0], chosen, failures, margins[1:], kinds[1:])


def read_parquet(path: Path) -> list[dict[str, Any]]:
    """The records of a parquet file with all COLUMNS; missing values are None, NaN included."""
    require_extra()
    import pyarrow
    import pyarrow.parquet

    if not path.is_file():
        raise UserError(f"there is no {path}", _SWEEP_HINT)
    try:
        records = pyarrow.parquet.read_table(path).to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"{path} does not read as a parquet file: {str(error).splitlines()[0]}", _SWEEP_HINT) from None
    for record in records[:1]:
        if missing := [name for name in COLUMNS if name not in record]:
            raise UserError(f"{path} has no column {', '.join(missing)}", _SWEEP_HINT)
    return [
        {name: None if isinstance(x, float) and math.isnan(x) else x for name, x in record.items()}
        for record in records
    ]


def failure(record: dict[str, Any]) -> Failure:
    """A record that has an error."""
    return Failure(*(str(record[name]) for name in ("model", "strategy", "error", "command")))


def semantics_of(number: int, record: dict[str, Any]) -> Semantics:
    """Of a record, where earlier versions have none: they knew but one. UserError if it is neither of the two."""
    try:
        return read_semantics(str(record.get("semantics") or EXACT_REAL))
    except UserError as error:
        raise UserError(f"row {number} of the results: {error.message}", _SWEEP_HINT) from None


def row(number: int, record: dict[str, Any]) -> Row:
    """A record as a Row; UserError names the column that does not convert."""

    def get(name: str, kind: Callable[[Any], Value]) -> Value:
        try:
            return kind(record[name])
        except (TypeError, ValueError, ZeroDivisionError):
            raise UserError(f"row {number} of the results: {name} is {record[name]!r}", _SWEEP_HINT) from None

    def number_or_none(name: str) -> float | None:
        return None if record[name] is None else get(name, float)

    margin = str(record["margin"])
    get("margin", Fraction)
    correct, total = get("correct", int), get("total", int)
    if not 0 <= correct <= total or total == 0:
        raise UserError(f"row {number} of the results: {correct} correct of {total} sequences", _SWEEP_HINT)
    task, problem = (str(record.get(name) or "") for name in ("task", "problem_sha256"))
    return Row(
        model=str(record["model"]),
        model_path=str(record["model_path"]),
        model_sha256=str(record["model_sha256"]) + (f":{problem[:8]}" if problem else ""),
        task=Task(get("k", int), get("d_vocab", int), "" if task.startswith("max-of-") else task),
        seed=None if record["seed"] is None else get("seed", int),
        strategy=str(record["strategy"]),
        cost_class=str(record["cost_class"]),
        margin=margin,
        semantics=semantics_of(number, record),
        correct=correct,
        total=total,
        true_accuracy=number_or_none("true_accuracy"),
        true_low=number_or_none("true_low"),
        true_high=number_or_none("true_high"),
        true_how=str(record["true_how"] or ""),
        length_ops=number_or_none("length_ops"),
        unexplained_dimension=number_or_none("unexplained_dimension"),
        certificate=str(record["certificate"] or ""),
        command=str(record["command"] or ""),
    )


def best_of_class(rows: Iterable[Row]) -> dict[tuple[str, str], Row]:
    """The row with the largest bound for each class and model (by digest); of equals the shortest proof."""
    best: dict[tuple[str, str], Row] = {}
    for candidate in rows:
        key = candidate.cost_class, candidate.model_sha256
        if key not in best or preference(candidate) > preference(best[key]):
            best[key] = candidate
    return best


def preference(candidate: Row) -> tuple[Fraction, float]:
    """Larger is better."""
    return candidate.bound, -(math.inf if candidate.length_ops is None else candidate.length_ops)


def find_model(results: Results, one: Row) -> Model | None:
    """The model of a row, if a file with its digest is still where the sweep read it, or at that place from RESULTS."""
    for path in (Path(one.model_path), results.directory / one.model_path):
        try:
            model = load_model(path)
        except UserError:
            continue
        if model.sha256 == one.file_sha256:
            return model
    return None


def find_certificate(results: Results, one: Row) -> Certificate | None:
    """The certificate of a row, if RESULTS has it and it is about this model; paths that lead elsewhere are ignored."""
    path = (results.directory / one.certificate).resolve()
    if not one.certificate or not path.is_relative_to(results.directory.resolve()) or not path.is_file():
        return None
    certificate = Certificate.load(path)
    return certificate if certificate.subject[0].digest.sha256 == one.file_sha256 else None
