"""The model file: strict safetensors bytes to digests and exact dyadic integers.

Every weight is a floating-point number, hence an integer times a power of two. A tensor becomes a matrix of integers
with one common exponent; nothing is rounded.
"""

import hashlib
import struct
from typing import NamedTuple

from checker.arithmetic.matrices import Matrix
from checker.decode import Integer, array, integer, load_json, record, text
from checker.errors import Malformed, show

MAX_MODEL_BYTES = 1 << 28
MAX_HEADER_BYTES = 1 << 20

# Tensor name -> its shape; "1" is the single head.
TENSORS = {
    "embed.W_E": ("d_vocab", "d_model"),
    "pos_embed.W_pos": ("n_ctx", "d_model"),
    "blocks.0.attn.W_Q": ("1", "d_model", "d_head"),
    "blocks.0.attn.W_K": ("1", "d_model", "d_head"),
    "blocks.0.attn.W_V": ("1", "d_model", "d_head"),
    "blocks.0.attn.W_O": ("1", "d_head", "d_model"),
    "blocks.0.attn.b_Q": ("1", "d_head"),
    "blocks.0.attn.b_K": ("1", "d_head"),
    "blocks.0.attn.b_V": ("1", "d_head"),
    "blocks.0.attn.b_O": ("d_model",),
    "unembed.W_U": ("d_model", "d_vocab"),
    "unembed.b_U": ("d_vocab",),
}


class Format(NamedTuple):
    """A binary floating-point format: struct code, bytes per number, bits of exponent and of stored significand."""

    code: str
    size: int
    exponent_bits: int
    significand_bits: int


FORMATS = {
    "F64": Format("Q", 8, 11, 52),
    "F32": Format("I", 4, 8, 23),
    "F16": Format("H", 2, 5, 10),
    "BF16": Format("H", 2, 8, 7),
}


class Weights(NamedTuple):
    """A model file: digests, sizes, and the tensors without the head axis (a vector is one row)."""

    file_digest: str
    tensor_digests: dict[str, str]
    sizes: dict[str, int]
    tensors: dict[str, Matrix]


def dyadic(raw: bytes, kind: Format, path: str) -> tuple[list[int], int]:
    """Little-endian floats as (integers, exponent): the i-th number is integers[i] * 2^exponent, exactly."""
    top = (1 << kind.exponent_bits) - 1
    parts = []
    for index, bits in enumerate(struct.unpack(f"<{len(raw) // kind.size}{kind.code}", raw)):
        biased = (bits >> kind.significand_bits) & top
        significand = bits & ((1 << kind.significand_bits) - 1)
        if biased == top:
            raise Malformed("not-finite", f"{path}[{index}]", "a finite number")
        if biased:
            significand |= 1 << kind.significand_bits
        sign = -1 if bits >> (kind.exponent_bits + kind.significand_bits) else 1
        parts.append((sign * significand, max(biased, 1)))  # subnormals share the smallest normal exponent
    lowest = min((biased for significand, biased in parts if significand), default=1)
    bias = (top >> 1) + kind.significand_bits
    return [significand << max(biased - lowest, 0) for significand, biased in parts], lowest - bias


def tensor_bytes(data: bytes) -> dict[str, tuple[Format, tuple[int, ...], bytes]]:
    """Name -> (format, shape, raw bytes) for exactly the tensors in TENSORS, with no gap, overlap or extra byte."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(MAX_HEADER_BYTES, len(data) - 8) or data[8:9] != b"{":
        raise Malformed("bad-safetensors", "header", f"a header of at most {MAX_HEADER_BYTES} bytes inside the file")
    header = load_json(data[8 : 8 + length])
    if isinstance(header, dict) and isinstance(header.get("__metadata__", {}), dict):
        for value in header.pop("__metadata__", {}).values():
            text(value, "__metadata__")
    body, end, found = data[8 + length :], 0, {}
    entries = {
        name: record(entry, name, ("dtype", "shape", "data_offsets"))
        for name, entry in record(header, "tensors", tuple(TENSORS)).items()
    }
    offsets = {name: array(entry["data_offsets"], f"{name}.data_offsets", integer) for name, entry in entries.items()}
    for name in sorted(entries, key=lambda name: offsets[name]):
        shape = array(entries[name]["shape"], f"{name}.shape", integer)
        kind = FORMATS.get(text(entries[name]["dtype"], f"{name}.dtype"))
        if kind is None:
            raise Malformed("unsupported-dtype", f"{name}.dtype", f"one of {', '.join(FORMATS)}")
        size = kind.size
        for extent in shape:
            if not 0 < extent <= MAX_MODEL_BYTES:
                raise Malformed("bad-shape", f"{name}.shape", "positive extents", show(extent))
            size *= extent
        if offsets[name] != (end, end + size):
            raise Malformed("bad-offsets", f"{name}.data_offsets", f"[{show(end)}, {show(end + size)}]")
        found[name] = (kind, shape, body[end : end + size])
        end += size
    if end != len(body):
        raise Malformed("bad-safetensors", "data", f"{show(end)} bytes", str(len(body)))
    return found


def read_weights(data: bytes, integer_type: Integer = int) -> Weights:
    """The model in `data`. Sizes are read off W_E, W_Q and W_pos, and every other tensor must agree with them."""
    found = tensor_bytes(data)
    sizes = {"1": 1}
    for name, axes in TENSORS.items():
        shape = found[name][1]
        if len(shape) != len(axes):
            raise Malformed("bad-shape", f"{name}.shape", f"[{', '.join(axes)}]", f"{len(shape)} axes")
        for axis, extent in zip(axes, shape, strict=True):
            if sizes.setdefault(axis, extent) != extent:
                raise Malformed("bad-shape", f"{name}.shape", f"{axis} = {sizes[axis]}", show(extent))
    del sizes["1"]
    tensors = {}
    for name, (kind, shape, raw) in found.items():
        numbers, exponent = dyadic(raw, kind, name)
        entries = [integer_type(number) for number in numbers]
        tensors[name] = Matrix([entries[i : i + shape[-1]] for i in range(0, len(entries), shape[-1])], exponent)
    digests = {name: hashlib.sha256(raw).hexdigest() for name, (_, _, raw) in found.items()}
    return Weights(hashlib.sha256(data).hexdigest(), digests, sizes, tensors)
