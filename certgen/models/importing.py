"""Turning other people's checkpoints into canonical model files.

A checkpoint is accepted only when neither its tensors nor its configuration say that the theory does not cover it;
what stands in the way is refused by name.  What nothing in the file says is assumed, and the assumptions are part of
the result.
"""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from certgen.errors import UserError, a
from certgen.models.checkpoints import StoredArray, read_sections
from certgen.models.configuration import (
    CAPS,
    GLOBAL,
    LAST,
    NORM,
    ONE_HEAD,
    POSITIONS,
    SCALE,
    Sizes,
    Statement,
    checked,
    confirmed,
    contradictions,
    disagreements,
    is_causal,
    is_setting,
    read_configuration,
    remarks,
    statements,
)
from certgen.models.layouts import (
    MASK,
    MAX_BYTES,
    Placed,
    StateDict,
    choose_state_dict,
    is_counter,
    is_known,
    place,
    square,
    uncovered,
)
from certgen.models.model_file import FloatArray, Model, check_shapes, check_tensors, model_bytes, parse_model

_SHOWN = 8


@dataclass(frozen=True)
class Imported:
    """The canonical tensors, as `save_model` takes them, and one line for each thing a user should know about them."""

    source: Path
    tensors: Mapping[str, FloatArray]
    notes: Sequence[str]

    @property
    def model(self) -> Model:
        """The model as it will be read from its file."""
        return parse_model(model_bytes(self.tensors), self.source)


def import_checkpoint(
    source: str | os.PathLike[str], k: int | None = None, config: str | os.PathLike[str] | None = None
) -> Imported:
    """The canonical tensors of the checkpoint at `source`, for sequences of `k` tokens (n_ctx unless given).

    Accepted: a TransformerLens state dict as a torch file or safetensors, at any depth, or arrays W_E, W_pos, W_Q,
    W_K, W_V, W_O, W_U and optional b_* in an .npz; axes of layers and heads of length 1 may be there or not.  Values
    are kept exactly (BF16 becomes float32) and missing biases are zero.  Settings in the file, and in the JSON or
    YAML file `config`, are checked.  UserError names the tensor or the setting that the theory does not cover, and
    why.
    """
    path = Path(source)
    sections = read_sections(path)
    chosen = choose_state_dict(sections)
    given = statements(sections) + (read_configuration(Path(config)) if config is not None else [])
    problems = uncovered({**chosen.arrays, **chosen.left_out})
    if problems:
        hint = "import another model, or train one with `certgen train`"
        raise UserError(f"the theory does not cover {'; nor '.join(problems[:_SHOWN])}", hint)
    _require_tensors(chosen, path)
    if not chosen.arrays:
        raise UserError(f"{path} holds no tensors", "save model.state_dict()")
    placed = place({name: array for name, array in chosen.arrays.items() if not is_setting(name, array)})
    check_shapes({name: tensor.shape for name, tensor in placed.items()})
    n_ctx = placed["pos_embed.W_pos"].shape[0]
    used = n_ctx if k is None else k
    if used > n_ctx:
        raise UserError(
            f"pos_embed.W_pos has {n_ctx} positions, but k = {k} was asked for", "a model answers for at most n_ctx"
        )
    _check_settings(given, placed, used)
    _check_mask(chosen.arrays.get(MASK), n_ctx, used)
    tensors = _read(placed)
    tensors["pos_embed.W_pos"] = tensors["pos_embed.W_pos"][:used]
    check_tensors(tensors)
    return Imported(path, tensors, _notes(chosen, placed, given, n_ctx, used))


def _require_tensors(chosen: StateDict, path: Path) -> None:
    """Refuse plain values under the names of weights, which would otherwise only be missed."""
    for name, value in chosen.values.items():
        if is_known(name):
            raise UserError(f"{name} in {path} is {a(value)}, not a tensor", "save the state dict only")


def _check_settings(given: Sequence[Statement], placed: Mapping[str, Placed], k: int) -> None:
    d_vocab, d_model = placed["embed.W_E"].shape
    sizes = Sizes(
        d_vocab=d_vocab,
        d_vocab_out=placed["unembed.W_U"].shape[1],
        d_model=d_model,
        d_head=placed["blocks.0.attn.W_Q"].shape[2],
        n_ctx=placed["pos_embed.W_pos"].shape[0],
        k=k,
    )
    found = disagreements(given)
    if found:
        raise UserError("; ".join(found[:_SHOWN]), "keep the one that is true of these weights")
    found = contradictions(given, sizes)
    if found:
        hint = "a certificate would be about another function; if a setting is not true of these weights, take it out"
        raise UserError("; ".join(found[:_SHOWN]), hint)


