"""One model, one strategy: prove, save, check in a process of its own, measure."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from certgen.errors import UserError
from certgen.files import in_unicode
from certgen.measures import flops, rounded_down, unexplained_dimension
from certgen.models.model_file import Model, load_model
from certgen.proving import prove
from certgen.strategies import STRATEGIES
from certgen.sweep.store import CERTIFICATES, ROWS, Record, Store, remove_leftovers

MEASURED = (
    *("k", "d_vocab", "correct", "total", "bound", "length_ops", "bytes", "prove_s", "check_s"),
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

    @property
    def identity(self) -> str:
        """The same for the same bytes, strategy and margin, wherever the files are."""
        text = json.dumps([self.sha256, self.strategy, self.margin])
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    @property
    def certificate(self) -> str:
        """The certificate's path inside the results directory."""
        name = self.strategy.replace("/", "--")
        if self.margin != "0":
            name += f"--margin-{self.margin.replace('/', '-')}"
        return f"{CERTIFICATES}/{in_unicode(self.path.stem)}-{self.sha256[:8]}/{name}.cert.json.gz"

    @property
    def command(self) -> str:
        """What a user types to get this row's certificate and verdict."""
        certificate = f"{self.output}/{self.certificate}"
        margin = [] if self.margin == "0" else ["--margin", self.margin]
        words = ["certgen", "prove", self.model, "--strategy", self.strategy, *margin, "-o", certificate]
        return f"{shlex.join(words)} && {shlex.join(['check-cert', self.model, certificate])}"

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
        "command": job.command,
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
    row |= sizes(job, model)
    certificate = prove(model, job.strategy, margin=job.margin)
    path = job.results / job.certificate
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path)
    row["bytes"] = certificate.save(path)
    row["prove_s"] = time.perf_counter() - started
    row["certificate"] = job.certificate

    started = time.perf_counter()
    verdict = check_apart(job.path, path)
    row["check_s"] = time.perf_counter() - started
    if verdict.get("exit_code") != 0 or verdict.get("verdict") != "verified":
        raise UserError(refusal(verdict))
    correct, total = int(verdict["correct"]), int(verdict["total"])
    row |= {"correct": str(correct), "total": str(total), "bound": rounded_down(correct, total)}
    if job.length:
        from certgen.length import proof_length

        row["length_ops"] = proof_length(job.path, path).total


def sizes(job: Job, model: Model) -> Record:
    """What follows from the model's sizes alone."""
    if model.sha256 != job.sha256:
        raise UserError(f"{job.model} has changed since the sweep began", "run the sweep again")
    return {
        "k": model.n_ctx,
        "d_vocab": model.d_vocab,
        "flops": flops(model, job.strategy),
        "unexplained_dimension": as_float(unexplained_dimension(model, job.strategy)),
    }


def as_float(number: int) -> float | None:
    """As the table holds it; None for what is beyond float64."""
    try:
        return float(number)
    except OverflowError:
        return None


def check_apart(model: Path, certificate: Path) -> Record:
    """check-cert's verdict as JSON, from a fresh interpreter: nothing of the search is in its memory.

    Option -P keeps a folder named `checker` in the current directory out.
    """
    command = [sys.executable, "-P", "-m", "checker", "--json", str(model), str(certificate)]
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
