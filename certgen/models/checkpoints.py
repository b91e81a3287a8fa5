"""What a checkpoint file holds, before anything in it is believed.

Nothing that the file names is run, and no array is read before its size is known: a file of a kilobyte can claim
2^40 numbers.
"""

import ast
import io
import json
import math
import re
import zipfile
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from certgen.errors import UserError, a
from certgen.files import read_input
from certgen.models.model_file import decode_tensor, parse_safetensors
from certgen.models.torch_files import exact_array, load_torch

TORCH_SUFFIXES = (".pth", ".pt", ".ckpt", ".bin")
SUFFIXES = (*TORCH_SUFFIXES, ".safetensors", ".npz")
_MAX_UNPACKED = 1 << 30  # bytes that a file may unpack to when they are more than it has itself
_MAX_DEPTH = 16
MAX_TEXT = 1 << 20  # characters of a configuration that is stored as text
# What training keeps beside a model: it can repeat the names of weights and of settings, and is neither.
_TRAINING_STATE = re.compile(r"optim(?!al)|(lr_?)?sched|(grad_?)?scaler|callbacks$|loops$|grad(s|ients?)?$", re.I)


@dataclass(frozen=True)
class StoredArray:
    """One array, not yet read. `read` gives its values exactly (bfloat16 as float32), or a UserError."""

    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], npt.NDArray[Any]]

    @property
    def entries(self) -> int:
        return math.prod(self.shape)

    @property
    def is_integer(self) -> bool:
        return bool(re.match(r"u?int|bool|[iu]\d|BOOL", self.dtype, re.I))


@dataclass
class Section:
    """One mapping of the file: its arrays and its other values by name; `path` are the keys that lead to it."""

    path: tuple[str, ...]
    arrays: dict[str, StoredArray] = field(default_factory=dict)
    values: dict[str, object] = field(default_factory=dict)


