"""The canonical model file: exact values, exact digests, and a refusal for every deviation."""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from certgen.errors import UserError
from certgen.files import write_atomically
from certgen.models.model_file import TENSOR_SHAPES, StoredTensor, decode_tensor, load_model, save_model
from checker.decode import MAX_DIGITS
from checker.errors import Malformed
from checker.model.weights import MAX_HEADER_BYTES, read_weights

SIZES = {"1": 1, "d_vocab": 5, "d_model": 3, "d_head": 2, "n_ctx": 4}


def random_tensors(dtype: Any = np.float32) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=[SIZES[axis] for axis in axes]).astype(dtype) for name, axes in TENSOR_SHAPES.items()}


def safetensors_bytes(entries: list[tuple[str, str, list[int], bytes]], gap: int = 0) -> bytes:
    """A file written by hand, so that it can be wrong: `entries` are (name, dtype, shape, data)."""
    header, data = [], b""
    for name, dtype, shape, content in entries:
        offsets = [len(data), len(data) + len(content)]
        fields = json.dumps({"dtype": dtype, "shape": shape, "data_offsets": offsets})
        header.append(f"{json.dumps(name)}: {fields}")
        data += content + b"\0" * gap
    text = ("{" + ", ".join(header) + "}").encode()
    return len(text).to_bytes(8, "little") + text + data


def model_entries() -> list[tuple[str, str, list[int], bytes]]:
    return [(name, "F32", list(array.shape), array.tobytes()) for name, array in random_tensors().items()]


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_values_sizes_and_digests_survive_the_file(tmp_path: Path, dtype: Any) -> None:
    path = tmp_path / "model.safetensors"
    tensors = random_tensors(dtype)
    save_model(path, tensors)
    model = load_model(path)

    assert (model.d_vocab, model.d_model, model.d_head, model.n_ctx) == (5, 3, 2, 4)
    for name, tensor in tensors.items():
        loaded = getattr(model, name.rpartition(".")[2])
        assert loaded.dtype == np.float64
        assert np.array_equal(loaded, tensor[0] if TENSOR_SHAPES[name][0] == "1" else tensor)
        assert model.tensor_sha256[name] == hashlib.sha256(tensor.tobytes()).hexdigest()
    assert model.path == path
    assert model.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert model.W_O.shape == (2, 3) and model.b_Q.shape == (2,) and model.b_O.shape == (3,)


def test_dtypes_may_be_mixed_and_arrays_need_not_be_contiguous(tmp_path: Path) -> None:
    tensors = random_tensors(np.float16)
    tensors["unembed.W_U"] = np.asfortranarray(random_tensors(np.float64)["unembed.W_U"])
    save_model(tmp_path / "model.safetensors", tensors)
    model = load_model(tmp_path / "model.safetensors")
    assert np.array_equal(model.W_U, tensors["unembed.W_U"])
    assert np.array_equal(model.W_E, tensors["embed.W_E"])


def test_every_bfloat16_decodes_to_the_number_it_is() -> None:
    import torch

    patterns = np.arange(2**16, dtype="<u2")
    decoded = decode_tensor("W", StoredTensor("BF16", (2**16,), patterns.tobytes()))
    expected = torch.from_numpy(patterns.view(np.int16)).view(torch.bfloat16).float().numpy()
    assert np.array_equal(decoded, expected, equal_nan=True)


