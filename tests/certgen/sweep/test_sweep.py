"""Sweeps: complete rows, resumption after a kill, failures as rows, a cluster that loses a worker."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest
from typer.testing import CliRunner

import certgen.sweep.display
import certgen.sweep.job
import certgen.sweep.store
from certgen import Certificate, Model, load_model, prove
from certgen.cli import app
from certgen.errors import UserError
from certgen.measures import rounded_down
from certgen.report.results import load_results
from certgen.report.sections import sections, subjects
from certgen.strategies import STRATEGIES
from certgen.sweep import sweep
from certgen.sweep.engines import Local, choose
from certgen.sweep.job import Job, describe, run_job
from certgen.sweep.run import matching, model_files, plan
from certgen.sweep.store import Store
from certgen.sweep.table import COLUMNS, assemble
from tests.conftest import ROOT
from tests.support.killer import Killer
from tests.support.random_models import random_model, saved
from tests.support.tiny import near_correct, random_tensors, tiny_model

SOME = ["cubic", "brute-force", "sub-cubic/max-diff-exact/*/svd"]
MANY = "sub-cubic/max-diff-exact/mean*/m*"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def small_model(path: Path, seed: int = 0, v: int = 4, k: int = 3) -> Path:
    return tiny_model(path, near_correct(np.random.default_rng(seed), v, k, biases=True))


def job_for(model: Path, results: Path, strategy: str = "cubic") -> Job:
    [job] = plan([model], [strategy], str(results), 0, False)
    Store(results).prepare()
    return job


def certgen_sweep(*arguments: object, **options: Any) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "certgen", "sweep", *map(str, arguments)]
    if not (ROOT / "certgen/__main__.py").exists():
        command[1:3] = ["-c", "from certgen.cli import main; main()"]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, text=True, stdout=pipe, stderr=pipe, **options)


# Rows


def test_models_of_every_kind_are_asked_one_problem_by_the_strategies_that_are_for_it(tmp_path: Path) -> None:
    random = random_model(np.random.default_rng(1), blocks=1, heads=2, pool="none", size=0.6)
    several, one = saved(random, tmp_path / "several.safetensors").path, small_model(tmp_path / "one.safetensors")
    problem = tmp_path / "problem.json"
    problem.write_text(json.dumps({"inputs": [{"tokens": "0-3"}] * 2, "label": {"name": "contains", "token": 1}}))
    results = tmp_path / "results"
    done = sweep([several, one], ["cubic", "brute-force"], results, problem=problem, length=False, engine=Local(1))
    assert (done.jobs, done.errors) == (2, 0)
    frame = pd.read_parquet(done.table).set_index("model")
    assert (frame["task"] == "contains 1 in 2 positions").all()
    assert frame["architecture"]["several"].startswith("1L2H-")
    assert (frame["bound"] == frame["true_accuracy"]).all()
    assert (frame["total"] == "16").all()
    assert (frame["strategy"] == "brute-force").all()
    assert frame["command"]["several"].count(f"--problem {problem}") == 2  # to prove, and to check
    assert "Each model here is a small transformer." in report_of(results)
    assert sweep([several, one], ["brute-force"], results, problem=problem, length=False, engine=Local(1)).resumed == 2
    with pytest.raises(UserError, match="the strategy cubic is for max-of-k"):
        sweep([several], ["cubic"], results, problem=problem, engine=Local(1))


def report_of(results: Path) -> str:
    """The text of the report's page; it shows what it can of models that are not its own."""
    about = subjects(load_results(results), None)
    made = sections(load_results(results), about)
    return " ".join(part.body for section in made for part in section.parts)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models, six strategies."""
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "models").mkdir()
    small_model(folder / "models/max-of-3-seed-7.safetensors")
    tiny_model(folder / "models/other.safetensors", random_tensors(np.random.default_rng(1), 3, 2, 3, 2))
    sweep([folder / "models"], SOME, folder / "results", engine=Local(1))
    return folder / "results"


def test_a_row_for_every_certificate_with_every_column(swept: Path) -> None:
    frame = pd.read_parquet(swept / "results.parquet")
    assert list(frame.columns) == list(COLUMNS)
    assert len(frame) == 2 * len(matching(SOME)) == 10
    assert frame["error"].isna().all()
    optional = {"seed", "error", "flops", "problem_sha256"}
    assert not frame.drop(columns=list(optional)).isna().any().any()
    assert set(frame["model"]) == {"max-of-3-seed-7", "other"}
    assert frame[frame["model"] == "other"]["seed"].isna().all()
    assert set(frame[frame["model"] != "other"]["seed"]) == {7}
    assert {row.cost_class for row in frame.itertuples() if row.strategy == "cubic"} == {"cubic"}


def test_every_row_is_what_its_certificate_says(swept: Path) -> None:
    for row in pd.read_parquet(swept / "results.parquet").itertuples():
        path = swept / row.certificate
        certificate = Certificate.load(path)
        claim = certificate.predicate.claim
        assert (row.correct, row.total) == (str(claim.correct), str(claim.total))
        assert row.total == str(row.d_vocab**row.k)
        assert row.bound <= Fraction(claim.correct, claim.total) < row.bound + 1e-15
        assert row.bytes == path.stat().st_size
        assert certificate.predicate.strategy == row.strategy
        assert certificate.subject[0].digest.sha256 == row.model_sha256
        assert row.prove_s > 0 and row.check_s > 0 and row.length_ops > 0
        assert row.true_how == "exact" and row.true_low == row.true_accuracy == row.true_high
        assert row.normalised == pytest.approx(row.bound / row.true_accuracy)
        if row.strategy == "brute-force":
            assert row.normalised == 1.0
        assert row.normalised <= 1.0


def test_a_row_is_reproduced_by_its_command(swept: Path) -> None:
    """Into the same file, which then holds the same bytes."""
    row = pd.read_parquet(swept / "results.parquet").query("strategy == 'cubic'").iloc[0]
    before = (swept / row["certificate"]).read_bytes()
    (swept / row["certificate"]).unlink()
    script = 'certgen() { "$PYTHON" -c "from certgen.cli import main; main()" "$@"; }\n'
    script += 'check-cert() { "$PYTHON" -m checker "$@"; }\n'
    environment = {**ENVIRONMENT, "PYTHON": sys.executable}
    done = subprocess.run(["bash", "-c", script + row["command"]], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"VERIFIED accuracy >= {row['correct']}/{row['total']} " in done.stdout
    assert (swept / row["certificate"]).read_bytes() == before


def test_pandas_polars_and_duckdb_read_the_same(swept: Path) -> None:
    path = swept / "results.parquet"
    expected = pd.read_parquet(path)
    assert expected.dtypes["seed"] == "Int64" and expected.dtypes["length_ops"] == "Int64"
    frame = pl.read_parquet(path)
    assert frame.columns == list(COLUMNS)
    assert frame["bound"].to_list() == expected["bound"].to_list()
    assert frame["seed"].dtype == pl.Int64 and frame["seed"].null_count() == expected["seed"].isna().sum()
    query = f"SELECT count(*), sum(bound), count(seed), count(error) FROM '{path}'"
    [(rows, bounds, seeds, errors)] = duckdb.sql(query).fetchall()
    assert (rows, seeds, errors) == (len(expected), expected["seed"].notna().sum(), 0)
    assert bounds == pytest.approx(expected["bound"].sum())


def test_bounds_are_rounded_down() -> None:
    for correct, total in ((1, 3), (2, 3), (3**40, 7**40), (10**30 - 1, 10**30), (5, 5), (0, 7)):
        bound = rounded_down(correct, total)
        assert bound <= Fraction(correct, total) < Fraction(np.nextafter(bound, 2))


# Which jobs


def test_globs() -> None:
    assert matching(["cubic"]) == ["cubic"]
    assert matching(["*"]) == list(STRATEGIES)
    assert matching(["cubic", "brute-*", "c*"]) == ["brute-force", "cubic"]
    assert matching(["sub-cubic/*/upper-envelope/svd"]) == [
        name for name in STRATEGIES if name.endswith("/upper-envelope/svd")
    ]
    with pytest.raises(UserError, match="no strategy matches 'cubik'"):
        matching(["cubic", "cubik"])


def test_models_are_files_or_directories_and_count_once(tmp_path: Path) -> None:
    path = small_model(tmp_path / "a.safetensors")
    (tmp_path / "b.safetensors").write_bytes(path.read_bytes())
    assert [found.name for found in model_files([tmp_path])] == ["a.safetensors", "b.safetensors"]
    assert [job.model for job in plan([tmp_path, path], ["cubic"], "out", 0, True)] == [str(path)]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="has no"):
        model_files([tmp_path / "empty"])
    with pytest.raises(UserError, match="cannot read"):
        plan([tmp_path / "missing.safetensors"], ["cubic"], "out", 0, True)


def test_options_that_do_not_go_together() -> None:
    for options in (("joblib", None, "tcp://x:1"), ("dask", None, None), ("dask", 2, "tcp://x:1")):
        with pytest.raises(UserError):
            choose(*options)


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match=r"compact-proofs\[sweep\]"):
        sweep([small_model(tmp_path / "m.safetensors")], ["cubic"], tmp_path / "results")


def test_margins_are_jobs_of_their_own(tmp_path: Path) -> None:
    model = small_model(tmp_path / "m.safetensors")
    for margin in (0, "1/8", "0.125"):
        done = sweep([model], ["brute-force"], tmp_path / "results", margin=margin, length=False, engine=Local(1))
    assert (done.jobs, done.resumed) == (1, 1)
    frame = pd.read_parquet(tmp_path / "results/results.parquet")
    assert frame["margin"].tolist() == ["0", "1/8"]
    assert frame["length_ops"].isna().all()
    assert (frame["normalised"] == 1.0).all()
    assert len(set(frame["certificate"])) == 2


def test_claims_about_float32_programs_are_jobs_of_their_own(tmp_path: Path) -> None:
    """They say no more than those about real numbers, and are not taken for the truth."""
    model, results = small_model(tmp_path / "m.safetensors"), tmp_path / "results"
    kinds = ("float32-any-order", "exact-real")
    for semantics in (*kinds, *kinds):
        done = sweep([model], ["brute-force"], results, semantics=semantics, length=False, engine=Local(1))
    assert (done.jobs, done.resumed, done.errors) == (1, 1, 0)
    frame = pd.read_parquet(done.table).set_index("semantics")
    assert sorted(frame.index) == sorted(kinds) and len(set(frame["certificate"])) == 2
    assert (frame["true_accuracy"] == frame.loc["exact-real", "bound"]).all()
    assert frame.loc["float32-any-order", "bound"] <= frame.loc["exact-real", "bound"]
    assert "--semantics float32-any-order" in frame.loc["float32-any-order", "command"]
    certificate = Certificate.load(results / frame.loc["float32-any-order", "certificate"])
    assert certificate.predicate.semantics == "float32-any-order"
    with pytest.raises(UserError, match="there is no semantics 'float16'"):
        sweep([model], ["brute-force"], results, semantics="float16")


def test_records_of_earlier_versions_are_about_real_numbers(tmp_path: Path) -> None:
    model, results = small_model(tmp_path / "m.safetensors"), tmp_path / "results"
    sweep([model], ["cubic"], results, length=False, engine=Local(1))
    (row,) = (results / "rows").glob("*.json")
    row.write_text(json.dumps({name: x for name, x in json.loads(row.read_text()).items() if name != "semantics"}))
    done = sweep([model], ["cubic"], results, length=False, engine=Local(1))
    assert (done.jobs, done.resumed) == (1, 1)
    assert pd.read_parquet(done.table)["semantics"].tolist() == ["exact-real"]


# Failures


def test_a_failing_job_is_a_row(tmp_path: Path) -> None:
    """A model that is none; the other rows are not affected."""
    good, bad = small_model(tmp_path / "good.safetensors"), tmp_path / "bad.safetensors"
    bad.write_bytes(b"nothing like a model")
    done = sweep([bad, good], ["cubic"], tmp_path / "results", engine=Local(1))
    assert (done.jobs, done.errors) == (2, 1)
    frame = pd.read_parquet(done.table).set_index("model")
    assert "not a well-formed safetensors file" in frame.loc["bad", "error"]
    assert frame.loc["bad"].drop(["model_path", "model_sha256", "true_how"]).isna()[["bound", "correct", "k"]].all()
    assert pd.isna(frame.loc["good", "error"]) and frame.loc["good", "bound"] > 0


def test_failures_are_listed_and_are_the_exit_code(tmp_path: Path) -> None:
    good, bad = small_model(tmp_path / "good.safetensors"), tmp_path / "bad.safetensors"
    bad.write_bytes(b"nothing like a model")
    arguments = ["sweep", str(bad), str(good), "-s", "cubic", "-s", "separable-by-max", "--no-length", "--jobs", "1"]
    for resumed in (0, 4):
        done = CliRunner().invoke(app, [*arguments, "-o", str(tmp_path / "results")])
        summary, *failures = done.stdout.splitlines()
        assert summary.endswith(f"4 jobs, {resumed} done before, 2 with an error")
        assert [line.split(": ")[:2] for line in failures] == [[str(bad), "separable-by-max"], [str(bad), "cubic"]]
        assert all("not a well-formed safetensors file" in line for line in failures)
        assert done.exit_code == 1
    [job] = plan([good], ["cubic"], str(tmp_path / "results"), 0, False)
    assert sweep([bad], ["cubic"], job.results, engine=Local(1)).failures[0][:2] == (str(bad), "cubic")


def test_a_name_that_is_not_unicode_is_a_row(tmp_path: Path) -> None:
    model = small_model(tmp_path / "gr\udcf6n.safetensors")
    done = sweep([model], ["cubic"], tmp_path / "results", length=False, engine=Local(1))
    row = pd.read_parquet(done.table).iloc[0]
    assert row["model"] == "gr\\xf6n" and row["model_path"].endswith("gr\\xf6n.safetensors") and pd.isna(row["error"])
    assert (tmp_path / "results" / row["certificate"]).exists()


def test_a_dimension_beyond_float64_is_not_known(tmp_path: Path) -> None:
    path = tiny_model(tmp_path / "m.safetensors", random_tensors(np.random.default_rng(1), 2, 1100, 1, 1))
    row = run_job(job_for(path, tmp_path / "results", "brute-force"))
    assert "too many to decide" in row["error"] and row["unexplained_dimension"] is None


# Directories that cannot be written, records that are damaged


class Unwritable:
    """In place of tempfile.TemporaryFile on a read-only file system."""

    def __init__(self, dir: Path) -> None:
        raise OSError(30, "Read-only file system")


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    sweep([small_model(tmp_path / "m.safetensors")], ["cubic"], tmp_path / "results", length=False, engine=Local(1))
    return tmp_path / "results"


def test_a_finished_sweep_on_a_read_only_file_system(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.TemporaryFile", Unwritable)
    model = finished.parent / "m.safetensors"
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    done = sweep([model], ["cubic"], finished, length=False, engine=Local(1))
    assert (done.jobs, done.resumed, done.errors) == (1, 1, 0)
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before
    with pytest.raises(UserError, match=f"cannot write {finished}: Read-only"):  # more is to be done
        sweep([model], ["cubic"], finished, length=True, engine=Local(1))
    (finished / "results.parquet").unlink()
    with pytest.raises(UserError, match="cannot write"):
        sweep([model], ["cubic"], finished, length=False, engine=Local(1))


def test_what_cannot_be_written_is_found_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_work(tasks: Sequence[Any], store: Any) -> Iterator[Any]:
        raise AssertionError("work was begun")

    model = small_model(tmp_path / "m.safetensors")
    (tmp_path / "file").write_bytes(b"")
    for output in (tmp_path / "file", tmp_path / "file" / "below", model):
        with pytest.raises(UserError, match="cannot create the directory"):
            sweep([model], ["cubic"], output, engine=no_work)
    monkeypatch.setattr("tempfile.TemporaryFile", Unwritable)
    with pytest.raises(UserError, match="cannot write"):
        sweep([model], ["cubic"], tmp_path / "results", engine=no_work)


def test_a_lock_that_cannot_be_made(finished: Path) -> None:
    (finished / "locks/results").unlink()
    (finished / "locks/results").mkdir()
    with pytest.raises(UserError, match=r"cannot write .*locks/results"):
        sweep([finished.parent / "m.safetensors"], ["cubic"], finished, length=False, engine=Local(1))


@pytest.mark.parametrize(
    "damage", [b"", b"half of", b"[]", b"{}", b"1", b'{"error": null}', b"\xff\xfe", b"[" * 100_000]
)
@pytest.mark.parametrize("kind", ["rows", "truths"])
def test_a_damaged_record_is_named(finished: Path, kind: str, damage: bytes) -> None:
    [record] = (finished / kind).glob("*.json")
    record.write_bytes(damage)
    with pytest.raises(UserError, match=f"{record} is not a record of a sweep"):
        sweep([finished.parent / "m.safetensors"], ["cubic"], finished, length=False, engine=Local(1))


def test_a_record_of_other_types(finished: Path) -> None:
    [record] = (finished / "rows").glob("*.json")
    record.write_text(json.dumps(json.loads(record.read_text()) | {"bound": "high", "correct": [1]}))
    with pytest.raises(UserError, match="make no table"):
        sweep([finished.parent / "m.safetensors"], ["cubic"], finished, length=False, engine=Local(1))


def test_a_damaged_table_is_made_again(finished: Path) -> None:
    (finished / "results.parquet").write_bytes(b"half")
    done = sweep([finished.parent / "m.safetensors"], ["cubic"], finished, length=False, engine=Local(1))
    assert len(pd.read_parquet(done.table)) == 1


def test_errors_are_kept_until_they_are_retried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, results = small_model(tmp_path / "m.safetensors"), tmp_path / "results"

    def fail(*_: object, **__: object) -> Certificate:
        raise ZeroDivisionError("no luck\ntoday")

    with monkeypatch.context() as patched:
        patched.setattr(certgen.sweep.job, "prove", fail)
        assert sweep([model], ["cubic"], results, engine=Local(1)).errors == 1
    again = sweep([model], ["cubic"], results, engine=Local(1))
    assert (again.resumed, again.errors) == (1, 1)
    assert pd.read_parquet(again.table)["error"].tolist() == ["ZeroDivisionError: no luck today"]
    again = sweep([model], ["cubic"], results, engine=Local(1), retry_errors=True)
    assert (again.resumed, again.errors) == (0, 0)


def test_the_checker_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate that claims more than it proves has no bound."""

    def overclaiming(model: Model, strategy: str, **options: Any) -> Certificate:
        certificate = prove(model, strategy, **options)
        claim = certificate.predicate.claim
        more = claim.model_copy(update={"correct": claim.correct + 1})
        return certificate.model_copy(update={"predicate": certificate.predicate.model_copy(update={"claim": more})})

    monkeypatch.setattr(certgen.sweep.job, "prove", overclaiming)
    row = run_job(job_for(small_model(tmp_path / "m.safetensors"), tmp_path / "results"))
    assert "rejected" in row["error"] and "predicate.claim" in row["error"]
    assert row["correct"] is row["total"] is row["bound"] is row["length_ops"] is None
    assert row["check_s"] > 0 and row["bytes"] > 0


