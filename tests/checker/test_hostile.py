"""Small files that ask for much: refused before the work is done. Each ran for minutes, or filled the memory."""

import gzip
import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any

import pytest

from checker import Refusal, check
from checker.errors import ResourceLimit
from checker.jobs import outcome_of
from checker.model.weights import read_weights
from tests.conftest import ROOT
from tests.support.tiny import tiny_model, zero_tensors

Json = dict[str, Any]
EMPTY: Json = {"counts": []}
TABLE: Json = {"exponent": 0, "rows": []}
SCORES: Json = {"exponent": 0, "kept": [], "error": []}
LONG = 10**3990
SECONDS = 5


def step(rule: str, premises: list[int], args: Json, conclusion: Json) -> Json:
    return {"rule": rule, "premises": premises, "args": args, "conclusion": conclusion}


def lanes(exponent: int, bits: int) -> Json:
    return {"exponent": exponent, "bits": bits}


def peel(exponent: int, number: int, rank: int = 1) -> Json:
    return {"onto": [[number] * rank], "along": [[number]] * rank, "exponent": exponent}


def statement(model: Path, steps: list[Json]) -> Json:
    weights = read_weights(model.read_bytes())
    v, k = weights.sizes["d_vocab"], weights.sizes["n_ctx"]
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "model", "digest": {"sha256": weights.file_digest}}],
        "predicateType": "urn:compact-proofs:accuracy-certificate:v1",
        "predicate": {
            "formatVersion": 1,
            "task": {"name": "max-of-k", "k": k},
            "model": {**weights.sizes, "tensors": weights.tensor_digests},
            "semantics": "exact-real",
            "margin": "0",
            "claim": {"correct": 0, "wrong": 0, "total": v**k},
            "strategy": "hostile",
            "steps": steps,
        },
    }


def sigma(exponent: int) -> Json:
    most = 1 << 1024
    return {"sigma": most, "exponent": exponent, "ridge": most, "ridge_exponent": -exponent, "witness": [[LONG]]}


# name -> d_vocab, n_ctx, steps
CASES: dict[str, tuple[int, int, list[Json]]] = {
    "v^3 comparisons": (5000, 2, [step("value_path_upper", [], {}, TABLE)]),
    "a table of v^2 numbers": (9000, 1, [step("score_exact", [], {}, SCORES)]),
    "a spread of v^2 numbers": (9000, 1, [step("value_path_spread", [], {}, TABLE)]),
    "long lanes": (200, 3, [step("enumerate_sequences", [], lanes(-20, 4096), EMPTY)]),
    "lanes of a few sequences": (300, 2, [step("pure_sequences", [], lanes(-16384, 8), EMPTY)]),
    "long exponentials": (40, 2, [step("pure_sequences", [], lanes(-20, 4096), EMPTY)]),
    "long logits": (300, 2, [step("branch_sequences", [], {**lanes(-16384, 8), "queries": [1] * 300}, EMPTY)]),
    "many precisions": (9, 2, [step("pure_sequences", [], lanes(-20, 4096 - bits), EMPTY) for bits in range(250)]),
    "projectors of large rank": (900, 2, [step("score_residual_spread", [], {"peels": [peel(0, 1, 900)]}, SCORES)]),
    "a long singular value": (
        *(200, 2),
        [step("score_singular_value", [], {"peels": [peel(16384, LONG)], **sigma(16384)}, SCORES)],
    ),
    "positions without end": (1, 60_000, [step("evaluate_inputs", [], {"bits": [8]}, EMPTY)]),
    "passes without end": (2, 4000, [step("evaluate_inputs", [], {"bits": [8]}, EMPTY)]),
}


@pytest.mark.parametrize("name", CASES)
def test_what_sizes_tell(name: str, tmp_path: Path) -> None:
    v, k, steps = CASES[name]
    model, path = tiny_model(tmp_path / "model", zero_tensors(v, k, 1, 1)), tmp_path / "cert.json"
    path.write_text(json.dumps(statement(model, steps)))
    assert path.stat().st_size < 300_000
    started = process_time()
    refusal = outcome_of(partial(check, str(model), str(path)))
    assert process_time() - started < SECONDS
    assert isinstance(refusal, ResourceLimit)
    assert refusal.code == "over-budget"
    assert refusal.path.startswith("predicate.steps[")
    assert "most of them for" in refusal.got


