"""Turning other people's checkpoints into canonical model files.

A checkpoint is accepted only when its tensors say that the theory covers it; every other tensor is refused by name.
What a checkpoint does not record cannot be checked here: scores are taken to be divided by sqrt(d_head), and the
answer to be read at the last position of a full context.
"""

import io
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from certgen.errors import MissingTorch, UserError
from certgen.files import read_bytes
from certgen.models.model_file import TENSOR_SHAPES, FloatArray, check_tensors, decode_tensor, parse_safetensors

_TORCH_SUFFIXES = (".pth", ".pt", ".ckpt", ".bin")
_NESTED_UNDER = ("model", "state_dict", "model_state_dict")
_BY_SHORT_NAME = {name.rpartition(".")[2]: name for name in TENSOR_SHAPES}
_MASK = "blocks.0.attn.mask"
_MASKED_SCORE = "blocks.0.attn.IGNORE"

# The first pattern that matches a tensor's name says why the theory has no room for it.
_REFUSALS = tuple(
    (re.compile(pattern), reason)
    for pattern, reason in (
        (r"^blocks\.(?!0\.)", "it belongs to a second layer, and the model must have one"),
        (r"(^|\.)(ln\w*|\w+_ln|q_norm|k_norm)\.", "it belongs to a normalisation (LayerNorm or RMSNorm)"),
        (r"\.mlp\.", "it belongs to an MLP, and the model must be attention-only"),
        (r"\.rotary_", "it belongs to a rotary position embedding, and positions must be learned"),
        (r"\.(rel_pos_bias|alibi)\b", "it is an attention bias by relative position, and positions must be learned"),
        (r"\._(W|b)_[KV]$", "it belongs to grouped key and value heads, and the model must have one head"),
    )
)


def import_checkpoint(source: str | os.PathLike[str], k: int | None = None) -> dict[str, FloatArray]:
    """The canonical tensors, as `save_model` takes them, of the checkpoint at `source`.

    Accepted: a TransformerLens state dict as a torch file or safetensors, also nested under a usual key, or arrays
    W_E, W_pos, W_Q, W_K, W_V, W_O, W_U and optional b_* in an .npz; the head axis may be absent.  Values are kept
    exactly (BF16 becomes float32) and missing biases are zero.  UserError names the tensor that the theory does
    not cover, and why; it is also raised when `k` is given and is not n_ctx.
    """
    stored = _without_common_prefix(_read(Path(source)))
    _check_attention_mask(stored)
    tensors: dict[str, FloatArray] = {}
    for name, array in stored.items():
        if name in (_MASK, _MASKED_SCORE):
            continue
        canonical = _canonical_name(name)
        if canonical in tensors:
            raise UserError(f"{name} is there twice, also as {canonical}", "keep one of them")
        tensors[canonical] = _as_little_endian_float(name, _with_head_axis(name, canonical, array))
    _fill_missing_biases(tensors)
    check_tensors(tensors)
    n_ctx = tensors["pos_embed.W_pos"].shape[0]
    if k is not None and k != n_ctx:
        raise UserError(
            f"pos_embed.W_pos has {n_ctx} positions, but k = {k} was asked for",
            "the answer is read at the last position, so a model for max-of-k has n_ctx = k exactly",
        )
    return tensors


def _read(path: Path) -> dict[str, npt.NDArray[Any]]:
    suffix = path.suffix.lower()
    if suffix in _TORCH_SUFFIXES:
        return _read_torch(path)
    if suffix == ".safetensors":
        return _read_safetensors(path)
    if suffix == ".npz":
        return _read_npz(path)
    raise UserError(
        f"{path} has no known checkpoint suffix", f"known are {', '.join((*_TORCH_SUFFIXES, '.safetensors', '.npz'))}"
    )


def _read_torch(path: Path) -> dict[str, npt.NDArray[Any]]:
    file_bytes = read_bytes(path)
    try:
        import torch
    except ImportError as error:
        raise MissingTorch(f"reading {path}") from error
    try:
        loaded = torch.load(io.BytesIO(file_bytes), map_location="cpu", weights_only=True)
    except Exception as error:  # corrupt bytes fail in many ways inside the unpickler
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(
            f"{path} does not load as a torch file of tensors only: {reason}",
            'save it again with torch.save(model.state_dict(), "model.pth")',
        ) from error
    arrays = {}
    for name, value in _state_dict(loaded, path).items():
        if not isinstance(value, torch.Tensor):
            raise UserError(f"{name} in {path} is a {type(value).__name__}, not a tensor", "save the state dict only")
        try:
            # numpy has no bfloat16; float32 contains it
            arrays[str(name)] = (value.float() if value.dtype == torch.bfloat16 else value).detach().numpy()
        except (TypeError, RuntimeError) as error:
            hint = "convert it to dense float32 before saving"
            raise UserError(f"{name} in {path} is a {value.dtype} tensor that numpy cannot hold", hint) from error
    return arrays