def read_sections(path: Path) -> list[Section]:
    """All mappings in the checkpoint at `path`, outermost first; UserError when it cannot be read."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(f"{path} has no known checkpoint suffix", f"known are {', '.join(SUFFIXES)}")
    file_bytes = read_input(path)
    if suffix == ".npz":
        return sections(read_npz(path, file_bytes))
    if suffix == ".safetensors":
        return sections(_read_safetensors(path, file_bytes))
    return sections(_read_torch(path, file_bytes))


def sections(contents: object) -> list[Section]:
    """`contents` and all mappings inside it, each once, although a pickled mapping can contain itself."""
    found: list[Section] = []
    seen: set[int] = set()
    waiting: deque[tuple[tuple[str, ...], object]] = deque([((), contents)])
    kept_alive = []  # an id is unique among living objects only
    while waiting:
        path, value = waiting.popleft()
        if id(value) in seen or len(path) > _MAX_DEPTH or (mapping := _as_mapping(value)) is None:
            continue
        seen.add(id(value))
        kept_alive.append(value)
        section = Section(path)
        found.append(section)
        for name, inner in mapping.items():
            if not isinstance(name, str) and not (isinstance(name, int) and abs(name) < 1 << 64):
                continue
            stored = inner if isinstance(inner, StoredArray) else _torch_array(".".join((*path, str(name))), inner)
            if stored is not None:
                section.arrays[str(name)] = stored
            elif not _TRAINING_STATE.match(str(name)):
                section.values[str(name)] = inner
                waiting.append(((*path, str(name)), inner))
    return found


def _as_mapping(value: object) -> Mapping[Any, Any] | None:
    """The mapping that `value` is, writes down as JSON or as Python does, or keeps as its attributes.

    A list that has mappings in it is one from its positions.
    """
    if isinstance(value, Mapping):
        return value
    if isinstance(value, str):
        if not (value.lstrip()[:1] == "{" and len(value) <= MAX_TEXT):
            return None
        for parse in (json.loads, ast.literal_eval):
            try:
                parsed = parse(value.strip())
            except (ValueError, SyntaxError, RecursionError, MemoryError):  # the last: too many brackets
                continue
            return parsed if isinstance(parsed, dict) else None
        return None
    if isinstance(value, list | tuple):
        inner = {index: each for index, each in enumerate(value) if isinstance(each, Mapping | list | tuple)}
        return inner or None
    if isinstance(value, type) or not hasattr(value, "__dict__"):
        return None
    return vars(value)


def _torch_array(name: str, value: object) -> StoredArray | None:
    if not (hasattr(value, "layout") and hasattr(value, "dtype") and hasattr(value, "detach")):
        return None  # told without importing torch, which has read the value if it is a tensor
    tensor: Any = value
    try:
        shape = tuple(int(size) for size in tensor.shape)
    except (TypeError, RuntimeError):  # a nested tensor has no shape
        raise UserError(f"{name} is a nested tensor", "convert it to dense float32 before saving") from None
    return StoredArray(shape, str(tensor.dtype).removeprefix("torch."), lambda: exact_array(name, tensor))


def _read_torch(path: Path, file_bytes: bytes) -> object:
    try:
        _require_honest_size(zipfile.ZipFile(io.BytesIO(file_bytes)), len(file_bytes))
    except ValueError as error:
        raise UserError(f"{path} does not load as a torch file: {error}", "save it again") from error
    except Exception:  # damaged, or in the form that PyTorch wrote before 1.6: its loader says what it is
        pass
    loaded = load_torch(path, file_bytes)
    if _torch_array("", loaded) is not None or _as_mapping(loaded) is None:
        raise UserError(f"{path} holds {a(loaded)}, not a state dict", "save model.state_dict()")
    return loaded


def _read_safetensors(path: Path, file_bytes: bytes) -> dict[str, object]:
    contents: dict[str, object] = {}
    for name, tensor in parse_safetensors(file_bytes, path).items():

        def read(name: str = name, tensor: Any = tensor) -> npt.NDArray[Any]:
            if tensor.dtype == "BOOL":
                return np.frombuffer(tensor.data, dtype=np.bool_).reshape(tensor.shape)
            if re.fullmatch(r"[IU](8|16|32|64)", tensor.dtype):  # of masks and settings; no weight is an integer
                kind = f"<{tensor.dtype[0].lower()}{int(tensor.dtype[1:]) // 8}"
                return np.frombuffer(tensor.data, dtype=kind).reshape(tensor.shape)
            return decode_tensor(name, tensor)

        contents[name] = StoredArray(tensor.shape, tensor.dtype, read)
    header = json.loads(file_bytes[8 : 8 + int.from_bytes(file_bytes[:8], "little")])
    metadata = header.get("__metadata__")
    return {**metadata, **contents} if isinstance(metadata, dict) else contents


def read_npz(path: Path, file_bytes: bytes) -> dict[str, object]:
    """The arrays of an .npz by name, not yet read, and its strings; UserError when it is not one of plain arrays."""
    try:
        if file_bytes.startswith(np.lib.format.MAGIC_PREFIX):
            raise ValueError("it holds a single array")
        archive = zipfile.ZipFile(io.BytesIO(file_bytes))
        _require_honest_size(archive, len(file_bytes))
        members = archive.infolist()
        arrays = {_array_name(member): _npz_member(archive, member) for member in members}
        if len(arrays) < len(members):
            raise ValueError("it holds two arrays of one name")
        return arrays
    except Exception as error:  # corrupt bytes fail in zipfile, zlib and numpy, each in its own ways
        raise UserError(f"{path} is not an .npz of plain arrays: {error}", "write it with numpy.savez") from error


def _array_name(member: zipfile.ZipInfo) -> str:
    return member.filename.removesuffix(".npy")


def _npz_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> object:
    name = _array_name(member)
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        elif version == (2, 0):
            shape, _, dtype = np.lib.format.read_array_header_2_0(file)
        else:
            raise ValueError(f"{name} has a header of version {version}")
        if any(size < 0 for size in shape):
            raise ValueError(f"{name} claims shape {list(shape)}, which is no shape")
        if dtype.hasobject:
            raise ValueError(f"{name} holds pickled objects")
        claimed, held = math.prod(shape) * dtype.itemsize, member.file_size - file.tell()
    if claimed != held:
        raise ValueError(f"{name} claims shape {list(shape)}, which is {claimed} bytes, and has {held}")

    def read() -> npt.NDArray[Any]:
        try:
            with archive.open(member) as file:
                array: npt.NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
                return array
        except Exception as error:  # as above
            raise UserError(f"{name} cannot be read: {error}", "write the file again with numpy.savez") from error

    if dtype.kind == "U" and shape == () and held <= MAX_TEXT:
        return str(read().item())
    return StoredArray(tuple(shape), str(dtype.newbyteorder("=")), read)


def _require_honest_size(archive: zipfile.ZipFile, size: int) -> None:
    unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > max(size, _MAX_UNPACKED):
        raise ValueError(f"it unpacks to {unpacked:,} bytes")