def test_a_checker_that_breaks_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    row = run_job(job_for(small_model(tmp_path / "m.safetensors"), tmp_path / "results"))
    assert row["error"] == "check-cert ended with exit code 1: no output"
    assert row["bound"] is None


def test_a_model_that_changes_during_the_sweep(tmp_path: Path) -> None:
    job = job_for(small_model(tmp_path / "m.safetensors"), tmp_path / "results")
    small_model(tmp_path / "m.safetensors", seed=1)
    assert "has changed" in run_job(job)["error"]


def test_errors_are_one_line() -> None:
    assert describe(UserError("a", "b")) == "a b"
    assert describe(ValueError("a\x1b[31m\n b")) == "ValueError: a [31m b"


def test_a_job_that_kills_its_worker_ends_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", ENVIRONMENT["PYTHONPATH"])
    store = Store(tmp_path)
    store.prepare()
    tasks = [Killer(tmp_path, str(number), number == 2) for number in range(6)]
    found = {task.identity: record for task, record in Local(2)(tasks, store)}
    assert sorted(found) == list("012345")
    assert [name for name, record in found.items() if record["error"]] == ["2"]


# Resuming


def test_resuming_does_nothing_twice(swept: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in swept.rglob("*.gz")}
    rows = {path: path.read_bytes() for path in (swept / "rows").iterdir()}
    done = sweep([swept.parent / "models"], SOME, swept, engine=Local(1))
    assert (done.jobs, done.resumed) == (10, 10)
    assert {path: path.stat().st_mtime_ns for path in swept.rglob("*.gz")} == before
    assert {path: path.read_bytes() for path in (swept / "rows").iterdir()} == rows


