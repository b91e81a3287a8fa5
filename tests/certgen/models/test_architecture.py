"""The architecture: one text for each, a refusal for every contradiction, and the tensors that it has."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from certgen.errors import UserError
from certgen.models.architecture import Architecture
from certgen.models.circuits import Circuits
from certgen.models.model_file import TENSOR_SHAPES, Model, load_model, model_bytes, parse_model, save_model
from checker.errors import Malformed
from checker.model.architecture import Architecture as CheckersArchitecture
from checker.model.architecture import decode_architecture, tensor_axes

SIZES = {"d_vocab": 5, "d_model": 4, "d_head": 2, "n_ctx": 3, "n_heads": 2, "d_mlp": 6, "d_vocab_out": 7}
DEFAULT = Architecture.default(2)


def architecture(**changed: Any) -> Architecture:
    return Architecture.model_validate(DEFAULT.model_dump() | changed)


def zeros(of: Architecture, **changed: int) -> dict[str, np.ndarray]:
    sizes = SIZES | {"n_heads": of.heads} | changed
    return {name: np.zeros([sizes.get(axis, 8) for axis in axes]) for name, axes in of.tensor_shapes().items()}


@st.composite
def architectures(draw: st.DrawFn) -> Architecture:
    normalization = draw(st.sampled_from(["none", "LN", "LNPre"]))
    norms = draw(st.sampled_from([["pre"], ["post"], ["final"], ["pre", "final"], ["post", "final"]]))
    return architecture(
        blocks=draw(st.integers(0, 3)),
        heads=draw(st.integers(1, 3)),
        mask=draw(st.sampled_from(["causal", "full"])),
        attn_scale_squared=draw(st.sampled_from(["1", "2", "1/3"])),
        activation=draw(st.sampled_from(["none", "relu", "silu", "gelu_tanh", "gelu_erf"])),
        normalization=normalization,
        norms=[] if normalization == "none" else norms,
        eps="0" if normalization == "none" else "1/100000",
        pool=draw(st.sampled_from(["none", "sum", "mean"])),
        readout_layers=draw(st.integers(0, 2)),
    )


def test_the_text_is_canonical_json() -> None:
    expected = (
        '{"activation":"none","attn_scale_squared":"2","blocks":1,"eps":"0","heads":1,"mask":"causal",'
        '"normalization":"none","norms":[],"pool":"none","readout_layers":0}'
    )
    assert DEFAULT.canonical() == expected
    assert Architecture.parse(expected) == DEFAULT


@settings(max_examples=60, derandomize=True, database=None, deadline=None)
@given(found=architectures(), d_vocab_out=st.sampled_from([5, 7]))
def test_every_architecture_survives_the_file(found: Architecture, d_vocab_out: int) -> None:
    tensors = zeros(found, d_vocab_out=d_vocab_out)
    content = model_bytes(tensors, found)
    model = parse_model(content, "m.safetensors")
    assert model.architecture == found
    assert Architecture.parse(found.canonical()) == found
    assert model.is_default == (found == DEFAULT and d_vocab_out == 5)
    assert (b"architecture" in content) != model.is_default
    assert {name: array.shape for name, array in model.tensors.items()} == {
        name: array.shape for name, array in tensors.items()
    }
    assert model.d_vocab_out == d_vocab_out
    if not model.is_default:
        axes = {axis for each in found.tensor_shapes().values() for axis in each}
        assert model.sizes.keys() == axes
        assert all(
            model.sizes[axis] == (SIZES | {"n_heads": found.heads} | {"d_vocab_out": d_vocab_out}).get(axis, 8)
            for axis in axes
        )


def test_the_default_is_a_file_as_it_always_was(tmp_path: Path) -> None:
    tensors = zeros(DEFAULT, d_vocab_out=5)
    assert model_bytes(tensors, DEFAULT) == model_bytes(tensors)
    save_model(tmp_path / "m.safetensors", tensors)
    model = load_model(tmp_path / "m.safetensors")
    assert model.architecture == DEFAULT and model.is_default
    assert dict(model.sizes) == {"d_vocab": 5, "d_model": 4, "d_head": 2, "n_ctx": 3}
    assert Circuits(model, Fraction(0)).v == 5
    assert model.tensors.keys() == TENSOR_SHAPES.keys() == DEFAULT.tensor_shapes().keys()


@pytest.mark.parametrize(
    ("changed", "brief"),
    [
        ({}, "1L1H-attn-only"),
        ({"heads": 4}, "1L4H-attn-only"),
        ({"blocks": 2, "heads": 2, "activation": "relu", "pool": "sum"}, "2L2H-relu-sum"),
        ({"heads": 2, "normalization": "LN", "norms": ["pre", "final"], "eps": "1/100000"}, "1L2H-attn-only-LN"),
        ({"normalization": "LNPre", "norms": ["final"]}, "1L1H-attn-only-LNPre"),
        ({"normalization": "LN", "norms": ["post"], "mask": "full", "pool": "mean"}, "1L1H-attn-only-postLN-full-mean"),
        ({"normalization": "LNPre", "norms": ["post", "final"], "activation": "silu"}, "1L1H-silu-postLNPre"),
        ({"blocks": 0, "activation": "gelu_erf"}, "0L1H-gelu_erf"),
    ],
)
def test_the_brief_name(changed: dict[str, Any], brief: str) -> None:
    assert architecture(**changed).brief == brief


@pytest.mark.parametrize(
    "changed",
    [
        {"blocks": 65}, {"blocks": -1}, {"blocks": True}, {"blocks": 1.0}, {"blocks": "1"}, {"heads": 0},
        {"heads": 1025}, {"mask": "local"}, {"attn_scale_squared": "0"}, {"attn_scale_squared": "2/4"},
        {"attn_scale_squared": "2/1"}, {"attn_scale_squared": "02"}, {"attn_scale_squared": "1/0"},
        {"attn_scale_squared": "-1"}, {"attn_scale_squared": "1.5"}, {"attn_scale_squared": 2},
        {"attn_scale_squared": "1" * 1001}, {"activation": "tanh"}, {"normalization": "RMS"},
        {"normalization": "LN"}, {"norms": ["pre"]}, {"eps": "1/8"},
        {"normalization": "LN", "norms": ["pre", "post"]}, {"normalization": "LN", "norms": ["final", "pre"]},
        {"normalization": "LN", "norms": ["pre", "pre"]}, {"normalization": "LN", "norms": ["middle"]},
        {"pool": "max"}, {"readout_layers": 17}, {"another": 1},
    ],
)  # fmt: skip
def test_what_is_out_of_range_or_contradicts_itself_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        architecture(**changed)
    text = json.dumps(DEFAULT.model_dump(mode="json") | changed, sort_keys=True, separators=(",", ":"))
    with pytest.raises(ValueError):
        Architecture.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "null", "[]", "{}", DEFAULT.canonical() + " ", DEFAULT.canonical().replace(":", ": "),
        json.dumps(DEFAULT.model_dump(mode="json"), separators=(",", ":")),
        DEFAULT.canonical()[:-1] + ',"readout_layers":0}', DEFAULT.canonical().replace("none", "n\\u006fne"),
        DEFAULT.canonical().replace('"blocks":1', '"blocks":1.0'), "[" * 100_000, '"\\ud800"', "\ud800",
    ],
)  # fmt: skip
def test_a_text_that_is_not_canonical_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Architecture.parse(text)


def fields(read: CheckersArchitecture) -> dict[str, object]:
    """The fields as the generator has them, fractions as text."""
    exact = {name: str(Fraction(*getattr(read, name))) for name in ("attn_scale_squared", "eps")}
    return read._asdict() | exact


@settings(max_examples=60, derandomize=True, database=None, deadline=None)
@given(found=architectures())
def test_the_checker_reads_the_same_architecture_and_wants_the_same_tensors(found: Architecture) -> None:
    read = decode_architecture(found.canonical())
    assert fields(read) == found.model_dump()
    assert read.brief == found.brief
    assert tensor_axes(read) == found.tensor_shapes()


PIECES = ["", "0", "1", "2", "/", "-", '"', ",", " ", "none", "LN", "LNPre", '"pre"', '"post"', "[]", "true", "1.0"]


@settings(max_examples=300, derandomize=True, database=None, deadline=None)
@given(found=architectures(), at=st.integers(0, 300), removed=st.integers(0, 5), piece=st.sampled_from(PIECES))
def test_a_changed_text_is_refused_by_both_sides_or_by_none(
    found: Architecture, at: int, removed: int, piece: str
) -> None:
    text = found.canonical()
    at %= len(text)
    changed = text[:at] + piece + text[at + removed :]
    try:
        read = Architecture.parse(changed)
    except ValueError:
        with pytest.raises(Malformed):
            decode_architecture(changed)
    else:
        assert fields(decode_architecture(changed)) == read.model_dump()


def file_with_entry(entry: str, tensors: dict[str, np.ndarray]) -> bytes:
    import safetensors.numpy

    return safetensors.numpy.save(tensors, metadata={"architecture": entry})


def loaded(entry: str, tensors: dict[str, np.ndarray]) -> Model:
    return parse_model(file_with_entry(entry, tensors), "m.safetensors")


TWO = architecture(heads=2, activation="relu", normalization="LN", norms=["pre"], eps="1/8")


@pytest.mark.parametrize(
    ("entry", "tensors", "reason"),
    [
        ("{}", zeros(TWO), "in its entry architecture: blocks: Field required"),
        (TWO.canonical().replace('"heads":2', '"heads":3'), zeros(TWO), r"W_Q .* expected .* = \[3, 4"),
        (TWO.canonical(), {**zeros(TWO), "blocks.0.ln3.w": np.zeros(4)}, "blocks.0.ln3.w is not part of one"),
        (TWO.canonical(), {**zeros(TWO), "blocks.0.ln2.w": np.zeros(3)}, r"blocks.0.ln2.w has shape \[3\]"),
        (TWO.canonical(), {**zeros(TWO), "blocks.0.mlp.W_out": np.zeros((5, 4))}, r"mlp.W_out .* = \[6, 4\]"),
        (TWO.canonical(), {**zeros(TWO), "unembed.b_U": np.full(7, np.inf)}, "unembed.b_U is not finite"),
        (TWO.canonical(), {k: v for k, v in zeros(TWO).items() if "b_in" not in k}, "blocks.0.mlp.b_in is missing"),
        (TWO.canonical(), {**zeros(TWO), "blocks.0.attn.b_O": np.zeros(4, dtype=np.int32)}, "dtype I32"),
    ],
)
def test_a_file_that_deviates_from_its_architecture_is_refused(
    entry: str, tensors: dict[str, np.ndarray], reason: str
) -> None:
    with pytest.raises(UserError, match=reason):
        loaded(entry, tensors)


def test_a_default_that_is_written_down_is_read_as_it_is() -> None:
    model = loaded(DEFAULT.canonical(), zeros(DEFAULT, d_vocab_out=5))
    assert model.architecture == DEFAULT and not model.is_default
    assert model.sizes.keys() == {"d_vocab", "d_model", "d_head", "n_ctx", "n_heads", "d_vocab_out"}


def test_the_compact_strategies_say_which_models_they_are_for() -> None:
    model = loaded(TWO.canonical(), zeros(TWO))
    with pytest.raises(UserError, match=r"1L2H-relu-LN.*one layer, one causal head, no MLP"):
        Circuits(model, Fraction(0))
    with pytest.raises(UserError, match="1L2H-relu-LN"):
        model.W_E.sum()