def test_ties_by_the_million(tmp_path: Path) -> None:
    """Only values tell that every sequence is a tie, of each wrong token with the maximum."""
    model, path = tiny_model(tmp_path / "model", zero_tensors(8, 8, 1, 1)), tmp_path / "cert.json"
    args = {**lanes(-8, 16), "queries": [(2 << m) - 1 for m in range(8)]}
    path.write_text(json.dumps(statement(model, [step("branch_sequences", [], args, EMPTY)])))
    started = process_time()
    refusal = outcome_of(partial(check, str(model), str(path), 1 << 22))
    assert process_time() - started < SECONDS / 4
    assert isinstance(refusal, ResourceLimit)
    assert (refusal.code, refusal.path) == ("over-budget", "predicate.steps[0]")
    assert refusal.got == "more for branch_sequences, by its values"


def test_premises_that_no_step_needs(tmp_path: Path) -> None:
    """No fact is needed twice."""
    model, path = tiny_model(tmp_path / "model", zero_tensors(2, 2, 1, 1)), tmp_path / "cert.json"
    none = {"counts": [[0, 1, 1, 0, 0], [1, 1, 1, 0, 0], [1, 2, 1, 0, 0]]}
    last = step("total", [0] * 3, {}, {"correct": 0, "wrong": 0})
    path.write_text(json.dumps(statement(model, [step("pure_sequences", [], lanes(-9, 9), none), last])))
    refusal = outcome_of(partial(check, str(model), str(path)))
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.path) == ("bad-premise", "predicate.steps[1].premises")


def texts(base: str) -> Iterator[tuple[str, str]]:
    """Lists that take a thousand times the bytes of the file."""
    for name, steps in {
        "lists": "[" + "[]," * (1 << 20) + "[]]",
        "numbers": "[" + "0," * (1 << 22) + "0]",
        "objects": "[" + "{}," * (1 << 18) + "{}]",
        "text beyond the first plane": '"' + "x" * (1 << 24) + '\N{GRINNING FACE}"',
        "premises": '[{"rule":"total","premises":[' + "0," * (1 << 22) + '0],"args":{},"conclusion":{}}]',
        "text": '"' + "x" * (1 << 26) + '"',
    }.items():
        yield name, base.replace('"steps": []', f'"steps": {steps}')


def test_texts_that_grow(tmp_path: Path) -> None:
    """Refused before a list is made."""
    model, path = tiny_model(tmp_path / "model", zero_tensors(2, 2, 1, 1)), tmp_path / "cert.json.gz"
    for name, text in texts(json.dumps(statement(model, []))):
        path.write_bytes(gzip.compress(text.encode(), 1))
        started = process_time()
        refusal = outcome_of(partial(check, str(model), str(path)))
        assert process_time() - started < SECONDS, name
        assert isinstance(refusal, ResourceLimit), name
        assert (refusal.code, refusal.file, refusal.path) == ("over-budget", "CERT", ""), name
        assert "bytes for a text" in refusal.expected, name


def test_memory_of_a_text(tmp_path: Path) -> None:
    """All of it in a process that may not take half a gigabyte: 2^27 empty lists in a few hundred kilobytes."""
    model, path = tiny_model(tmp_path / "model", zero_tensors(2, 2, 1, 1)), tmp_path / "cert.json.gz"
    head, tail = (part.encode() for part in json.dumps(statement(model, [])).split('"steps": []'))
    with gzip.open(path, "wb", 9) as file:
        file.write(head + b'"steps": [')
        for _ in range(32):
            file.write(b"[]," * (1 << 20))
        file.write(b"[]]" + tail)
    assert path.stat().st_size < 300_000
    most = 500 << 20
    done = subprocess.run(
        [sys.executable, "-m", "checker", str(model), str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (most, most)),
    )
    assert (done.returncode, done.stdout.split()[:2]) == (5, ["RESOURCE-LIMIT", "over-budget"])


def test_weights_far_apart(tmp_path: Path) -> None:
    """Two weights 2^2000 apart make all integers of a tensor as long."""
    tensors = zero_tensors(100, 2, 100, 1)
    tensors["embed.W_E"][0, 0], tensors["embed.W_E"][1, 1] = 2.0**1000, 2.0**-1000
    model = tiny_model(tmp_path / "model", tensors, "F64")
    path = tmp_path / "cert.json"
    path.write_text("{}")
    refusal = outcome_of(partial(check, str(model), str(path)))
    assert isinstance(refusal, Refusal)
    assert refusal.code == "missing-field"  # 10,000 numbers of 300 bytes are affordable
    with pytest.raises(ResourceLimit) as caught:
        read_weights(model.read_bytes(), memory=1 << 23)
    assert (caught.value.code, "weights of 20" in caught.value.expected) == ("over-budget", True)