def test_a_length_that_is_wanted_later(tmp_path: Path) -> None:
    model, results = small_model(tmp_path / "m.safetensors"), tmp_path / "results"
    sweep([model], ["cubic"], results, length=False, engine=Local(1))
    done = sweep([model], ["cubic"], results, length=True, engine=Local(1))
    assert done.resumed == 0
    assert pd.read_parquet(done.table)["length_ops"].notna().all()
    assert sweep([model], ["cubic"], results, length=False, engine=Local(1)).resumed == 1


def test_leftovers_of_a_killed_writer_are_removed(tmp_path: Path) -> None:
    job = job_for(small_model(tmp_path / "m.safetensors"), tmp_path / "results")
    row, certificate = Store(job.results).path("rows", job.identity), job.results / job.certificate
    certificate.parent.mkdir(parents=True)
    for path in (row, certificate, job.results / "results.parquet"):
        path.with_name(f".{path.name}.0123abcd.tmp").write_bytes(b"half")
    other = row.with_name(f".{'0' * 32}.json.0123abcd.tmp")
    other.write_bytes(b"somebody else's")
    job.execute()
    assemble(Store(job.results))
    assert list(job.results.rglob("*.tmp")) == [other]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_sweep_resumes(how: signal.Signals, tmp_path: Path) -> None:
    """No row and no certificate of a finished job is made again, and no file is half-written at any time."""
    for seed in range(2):
        small_model(tmp_path / f"tiny-seed-{seed}.safetensors", seed)
    results = tmp_path / "results"
    arguments = [tmp_path, "-s", MANY, "--no-length", "--jobs", 2, "-o", results]
    jobs = 2 * len(matching([MANY]))
    process = certgen_sweep(*arguments, start_new_session=True)
    deadline = time.monotonic() + 40
    while len(list((results / "rows").glob("*.json"))) < 4 and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, how)
    process.communicate(timeout=30)  # until the workers, who hold the pipes, have ended too
    assert process.returncode == (130 if how == signal.SIGINT else -signal.SIGKILL)
    kept = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in (results / "rows").glob("*.json")}
    assert 4 <= len(kept) < jobs
    certificates = {}
    for text, _ in kept.values():
        path = results / json.loads(text)["certificate"]
        certificates[path] = path.stat().st_mtime_ns
        Certificate.load(path)

    done = sweep([tmp_path], [MANY], results, length=False, engine=Local(1))
    assert (done.jobs, done.resumed, done.errors) == (jobs, len(kept), 0)
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in kept} == kept
    assert {path: path.stat().st_mtime_ns for path in certificates} == certificates
    frame = pd.read_parquet(results / "results.parquet")
    assert len(frame) == jobs and frame["bound"].notna().all()
    assert not frame.duplicated(["model", "strategy"]).any()
    assert not list(results.rglob("*.tmp"))


