"""Under which names, and along which axes, programs store the weights of a model.

Known are the names of TransformerLens 1 to 3 (`blocks.0.attn.W_Q`, also their last parts alone and with the axes of
`model.W_Q`) and those of its version 4, which stores attention and unembedding as torch.nn.Linear does: out x in, all
heads in one axis.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from certgen.errors import UserError
from certgen.models.checkpoints import Section, StoredArray
from certgen.models.model_file import TENSOR_SHAPES

MAX_BYTES = 1 << 28  # of a model file
MASK = "blocks.0.attn.mask"
_MASKED_SCORE = "blocks.0.attn.IGNORE"

# name -> the tensor it stores, and whether its two axes are the other way round
_SHORT_NAMES = {name.rpartition(".")[2]: name for name in TENSOR_SHAPES}
_LINEAR_NAMES = {
    "embed.weight": ("embed.W_E", False),
    "pos_embed.weight": ("pos_embed.W_pos", False),
    "unembed.weight": ("unembed.W_U", True),
    "unembed.bias": ("unembed.b_U", False),
    **{f"blocks.0.attn.{letter}.weight": (f"blocks.0.attn.W_{letter.upper()}", True) for letter in "qkvo"},
    **{f"blocks.0.attn.{letter}.bias": (f"blocks.0.attn.b_{letter.upper()}", False) for letter in "qkvo"},
}
_NAMES = {
    **{name: (name, False) for name in TENSOR_SHAPES},
    **{short: (name, False) for short, name in _SHORT_NAMES.items()},
    **_LINEAR_NAMES,
}
_WEIGHTS = frozenset(name for name in TENSOR_SHAPES if ".b_" not in name)
_ENOUGH_WEIGHTS = 4  # of seven, to take a set of tensors for a model and then complain about what it lacks

# What wrappers put into names, anywhere: torch.compile, TransformerLens 4, FSDP, activation checkpointing.
_WRAPPERS = ("_orig_mod", "_original_component", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
_TAIL = re.compile(r"(?P<prefix>(?:.*?\.)??)(?P<name>" + "|".join(map(re.escape, _NAMES)) + r")")
_INSIDE_A_MODEL = re.compile(r"(^|\.)(attn|embed|pos_embed|unembed)\.$")

# The first pattern that matches a tensor's name says why the theory has no room for it.
_REFUSALS = tuple(
    (re.compile(pattern), reason)
    for pattern, reason in (
        (
            r"(^|\.)(blocks|layers?|resblocks|h)\.(?!0+\.)\d+\.",
            "it belongs to a second layer, and the model must have one",
        ),
        (r"(^|\.)heads?\.(?!0+\.)\d+\.", "it belongs to a second head, and the model must have one head"),
        (
            r"(^|\.)(ln\w*|\w+_ln|q_norm|k_norm|norm\d*|layer_?norm\w*|rms_?norm\w*)\.",
            "it belongs to a normalisation (LayerNorm or RMSNorm)",
        ),
        (r"(^|\.)(mlp\w*|ffn?|feed_?forward)\.", "it belongs to an MLP, and the model must be attention-only"),
        (r"\.rotary_", "it belongs to a rotary position embedding, and positions must be learned"),
        (r"\.(rel_pos_bias|alibi)\b", "it is an attention bias by relative position, and positions must be learned"),
        (r"\._(W|b)_[KV]$", "it belongs to grouped key and value heads, and the model must have one head"),
        (r"(^|\.)parametrizations\.", "it parametrizes a weight, and the weight itself must be stored"),
    )
)


@dataclass(frozen=True)
class StateDict:
    """One model's tensors under their names without prefix; `label` says where in the file they are."""

    label: str
    arrays: Mapping[str, StoredArray]
    left_out: Mapping[str, StoredArray]
    values: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Placed:
    """A tensor in the axes of the model file, not yet read; `name` is what the checkpoint calls it."""

    name: str
    shape: tuple[int, ...]
    read: Callable[[], npt.NDArray[Any]]
    linear: bool  # stored as torch.nn.Linear does, with all heads in one axis


