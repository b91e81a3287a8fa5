"""The architecture in a model file: what is accepted, what is refused, and under which code."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from checker.errors import Malformed, Rejected
from checker.kernel import Verdict
from checker.model.architecture import Architecture as Parts
from checker.model.architecture import decode_architecture, one_head
from checker.model.weights import read_weights
from tests.support.any_case import Case, any_case, certificate
from tests.support.any_model import (
    LEGACY,
    Architecture,
    any_model_bytes,
    architecture,
    axes_of,
    canonical,
    legacy_architecture,
    zeros,
)
from tests.support.checking import outcome
from tests.support.tiny import model_bytes, near_correct

SIZES = {
    "d_vocab": 2,
    "d_model": 3,
    "n_ctx": 2,
    "n_heads": 2,
    "d_head": 1,
    "d_mlp": 4,
    "d_readout_0": 2,
    "d_readout_1": 3,
    "d_vocab_out": 5,
}
FULL = architecture(
    blocks=2, heads=2, activation="silu", normalization="LN", norms=["pre", "final"], eps="1/100000", readout_layers=2
)


def code(data: bytes) -> tuple[str, str]:
    """With which code and where a model file is refused."""
    with pytest.raises(Malformed) as refused:
        read_weights(data)
    return refused.value.code, refused.value.path


@pytest.mark.parametrize("seed", range(60))
def test_files_of_every_architecture_are_read(seed: int) -> None:
    case = any_case(seed)
    weights = read_weights(case.data)
    assert weights.sizes == case.sizes
    assert set(weights.tensors) == set(axes_of(case.architecture))


def test_a_file_without_the_entry_is_one_block_with_one_head() -> None:
    """Whatever other metadata it has; the same tensors with the entry are the same function."""
    tensors = near_correct(np.random.default_rng(0), 3, 2)
    problem = {"inputs": [{"tokens": "0-2"}] * 2, "label": {"name": "max"}}
    plain = read_weights(any_model_bytes(tensors, None, metadata={"format": "pt", "architectures": "[]"}))
    assert plain.architecture == read_weights(model_bytes(tensors)).architecture
    described = Case(tensors, legacy_architecture(tensors), problem)
    assert read_weights(described.data).architecture == plain.architecture
    assert described.oracle.regions(problem) == Case(tensors, None, problem).oracle.regions(problem)


def changed(**fields: Any) -> str:
    """The text of the full architecture with these fields instead; ... leaves one out."""
    return canonical({name: value for name, value in (FULL | fields).items() if value is not ...})


def reordered(text: str) -> str:
    """The same object, its last field first."""
    return json.dumps(dict(reversed(json.loads(text).items())), separators=(",", ":"))


REFUSED: dict[str, tuple[str, str]] = {
    "": ("not-json", "__metadata__.architecture.line 1 column 1 of the JSON text"),
    "[]": ("wrong-type", "__metadata__.architecture"),
    "null": ("wrong-type", "__metadata__.architecture"),
    "[" * 100_000: ("not-json", "__metadata__.architecture"),
    canonical(FULL) + " ": ("not-canonical", "__metadata__.architecture"),
    json.dumps(FULL, sort_keys=True): ("not-canonical", "__metadata__.architecture"),
    json.dumps(FULL, separators=(",", ":")): ("not-canonical", "__metadata__.architecture"),
    canonical(FULL).replace("silu", "\\u0073ilu"): ("not-canonical", "__metadata__.architecture"),
    canonical(FULL).replace('"blocks":2', '"blocks":2,"blocks":2'): ("duplicate-key", "__metadata__.architecture"),
    canonical(FULL).replace('"blocks":2', '"blocks":2.0'): ("not-an-integer", "__metadata__.architecture"),
    canonical(FULL).replace('"blocks":2', '"blocks":2e0'): ("not-an-integer", "__metadata__.architecture"),
    changed(pool=...): ("missing-field", "__metadata__.architecture"),
    changed(rotary=True): ("unknown-field", "__metadata__.architecture"),
    changed(blocks=-1): ("out-of-range", "__metadata__.architecture.blocks"),
    changed(blocks=65): ("out-of-range", "__metadata__.architecture.blocks"),
    changed(blocks=True): ("wrong-type", "__metadata__.architecture.blocks"),
    changed(blocks="2"): ("wrong-type", "__metadata__.architecture.blocks"),
    changed(heads=0): ("out-of-range", "__metadata__.architecture.heads"),
    changed(heads=1025): ("out-of-range", "__metadata__.architecture.heads"),
    changed(mask="prefix"): ("unsupported", "__metadata__.architecture.mask"),
    changed(mask=None): ("wrong-type", "__metadata__.architecture.mask"),
    changed(attn_scale_squared="0"): ("out-of-range", "__metadata__.architecture.attn_scale_squared"),
    changed(attn_scale_squared="2/4"): ("bad-fraction", "__metadata__.architecture.attn_scale_squared"),
    changed(attn_scale_squared="-1"): ("bad-fraction", "__metadata__.architecture.attn_scale_squared"),
    changed(attn_scale_squared=16): ("wrong-type", "__metadata__.architecture.attn_scale_squared"),
    changed(attn_scale_squared="1" * 1001): ("bad-fraction", "__metadata__.architecture.attn_scale_squared"),
    changed(activation="gelu"): ("unsupported", "__metadata__.architecture.activation"),
    changed(normalization="RMS"): ("unsupported", "__metadata__.architecture.normalization"),
    changed(normalization="none"): ("unsupported", "__metadata__.architecture.norms"),
    changed(normalization="none", norms=[]): ("unsupported", "__metadata__.architecture.eps"),
    changed(norms=[]): ("unsupported", "__metadata__.architecture.norms"),
    changed(norms=["final", "pre"]): ("unsupported", "__metadata__.architecture.norms"),
    changed(norms=["pre", "post"]): ("unsupported", "__metadata__.architecture.norms"),
    changed(norms=["pre", "pre"]): ("unsupported", "__metadata__.architecture.norms"),
    changed(norms=["middle"]): ("unsupported", "__metadata__.architecture.norms[0]"),
    changed(norms="pre"): ("wrong-type", "__metadata__.architecture.norms"),
    changed(eps="1e-5"): ("bad-fraction", "__metadata__.architecture.eps"),
    changed(eps="-1"): ("bad-fraction", "__metadata__.architecture.eps"),
    changed(pool="max"): ("unsupported", "__metadata__.architecture.pool"),
    changed(readout_layers=17): ("out-of-range", "__metadata__.architecture.readout_layers"),
    changed(readout_layers=-1): ("out-of-range", "__metadata__.architecture.readout_layers"),
}


def test_what_a_file_without_an_architecture_stands_for() -> None:
    eps, scale = (0, 1), (5, 1)
    assert one_head(5) == Parts("none", scale, 1, eps, 1, "causal", "none", (), "none", 0)


def test_limits_are_accepted() -> None:
    for name, limits in {"blocks": (0, 64), "heads": (1, 1024), "readout_layers": (0, 16)}.items():
        for limit in limits:
            assert getattr(decode_architecture(changed(**{name: limit})), name) == limit
    for fields in ({"norms": ["pre"]}, {"norms": ["post", "final"]}, {"norms": ["post"]}, {"norms": ["final"]}):
        assert decode_architecture(changed(**fields)).norms == tuple(fields["norms"])
    assert decode_architecture(changed(normalization="none", norms=[], eps="0")).eps == (0, 1)
    assert decode_architecture(changed(eps="0")).eps == (0, 1)


@pytest.mark.parametrize("text", REFUSED, ids=[f"{code} {number}" for number, (code, _) in enumerate(REFUSED.values())])
def test_refused_by_reason(text: str) -> None:
    found, path = code(any_model_bytes(zeros(FULL, SIZES), text))
    assert found == REFUSED[text][0]
    assert path.startswith(REFUSED[text][1])


@pytest.mark.parametrize("change", [lambda text: f" {text}", lambda text: text.replace(":", ": ", 1), reordered])
def test_one_architecture_has_one_text(change: Callable[[str], str]) -> None:
    """The verdict says the architecture by its text; and the digest of the file is of one text only."""
    tensors = zeros(FULL, SIZES)
    assert read_weights(any_model_bytes(tensors, canonical(FULL))).entry == canonical(FULL)
    assert code(any_model_bytes(tensors, change(canonical(FULL)))) == ("not-canonical", "__metadata__.architecture")


def test_the_entry_is_a_string() -> None:
    tensors = zeros(FULL, SIZES)
    assert code(any_model_bytes(tensors, None, metadata={"architecture": FULL})) == ("wrong-type", "__metadata__")


@pytest.mark.parametrize("name", axes_of(FULL))
def test_every_tensor_is_needed(name: str) -> None:
    tensors = zeros(FULL, SIZES)
    del tensors[name]
    assert code(any_model_bytes(tensors, FULL)) == ("missing-field", "tensors")


@pytest.mark.parametrize(
    "fields",
    [
        {"activation": "none"},
        {"normalization": "LNPre"},
        {"norms": ["pre"]},
        {"norms": ["final"]},
        {"blocks": 1},
        {"readout_layers": 1},
    ],
)
def test_no_tensor_is_left_over(fields: Architecture) -> None:
    """Those of the full architecture, for one that has fewer."""
    assert code(any_model_bytes(zeros(FULL, SIZES), FULL | fields)) == ("unknown-field", "tensors")


def test_heads_are_those_of_the_tensors() -> None:
    assert code(any_model_bytes(zeros(FULL, SIZES), FULL | {"heads": 3}))[0] == "bad-shape"
    without = {name: array for name, array in zeros(FULL, SIZES).items() if ".attn." not in name}
    assert code(any_model_bytes(without, FULL)) == ("missing-field", "tensors")


@pytest.mark.parametrize("name", ["blocks.1.attn.W_Q", "blocks.1.mlp.b_in", "readout.1.W", "unembed.W_U", "ln_final.w"])
def test_sizes_agree(name: str) -> None:
    tensors = zeros(FULL, SIZES)
    tensors[name] = np.concatenate([tensors[name], tensors[name]], axis=-1)
    assert code(any_model_bytes(tensors, FULL))[0] == "bad-shape"


def test_several_heads_without_the_entry_are_refused() -> None:
    tensors = zeros(architecture(heads=2), SIZES | {"d_vocab_out": 2})
    assert code(any_model_bytes(tensors, None))[0] == "bad-shape"


@pytest.mark.parametrize(
    ("fields", "brief"),
    [
        ({"heads": 4}, "1L4H-attn-only"),
        ({"blocks": 2, "heads": 2, "activation": "relu", "pool": "sum"}, "2L2H-relu-sum"),
        ({"heads": 2, "normalization": "LN", "norms": ["pre", "final"], "eps": "1"}, "1L2H-attn-only-LN"),
        ({"blocks": 0, "normalization": "LNPre", "norms": ["final"]}, "0L1H-attn-only-LNPre"),
        (
            {"activation": "gelu_erf", "normalization": "LN", "norms": ["post"], "mask": "full", "pool": "mean"},
            "1L1H-gelu_erf-postLN-full-mean",
        ),
        ({"normalization": "LNPre", "norms": ["post", "final"]}, "1L1H-attn-only-postLNPre"),
    ],
)
def test_brief(fields: Architecture, brief: str) -> None:
    assert decode_architecture(canonical(LEGACY | fields)).brief == brief


def test_old_rules_are_refused_for_a_described_model(tmp_path: Path) -> None:
    """Even where it is the one head of an old file; the same certificate about an old file is accepted."""
    tensors = near_correct(np.random.default_rng(0), 3, 2)
    task = {"name": "max-of-k", "k": 2}
    step = {
        "rule": "enumerate_sequences",
        "premises": [],
        "args": {"exponent": -40, "bits": 40},
        "conclusion": {"counts": [[m, 1 << q, 3 if q == m else 1, 0, 0] for m in range(3) for q in range(m + 1)]},
    }
    total = {"rule": "total", "premises": [0], "args": {}, "conclusion": {"correct": 0, "wrong": 0}}
    for entry in (None, legacy_architecture(tensors)):
        case = Case(tensors, entry, {"inputs": [{"tokens": "0-2"}] * 2, "label": {"name": "max"}})
        statement = certificate(case, [8], [], task=task, steps=[step, total])
        result = outcome(case.write(tmp_path / "model.safetensors"), statement)
        if entry is None:
            assert isinstance(result, Verdict), str(result)
        else:
            assert isinstance(result, Rejected)
            assert (result.code, result.path) == ("wrong-problem", "predicate.steps[0].rule")