def test_a_bfloat16_model_loads_and_its_digest_is_of_the_stored_bytes(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    entries = [
        (name, "BF16", [SIZES[axis] for axis in axes], b"\xc0\xbf" * int(np.prod([SIZES[axis] for axis in axes])))
        for name, axes in TENSOR_SHAPES.items()
    ]
    path.write_bytes(safetensors_bytes(entries))
    model = load_model(path)
    assert (model.W_Q == -1.5).all()
    assert model.tensor_sha256["blocks.0.attn.b_Q"] == hashlib.sha256(b"\xc0\xbf" * 2).hexdigest()


def test_weights_cannot_be_changed_by_accident(tmp_path: Path) -> None:
    save_model(tmp_path / "model.safetensors", random_tensors())
    model = load_model(tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="read-only"):
        model.W_Q[0, 0] = 1.0


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("embed.W_E", np.zeros(5), "embed.W_E has shape .*d_vocab, d_model"),
        ("embed.W_E", np.zeros((0, 3)), "embed.W_E .* empty"),
        ("embed.W_E", np.zeros((5, 3), dtype=np.int64), "embed.W_E has dtype int64"),
        ("pos_embed.W_pos", np.zeros((4, 2)), r"pos_embed.W_pos .* expected .* = \[4, 3\]"),
        ("blocks.0.attn.W_Q", np.zeros((2, 3, 2)), r"blocks.0.attn.W_Q .* expected .* = \[1, 3, "),
        ("blocks.0.attn.W_K", np.zeros((1, 3, 3)), r"blocks.0.attn.W_K .* = \[1, 3, 2\]"),
        ("blocks.0.attn.W_O", np.zeros((1, 3, 2)), r"blocks.0.attn.W_O .* = \[1, 2, 3\]"),
        ("blocks.0.attn.b_V", np.zeros(2), "blocks.0.attn.b_V has shape"),
        ("unembed.W_U", np.zeros((3, 6)), "unembed.W_U .*\n.*one logit per token"),
        ("unembed.b_U", np.zeros(4), "unembed.b_U has shape"),
        ("unembed.b_U", np.array([0, 1, np.nan, 2, 3]), r"unembed.b_U is not finite: nan at \[2\]"),
        ("blocks.0.attn.W_V", np.full((1, 3, 2), -np.inf), "blocks.0.attn.W_V is not finite: -inf"),
        ("blocks.0.attn.W_Z", np.zeros(1), "blocks.0.attn.W_Z is not part"),
    ],
)
def test_a_deviating_tensor_is_named_on_saving_and_on_loading(
    tmp_path: Path, name: str, value: np.ndarray, reason: str
) -> None:
    import safetensors.numpy

    path = tmp_path / "model.safetensors"
    tensors = {**random_tensors(), name: value}
    with pytest.raises(UserError, match=reason):
        save_model(path, tensors)
    assert not path.exists()
    path.write_bytes(safetensors.numpy.save(tensors))
    with pytest.raises(UserError, match=reason.replace("dtype int64", "dtype I64")):
        load_model(path)


@pytest.mark.parametrize("name", TENSOR_SHAPES)
def test_a_missing_tensor_is_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(safetensors_bytes([entry for entry in model_entries() if entry[0] != name]))
    with pytest.raises(UserError, match=f"{name} is missing"):
        load_model(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"\xff" * 8, "header"),
        (b"PK\x03\x04 is another kind of file", "header"),
        (safetensors_bytes(model_entries())[:-1], "not well-formed|not fully covered|not a well-formed"),
        (safetensors_bytes(model_entries()) + b"\0", "not fully covered"),
        (safetensors_bytes(model_entries(), gap=4), "not a well-formed"),
        (safetensors_bytes([("embed.W_E", "F32", [2, 2], b"\0" * 4)]), "not a well-formed"),
        (safetensors_bytes([("embed.W_E", "F8_E4M3", [1], b"\0")]), "embed.W_E has dtype F8_E4M3"),
    ],
)
def test_a_malformed_file_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(UserError, match=reason):
        load_model(path)


def test_two_tensors_of_one_name_are_refused(tmp_path: Path) -> None:
    content = safetensors_bytes(model_entries())
    size = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + size]
    twice = header[:-1] + b", " + header[1:]
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(twice).to_bytes(8, "little") + twice + content[8 + size :])
    with pytest.raises(UserError, match=r"embed\.W_E occurs more than once"):
        load_model(path)


def test_a_path_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.safetensors", tmp_path):
        with pytest.raises(UserError, match=f"cannot read {path}"):
            load_model(path)


@pytest.mark.parametrize("failing", ["fsync", "replace"])
@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failed_write_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str, failure: BaseException
) -> None:
    def fail(*_: object) -> None:
        raise failure

    path = tmp_path / "model.safetensors"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, failing, fail)
    expected = UserError if isinstance(failure, OSError) else KeyboardInterrupt
    with pytest.raises(expected) as raised:
        write_atomically(path, b"new")
    assert expected is KeyboardInterrupt or f"cannot write {path}: No space left on device" in str(raised.value)
    assert os.listdir(tmp_path) == ["model.safetensors"]
    assert path.read_bytes() == b"old"