def choose_state_dict(sections: Sequence[Section]) -> StateDict:
    """The one model in a checkpoint; UserError when there are several that differ.

    Without any, the largest collection of tensors is returned, so that what it lacks can be named.
    """
    candidates = [candidate for section in sections for candidate in _candidates(section)]
    if not candidates:
        fullest = max(sections, key=lambda section: len(section.arrays))
        return StateDict(_label(fullest.path, ""), _unwrapped(fullest.arrays), {}, fullest.values)
    first = candidates[0]
    different = [other.label for other in candidates[1:] if not _same_tensors(first.arrays, other.arrays)]
    if different:
        labels = ", ".join([first.label, *different[:4]]) + (" ..." if len(different) > 4 else "")
        raise UserError(
            f"the file holds {1 + len(different)} different sets of weights: {labels}",
            'save the one you mean alone, for example torch.save(checkpoint["model"], "model.pth")',
        )
    return first


def _candidates(section: Section) -> list[StateDict]:
    arrays = _unwrapped(section.arrays)
    weights: dict[str, set[str]] = defaultdict(set)
    for name, array in arrays.items():
        match = _TAIL.fullmatch(name)
        if match and len(array.shape) >= 2 and not (match["name"] in _SHORT_NAMES and _inside(match["prefix"])):
            weights[match["prefix"]].add(_NAMES[match["name"]][0])
    prefixes = [prefix for prefix, found in weights.items() if len(found & _WEIGHTS) >= _ENOUGH_WEIGHTS]
    found = []
    for prefix in prefixes:
        own = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
        rest = {
            name: array
            for name, array in arrays.items()
            if not any(name.startswith(each) for each in (prefix, *prefixes) if each or not prefix)
        }
        found.append(StateDict(_label(section.path, prefix), own, rest, section.values))
    return found


def _inside(prefix: str) -> bool:
    return bool(_INSIDE_A_MODEL.search(prefix))


def _label(path: tuple[str, ...], prefix: str) -> str:
    return ".".join((*path, prefix + "*")) if prefix else ".".join(path) or "the top level"


def _unwrapped(arrays: Mapping[str, StoredArray]) -> dict[str, StoredArray]:
    """The arrays without the names of wrappers, which can make one tensor appear several times."""
    unwrapped: dict[str, StoredArray] = {}
    for name, array in arrays.items():
        plain = ".".join(part for part in name.split(".") if part not in _WRAPPERS)
        if plain in unwrapped and not _same(unwrapped[plain], array):
            raise UserError(f"{name} is there twice, also as {plain}", "keep one of them")
        unwrapped.setdefault(plain, array)
    return unwrapped


def _same_tensors(first: Mapping[str, StoredArray], second: Mapping[str, StoredArray]) -> bool:
    return first.keys() == second.keys() and all(_same(array, second[name]) for name, array in first.items())


def _same(first: StoredArray, second: StoredArray) -> bool:
    if (first.shape, first.dtype) != (second.shape, second.dtype) or first.entries > MAX_BYTES:
        return False
    return np.array_equal(first.read(), second.read())


def uncovered(arrays: Mapping[str, StoredArray]) -> list[str]:
    """For each kind of thing that the theory does not cover, a sentence that names a tensor of it."""
    found: dict[str, str] = {}
    for name, array in arrays.items():
        if name in _NAMES:
            kind = _several(_NAMES[name][0], array.shape)
            if kind:
                found.setdefault(kind, f"{name}: it has {kind}, shape {list(array.shape)}")
        elif name not in (MASK, _MASKED_SCORE):
            kind = next((reason for pattern, reason in _REFUSALS if pattern.search(name)), "")
            if kind:
                found.setdefault(kind, f"{name}: {kind}")
    return list(found.values())


def _several(canonical: str, shape: tuple[int, ...]) -> str:
    """The heads or layers, if they are several, of a tensor with leading axes [layer, head] or [head]."""
    axes = TENSOR_SHAPES[canonical]
    has_head = axes[0] == "1"
    if (has_head or canonical.endswith("b_O")) and len(shape) == len(axes) + 1 and shape[0] > 1:
        return f"{shape[0]} layers"
    heads = shape[-len(axes)] if has_head and len(shape) >= len(axes) else 1
    return f"{heads} heads" if heads > 1 else ""


