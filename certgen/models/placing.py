"""From the arrays of a checkpoint to the tensors of a model file: sizes, orientation, heads, parts of fused ones."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from certgen.errors import UserError
from certgen.models.architecture import Architecture
from certgen.models.checkpoints import StoredArray
from certgen.models.layouts import Fit, Match
from certgen.models.model_file import MAX_MODEL_BYTES, FloatArray
from certgen.models.recipe import Group, canonical_axes, groups

_FIRST = ("embed.W_E", "pos_embed.W_pos")  # a size is what the first tensor with it says
_LINEAR = ("weight", "in_proj_weight")  # last names under which PyTorch keeps matrices, which say how they lie


@dataclass(frozen=True)
class Placed:
    """A tensor in the axes of the model file, not yet read; `name` is what the checkpoint calls it."""

    name: str
    shape: tuple[int, ...]
    read: Callable[[], npt.NDArray[Any]]


@dataclass
class Sizes:
    """The sizes of the axes by name, as far as they are known, and what does not agree with them."""

    known: dict[str, int] = field(default_factory=dict)
    problems: list[UserError] = field(default_factory=list)
    layouts: dict[str, tuple[Group, ...]] = field(default_factory=dict)  # of each tensor that has the right rank


def solve(fit: Fit, given: Mapping[str, int] | None = None) -> Sizes:
    """The sizes that the arrays have by the recipe of `fit`; `given` may say what they cannot, such as n_heads."""
    sizes = Sizes(known=dict(given or {}))
    pending: list[tuple[str, Group, int]] = []
    for canonical in sorted(fit.tensors, key=lambda name: _FIRST.index(name) if name in _FIRST else len(_FIRST)):
        found = fit.tensors[canonical]
        for name in found.names:
            _measure(fit, canonical, name, found, sizes, pending)
    for canonical, group, size in pending:
        _divide(canonical, group, size, sizes, fit)
    return sizes


def _measure(
    fit: Fit, canonical: str, name: str, found: Match, sizes: Sizes, pending: list[tuple[str, Group, int]]
) -> None:
    """Take the sizes of one array; those of merged axes wait in `pending` until more is known."""
    shape = fit.state.arrays[name].shape
    layouts = [groups(text) for text in found.source.axes]
    fitting = [
        layout
        for layout in layouts
        if len(layout) == len(shape)
        and all(size == 1 for group, size in zip(layout, shape, strict=True) if group == ("1",))
    ]
    if not fitting:
        texts = " or ".join(_shown(layout) for layout in layouts)
        hint = "the axes are those of the recipe; transpose or reshape the array, or change the recipe"
        sizes.problems.append(UserError(f"{name} has shape {list(shape)}; expected the axes {texts}", hint))
        return
    layout = sizes.layouts[canonical] = fitting[0]
    if any(size < 1 for size in shape):
        sizes.problems.append(
            UserError(f"{name} has shape {list(shape)}: it is empty", "every size must be at least 1")
        )
        return
    if problem := _wrong_way_round(fit, name, shape, layout):
        sizes.problems.append(problem)
        return
    before = dict(sizes.known)
    axes = [group[0] for group in layout if len(group) == 1 and group[0] != "1"]
    lengths = [size for group, size in zip(layout, shape, strict=True) if len(group) == 1 and group[0] != "1"]
    if found.by_head:
        axes, lengths = [*axes, "n_heads"], [*lengths, len(found.names)]
    elif "n_heads" in canonical_axes(canonical, fit.recipe.readout_layers) and not any("n_heads" in g for g in layout):
        axes, lengths = [*axes, "n_heads"], [*lengths, 1]
    if any(sizes.known.setdefault(axis, size) != size for axis, size in zip(axes, lengths, strict=True)):
        sizes.known = before
        sizes.problems.append(_disagreement(name, shape, layout, sizes.known))
        return
    pending += [(canonical, group, size) for group, size in zip(layout, shape, strict=True) if len(group) > 1]


def _wrong_way_round(fit: Fit, name: str, shape: tuple[int, ...], layout: tuple[Group, ...]) -> UserError | None:
    """The error for a matrix that has d_model, the width of the positions, at the wrong end."""
    positions = fit.tensors.get("pos_embed.W_pos")
    d_model = fit.state.arrays[positions.names[0]].shape[-1:] if positions else ()
    if ("d_model",) not in layout[-2:] or len(layout) < 2:
        return None
    last, other = (-1, -2) if layout[-1] == ("d_model",) else (-2, -1)
    if not d_model or shape[last] == d_model[0] or shape[other] != d_model[0]:
        return None
    return UserError(
        f"{name} has its axes the other way round: shape {list(shape)}, expected {_shown(layout)} with "
        f"d_model = {d_model[0]}",
        "torch.nn.Linear keeps out x in: store the transpose, or choose a recipe that has it so",
    )


def _disagreement(name: str, shape: tuple[int, ...], layout: tuple[Group, ...], known: Mapping[str, int]) -> UserError:
    expected = [known.get(text, text) for text in (" ".join(group) for group in layout)]
    hint = "a size is what the first tensor with it says: d_vocab and d_model the embedding, n_ctx the positions"
    return UserError(f"{name} has shape {list(shape)}; expected {_shown(layout)} = {expected}", hint)


def _divide(canonical: str, group: Group, size: int, sizes: Sizes, fit: Fit) -> None:
    """Use that the sizes of merged axes multiply to `size`."""
    unknown = [axis for axis in group if not axis.isdigit() and axis not in sizes.known]
    known = prod(int(axis) if axis.isdigit() else sizes.known[axis] for axis in group if axis not in unknown)
    if len(unknown) == 1 and size % known == 0:
        sizes.known[unknown[0]] = size // known
    elif (not unknown and known != size) or (unknown and size % known):
        name = fit.tensors[canonical].names[0]
        values = ", ".join(f"{axis} = {sizes.known[axis]}" for axis in group if axis in sizes.known)
        hint = "say the number of heads with --set heads=N" if "n_heads" in group else ""
        shape = list(fit.state.arrays[name].shape)
        sizes.problems.append(
            UserError(
                f"{name} has shape {shape}; {size} is not {' x '.join(group)} with {values or 'whole numbers'}", hint
            )
        )


def _shown(layout: tuple[Group, ...]) -> str:
    return f"[{', '.join(' x '.join(group) for group in layout)}]"


def place(fit: Fit, sizes: Sizes, architecture: Architecture) -> dict[str, Placed]:
    """The tensors of the model file; missing biases are zeros. All sizes must be known and without problems."""
    placed = {name: _placed(fit, name, sizes) for name in fit.tensors}
    complete: dict[str, Placed] = {}
    for name, axes in architecture.tensor_shapes().items():
        shape = tuple(sizes.known[axis] for axis in axes)
        complete[name] = placed[name] if name in placed else _zeros(name, shape, placed["embed.W_E"])
    return complete


def _zeros(name: str, shape: tuple[int, ...], like: Placed) -> Placed:
    return Placed(name, shape, lambda: np.zeros(shape, dtype=like.read().dtype))


def _placed(fit: Fit, canonical: str, sizes: Sizes) -> Placed:
    found, layout = fit.tensors[canonical], sizes.layouts[canonical]
    arrays = [fit.state.arrays[name] for name in found.names]
    axes = canonical_axes(canonical, fit.recipe.readout_layers)
    stored = [axis for group in layout for axis in group]
    lengths = [int(axis) if axis.isdigit() else sizes.known[axis] for axis in stored]
    shape = tuple(sizes.known[axis] for axis in axes)

    def read_one(array: StoredArray) -> npt.NDArray[Any]:
        values = array.read().reshape(lengths)
        parts = tuple(slice(None) if not axis.isdigit() else 0 if axis == "1" else found.source.part for axis in stored)
        named = [axis for axis in stored if not axis.isdigit()]
        return values[parts].transpose([named.index(axis) for axis in axes if axis in named])

    def read() -> npt.NDArray[Any]:
        values = np.stack([read_one(array) for array in arrays]) if found.by_head else read_one(arrays[0])
        return values.reshape(shape)  # adds the axis of heads if there is one head and no such axis

    return Placed(found.names[0], shape, read)


def read(placed: Mapping[str, Placed]) -> dict[str, FloatArray]:
    """The values of all tensors; only now is memory taken, and no more than a model file may have."""
    size = sum(prod(tensor.shape) for tensor in placed.values())
    if size > MAX_MODEL_BYTES:
        largest = max(placed.values(), key=lambda tensor: prod(tensor.shape))
        raise UserError(
            f"the model has {size:,} weights, most of them in {largest.name}, shape {list(largest.shape)}",
            f"a model file has at most {MAX_MODEL_BYTES:,} bytes",
        )
    tensors: dict[str, FloatArray] = {}
    for name, tensor in placed.items():
        array = tensor.read()
        if array.dtype.kind != "f" or array.dtype.itemsize not in (2, 4, 8):
            hint = "convert it first"
            raise UserError(f"{tensor.name} has dtype {array.dtype}; expected a float of 16, 32 or 64 bits", hint)
        tensors[name] = array.astype(array.dtype.newbyteorder("<"))
    return tensors


def square(fit: Fit, sizes: Sizes) -> Iterator[str]:
    """The matrices whose shape does not tell them from their transposes, and whose names do not either."""
    for canonical, layout in sizes.layouts.items():
        last = canonical.rpartition(".")[2]
        names = fit.tensors[canonical].names
        if last.startswith("W_") and len(layout) >= 2 and names[0].rpartition(".")[2] not in _LINEAR:
            lengths = fit.state.arrays[names[0]].shape
            if lengths[-1] == lengths[-2] and (canonical.startswith(("blocks.0.", "embed", "pos", "unembed"))):
                yield last
