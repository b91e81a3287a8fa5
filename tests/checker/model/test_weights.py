"""Model bytes: every float is decoded to the exact number, and no header can make the checker read other numbers."""

import hashlib
import json
import math
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from checker.arithmetic.matrices import Matrix
from checker.budget import number
from checker.errors import Malformed, Refusal, ResourceLimit
from checker.model.architecture import one_head, tensor_axes
from checker.model.weights import FORMATS, MAX_HEADER_BYTES, Weights, dyadic, read_weights
from tests.support.tiny import (
    AXES,
    Entry,
    encode,
    entries,
    model_bytes,
    near_correct,
    random_tensors,
    safetensors_bytes,
)

WIDTHS = {"F64": 64, "F32": 32, "F16": 16, "BF16": 16}


def value_of(bits: int, dtype: str) -> float:
    """The float with these bits, by struct."""
    if dtype == "BF16":
        return struct.unpack("<f", struct.pack("<I", bits << 16))[0]
    integer, code = {"F64": ("Q", "d"), "F32": ("I", "f"), "F16": ("H", "e")}[dtype]
    return struct.unpack(f"<{code}", struct.pack(f"<{integer}", bits))[0]


def decoded(words: list[int], dtype: str) -> list[Fraction]:
    raw = b"".join(bits.to_bytes(WIDTHS[dtype] // 8, "little") for bits in words)
    integers, exponent = dyadic(raw, FORMATS[dtype], "x")
    return [integer * Fraction(2) ** exponent for integer in integers]


def code(data: bytes) -> str:
    """The error code of a model file that must be malformed, not merely refused."""
    with pytest.raises(Refusal) as caught:
        read_weights(data)
    assert type(caught.value) is Malformed
    assert caught.value.exit_code == 3
    return caught.value.code


def tensors() -> dict[str, np.ndarray]:
    return random_tensors(np.random.default_rng(0), v=3, k=2, d=2, h=2)


def items(change: Callable[[list[Entry]], Any] | None = None) -> list[Entry]:
    result = entries(tensors(), "F32")
    if change:
        change(result)
    return result


def lie(name: str, **fields: Any) -> bytes:
    """A model file whose header says something else about one tensor."""
    return safetensors_bytes([e._replace(fields=fields) if e.name == name else e for e in items()])


# Numbers


@pytest.mark.parametrize("dtype", FORMATS)
@given(data=st.data())
def test_every_finite_float_is_decoded_exactly(dtype: str, data: st.DataObject) -> None:
    words = data.draw(st.lists(st.integers(0, (1 << WIDTHS[dtype]) - 1), min_size=1, max_size=6))
    words = [word for word in words if math.isfinite(value_of(word, dtype))]
    assert decoded(words, dtype) == [Fraction(value_of(word, dtype)) for word in words]


@pytest.mark.parametrize("dtype", ["F16", "BF16"])
def test_every_16_bit_float(dtype: str) -> None:
    words = [word for word in range(1 << 16) if math.isfinite(value_of(word, dtype))]
    assert len(words) > 63_000
    assert decoded(words, dtype) == [Fraction(value_of(word, dtype)) for word in words]


@pytest.mark.parametrize("dtype", FORMATS)
def test_extremes(dtype: str) -> None:
    kind, width = FORMATS[dtype], WIDTHS[dtype]
    sign = 1 << width - 1
    largest = ((1 << kind.exponent_bits) - 1 << kind.significand_bits) - 1
    smallest_normal = 1 << kind.significand_bits
    words = [0, sign, 1, sign | 1, smallest_normal - 1, smallest_normal, largest, sign | largest]
    numbers = decoded(words, dtype)
    assert numbers == [Fraction(value_of(word, dtype)) for word in words]
    assert numbers[:2] == [0, 0]
    assert 0 < numbers[2] == -numbers[3] < numbers[4] < numbers[5] < numbers[6] == -numbers[7]
    assert decoded([0, sign], dtype) == [0, 0]


@pytest.mark.parametrize("dtype", FORMATS)
def test_nan_and_infinity_are_refused(dtype: str) -> None:
    kind, width = FORMATS[dtype], WIDTHS[dtype]
    infinity = (1 << kind.exponent_bits) - 1 << kind.significand_bits
    for bits in (infinity, infinity | 1 << width - 1, infinity | 1, (1 << width) - 1):
        assert not math.isfinite(value_of(bits, dtype))
        with pytest.raises(Malformed) as caught:
            decoded([0, bits], dtype)
        assert (caught.value.code, caught.value.path) == ("not-finite", "x[1]")

        def spoil(listed: list[Entry], bits: int = bits) -> None:
            raw = listed[-1].data[: -width // 8] + bits.to_bytes(width // 8, "little")
            listed[-1] = listed[-1]._replace(data=raw)

        listed = entries(tensors(), dtype)
        spoil(listed)
        assert code(safetensors_bytes(listed)) == "not-finite"


def test_numbers_have_room_or_are_refused() -> None:
    """Some hundred bytes for each before they are read; then as many as the longest takes, if all are as long."""
    raw = struct.pack("<3f", 1.0, 2.0**100, 0.0)
    assert dyadic(raw, FORMATS["F32"], "x", 3 * 110) == ([1 << 23, 1 << 123, 0], -23)
    with pytest.raises(ResourceLimit, match="bytes for weights"):
        dyadic(raw, FORMATS["F32"], "x", 3 * 110 - 1)
    many = struct.pack("<2d", 5e-324, 1e308)
    longest = 0x7FE - 1 + 52
    room = 2 * number(longest)
    assert dyadic(many, FORMATS["F64"], "x", room)[1] == -1074
    with pytest.raises(ResourceLimit, match=f"weights of {longest} bits"):
        dyadic(many, FORMATS["F64"], "x", room - 1)
    assert dyadic(bytes(8), FORMATS["F32"], "x") == ([0, 0], -149)


def test_all_weights_share_a_quarter_of_the_memory() -> None:
    """Each has what those before it have left."""
    same = {name: np.ones_like(x) for name, x in tensors().items()}
    for array in same.values():
        array.flat[0] = 0
    data = model_bytes(same, "F64")
    needed, taken = 0, 0
    for entry in entries(same, "F64"):
        needed = max(needed, taken + 110 * (len(entry.data) // 8))
        taken += number(53) * (len(entry.data) // 8)
    assert read_weights(data, memory=4 * needed)
    with pytest.raises(ResourceLimit, match="weights"):
        read_weights(data, memory=4 * needed - 1)


# Files


def floats(matrix: Matrix) -> list[list[Fraction]]:
    return [[x * Fraction(2) ** matrix.exponent for x in row] for row in matrix.rows]


@pytest.mark.parametrize("dtype", FORMATS)
def test_a_model_is_read_exactly(dtype: str) -> None:
    expected = near_correct(np.random.default_rng(5), v=3, k=2, h=4, biases=True)
    data = model_bytes(expected, dtype)
    weights = read_weights(data)
    assert weights.sizes == {"d_vocab": 3, "n_ctx": 2, "d_model": 4, "d_head": 4}
    assert (weights.entry, weights.architecture) == (None, one_head(4))
    assert weights.file_digest == hashlib.sha256(data).hexdigest()
    assert set(weights.tensors) == set(AXES)
    for name, array in expected.items():
        rows = np.atleast_2d(array[0] if array.ndim == 3 else array).tolist()
        assert floats(weights.tensors[name]) == [[Fraction(x) for x in row] for row in rows]
        assert weights.tensor_digests[name] == hashlib.sha256(encode(array, dtype)).hexdigest()


def test_dtypes_may_differ_between_tensors() -> None:
    dtypes = dict(zip(AXES, [*FORMATS] * 3, strict=True))
    expected = read_weights(model_bytes(tensors(), "F64"))
    mixed = read_weights(model_bytes(tensors(), dtypes))
    assert {name: floats(x) for name, x in mixed.tensors.items()} == {
        name: floats(x) for name, x in expected.tensors.items()
    }


def test_the_shipped_model_is_what_the_safetensors_library_reads(shipped: Path) -> None:
    data = shipped.read_bytes()
    weights: Weights = read_weights(data)
    library = safetensors.numpy.load(data)
    assert weights.sizes == {"d_vocab": 64, "n_ctx": 4, "d_model": 32, "d_head": 32}
    assert set(library) == set(weights.tensors) == set(tensor_axes(None))
    for name, array in library.items():
        assert [x for row in floats(weights.tensors[name]) for x in row] == [
            Fraction(x) for x in array.ravel().tolist()
        ]


def test_order_in_header_metadata_and_padding_do_not_matter() -> None:
    plain = read_weights(safetensors_bytes(items()))
    backwards = read_weights(safetensors_bytes(items(list.reverse), metadata={"format": "pt"}))
    assert backwards.tensor_digests == plain.tensor_digests
    assert backwards.tensors == plain.tensors
    text = safetensors_bytes(items())
    length = int.from_bytes(text[:8], "little")
    padded = struct.pack("<Q", length + 5) + text[8 : 8 + length] + b" " * 5 + text[8 + length :]
    assert read_weights(padded).tensors == plain.tensors


@pytest.mark.parametrize("metadata", [{"format": 1}, {"format": None}, {"a": {"b": "c"}}, {"a": ["b"]}])
def test_metadata_is_text(metadata: Any) -> None:
    assert code(safetensors_bytes(items(), metadata=metadata)) == "wrong-type"


@pytest.mark.parametrize("metadata", [[], "text", 1])
def test_metadata_is_an_object(metadata: Any) -> None:
    assert code(safetensors_bytes(items(), metadata=metadata)) == "wrong-type"


# Headers that lie


@pytest.mark.parametrize("count", [0, 1, 7])
def test_shorter_than_the_header_length(count: int) -> None:
    assert code(b"\0" * count) == "bad-safetensors"


def test_a_header_that_lies_about_its_length() -> None:
    data = safetensors_bytes(items())
    true = int.from_bytes(data[:8], "little")
    for length in (len(data) - 7, len(data), MAX_HEADER_BYTES + 1, 1 << 63, (1 << 64) - 1):
        assert code(safetensors_bytes(items(), header_length=length)) == "bad-safetensors"
    for length in (0, 1, true - 1, true + 1, true + 8):
        assert code(safetensors_bytes(items(), header_length=length)) in ("not-json", "bad-safetensors")


def test_a_header_has_at_most_2_to_the_20_bytes() -> None:
    assert MAX_HEADER_BYTES == 1 << 20
    plain = safetensors_bytes(items())
    text = plain[8 : 8 + int.from_bytes(plain[:8], "little")]
    assert read_weights(safetensors_bytes(items(), header=text.ljust(1 << 20))).sizes == read_weights(plain).sizes
    assert code(safetensors_bytes(items(), header=text.ljust((1 << 20) + 1))) == "bad-safetensors"


@pytest.mark.parametrize("start", [b" ", b"\n", b"[", b"\xef\xbb\xbf"])
def test_a_header_starts_with_a_brace(start: bytes) -> None:
    data = safetensors_bytes(items())
    header = start + data[8 : 8 + int.from_bytes(data[:8], "little")]
    assert code(safetensors_bytes(items(), header=header)) == "bad-safetensors"


@pytest.mark.parametrize(
    "header",
    [
        b'{"a":"\xff"}',
        b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"{" * 100_000,
        b"{}{}",
        b'{"a"}',
        b"{'a': 1}",
    ],
    ids=["not-utf-8", "deep-objects", "deep-lists", "braces", "two-values", "no-value", "single-quotes"],
)
def test_headers_that_are_not_json(header: bytes) -> None:
    assert code(safetensors_bytes([], header=header)) == "not-json"


@pytest.mark.parametrize("trailing", [b"\0", b"VERIFIED", bytes(4096)])
def test_bytes_after_the_last_tensor(trailing: bytes) -> None:
    assert code(safetensors_bytes(items(), trailing=trailing)) == "bad-safetensors"


def test_bytes_missing_at_the_end() -> None:
    data = safetensors_bytes(items())
    for count in (1, 4, 100):
        assert code(data[:-count]) == "bad-safetensors"


def test_an_empty_header_has_no_tensors() -> None:
    assert code(safetensors_bytes([])) == "missing-field"


@pytest.mark.parametrize("name", AXES)
def test_every_tensor_is_required(name: str) -> None:
    assert code(safetensors_bytes([entry for entry in items() if entry.name != name])) == "missing-field"


@pytest.mark.parametrize("name", ["blocks.1.attn.W_Q", "ln_final.w", "blocks.0.mlp.W_in", "VERIFIED", ""])
def test_other_tensors_are_refused(name: str) -> None:
    assert code(safetensors_bytes([*items(), Entry(name, "F32", [1], bytes(4))])) == "unknown-field"


@pytest.mark.parametrize("name", AXES)
def test_two_tensors_of_one_name(name: str) -> None:
    """The second would silently replace the first."""
    twin = next(entry for entry in items() if entry.name == name)
    assert code(safetensors_bytes([*items(), twin])) == "duplicate-key"


def test_duplicate_fields_of_a_tensor() -> None:
    data = safetensors_bytes(items())
    header = data[8 : 8 + int.from_bytes(data[:8], "little")].replace(b'"dtype"', b'"dtype": "F64", "dtype"', 1)
    assert code(safetensors_bytes(items(), header=header)) == "duplicate-key"


@pytest.mark.parametrize("offset", [True, False, "0", None, [0], {}])
def test_offsets_that_are_no_integers(offset: object) -> None:
    """In the first tensor, whose true offsets are 0 and 24: False and True are 0 and 1 to Python."""
    assert code(lie("embed.W_E", data_offsets=[offset, 24])) == "wrong-type"
    assert code(lie("embed.W_E", data_offsets=[0, offset])) == "wrong-type"


def test_offsets_that_lie() -> None:
    first, second = items()[:2]
    end = len(first.data)
    stop = end + len(second.data)
    lies = {
        "gap before the first": ("embed.W_E", [4, end + 4]),
        "negative": ("embed.W_E", [-4, end - 4]),
        "overlap": (second.name, [end - 4, stop - 4]),
        "the same bytes as another tensor": (second.name, [0, stop - end]),
        "gap": (second.name, [end + 4, stop + 4]),
        "too short": (second.name, [end, stop - 4]),
        "too long": (second.name, [end, stop + 4]),
        "backwards": (second.name, [stop, end]),
        "empty": (second.name, [end, end]),
        "beyond the file": ("unembed.b_U", [1 << 20, (1 << 20) + 12]),
        "huge": ("unembed.b_U", [10**3000, 10**3000 + 12]),
        "one offset": (second.name, [end]),
        "three offsets": (second.name, [end, stop, stop]),
        "no offsets": (second.name, []),
    }
    for what, (name, offsets) in lies.items():
        assert code(lie(name, data_offsets=offsets)) == "bad-offsets", what


def test_a_real_gap_and_a_real_overlap() -> None:
    """The data is there, the header is consistent with the file's length, but a hole or a double use remains."""
    listed = items()
    hole = b"".join(entry.data for entry in listed[:-1]) + bytes(8) + listed[-1].data
    start = len(hole) - len(listed[-1].data)
    gap = lie(listed[-1].name, data_offsets=[start, len(hole)])
    header = gap[8 : 8 + int.from_bytes(gap[:8], "little")]
    assert code(struct.pack("<Q", len(header)) + header + hole) == "bad-offsets"
    shared = [entry._replace(data=b"") if entry.name == "blocks.0.attn.b_K" else entry for entry in listed]
    used = next(i for i, entry in enumerate(shared) if entry.name == "blocks.0.attn.b_Q")
    begin = sum(len(entry.data) for entry in shared[:used])
    shared = [
        entry._replace(fields={"data_offsets": [begin, begin + 8]}) if entry.name == "blocks.0.attn.b_K" else entry
        for entry in shared
    ]
    assert code(safetensors_bytes(shared)) == "bad-offsets"


@pytest.mark.parametrize("dtype", ["F8_E4M3", "F8_E5M2", "I32", "U8", "BOOL", "f32", "F32 ", "C64", ""])
def test_other_dtypes_are_refused(dtype: str) -> None:
    assert code(lie("embed.W_E", dtype=dtype)) == "unsupported-dtype"


@pytest.mark.parametrize("dtype", [None, 32, ["F32"], {}, True])
def test_a_dtype_is_text(dtype: object) -> None:
    assert code(lie("embed.W_E", dtype=dtype)) == "wrong-type"


@pytest.mark.parametrize("dtype", ["F64", "F16", "BF16"])
def test_a_dtype_of_another_size(dtype: str) -> None:
    assert code(lie("embed.W_E", dtype=dtype)) == "bad-offsets"


def test_fields_of_a_tensor_are_exact() -> None:
    assert code(lie("embed.W_E", dtype=...)) == "missing-field"
    assert code(lie("embed.W_E", shape=...)) == "missing-field"
    assert code(lie("embed.W_E", data_offsets=...)) == "missing-field"
    assert code(lie("embed.W_E", strides=[1, 1])) == "unknown-field"
    header = json.dumps({name: [] for name in AXES}).encode()
    assert code(safetensors_bytes([], header=header)) == "wrong-type"


@pytest.mark.parametrize("shape", [[True, 6], ["3", 2], [None, 6], 6, "6", None, [[3, 2]]])
def test_a_shape_is_a_list_of_integers(shape: object) -> None:
    assert code(lie("embed.W_E", shape=shape)) == "wrong-type"


@pytest.mark.parametrize("shape", [[0, 2], [-3, -2], [3, 2, 0], [1 << 40, 2], [10**3000, 1]])
def test_extents_are_positive_and_bounded(shape: list[int]) -> None:
    assert code(lie("embed.W_E", shape=shape)) == "bad-shape"


def test_shapes_that_disagree() -> None:
    """Each tensor in turn gets one more, or one fewer, along each axis; also logits that are not one per token."""
    for name, axes in AXES.items():
        for axis, letter in enumerate(axes):
            for step in (1, -1):
                shape = list(tensors()[name].shape)
                shape[axis] += step
                changed = model_bytes({**tensors(), name: np.zeros(shape)}, "F32")
                if letter == "k":  # which only W_pos has: another number of positions is another model
                    assert read_weights(changed).sizes["n_ctx"] == shape[0]
                else:
                    assert code(changed) == "bad-shape", (name, axis, step)
    logits = {**tensors(), "unembed.W_U": np.zeros((2, 4)), "unembed.b_U": np.zeros(4)}
    assert code(model_bytes(logits)) == "bad-shape"


@pytest.mark.parametrize("name", AXES)
def test_axes_may_not_be_dropped_added_or_swapped(name: str) -> None:
    tensor = random_tensors(np.random.default_rng(0), v=3, k=2, d=4, h=5)
    for array in (tensor[name][None], tensor[name].reshape(-1), tensor[name].T, tensor[name][..., None]):
        if array.shape != tensor[name].shape:
            assert code(model_bytes({**tensor, name: array})) == "bad-shape"


@given(data=st.data())
def test_one_changed_byte_changes_one_tensor_or_is_refused(data: st.DataObject) -> None:
    original = model_bytes(tensors(), "F32")
    header = 8 + int.from_bytes(original[:8], "little")
    position = data.draw(st.one_of(st.integers(0, header - 1), st.integers(header, len(original) - 1)))
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != original[position]))
    changed = original[:position] + bytes([byte]) + original[position + 1 :]
    try:
        after = read_weights(changed)
    except Malformed as refusal:
        assert position < header or refusal.code == "not-finite"
        return
    before = read_weights(original)
    assert after.file_digest != before.file_digest
    differ = [name for name in AXES if after.tensor_digests[name] != before.tensor_digests[name]]
    assert len(differ) == (position >= header)
