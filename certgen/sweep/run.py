"""Plan the work, run what is not done, and keep results.parquet up to date."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple, Protocol

from certgen.certificate.statement import EXACT, Semantics
from certgen.errors import UserError, did_you_mean
from certgen.files import check_outputs, read_bytes
from certgen.models.model_file import parse_model
from certgen.proving import AnyProblem, applies, ask, read_margin, read_semantics, require_applicable
from certgen.strategies import STRATEGIES
from certgen.sweep.asked import Asked
from certgen.sweep.engines import Engine, Local, Task
from certgen.sweep.job import Job
from certgen.sweep.store import ROWS, Record, Store
from certgen.sweep.table import RESULTS, ROW_FIELDS, assemble, require_packages
from certgen.sweep.truth import Truth

REFRESH = 60.0  # seconds between assemblies of results.parquet while the sweep runs


class Display(Protocol):
    """Shows how far the sweep is."""

    def begin(self, done: int, total: int) -> None: ...
    def advance(self, task: Task, record: Record) -> None: ...


class Silent:
    """No display: for tests and the Python API."""

    def begin(self, done: int, total: int) -> None:
        pass

    def advance(self, task: Task, record: Record) -> None:
        pass


class Failure(NamedTuple):
    """A job that ended in an error; `model` is the path as the user wrote it."""

    model: str
    strategy: str
    message: str


@dataclass(frozen=True)
class Sweep:
    """What a sweep ended with: its jobs, how many had been done before, which of all have an error; the table."""

    jobs: int
    resumed: int
    failures: tuple[Failure, ...]
    table: Path

    @property
    def errors(self) -> int:
        return len(self.failures)


def sweep(
    models: Sequence[str | Path],
    strategies: Sequence[str],
    output: str | Path,
    *,
    problem: AnyProblem | None = None,
    margin: Fraction | str | int = 0,
    semantics: str = EXACT,
    length: bool = True,
    retry_errors: bool = False,
    engine: Engine | None = None,
    display: Display | None = None,
) -> Sweep:
    """Prove and check every model (files, or directories of them) with every strategy that matches one of the globs.

    `problem` is what all models are asked, max-of-k unless given. A strategy that is not for a model and the problem is
    passed over, unless none is left. With the `semantics` float32-any-order claims are about every float32 program of a
    model, as those of `prove`. The directory `output` gets results.parquet, certificates/, and a record of each
    finished job, by which a later call with the same `output` resumes; records of jobs that are not asked for stay. The
    true accuracy is measured once per model. With `length`, proof length is measured too, at some six times the cost
    of checking. A failure of one job becomes the `error` of its row. Raises UserError for arguments that make no sense,
    a missing extra, or, before any work, a directory that cannot be written (unless all is done and the table is
    there). Cost: that of the jobs, divided by the engine's workers.
    """
    require_packages()
    store = Store(Path(output).absolute())
    asked = None if problem is None else Asked.of(problem)
    jobs = plan(models, strategies, str(output), margin, length, asked, read_semantics(semantics))
    again = {job.identity for job in jobs if stale(store, job, retry_errors)}
    truths = {job.sha256: Truth(job.path, job.sha256, job.margin, store.root, asked) for job in jobs}
    left = [job for job in jobs if job.identity in again or not job.finished(store)]
    tasks: list[Task] = [truth for truth in truths.values() if not truth.finished(store)]
    tasks += left
    table = store.root / RESULTS
    try:
        store.prepare()
    except UserError:
        if tasks or not table.exists():
            raise
    else:
        written = [path for job in jobs for path in (store.path(ROWS, job.identity), store.root / job.certificate)]
        check_outputs([table, *filter(Path.exists, written)], {job.path for job in jobs})
        for identity in again:
            store.forget(ROWS, identity)
        run_all(tasks, store, engine or Local(), display or Silent(), len(jobs) - len(left))
        assemble(store)
    return Sweep(len(jobs), len(jobs) - len(left), failures(store, jobs), table)


def failures(store: Store, jobs: Sequence[Job]) -> tuple[Failure, ...]:
    """The jobs whose rows have an error."""
    rows = [(job, store.read(ROWS, job.identity, ROW_FIELDS)) for job in jobs]
    return tuple(Failure(job.model, job.strategy, row["error"]) for job, row in rows if row["error"] is not None)


def run_all(tasks: list[Task], store: Store, engine: Engine, display: Display, done: int) -> None:
    """Run the tasks; whatever ends this early, the table tells of all that is done."""
    display.begin(done, done + len(tasks))
    assembled = time.monotonic()
    try:
        for task, record in engine(tasks, store):
            display.advance(task, record)
            if time.monotonic() - assembled > REFRESH:
                assemble(store)
                assembled = time.monotonic()
    except BaseException:
        assemble(store)
        raise


def stale(store: Store, job: Job, retry_errors: bool) -> bool:
    """Is there a row that has to be made again: one with an error, if asked for, or without the length now wanted?"""
    if not job.finished(store):
        return False
    row = store.read(ROWS, job.identity, ROW_FIELDS)
    failed = row["error"] is not None
    return (failed and retry_errors) or (job.length and row["length_ops"] is None and not failed)


def plan(
    models: Sequence[str | Path],
    strategies: Sequence[str],
    output: str,
    margin: Fraction | str | int,
    length: bool,
    asked: Asked | None = None,
    semantics: Semantics = EXACT,
) -> list[Job]:
    """The jobs, model by model; each model counts once, however often it is given."""
    names, exact_margin = matching(strategies), str(read_margin(margin))
    jobs: dict[str, Job] = {}
    results = Path(output).absolute()
    for path in model_files(models):
        data = read_bytes(path)
        sha256 = hashlib.sha256(data).hexdigest()
        for name in applicable(names, data, path, asked):
            job = Job(str(path), path.absolute(), sha256, name, exact_margin, length, output, results, asked, semantics)
            jobs.setdefault(job.identity, job)
    return list(jobs.values())


def applicable(names: Sequence[str], data: bytes, path: Path, asked: Asked | None) -> list[str]:
    """The strategies that are for this model and problem; UserError if there is none.

    All, if the model or the problem is at fault: then each job says how.
    """
    try:
        question = ask(parse_model(data, path), asked.read() if asked else None, Fraction(0))
    except UserError:
        return list(names)
    kept = [name for name in names if applies(question, name)]
    if not kept:
        require_applicable(question, names[0])
    return kept


def matching(globs: Sequence[str]) -> list[str]:
    """The strategies that match one of the globs, in the order of `certgen strategies`; `*` matches a / too."""
    for glob in globs:
        if not any(fnmatchcase(name, glob) for name in STRATEGIES):
            hint = did_you_mean(glob, STRATEGIES, "certgen strategies --names")
            raise UserError(f"no strategy matches {glob!r}", f"{hint}; quote a glob")
    names = [name for name in STRATEGIES if any(fnmatchcase(name, glob) for glob in globs)]
    if not names:
        raise UserError("no strategies are given", "for example 'cubic' or 'sub-cubic/*'")
    return names


def model_files(models: Iterable[str | Path]) -> list[Path]:
    """The files given, and those in the directories given."""
    files: list[Path] = []
    for path in map(Path, models):
        found = sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
        if not found:
            raise UserError(f"{path} has no .safetensors files", "give model files, or directories that contain some")
        files += found
    return files