def test_a_write_replaces_the_whole_file_and_leaves_no_other(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"a longer old content")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["model.safetensors"]


def test_a_path_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    for path in (tmp_path / "absent" / "file", tmp_path / "directory"):
        with pytest.raises(UserError, match=f"cannot write {path}"):
            write_atomically(path, b"new")
    assert os.listdir(tmp_path) == ["directory"]


# What check-cert refuses


def with_header(change: Callable[[str], str]) -> bytes:
    """The model file with another header."""
    content = safetensors_bytes(model_entries())
    size = int.from_bytes(content[:8], "little")
    header = change(content[8 : 8 + size].decode()).encode()
    return len(header).to_bytes(8, "little") + header + content[8 + size :]


def metadata(text: str) -> bytes:
    return with_header(lambda header: '{"__metadata__": ' + text + ", " + header[1:])


HEADERS = {
    "space before": with_header(lambda header: " " + header),
    "newline before": with_header(lambda header: "\n" + header),
    "byte order mark": with_header(lambda header: "\ufeff" + header),
    "another field": with_header(lambda header: header.replace('{"dtype"', '{"strides": [], "dtype"', 1)),
    "a field twice": with_header(lambda header: header.replace('{"dtype"', '{"dtype": "F16", "dtype"', 1)),
    "null": metadata("null"),
    "a list": metadata("[]"),
    "a number": metadata('{"a": 1}'),
    "an object": metadata('{"a": {"b": "c"}}'),
    "a null": metadata('{"a": null}'),
    "a key twice": metadata('{"a": "1", "a": "2"}'),
    "metadata twice": metadata('{}, "__metadata__": {}'),
    "a fraction": with_header(lambda header: header.replace("[0,", "[0.0,", 1)),
    "minus zero": with_header(lambda header: header.replace("[0,", "[-0,", 1)),
    "an exponent": with_header(lambda header: header.replace("[0,", "[0e0,", 1)),
    "true": with_header(lambda header: header.replace("[0,", "[false,", 1)),
    "a long number": with_header(lambda header: header.replace("[0,", f"[{'1' * 5000},", 1)),
    "text for a size": with_header(lambda header: header.replace("[5, 3]", '["5", 3]', 1)),
    "a header too long": metadata(json.dumps({"a": "x" * (1 << 20)})),
}


@pytest.mark.parametrize("name", HEADERS)
def test_what_check_cert_refuses_is_refused_before_any_work(tmp_path: Path, name: str) -> None:
    with pytest.raises(Malformed):
        read_weights(HEADERS[name])
    path = tmp_path / "model.safetensors"
    path.write_bytes(HEADERS[name])
    with pytest.raises(UserError):
        load_model(path)


PIECES = ["{", "}", "[", "]", ",", ":", '"', " ", "\n", "null", "true", "-0", "1.0", "1e3", '"x":1,', "\\u0000", "é"]


@settings(max_examples=100, derandomize=True, database=None, deadline=None)
@given(place=st.integers(0, 10**6), removed=st.integers(0, 3), piece=st.sampled_from(PIECES) | st.text(max_size=2))
def test_a_changed_header_is_refused_by_both_sides_or_by_none(place: int, removed: int, piece: str) -> None:
    def change(header: str) -> str:
        at = place % (len(header) + 1)
        return header[:at] + piece + header[at + removed :]

    try:
        data = metadata('{"format": "pt"}') if place % 2 else with_header(lambda header: header)
        size = int.from_bytes(data[:8], "little")
        header = change(data[8 : 8 + size].decode()).encode()
    except UnicodeEncodeError:
        return
    data = len(header).to_bytes(8, "little") + header + data[8 + size :]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.safetensors"
        path.write_bytes(data)
        try:
            load_model(path)
        except UserError:
            return
    read_weights(data)


def test_a_file_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from certgen.models import model_file as canonical

    path = tmp_path / "model.safetensors"
    save_model(path, random_tensors())
    monkeypatch.setattr(canonical, "MAX_MODEL_BYTES", path.stat().st_size - 1)
    with pytest.raises(UserError, match="more than"):
        load_model(path)
    assert (canonical.MAX_HEADER_BYTES, canonical.MAX_DIGITS) == (MAX_HEADER_BYTES, MAX_DIGITS)