def test_two_sweeps_at_once_share_the_work(tmp_path: Path) -> None:
    small_model(tmp_path / "m.safetensors")
    arguments = [tmp_path, "-s", "sub-cubic/max-diff-exact/*/max-diff", "--no-length", "-o", tmp_path / "results"]
    processes = [certgen_sweep(*arguments, "--jobs", 1) for _ in range(2)]
    for process in processes:
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 0 and "0 with an error" in output, errors
    times = {path.stat().st_mtime_ns for path in (tmp_path / "results/rows").glob("*.json")}
    assert len(times) == 3


# Progress


def test_progress_without_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(certgen.sweep.display, "EVERY", -1.0)
    model = small_model(tmp_path / "m.safetensors")
    with certgen.sweep.display.SweepProgress() as display:
        sweep([model], ["cubic"], tmp_path / "results", length=False, engine=Local(1), display=display)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(", 0 errors, ")[0] for line in lines] == ["1/2 done", "2/2 done"]
    assert lines[-1].endswith(", 0:00:00 left")


# A cluster


@contextmanager
def running(*command: object) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(
        [sys.executable, *map(str, command)],
        cwd=ROOT,
        env=ENVIRONMENT,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def cluster(folder: Path, workers: int) -> Iterator[tuple[str, list["subprocess.Popen[bytes]"]]]:
    """A scheduler and workers as processes of their own, as on several machines."""
    file = folder / "scheduler.json"
    with running("-m", "distributed.cli.dask_scheduler", "--port", 0, "--no-dashboard", "--scheduler-file", file):
        deadline = time.monotonic() + 20
        while not file.exists() or not file.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        address = json.loads(file.read_text())["address"]
        worker = ("-m", "distributed.cli.dask_worker", address, "--no-nanny", "--nthreads", 1, "--no-dashboard")
        with running(*worker) as first, running(*worker) as second:
            yield address, [first, second][:workers]


def test_a_cluster_that_loses_a_worker(tmp_path: Path) -> None:
    small_model(tmp_path / "tiny.safetensors")
    results = tmp_path / "results"
    jobs = len(matching([MANY]))
    with cluster(tmp_path, 2) as (address, workers):
        process = certgen_sweep(
            tmp_path, "-s", MANY, "--no-length", "-o", results, "--engine", "dask", "--scheduler", address
        )
        deadline = time.monotonic() + 40
        while len(list((results / "rows").glob("*.json"))) < 2 and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert process.poll() is None
        workers[0].kill()
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 0 and f"{jobs} jobs" in output and "0 with an error" in output, errors
    frame = pd.read_parquet(results / "results.parquet")
    assert len(frame) == jobs and frame["bound"].notna().all()


def test_a_scheduler_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import dask

    model = small_model(tmp_path / "m.safetensors")
    with dask.config.set({"distributed.comm.timeouts.connect": "200ms"}), pytest.raises(UserError, match="no dask"):
        sweep([model], ["cubic"], tmp_path / "results", engine=choose("dask", None, "tcp://127.0.0.1:9"))


def test_a_loaded_model_is_not_needed_to_plan(tmp_path: Path) -> None:
    """Planning hashes files; their content is the job's business."""
    path = small_model(tmp_path / "m.safetensors")
    [job] = plan([path], ["cubic"], "out", 0, True)
    assert job.sha256 == load_model(path).sha256
