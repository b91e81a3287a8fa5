"""One model, one strategy: prove, save, check in a process of its own, measure."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from certgen.certificate.proof import budget_options
from certgen.certificate.statement import EXACT, Semantics
from certgen.counts.evaluation import Question
from certgen.errors import UserError
from certgen.files import in_unicode
from certgen.measures import flops, rounded_down, unexplained_dimension
from certgen.models.model_file import load_model
from certgen.proving import ask, prove
from certgen.strategies import STRATEGIES
from certgen.sweep.asked import Asked
from certgen.sweep.store import CERTIFICATES, ROWS, Record, Store, remove_leftovers

MEASURED = (
    *("task", "architecture", "k", "d_vocab", "correct", "total", "bound", "length_ops", "bytes", "prove_s", "check_s"),
    *("flops", "unexplained_dimension", "certificate", "error"),
)


@dataclass(frozen=True)
class Job:
    """What is to be done. `path` and `results` are absolute; `model` and `output` are as the user wrote them."""

    model: str
    path: Path
    sha256: str
    strategy: str
    margin: str
    length: bool
    output: str
    results: Path
    problem: Asked | None = None
    semantics: Semantics = EXACT

    @property
    def identity(self) -> str:
        """The same for the same bytes, strategy, margin, problem and semantics, wherever the files are."""
        asked = [self.problem.sha256] if self.problem else []
        of = [] if self.semantics == EXACT else [self.semantics]
        text = json.dumps([self.sha256, self.strategy, self.margin, *asked, *of])
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    @property
    def certificate(self) -> str:
        """The certificate's path inside the results directory."""
        name = self.strategy.replace("/", "--")
        if self.margin != "0":
            name += f"--margin-{self.margin.replace('/', '-')}"
        if self.problem:
            name += f"--problem-{self.problem.sha256[:8]}"
        if self.semantics != EXACT:
            name += f"--{self.semantics}"
        return f"{CERTIFICATES}/{in_unicode(self.path.stem)}-{self.sha256[:8]}/{name}.cert.json.gz"

    def command(self, options: Sequence[str] = ()) -> str:
        """What a user types to get this row's certificate and verdict, with these options for the check."""
        certificate = f"{self.output}/{self.certificate}"
        asked = [] if self.margin == "0" else ["--margin", self.margin]
        asked += ["--problem", self.problem.path] if self.problem else []
        asked += [] if self.semantics == EXACT else ["--semantics", self.semantics]
        words = ["certgen", "prove", self.model, "--strategy", self.strategy, *asked, "-o", certificate]
        same = ["--problem", self.problem.path] if self.problem else []
        checked = ["check-cert", *options, self.model, certificate, *same]
        return f"{shlex.join(words)} && {shlex.join(checked)}"

    def finished(self, store: Store) -> bool:
        return store.done(ROWS, self.identity)

    def execute(self) -> Record:
        """This job's row, from the disk if it is there."""
        return Store(self.results).once(ROWS, self.identity, lambda: run_job(self))

    def fail(self, reason: str) -> Record:
        """A row for a job that took its worker down with it."""
        return Store(self.results).once(ROWS, self.identity, lambda: blank(self) | {"error": reason})


def blank(job: Job) -> Record:
    """The row before anything is measured."""
    seed = re.search(r"seed-(\d{1,18})(?!\d)", job.path.stem)
    row: Record = {
        "model": job.path.stem,
        "model_path": job.model,
        "model_sha256": job.sha256,
        "seed": int(seed[1]) if seed else None,
        "strategy": job.strategy,
        "cost_class": STRATEGIES[job.strategy].cost_class,
        "margin": job.margin,
        "semantics": job.semantics,
        "problem_sha256": job.problem.sha256 if job.problem else None,
        "command": job.command(),
    }
    return row | dict.fromkeys(MEASURED)


def run_job(job: Job) -> Record:
    """The job's row, with the certificate written beside it. A failure becomes the row's `error`."""
    row = blank(job)
    try:
        measure(job, row)
    except Exception as error:
        row["error"] = describe(error)
    return row


def measure(job: Job, row: Record) -> None:
    """Fill in the row, step by step. The claim is entered only once the checker has verified it."""
    started = time.perf_counter()
    model = load_model(job.path)
    problem = job.problem.read() if job.problem else None
    question = ask(model, problem, Fraction(job.margin))
    row |= sizes(job, question)
    certificate = prove(model, job.strategy, problem=problem, margin=job.margin, semantics=job.semantics)
    path = job.results / job.certificate
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path)
    row["bytes"] = certificate.save(path)
    row["prove_s"] = time.perf_counter() - started
    row["certificate"] = job.certificate
    options = budget_options(certificate, model, row["bytes"], packed=True)
    row["command"] = job.command(options)

    started = time.perf_counter()
    verdict = check_apart(job.path, path, options, job.problem)
    row["check_s"] = time.perf_counter() - started
    if verdict.get("exit_code") != 0 or verdict.get("verdict") != "verified":
        raise UserError(refusal(verdict))
    correct, total = int(verdict["correct"]), int(verdict["total"])
    row |= {"correct": str(correct), "total": str(total), "bound": rounded_down(correct, total)}
    if job.length:
        from certgen.length import proof_length

        row["length_ops"] = proof_length(job.path, path).total


def sizes(job: Job, question: Question) -> Record:
    """What follows from the sizes of the model and the problem alone."""
    model, task = question.model, question.task
    if model.sha256 != job.sha256:
        raise UserError(f"{job.model} has changed since the sweep began", "run the sweep again")
    return {
        "task": task.text,
        "architecture": model.architecture.brief,
        "k": task.k,
        "d_vocab": model.d_vocab,
        "flops": flops(model, job.strategy) if question.is_classic else None,
        "unexplained_dimension": as_float(unexplained_dimension(model, job.strategy, task)),
    }


def as_float(number: int) -> float | None:
    """As the table holds it; None for what is beyond float64."""
    try:
        return float(number)
    except OverflowError:
        return None


def check_apart(model: Path, certificate: Path, options: Sequence[str] = (), problem: Asked | None = None) -> Record:
    """check-cert's verdict as JSON, from a fresh interpreter: nothing of the search is in its memory.

    Option -P keeps a folder named `checker` in the current directory out. A certificate about another problem is
    refused.
    """
    command = [sys.executable, "-P", "-m", "checker", "--json", *options, str(model), str(certificate)]
    with tempfile.TemporaryDirectory() as folder:
        if problem:
            asked = Path(folder) / "problem.json"
            asked.write_text(problem.text, encoding="utf-8")
            command += ["--problem", str(asked)]
        done = subprocess.run(command, capture_output=True, text=True)
    try:
        verdict: Record = json.loads(done.stdout)
    except ValueError:
        last = done.stderr.strip().splitlines()[-1:] or ["no output"]
        raise UserError(f"check-cert ended with exit code {done.returncode}: {last[0]}") from None
    return verdict | {"exit_code": done.returncode}


def refusal(verdict: Record) -> str:
    """A refusal in one line."""
    text = f"check-cert: {verdict.get('verdict')} {verdict.get('code')} at {verdict.get('path') or 'the top'}"
    for field in ("expected", "got"):
        if verdict.get(field):
            text += f", {field} {verdict[field]}"
    return text


def describe(error: BaseException) -> str:
    """An exception in one printable line."""
    text = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
