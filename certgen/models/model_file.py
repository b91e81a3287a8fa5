"""The canonical model file and its form in memory.

A model file is a safetensors file with the tensors of one transformer, under the names that TransformerLens gives them,
and with its architecture in the metadata.  A file that has no such entry holds exactly the twelve tensors of
`TENSOR_SHAPES`.  It is what a certificate's digest refers to.
"""

import hashlib
import json
import os
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn, TypeAlias

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy
from pydantic import BaseModel, ConfigDict, RootModel, ValidationError

from certgen.errors import UserError
from certgen.files import read_input, write_atomically
from certgen.models.architecture import Architecture, Axes

FloatArray: TypeAlias = npt.NDArray[np.floating[Any]]

# The tensors of a file that says nothing of its architecture; "1" is the single head.  The order matters, as that of
# `Architecture.tensor_shapes` does.
TENSOR_SHAPES: Mapping[str, Axes] = MappingProxyType(
    {
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
)

# The limits of the format (schemas/CERTIFICATE.md).
MAX_MODEL_BYTES = 1 << 28
MAX_HEADER_BYTES = 1 << 20
MAX_DIGITS = 4000  # of a number

BF16_BITS_MISSING = 16  # at the end of a bfloat16, compared with the float32 that it is decoded to

_IMPORT_HINT = "`certgen import CHECKPOINT -o model.safetensors` writes files of this form"
_REWRITE_HINT = "`certgen import MODEL -o model.safetensors` writes it as check-cert wants it"

ENTRY = "architecture"  # of the metadata
_SIZES = ("d_vocab", "d_model", "d_head", "n_ctx", "n_heads", "d_mlp")  # in this order, then all others
FULL_NAMES = {name.rpartition(".")[2]: name for name in TENSOR_SHAPES}


class _OneHead:
    """A tensor of a model of the default architecture by its last name, without the head axis."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = FULL_NAMES[name]

    def __get__(self, model: "Model", owner: type) -> npt.NDArray[np.float64]:
        require_default(model)
        tensor = model.tensors[self.name]
        return tensor[0] if TENSOR_SHAPES[self.name][0] == "1" else tensor


@dataclass(frozen=True, eq=False)
class Model:
    """A transformer; every weight is exactly the number in the file.

    `tensors` has the arrays by their names in the file, float64 and read-only, with the axes that
    `Architecture.tensor_shapes` names; `sizes` are those of the axes, as a certificate has them.  `is_default` says
    that the file has no entry for the architecture: then W_E [d_vocab, d_model], W_pos [n_ctx, d_model], W_Q, W_K, W_V
    [d_model, d_head], W_O [d_head, d_model], W_U [d_model, d_vocab], b_Q, b_K, b_V [d_head], b_O [d_model] and
    b_U [d_vocab] are its tensors without the head axis; for other models they are a UserError.  `file_bytes` is the
    file, `sha256` its digest, `tensor_sha256` that of each tensor's bytes as they are stored, little-endian.
    `exponents` has for each tensor the e for which 2^e is the last place of its smallest number that is not 0, as
    stored (of the smallest there is, if all are 0): every entry is a multiple of it, and it is the unit to which a rule
    rounds when it rounds a mean.
    """

    tensors: Mapping[str, npt.NDArray[np.float64]]
    architecture: Architecture
    sizes: Mapping[str, int]
    is_default: bool
    path: Path
    file_bytes: bytes
    sha256: str
    tensor_sha256: Mapping[str, str]
    exponents: Mapping[str, int]

    W_E = _OneHead()
    W_pos = _OneHead()
    W_Q = _OneHead()
    W_K = _OneHead()
    W_V = _OneHead()
    W_O = _OneHead()
    W_U = _OneHead()
    b_Q = _OneHead()
    b_K = _OneHead()
    b_V = _OneHead()
    b_O = _OneHead()
    b_U = _OneHead()

    @property
    def d_vocab(self) -> int:
        return self.sizes["d_vocab"]

    @property
    def d_model(self) -> int:
        return self.sizes["d_model"]

    @property
    def d_head(self) -> int:
        """The width of a head; KeyError for a model without blocks."""
        return self.sizes["d_head"]

    @property
    def n_ctx(self) -> int:
        return self.sizes["n_ctx"]

    @property
    def d_vocab_out(self) -> int:
        return len(self.tensors["unembed.b_U"])


def require_default(model: Model) -> None:
    """UserError unless `model` is one that all strategies are for: its file has no entry for the architecture."""
    if not model.is_default:
        raise UserError(
            f"{model.path} is a model of the architecture {model.architecture.brief}, and this is only for models with "
            "one layer, one causal head, no MLP, no LayerNorm, no pooling and one logit for each token",
            "the strategy brute-force proves models of every architecture",
        )


@dataclass(frozen=True)
class StoredTensor:
    """One tensor as a safetensors file holds it: `data` is little-endian in row-major order."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes


def load_model(path: str | os.PathLike[str]) -> Model:
    """Read the canonical model file at `path`: F64, F32, F16 or BF16 weights, as exact float64 arrays.

    Raises UserError, which says how a file deviates and names the tensor. Cost: one pass over the file.
    """
    return parse_model(read_input(path), path)


def parse_model(file_bytes: bytes, path: str | os.PathLike[str]) -> Model:
    """The model in the bytes of a canonical model file, as `load_model` gives it; `path` is what it is called."""
    try:
        stored = parse_safetensors(file_bytes, path)
    except UserError as error:
        raise UserError(error.message, _import_hint(path)) from None
    architecture = _stated_architecture(file_bytes, path)
    expected = TENSOR_SHAPES if architecture is None else architecture.tensor_shapes()
    tensors = {name: decode_tensor(name, stored[name]) for name in expected if name in stored}
    _check_names(expected, stored, path)
    require_strict(file_bytes, path)
    sizes = check_tensors(tensors, architecture)
    arrays, exponents = {}, {}
    for name, tensor in tensors.items():
        array = tensor.astype(np.float64)  # exact: float64 contains every F32, F16 and BF16 number
        array.setflags(write=False)
        arrays[name] = array
        exponents[name] = last_place(tensor) + (BF16_BITS_MISSING if stored[name].dtype == "BF16" else 0)
    return Model(
        tensors=MappingProxyType(arrays),
        architecture=architecture or Architecture.default(sizes["d_head"]),
        sizes=sizes,
        is_default=architecture is None,
        path=Path(path),
        file_bytes=file_bytes,
        sha256=hashlib.sha256(file_bytes).hexdigest(),
        tensor_sha256={name: hashlib.sha256(stored[name].data).hexdigest() for name in expected},
        exponents=exponents,
    )


def _stated_architecture(file_bytes: bytes, path: str | os.PathLike[str]) -> Architecture | None:
    """What the metadata of a well-formed safetensors file says of the architecture; None if nothing."""
    metadata = json.loads(file_bytes[8 : 8 + int.from_bytes(file_bytes[:8], "little")]).get("__metadata__")
    if not isinstance(metadata, dict) or ENTRY not in metadata:
        return None
    try:
        return Architecture.parse(metadata[ENTRY])
    except ValueError as error:
        message = f"{path} is not a model file as certgen writes them: in its entry {ENTRY}: {error}"
        raise UserError(message, _import_hint(path)) from None


def last_place(array: FloatArray) -> int:
    """The exponent of the last place, in the array's type, of its smallest number that is not 0."""
    kind, numbers = np.finfo(array.dtype), array[array != 0]
    lowest = int(np.frexp(numbers)[1].min()) - 1 if numbers.size else kind.minexp
    return int(max(lowest, kind.minexp) - kind.nmant)  # subnormal numbers share the smallest normal exponent


def save_model(
    path: str | os.PathLike[str], tensors: Mapping[str, FloatArray], architecture: Architecture | None = None
) -> None:
    """Write `tensors` (names and shapes as `architecture` has them; float64, float32 or float16) as a model file.

    Without an architecture the tensors are those of `TENSOR_SHAPES`.  The default architecture, with a logit for each
    token, is left out of the file, so that every strategy can be used.  The dtypes are kept and the write is atomic.
    UserError when a tensor is not of this form or the path cannot be written.
    """
    write_atomically(path, model_bytes(tensors, architecture))


def model_bytes(tensors: Mapping[str, FloatArray], architecture: Architecture | None = None) -> bytes:
    """The bytes of the model file that `save_model` writes."""
    sizes = check_tensors(tensors, architecture)
    contiguous = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    metadata = {"format": "np"}
    if architecture is not None and not (
        architecture == Architecture.default(sizes.get("d_head", 1)) and sizes["d_vocab_out"] == sizes["d_vocab"]
    ):
        metadata[ENTRY] = architecture.canonical()
    return safetensors.numpy.save(contiguous, metadata=metadata)


def _import_hint(path: str | os.PathLike[str]) -> str:
    return f"if it is a checkpoint, import it: certgen import {shlex.quote(str(path))} -o model.safetensors"


def _check_names(expected: Mapping[str, Axes], names: Iterable[str], path: str | os.PathLike[str]) -> None:
    """Another set of tensors is a checkpoint of another program: its other deviations follow from that."""
    missing, unknown = [name for name in expected if name not in names], set(names) - set(expected)
    if missing or unknown:
        reason = f"{missing[0]} is missing" if missing else f"{min(unknown)} is not part of one"
        raise UserError(f"{path} is not a model file as certgen writes them: the tensor {reason}", _import_hint(path))


def parse_safetensors(file_bytes: bytes, path: str | os.PathLike[str]) -> dict[str, StoredTensor]:
    """The tensors of a safetensors file by name; `path` is used in the message of a UserError only."""
    try:
        entries = safetensors.deserialize(file_bytes)  # type: ignore[no-untyped-call]
        header = file_bytes[8 : 8 + int.from_bytes(file_bytes[:8], "little")]
        json.loads(header, object_pairs_hook=_require_distinct_names)  # the library keeps the last of two
    except (safetensors.SafetensorError, ValueError) as error:
        raise UserError(f"{path} is not a well-formed safetensors file: {error}", _IMPORT_HINT) from error
    return {name: StoredTensor(entry["dtype"], tuple(entry["shape"]), bytes(entry["data"])) for name, entry in entries}


class _Entry(BaseModel):
    """What the header says of one tensor."""

    model_config = ConfigDict(extra="forbid", strict=True)

    dtype: str
    shape: list[int]
    data_offsets: list[int]


class _Header(RootModel[dict[str, _Entry]]):
    """Every entry of the header but __metadata__."""

    model_config = ConfigDict(strict=True)


def require_strict(file_bytes: bytes, path: str | os.PathLike[str]) -> None:
    """UserError for a safetensors file that the library reads but the format of a model file does not allow.

    check-cert would refuse the file, and with it every certificate about it (schemas/CERTIFICATE.md, section 2).
    """

    def refused(reason: str) -> UserError:
        return UserError(f"{path} is not a model file that check-cert reads: {reason}", _REWRITE_HINT)

    length = int.from_bytes(file_bytes[:8], "little")
    if len(file_bytes) > MAX_MODEL_BYTES:
        raise refused(f"it has more than {MAX_MODEL_BYTES:,} bytes")
    if length > MAX_HEADER_BYTES:
        raise refused(f"its header has more than {MAX_HEADER_BYTES:,} bytes")
    if file_bytes[8:9] != b"{":
        raise refused("its header does not start with {")
    try:
        header = json.loads(
            file_bytes[8 : 8 + length].decode("utf-8"),
            object_pairs_hook=_require_distinct_names,
            parse_int=_canonical_integer,
            parse_float=_no_integer,
            parse_constant=_no_integer,
        )
        metadata = header.pop("__metadata__", {})
        entries = _Header.model_validate(header).root
    except ValidationError as error:
        first = error.errors()[0]
        raise refused(f"in its header {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    except (ValueError, RecursionError) as error:
        raise refused(f"{error}") from error
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise refused("in its header __metadata__ is not an object of texts")
    for name, entry in entries.items():
        if max(entry.shape, default=0) > MAX_MODEL_BYTES:
            raise refused(f"the shape of {name} has a size above {MAX_MODEL_BYTES:,}")


def _canonical_integer(digits: str) -> int:
    if digits == "-0" or len(digits) > MAX_DIGITS:
        raise ValueError(f"its header has a number that is -0, or has more than {MAX_DIGITS:,} digits")
    return int(digits)


def _no_integer(number: str) -> NoReturn:
    raise ValueError(f"its header has a number that is no integer: {number}")


def _require_distinct_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name} occurs more than once in the header")
    return dict(pairs)


def decode_tensor(name: str, tensor: StoredTensor) -> FloatArray:
    """The exact values of a stored F64, F32, F16 or BF16 tensor; BF16 becomes float32, the others keep their type."""
    match tensor.dtype:
        case "F64" | "F32" | "F16":
            values: FloatArray = np.frombuffer(tensor.data, dtype=f"<f{int(tensor.dtype[1:]) // 8}")
        case "BF16":  # a bfloat16 is the upper half of a float32
            values = (np.frombuffer(tensor.data, dtype="<u2").astype(np.uint32) << 16).view(np.float32)
        case other:
            raise UserError(f"{name} has dtype {other}; expected F64, F32, F16 or BF16", "store it as floating point")
    return values.reshape(tensor.shape)


def check_tensors(tensors: Mapping[str, FloatArray], architecture: Architecture | None = None) -> dict[str, int]:
    """The sizes of a model with these tensors; UserError unless they have its names, shapes, and finite floats.

    The sizes are those of all axes, d_vocab first; without an architecture the tensors are those of `TENSOR_SHAPES`.
    """
    sizes = check_shapes({name: array.shape for name, array in tensors.items()}, architecture)
    for name, array in tensors.items():
        if array.dtype not in (np.float64, np.float32, np.float16):
            raise UserError(f"{name} has dtype {array.dtype}; expected float64, float32 or float16", "convert it first")
        if not np.isfinite(array).all():
            index = np.argwhere(~np.isfinite(array))[0].tolist()
            raise UserError(f"{name} is not finite: {array[tuple(index)]} at {index}", "no bound holds; train it again")
    return sizes


def check_shapes(shapes: Mapping[str, tuple[int, ...]], architecture: Architecture | None = None) -> dict[str, int]:
    """The sizes of a model with tensors of these shapes; UserError, naming the tensor, unless they fit together."""
    expected_axes = TENSOR_SHAPES if architecture is None else architecture.tensor_shapes()
    for name in expected_axes:
        if name not in shapes:
            raise UserError(f"the tensor {name} is missing", "`certgen import` fills in missing biases, and only those")
    for name in shapes:
        if name not in expected_axes:
            raise UserError(f"the tensor {name} is not part of a canonical model file", _IMPORT_HINT)
    sizes = {"1": 1} if architecture is None else {"n_heads": architecture.heads}
    for name, axes in expected_axes.items():
        shape = shapes[name]
        if len(shape) != len(axes):
            hint = "the axes are those of TransformerLens; `certgen import` adds a missing head axis"
            raise UserError(f"{name} has shape {list(shape)}; expected the axes [{', '.join(axes)}]", hint)
        for axis, size in zip(axes, shape, strict=True):
            if size < 1:
                raise UserError(f"{name} has shape {list(shape)}: it is empty", "every size must be at least 1")
            if size != sizes.setdefault(axis, size):
                expected = [sizes.get(axis, axis) for axis in axes]
                hint = "d_vocab and d_model come from embed.W_E, n_ctx from pos_embed.W_pos, d_head from W_Q"
                if axis == "n_heads":
                    hint = "the number of heads is part of the architecture"
                if name == "unembed.W_U" and axis == "d_vocab":
                    hint = "there must be one logit per token of embed.W_E"
                raise UserError(f"{name} has shape {list(shape)}; expected [{', '.join(axes)}] = {expected}", hint)
    occurring = {axis for axes in expected_axes.values() for axis in axes}
    return {axis: sizes[axis] for axis in (*_SIZES, *sizes) if axis in occurring and axis != "1"}
