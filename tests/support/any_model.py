"""Model files of any architecture, written byte by byte; shares no code with the product.

    given = architecture(blocks=2, heads=3, activation="relu")
    write_model(path, any_tensors(rng, given, sizes), given)

Tensors are float64 arrays in the shapes of the file. `sizes` are the extents of the axes, by name.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tests.support.tiny import Entry, encode, safetensors_bytes

Architecture = dict[str, Any]
Tensors = dict[str, np.ndarray]
LEGACY: Architecture = {
    "blocks": 1,
    "heads": 1,
    "mask": "causal",
    "attn_scale_squared": "1",
    "activation": "none",
    "normalization": "none",
    "norms": [],
    "eps": "0",
    "pool": "none",
    "readout_layers": 0,
}


def architecture(**given: Any) -> Architecture:
    """The fields given, the others as in a file without the entry (the scale apart)."""
    return LEGACY | given


def canonical(value: object) -> str:
    """The one text of a JSON value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def axes_of(given: Architecture) -> dict[str, tuple[str, ...]]:
    """Every tensor that an architecture has, and its axes."""
    axes: dict[str, tuple[str, ...]] = {"embed.W_E": ("d_vocab", "d_model"), "pos_embed.W_pos": ("n_ctx", "d_model")}
    weighted = given["normalization"] == "LN"
    in_blocks = weighted and ("pre" in given["norms"] or "post" in given["norms"])
    for i in range(given["blocks"]):
        attn = f"blocks.{i}.attn."
        for name in "QKV":
            axes[f"{attn}W_{name}"] = ("n_heads", "d_model", "d_head")
            axes[f"{attn}b_{name}"] = ("n_heads", "d_head")
        axes[f"{attn}W_O"], axes[f"{attn}b_O"] = ("n_heads", "d_head", "d_model"), ("d_model",)
        if given["activation"] != "none":
            mlp = f"blocks.{i}.mlp."
            axes[f"{mlp}W_in"], axes[f"{mlp}b_in"] = ("d_model", "d_mlp"), ("d_mlp",)
            axes[f"{mlp}W_out"], axes[f"{mlp}b_out"] = ("d_mlp", "d_model"), ("d_model",)
        for norm in ("ln1", "ln2") if in_blocks else ():
            if norm == "ln1" or given["activation"] != "none":
                axes[f"blocks.{i}.{norm}.w"] = axes[f"blocks.{i}.{norm}.b"] = ("d_model",)
    if weighted and "final" in given["norms"]:
        axes["ln_final.w"] = axes["ln_final.b"] = ("d_model",)
    width = "d_model"
    for j in range(given["readout_layers"]):
        axes[f"readout.{j}.W"], axes[f"readout.{j}.b"] = (width, f"d_readout_{j}"), (f"d_readout_{j}",)
        width = f"d_readout_{j}"
    axes["unembed.W_U"], axes["unembed.b_U"] = (width, "d_vocab_out"), ("d_vocab_out",)
    return axes


def zeros(given: Architecture, sizes: Mapping[str, int], **tensors: Any) -> Tensors:
    """All zeros (LayerNorm weights are one), except for the tensors given as blocks_0_attn_W_Q or by their ending, like
    W_E or mlp_b_in; any nesting that has the right number of entries."""
    made = {name: np.zeros([sizes[axis] for axis in axes]) for name, axes in axes_of(given).items()}
    for name in made:
        if name.endswith(".w"):
            made[name] += 1
    for name, values in tensors.items():
        (full,) = (full for full in made if full.replace(".", "_").endswith(name))
        made[full] = np.asarray(values, dtype=float).reshape(made[full].shape)
    return made


def any_model_bytes(
    tensors: Mapping[str, np.ndarray],
    given: Architecture | str | None,
    dtype: str | Mapping[str, str] = "F64",
    metadata: Mapping[str, Any] | None = None,
) -> bytes:
    """The file; without the entry if there is no architecture, with this very text if it is a string."""
    kinds = {name: dtype if isinstance(dtype, str) else dtype[name] for name in tensors}
    items = [Entry(name, kinds[name], list(array.shape), encode(array, kinds[name])) for name, array in tensors.items()]
    entry = {} if given is None else {"architecture": given if isinstance(given, str) else canonical(given)}
    both = {**(metadata or {}), **entry}
    return safetensors_bytes(items, metadata=both or None)


def write_model(
    path: str | Path,
    tensors: Mapping[str, np.ndarray],
    given: Architecture | str | None,
    dtype: str | Mapping[str, str] = "F64",
) -> Path:
    """Write the file; returns its path."""
    Path(path).write_bytes(any_model_bytes(tensors, given, dtype))
    return Path(path)


def legacy_architecture(tensors: Mapping[str, np.ndarray]) -> Architecture:
    """What a file of the twelve tensors without the entry means."""
    return architecture(attn_scale_squared=str(tensors["blocks.0.attn.W_Q"].shape[2]))


def storable(values: np.ndarray, dtype: str) -> np.ndarray:
    """The nearest numbers (for BF16: towards zero) that the dtype can hold; beyond its range, its largest."""
    if dtype == "F64":
        return np.asarray(values, dtype=float)
    largest = 65504.0 if dtype == "F16" else float(np.float32(3e38))
    clipped = np.clip(values, -largest, largest)
    if dtype == "F16":
        return clipped.astype(np.float16).astype(float)
    single = clipped.astype(np.float32)
    if dtype == "BF16":
        single = (single.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
    return single.astype(float)