def _state_dict(loaded: object, path: Path) -> Mapping[Any, Any]:
    """The innermost mapping under the usual keys; training metadata beside those keys is passed over."""
    if not isinstance(loaded, Mapping):
        raise UserError(f"{path} holds a {type(loaded).__name__}, not a state dict", "save model.state_dict()")
    for _ in _NESTED_UNDER:  # a bound, because a pickled mapping can contain itself
        inner = [loaded[key] for key in _NESTED_UNDER if isinstance(loaded.get(key), Mapping)]
        loaded = inner[0] if inner else loaded
    return loaded


def _read_safetensors(path: Path) -> dict[str, npt.NDArray[Any]]:
    arrays: dict[str, npt.NDArray[Any]] = {}
    for name, tensor in parse_safetensors(read_bytes(path), path).items():
        if tensor.dtype == "BOOL":
            arrays[name] = np.frombuffer(tensor.data, dtype=np.bool_).reshape(tensor.shape)
        else:
            arrays[name] = decode_tensor(name, tensor)
    return arrays


def _read_npz(path: Path) -> dict[str, npt.NDArray[Any]]:
    file_bytes = read_bytes(path)
    try:
        archive = np.load(io.BytesIO(file_bytes), allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError("it holds a single array")
        if len(set(archive.files)) < len(archive.files):
            raise ValueError("it holds two arrays of one name")
        return {name: archive[name] for name in archive.files}
    except Exception as error:  # corrupt bytes fail in zipfile, zlib and numpy, each in its own ways
        raise UserError(f"{path} is not an .npz of plain arrays: {error}", "write it with numpy.savez") from error


def _without_common_prefix(stored: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """Drop what a wrapper put before every name, such as the `model.` of `model.embed.W_E`."""
    for wrapped in [name for name in stored if name.endswith(".embed.W_E")]:
        prefix = wrapped.removesuffix("embed.W_E")
        if all(name.startswith(prefix) for name in stored):
            return {name.removeprefix(prefix): array for name, array in stored.items()}
    return stored


def _check_attention_mask(stored: Mapping[str, npt.NDArray[Any]]) -> None:
    mask = stored.get(_MASK)
    if mask is not None and not (mask.ndim == 2 and mask[-1:].astype(bool).all()):
        raise UserError(
            f"{_MASK} hides earlier positions from the last one (local attention)",
            "the theory needs the last position to attend to every position",
        )


def _canonical_name(name: str) -> str:
    canonical = _BY_SHORT_NAME.get(name, name)
    if canonical in TENSOR_SHAPES:
        return canonical
    for pattern, reason in _REFUSALS:
        if pattern.search(name):
            raise UserError(f"the theory does not cover {name}: {reason}", "train one with `certgen train`")
    raise UserError(
        f"unknown tensor {name}",
        f"known are {', '.join(TENSOR_SHAPES)}, or their last parts {', '.join(_BY_SHORT_NAME)}",
    )


def _with_head_axis(name: str, canonical: str, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    axes = TENSOR_SHAPES[canonical]
    if axes[0] != "1":
        return array
    if array.ndim == len(axes) and array.shape[0] > 1:
        hint = "the theory covers one head; train one with `certgen train`"
        raise UserError(f"{name} has {array.shape[0]} heads, shape {list(array.shape)}", hint)
    return array[np.newaxis] if array.ndim == len(axes) - 1 else array


def _as_little_endian_float(name: str, array: npt.NDArray[Any]) -> FloatArray:
    if array.dtype.kind != "f" or array.dtype.itemsize not in (2, 4, 8):
        raise UserError(f"{name} has dtype {array.dtype}; expected a float of 16, 32 or 64 bits", "convert it first")
    return array.astype(array.dtype.newbyteorder("<"))


def _fill_missing_biases(tensors: dict[str, FloatArray]) -> None:
    """Add zeros for each bias that is not there, as wide as the output of the weight it belongs to."""
    for name, axes in TENSOR_SHAPES.items():
        weight = tensors.get(name.replace(".b_", ".W_"))
        if name not in tensors and weight is not None:
            head_axis = (1,) if axes[0] == "1" else ()
            tensors[name] = np.zeros(head_axis + weight.shape[-1:], dtype=weight.dtype)