def _check_mask(mask: StoredArray | None, n_ctx: int, k: int) -> None:
    if mask is None or mask.entries == 0:
        return
    if mask.shape[-2:] != (n_ctx, n_ctx) or mask.entries != n_ctx**2:
        raise UserError(
            f"{MASK} has shape {list(mask.shape)}; expected [{n_ctx}, {n_ctx}]", "remove it if it is unused"
        )
    values = mask.read().reshape(n_ctx, n_ctx)
    if not ((values == 0) | (values == 1)).all():
        raise UserError(
            f"{MASK} has entries other than 0 and 1", "store True where a position sees another, or remove the mask"
        )
    if not values[k - 1, :k].astype(bool).all():
        raise UserError(
            f"{MASK} hides earlier positions from the last one (local attention)",
            "the theory needs the last position to attend to every position",
        )


def _read(placed: Mapping[str, Placed]) -> dict[str, FloatArray]:
    """The values of all tensors; only now is memory taken, and no more than a model file may have."""
    size = sum(math.prod(tensor.shape) for tensor in placed.values())
    if size > MAX_BYTES:
        largest = max(placed.values(), key=lambda tensor: math.prod(tensor.shape))
        raise UserError(
            f"the model has {size:,} weights, most of them in {largest.name}, shape {list(largest.shape)}",
            f"a model file has at most {MAX_BYTES:,} bytes",
        )
    tensors: dict[str, FloatArray] = {}
    for name, tensor in placed.items():
        array = tensor.read()
        if array.dtype.kind != "f" or array.dtype.itemsize not in (2, 4, 8):
            hint = "convert it first"
            raise UserError(f"{tensor.name} has dtype {array.dtype}; expected a float of 16, 32 or 64 bits", hint)
        tensors[name] = array.astype(array.dtype.newbyteorder("<"))
    return tensors


def _notes(
    chosen: StateDict, placed: Mapping[str, Placed], given: Sequence[Statement], n_ctx: int, k: int
) -> list[str]:
    mask = chosen.arrays.get(MASK)
    known = confirmed(given) | ({GLOBAL} if mask is not None and mask.entries else set())
    assumptions = [SCALE, NORM, LAST, POSITIONS, CAPS, GLOBAL]
    if any(tensor.linear for tensor in placed.values()):  # all heads are in one axis
        assumptions.append(ONE_HEAD)
    notes = []
    left_out = [f"{name} {list(array.shape) if array.shape else ''}".strip() for name, array in chosen.left_out.items()]
    left_out += [name for name, array in chosen.arrays.items() if is_counter(name, array)]
    if left_out:
        more = f" and {len(left_out) - _SHOWN} more" if len(left_out) > _SHOWN else ""
        notes.append(f"left out: {', '.join(left_out[:_SHOWN])}{more}")
    if k < n_ctx:
        notes.append(_cut(n_ctx, k, given, mask))
    notes += checked(given)
    notes.append(f"assumed: {', '.join(each for each in assumptions if each not in known)}")
    matrices = square(placed)
    if matrices:
        notes.append(
            f"note: {', '.join(matrices)} are square, so their shapes do not tell them from their transposes; rows are "
            "taken as inputs (torch.nn.Linear stores them the other way round)"
        )
    if mask is not None and mask.entries == 0:
        notes.append(f"note: {MASK} has no entries; it does not say whether attention is local")
    notes += [f"note: {remark}" for remark in remarks(given)]
    return notes


def _cut(n_ctx: int, k: int, given: Sequence[Statement], mask: StoredArray | None) -> str:
    causal = is_causal(given)
    if mask is not None and mask.entries:
        causal = not mask.read().reshape(n_ctx, n_ctx)[k - 1, k:].astype(bool).any()
    cut = f"cut: pos_embed.W_pos from {n_ctx} to {k} positions; the answer is read at position {k - 1}, "
    if causal:
        return cut + "which sees no later ones: this is exact"
    return cut + f"and the model is taken to be run on {k} tokens alone, without padding"
