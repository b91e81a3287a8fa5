"""Tiny models for tests, written byte by byte, so that a file can also be wrong. Shares no code with the product.

    tensors = near_correct(np.random.default_rng(0), v=4, k=3, biases=True)
    tiny_model(tmp_path / "model.safetensors", tensors, dtype="F16")

Tensors are float64 arrays in the shapes of the file, head axis included. Every value from `near_correct`,
`random_tensors` and `zero_tensors` has at most 8 significant bits and is a multiple of 2^-20 or larger than 2^-14,
so that each of F64, F32, F16 and BF16 holds it exactly.
"""

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

Tensors = dict[str, np.ndarray]

AXES = {
    "embed.W_E": "vd",
    "pos_embed.W_pos": "kd",
    "blocks.0.attn.W_Q": "1dh",
    "blocks.0.attn.W_K": "1dh",
    "blocks.0.attn.W_V": "1dh",
    "blocks.0.attn.W_O": "1hd",
    "blocks.0.attn.b_Q": "1h",
    "blocks.0.attn.b_K": "1h",
    "blocks.0.attn.b_V": "1h",
    "blocks.0.attn.b_O": "d",
    "unembed.W_U": "dv",
    "unembed.b_U": "v",
}
BIASES = [name for name in AXES if ".b_" in name]
STRUCT_CODES = {"F64": "d", "F32": "f", "F16": "e"}


class Entry(NamedTuple):
    """One tensor of a safetensors file. `fields` replaces or adds header fields, to lie about the tensor."""

    name: str
    dtype: str
    shape: list[int]
    data: bytes
    fields: Mapping[str, Any] = {}


def full_name(name: str) -> str:
    """W_E -> embed.W_E; a full name is returned as it is."""
    return name if name in AXES else next(full for full in AXES if full.endswith(f".{name}"))


def encode(values: Sequence[float] | np.ndarray, dtype: str) -> bytes:
    """Little-endian bytes; ValueError when a value is not representable in the dtype."""
    flat = [float(x) for x in np.asarray(values, dtype=float).ravel()]
    if dtype == "BF16":
        words = struct.pack(f"<{len(flat)}f", *flat)
        data = b"".join(words[i + 2 : i + 4] for i in range(0, len(words), 4))
        back = struct.unpack(f"<{len(flat)}f", b"".join(b"\0\0" + data[i : i + 2] for i in range(0, len(data), 2)))
    else:
        data = struct.pack(f"<{len(flat)}{STRUCT_CODES[dtype]}", *flat)
        back = struct.unpack(f"<{len(flat)}{STRUCT_CODES[dtype]}", data)
    if any(a != b for a, b in zip(flat, back, strict=True)):
        raise ValueError(f"not representable as {dtype}")
    return data


def entries(tensors: Mapping[str, Any], dtype: str | Mapping[str, str] = "F64") -> list[Entry]:
    """The tensors as entries, in the order of AXES; `dtype` is one for all, or by full name."""
    kinds = {name: dtype if isinstance(dtype, str) else dtype[name] for name in tensors}
    return [
        Entry(name, kinds[name], list(np.shape(tensors[name])), encode(tensors[name], kinds[name]))
        for name in sorted(tensors, key=list(AXES).index)
    ]


def safetensors_bytes(
    items: Sequence[Entry],
    *,
    metadata: Any = None,
    header: bytes | None = None,
    header_length: int | None = None,
    trailing: bytes = b"",
) -> bytes:
    """A safetensors file. Duplicate names are kept; `header` and `header_length` replace the true ones."""
    parts, body = [], b""
    if metadata is not None:
        parts.append(f'"__metadata__":{json.dumps(metadata)}')
    for item in items:
        fields = {
            "dtype": item.dtype,
            "shape": item.shape,
            "data_offsets": [len(body), len(body) + len(item.data)],
            **item.fields,
        }
        parts.append(f"{json.dumps(item.name)}:{json.dumps({k: x for k, x in fields.items() if x is not ...})}")
        body += item.data
    text = ("{" + ",".join(parts) + "}").encode() if header is None else header
    length = len(text) if header_length is None else header_length
    return struct.pack("<Q", length) + text + body + trailing