def is_known(name: str) -> bool:
    """Whether a tensor of this name is part of a model."""
    return name in _NAMES


def is_counter(name: str, array: StoredArray) -> bool:
    """Whether an array is a single integer, such as a number of steps, which is no weight."""
    return name not in _NAMES and array.is_integer and array.shape == ()


def place(arrays: Mapping[str, StoredArray]) -> dict[str, Placed]:
    """The tensors of one model by their names in the model file; missing biases are zeros.

    UserError names a tensor that is unknown, there twice, or the wrong way round.
    """
    placed: dict[str, Placed] = {}
    for name, array in arrays.items():
        if name in (MASK, _MASKED_SCORE) or is_counter(name, array):
            continue
        if name not in _NAMES:
            known = f"known are {', '.join(TENSOR_SHAPES)}, or their last parts {', '.join(_SHORT_NAMES)}"
            raise UserError(f"unknown tensor {name}", f"{known}, or the names of TransformerLens 4")
        canonical, transposed = _NAMES[name]
        if canonical in placed:
            raise UserError(f"{name} is there twice, also as {placed[canonical].name}", "keep one of them")
        placed[canonical] = _with_axes(name, canonical, array, transposed)
    _check_orientation(placed)
    for name, axes in TENSOR_SHAPES.items():
        weight = placed.get(name.replace(".b_", ".W_"))
        if name not in placed and weight is not None and weight.shape:
            placed[name] = _zeros(name, ((1,) if axes[0] == "1" else ()) + weight.shape[-1:], weight)
    return placed


def _zeros(name: str, shape: tuple[int, ...], weight: Placed) -> Placed:
    return Placed(name, shape, lambda: np.zeros(shape, dtype=weight.read().dtype), weight.linear)


def _with_axes(name: str, canonical: str, array: StoredArray, transposed: bool) -> Placed:
    axes = TENSOR_SHAPES[canonical]
    shape = array.shape[::-1] if transposed and len(array.shape) == 2 else array.shape
    has_head = axes[0] == "1"
    if (has_head or canonical.endswith("b_O")) and len(shape) == len(axes) + 1 and shape[0] == 1:
        shape = shape[1:]  # model.W_Q has an axis of layers in front
    if has_head and len(shape) == len(axes) - 1:
        shape = (1, *shape)

    def read() -> npt.NDArray[Any]:
        values = array.read()
        return (values.T if transposed else values).reshape(shape)

    return Placed(name, shape, read, name in _LINEAR_NAMES)


def _check_orientation(placed: Mapping[str, Placed]) -> None:
    """Name a matrix that is the wrong way round: it has d_model, the width of pos_embed.W_pos, at the wrong end."""
    positions = placed.get("pos_embed.W_pos")
    d_model = positions.shape[-1:] if positions is not None else ()
    for name, axes in TENSOR_SHAPES.items():
        shape = placed[name].shape if name in placed else ()
        if positions is None or "d_model" not in axes or len(axes) < 2 or len(shape) != len(axes):
            continue
        right, wrong = (shape[-1:], shape[-2:-1]) if axes[-1] == "d_model" else (shape[-2:-1], shape[-1:])
        if right != d_model == wrong:
            raise UserError(
                f"{placed[name].name} has its axes the other way round: shape {list(shape)}, expected "
                f"[{', '.join(axes)}] with d_model = {d_model[0]}",
                "torch.nn.Linear keeps out x in: store the transpose",
            )


def square(placed: Mapping[str, Placed]) -> list[str]:
    """The matrices whose shape does not tell them from their transposes, by short name."""
    matrices = [(name, placed[name]) for name in TENSOR_SHAPES if name in _WEIGHTS]
    return [
        name.rpartition(".")[2]
        for name, matrix in matrices
        if not matrix.linear and matrix.shape[-1] == matrix.shape[-2]
    ]
