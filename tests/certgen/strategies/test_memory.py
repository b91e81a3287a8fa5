"""What searches are expected to take in memory, against what they take; what is refused, and what is used instead."""

import re
import tracemalloc
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from certgen import load_model, prove
from certgen.bounds import attention
from certgen.cli import app
from certgen.counts.numerators import DEFAULT_PRECISION, Numerators
from certgen.errors import UserError
from certgen.models.circuits import Circuits
from certgen.progress import quiet
from certgen.proving import SMALL, AnyProblem, ask
from certgen.strategies import memory
from certgen.strategies.memory import (
    PROGRAM,
    SHARED,
    USUAL,
    needed_memory,
    of_one_head,
    read_memory,
    said_duration,
    size,
    worthwhile_jobs,
)
from certgen.strategies.sub_cubic import sub_cubic
from tests.support.random_models import random_model, saved
from tests.support.random_problems import problem_of
from tests.support.tiny import near_correct, tiny_model, zero_tensors

DROP = "sub-cubic/max-diff-exact/drop-average-query-per-output-logit-reasoning/exact-EQKE"
STRATEGIES = ("separable-by-max", SMALL, "separable-relaxed", "cubic", DROP, "brute-force")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of 12 tokens and 4 positions."""
    tensors = near_correct(np.random.default_rng(16), 12, 4, sharpness=3.0, noise=0.02)
    return tiny_model(tmp_path_factory.mktemp("memory") / "model.safetensors", tensors, "F32")


def peak(path: Path, strategy: str, problem: AnyProblem | None = None) -> int:
    """Bytes that the search and its certificate take beside the program."""
    model = load_model(path)
    prove(model, strategy, problem=problem)  # what is loaded and kept for ever is the program's
    model = load_model(path)
    tracemalloc.start()
    try:
        prove(model, strategy, problem=problem).to_bytes()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_search_takes_what_is_expected(strategy: str, path: Path) -> None:
    """No more, and not much less."""
    expected = needed_memory(ask(path, None, Fraction(0)), strategy) - PROGRAM
    assert expected / 4 < peak(path, strategy) < expected


@pytest.mark.parametrize("strategy", ["adaptive", "two-sided"])
def test_a_search_that_depends_on_weights_takes_no_more(strategy: str, path: Path) -> None:
    assert peak(path, strategy) < needed_memory(ask(path, None, Fraction(0)), strategy) - PROGRAM


@pytest.mark.parametrize("strategy", ["regions", "brute-force"])
def test_a_search_for_any_model_takes_no_more(strategy: str, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    kind: dict[str, Any] = {
        "blocks": 1,
        "heads": 2,
        "activation": "relu",
        "normalization": "none",
        "pool": "none",
        "readout_layers": 0,
    }
    saved(random_model(np.random.default_rng(1), size=0.6, **kind), path)
    problem = problem_of({"inputs": [{"tokens": "0-2"}] * 2, "label": {"name": "min"}})
    assert peak(path, strategy, problem) < needed_memory(ask(path, problem, Fraction(0)), strategy) - PROGRAM


def test_as_many_processes_as_there_is_room_for(path: Path, tmp_path: Path) -> None:
    """Without a limit as many as are asked for; one where nothing is shared, or the search is quick."""
    large_one = tiny_model(tmp_path / "large.safetensors", zero_tensors(64, 4, 1, 1), "F32")
    small, large = ask(path, None, Fraction(0)), ask(large_one, None, Fraction(0))
    jobs = {(name, limit): worthwhile_jobs(large, name, limit, 64, False) for name in SHARED for limit in (None, USUAL)}
    for name in SHARED:
        assert jobs[name, None] == 64
        assert 8 < jobs[name, USUAL] < 64
        assert worthwhile_jobs(large, name, needed_memory(large, name), 64, False) == 1
        assert worthwhile_jobs(large, name, 1, 64, False) == 1  # and the search is refused
        assert worthwhile_jobs(small, name, None, 64, False) == 1
    assert worthwhile_jobs(large, "cubic", None, 64, False) == 1


def test_jobs_are_asked_for_where_work_is_shared(path: Path, tmp_path: Path) -> None:
    output = str(tmp_path / "a.cert.json")
    for strategy in ("adaptive", "two-sided"):
        done = CliRunner().invoke(app, ["prove", str(path), "-s", strategy, "--jobs", "2", "-o", output])
        assert done.exit_code == 0, done.output
    done = CliRunner().invoke(app, ["prove", str(path), "-s", "cubic", "--jobs", "2", "-o", output])
    assert "only adaptive and two-sided share the work" in str(done.exception)
    with pytest.raises(UserError, match="0 processes"):
        prove(path, jobs=0)
    with pytest.raises(TypeError, match="number of processes"):
        prove(path, jobs=1.5)  # type: ignore[arg-type]


def test_what_fits_in_the_usual_memory() -> None:
    """The default search for all models of the documentation; for 1,000 tokens only the simpler one."""
    for v, k in ((64, 4), (64, 20), (128, 10), (256, 4)):
        assert PROGRAM + memory.SPARE * of_one_head(v, k, "adaptive", False) < USUAL
    assert PROGRAM + memory.SPARE * of_one_head(1000, 4, SMALL, False) < USUAL < of_one_head(1000, 4, "adaptive", False)


def test_what_is_refused_anyway_takes_no_more_than_anything_allowed() -> None:
    """Sequences of 400 tokens are too many for any list."""
    assert of_one_head(64, 400, "brute-force", False) < of_one_head(64, 400, "exact", False) < 1e11


def test_the_default_is_what_fits(path: Path) -> None:
    said: list[str] = []
    question = ask(path, None, Fraction(0))
    ample, little = needed_memory(question, "adaptive"), needed_memory(question, SMALL)
    assert little < ample
    for limit, strategy in ((None, "adaptive"), (ample, "adaptive"), (ample - 1, SMALL), (little, SMALL)):
        said.clear()
        certificate = prove(path, memory=limit, tell=said.append)
        assert certificate.predicate.strategy == strategy
        assert len(said) == (strategy != "adaptive")
    assert said == [
        f"The strategy adaptive takes about {size(ample)} of memory here, more than {size(little)}: {SMALL} is used, "
        f"which proves less; --memory {size(ample).replace(' ', '')} allows the other"
    ]
    with pytest.raises(UserError, match=f"{SMALL} takes about .* of memory here, more than 1 MB") as refused:
        prove(path, memory="1MB")
    allowed = refused.value.hint.removeprefix("allow it with --memory ")
    assert prove(path, memory=allowed).predicate.strategy == SMALL


@pytest.mark.parametrize("asked", [{"both": True}, {"target": "0.5"}, {"max_length": 10**7}, {"strategy": "two-sided"}])
def test_what_is_asked_for_is_refused_if_it_takes_more(asked: dict[str, Any], path: Path) -> None:
    little = needed_memory(ask(path, None, Fraction(0)), SMALL)
    with pytest.raises(UserError, match="of memory here, more than") as refused:
        prove(path, memory=little, **asked)
    assert refused.value.hint.endswith(f", or try the strategy {SMALL}")


def test_brute_force_is_refused_too(tmp_path: Path) -> None:
    """For a problem that has no other strategy."""
    path = tmp_path / "model.safetensors"
    saved(random_model(np.random.default_rng(1), size=0.6), path)
    problem = problem_of({"inputs": [{"tokens": "0-1"}] * 2, "label": {"name": "min"}})
    with pytest.raises(UserError, match=r"the strategy brute-force takes about .* of memory here, more than 1 MB"):
        prove(path, "brute-force", problem=problem, memory="1 MB")


def test_the_command(path: Path, tmp_path: Path) -> None:
    output = tmp_path / "model.cert.json"
    words = ["prove", str(path), "-o", str(output), "--memory"]
    done = CliRunner().invoke(app, [*words, size(needed_memory(ask(path, None, Fraction(0)), SMALL))])
    assert done.exit_code == 0 and output.is_file()
    assert re.search(f"The strategy adaptive takes about .*: {SMALL} is used", done.stdout)
    refused = CliRunner().invoke(app, [*words, "1MB"])
    assert isinstance(refused.exception, UserError)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *((1234, 1234), ("1234", 1234), ("2GB", 2 * 10**9), ("2 gb", 2 * 10**9), ("2G", 2 * 10**9)),
        *(("1.5GB", 15 * 10**8), ("512MiB", 512 << 20), ("1.5 GiB", 3 << 29), ("3kB", 3000), ("1 TB", 10**12)),
    ],
)
def test_sizes_are_read_as_people_write_them(text: int | str, number: int) -> None:
    assert read_memory(text) == number


@pytest.mark.parametrize("text", ["", "much", "-1GB", "0", "0GB", "2XB", "2GBs", "1e9", "GB", "2.GB", "iB", "3i", -5])
def test_other_sizes_are_refused(text: int | str) -> None:
    with pytest.raises(UserError, match="is no size"):
        read_memory(text)


def test_what_is_no_size_at_all_is_a_type_error(path: Path) -> None:
    odd: Any = 1.5
    with pytest.raises(TypeError, match="memory must be a number of bytes, or text such as 2GB, not float"):
        prove(path, memory=odd)


def test_sizes_are_rounded_up() -> None:
    assert [size(n) for n in (1, 10**6, 999_999_999, 10**9, 10**9 + 1)] == [
        "0.1 MB",
        "1 MB",
        "1000 MB",
        "1 GB",
        "1.1 GB",
    ]


def test_a_long_search_says_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    question = ask(path, None, Fraction(0))
    assert said_duration(question, "adaptive") is None
    monkeypatch.setattr(memory, "CUBES_A_SECOND", 7.0)
    assert said_duration(question, "adaptive") == "The strategy adaptive takes about 16 minutes here"
    assert said_duration(question, "cubic") is None


# Pieces


def test_attention_is_made_again_where_it_is_large(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One maximum at a time, with the same proof."""
    names = ("max-diff-exact", "mean-query+diff", "svd")
    circuits = Circuits(load_model(path), Fraction(0))
    kept = sub_cubic(circuits, quiet, *names)
    assert attention.score_bound(circuits, "svd").attention(3) is attention.score_bound(circuits, "svd").attention(3)
    monkeypatch.setattr(attention, "MOST_KEPT", 4 * 12**3 - 1)
    circuits = Circuits(load_model(path), Fraction(0))
    assert sub_cubic(circuits, quiet, *names).to_bytes() == kept.to_bytes()
    found = attention.score_bound(circuits, "svd").attention
    assert found(3) is not found(3)


def test_numerators_of_some_tokens_are_those_of_all(path: Path) -> None:
    numerators = Numerators(Circuits(load_model(path), Fraction(1, 8)), 7, DEFAULT_PRECISION)
    for few, many in zip(numerators.of_pair(5, [7, 2]), numerators.of_pair(5), strict=True):
        assert np.array_equal(few, many[:, [7, 2]])