def model_bytes(tensors: Mapping[str, Any], dtype: str | Mapping[str, str] = "F64") -> bytes:
    """The canonical model file of these tensors."""
    return safetensors_bytes(entries(tensors, dtype))


def tiny_model(path: str | Path, tensors: Mapping[str, Any], dtype: str | Mapping[str, str] = "F64") -> Path:
    """Write the canonical model file of these tensors; returns its path."""
    Path(path).write_bytes(model_bytes(tensors, dtype))
    return Path(path)


def zero_tensors(v: int, k: int, d: int, h: int, **given: Any) -> Tensors:
    """All zeros, except for the tensors given by short name: zero_tensors(3, 2, 1, 1, W_U=[[1, 2, 3]]).

    The head axis may be left out.
    """
    sizes = {"v": v, "k": k, "d": d, "h": h, "1": 1}
    tensors = {name: np.zeros([sizes[axis] for axis in axes]) for name, axes in AXES.items()}
    for name, values in given.items():
        full = full_name(name)
        tensors[full] = np.asarray(values, dtype=float).reshape(tensors[full].shape)
    return tensors


def short(values: np.ndarray) -> np.ndarray:
    """Rounded to 8 significant bits, and to zero below 2^-13: exact in every dtype."""
    mantissa, exponent = np.frexp(values)
    rounded = np.ldexp(np.round(mantissa * 256), exponent - 8)
    return np.where(np.abs(rounded) < 2.0**-13, 0.0, rounded)


def random_tensors(rng: np.random.Generator, v: int, k: int, d: int, h: int, scale: float = 1.0) -> Tensors:
    """Normal entries everywhere, all six biases included."""
    tensors = zero_tensors(v, k, d, h)
    return {name: short(rng.normal(scale=scale, size=zeros.shape)) for name, zeros in tensors.items()}


def near_correct(
    rng: np.random.Generator,
    v: int,
    k: int,
    d: int | None = None,
    h: int | None = None,
    *,
    sharpness: float = 2.0,
    noise: float = 0.1,
    biases: bool = False,
) -> Tensors:
    """A model that is often, not always, right: a token's score grows with the token, EVOU is near the identity.

    One step up in the token adds about `sharpness` nats of score. `noise` is the size of normal noise on every weight
    (and on the six biases, which are otherwise zero). Needs d >= v + 1 and h >= v, which are the defaults.
    """
    d, h = v + 1 if d is None else d, v if h is None else h
    if d < v + 1 or h < v:
        raise ValueError("near_correct needs d >= v + 1 and h >= v; use random_tensors for other sizes")
    tensors = zero_tensors(v, k, d, h)
    W_E, W_U = tensors["embed.W_E"], tensors["unembed.W_U"]
    W_Q, W_K, W_V, W_O = (tensors[f"blocks.0.attn.W_{letter}"][0] for letter in "QKVO")
    W_E[:, :v] = np.eye(v)
    W_E[:, v] = np.arange(v) / v  # its size; the query reads 1 from the one-hot part
    W_Q[:v, 0] = 1
    W_K[v, 0] = sharpness * v * np.sqrt(h)
    W_V[:v, :v] = W_O[:v, :v] = np.eye(v)
    W_U[:v] = 2 * np.eye(v)
    W_E[:, :v] *= 1 / 2  # so that the direct path, which favours the query, is weaker than one step of attention
    W_Q *= 2
    W_V *= 4
    for name, values in tensors.items():
        if name not in BIASES or biases:
            values += rng.normal(scale=noise, size=values.shape)
    return {name: short(values) for name, values in tensors.items()}
