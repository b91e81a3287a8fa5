"""The model file: strict safetensors bytes to digests and exact dyadic integers.

Every weight is a floating-point number, hence an integer times a power of two. A tensor becomes a matrix of integers
with one common exponent; nothing is rounded.
"""

import hashlib
import struct
from typing import NamedTuple

from checker.arithmetic.matrices import Matrix
from checker.budget import MEMORY, number
from checker.decode import Integer, array, integer, load_json, mapping, record, require_room, text
from checker.errors import Malformed, show
from checker.model.architecture import ENTRY, Architecture, decode_architecture, one_head, tensor_axes

MAX_MODEL_BYTES = 1 << 28
MAX_HEADER_BYTES = 1 << 20


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
    """A model file: digests, sizes, tensors (rows of the last axis, a vector is one row), and the architecture.

    `entry` is what the metadata says of it, None for a file that says nothing: one attention-only block with one head.
    """

    file_digest: str
    tensor_digests: dict[str, str]
    sizes: dict[str, int]
    tensors: dict[str, Matrix]
    architecture: Architecture
    entry: str | None


def dyadic(raw: bytes, kind: Format, path: str, room: int = MEMORY) -> tuple[list[int], int]:
    """Little-endian floats as (integers, exponent): the i-th number is integers[i] * 2^exponent, exactly. These take at
    most `room` bytes, or it is a ResourceLimit."""
    require_room(110 * (len(raw) // kind.size), room, "weights")
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
    longest = max((biased for _, biased in parts), default=1) - lowest + kind.significand_bits
    require_room(len(parts) * number(longest), room, f"weights of {longest} bits")
    bias = (top >> 1) + kind.significand_bits
    return [significand << max(biased - lowest, 0) for significand, biased in parts], lowest - bias


def read_header(data: bytes) -> tuple[dict[str, object], str | None, bytes]:
    """The entries of the header, what the metadata says of the architecture, and the bytes that follow."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(MAX_HEADER_BYTES, len(data) - 8) or data[8:9] != b"{":
        raise Malformed("bad-safetensors", "header", f"a header of at most {MAX_HEADER_BYTES} bytes inside the file")
    entries = mapping(load_json(data[8 : 8 + length]), "tensors")
    metadata = mapping(entries.pop("__metadata__", {}), "__metadata__")
    strings = {name: text(value, "__metadata__") for name, value in metadata.items()}
    return entries, strings.get(ENTRY), data[8 + length :]


def tensor_bytes(header: dict[str, object], body: bytes) -> dict[str, tuple[Format, tuple[int, ...], bytes]]:
    """Name -> (format, shape, raw bytes) for the tensors of the header, with no gap, overlap or extra byte."""
    end, found = 0, {}
    entries = {name: record(entry, name, ("dtype", "shape", "data_offsets")) for name, entry in header.items()}
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


def read_weights(data: bytes, integer_type: Integer = int, memory: int = MEMORY) -> Weights:
    """The model in `data`, whose weights may take a quarter of the memory. A size is read off the first tensor that has
    it; every other tensor must agree."""
    entries, entry, body = read_header(data)
    architecture = None if entry is None else decode_architecture(entry)
    found = tensor_bytes(record(entries, "tensors", tuple(tensor_axes(architecture))), body)
    sizes = {"n_heads": architecture.heads if architecture else 1}
    for name, axes in tensor_axes(architecture).items():
        shape = found[name][1]
        if len(shape) != len(axes):
            raise Malformed("bad-shape", f"{name}.shape", f"[{', '.join(axes)}]", f"{len(shape)} axes")
        for axis, extent in zip(axes, shape, strict=True):
            if sizes.setdefault(axis, extent) != extent:
                raise Malformed("bad-shape", f"{name}.shape", f"{axis} = {sizes[axis]}", show(extent))
    tensors, room = {}, memory // 4
    for name, (kind, shape, raw) in found.items():
        numbers, exponent = dyadic(raw, kind, name, room)
        room -= len(numbers) * number(max(map(int.bit_length, numbers)))
        flat = [integer_type(number) for number in numbers]
        tensors[name] = Matrix([flat[i : i + shape[-1]] for i in range(0, len(flat), shape[-1])], exponent)
    if architecture is None or architecture.blocks == 0:
        del sizes["n_heads"]  # the one head of a file that says no architecture is not among its sizes
    digests = {name: hashlib.sha256(raw).hexdigest() for name, (_, _, raw) in found.items()}
    architecture = architecture or one_head(sizes["d_head"])
    return Weights(hashlib.sha256(data).hexdigest(), digests, sizes, tensors, architecture, entry)
