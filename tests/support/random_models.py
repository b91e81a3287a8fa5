"""Random tiny models of every architecture, and the function that they stand for, written once more and plainly."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from certgen.models.architecture import Architecture
from certgen.models.model_file import Model, load_model, save_model

Array = np.ndarray


def random_model(rng: np.random.Generator, v: int = 4, n_ctx: int = 4, size: float = 1.0, **fixed: Any) -> Any:
    """What the product has of a model: `tensors`, `architecture`, `is_default`; some fields of the latter are given."""
    d, h, m, out = (int(rng.integers(2, 6)) for _ in range(4))
    fields: dict[str, Any] = {
        "blocks": int(rng.integers(0, 3)),
        "heads": int(rng.integers(1, 4)),
        "mask": str(rng.choice(["causal", "full"])),
        "attn_scale_squared": str(rng.choice(["2", "7/3", "16"])),
        "activation": str(rng.choice(["none", "relu", "silu", "gelu_tanh", "gelu_erf"])),
        "normalization": str(rng.choice(["none", "LN", "LNPre"])),
        "eps": "1/100000",
        "pool": str(rng.choice(["none", "sum", "mean"])),
        "readout_layers": int(rng.integers(0, 3)),
    } | fixed
    norms = [[], ["pre"], ["post"], ["final"], ["pre", "final"], ["post", "final"]]
    fields.setdefault("norms", tuple(norms[int(rng.integers(1, 6))]) if fields["normalization"] != "none" else ())
    if fields["normalization"] == "none":
        fields["eps"] = "0"
    shapes: dict[str, tuple[int, ...]] = {"embed.W_E": (v, d), "pos_embed.W_pos": (n_ctx, d)}
    for i in range(fields["blocks"]):
        heads = fields["heads"]
        for part in "QKV":
            shapes |= {f"blocks.{i}.attn.W_{part}": (heads, d, h), f"blocks.{i}.attn.b_{part}": (heads, h)}
        shapes |= {f"blocks.{i}.attn.W_O": (heads, h, d), f"blocks.{i}.attn.b_O": (d,)}
        if fields["activation"] != "none":
            shapes |= {f"blocks.{i}.mlp.W_in": (d, m), f"blocks.{i}.mlp.b_in": (m,)}
            shapes |= {f"blocks.{i}.mlp.W_out": (m, d), f"blocks.{i}.mlp.b_out": (d,)}
        if fields["normalization"] == "LN" and {"pre", "post"} & set(fields["norms"]):
            for ln in ["ln1", "ln2"] if fields["activation"] != "none" else ["ln1"]:
                shapes |= {f"blocks.{i}.{ln}.w": (d,), f"blocks.{i}.{ln}.b": (d,)}
    if fields["normalization"] == "LN" and "final" in fields["norms"]:
        shapes |= {"ln_final.w": (d,), "ln_final.b": (d,)}
    width = d
    for j in range(fields["readout_layers"]):
        wider = int(rng.integers(2, 6))
        shapes |= {f"readout.{j}.W": (width, wider), f"readout.{j}.b": (wider,)}
        width = wider
    shapes |= {"unembed.W_U": (width, out), "unembed.b_U": (out,)}
    tensors = {name: size * rng.normal(size=shape) for name, shape in shapes.items()}
    return SimpleNamespace(tensors=tensors, architecture=Architecture(**fields), is_default=False)


def saved(model: Any, path: Path) -> Model:
    """The same as a file."""
    save_model(path, model.tensors, model.architecture)
    return load_model(path)


def plain_logits(model: Any, tokens: list[int], readout: int | None = None) -> Array:
    """The definition, position by position and head by head."""
    w, a, k = model.tensors, model.architecture, len(tokens)
    x = [w["embed.W_E"][t] + w["pos_embed.W_pos"][p] for p, t in enumerate(tokens)]

    def norm(name: str, row: Array) -> Array:
        centred = row - row.mean()
        normal = centred / math.sqrt((centred**2).mean() + Fraction(a.eps))
        return normal * w[f"{name}.w"] + w[f"{name}.b"] if a.normalization == "LN" else normal

    for i in range(a.blocks):
        name = f"blocks.{i}"
        y = [norm(f"{name}.ln1", row) if "pre" in a.norms else row for row in x]
        after = []
        for p in range(k):
            row = x[p] + w[f"{name}.attn.b_O"]
            for h in range(a.heads):
                Q, K, V = (
                    [z @ w[f"{name}.attn.W_{part}"][h] + w[f"{name}.attn.b_{part}"][h] for z in y] for part in "QKV"
                )
                seen = range(k if a.mask == "full" else p + 1)
                weights = [math.exp(Q[p] @ K[j] / math.sqrt(Fraction(a.attn_scale_squared))) for j in seen]
                mixed = sum(weight * V[j] for weight, j in zip(weights, seen, strict=True)) / sum(weights)
                row = row + mixed @ w[f"{name}.attn.W_O"][h]
            row = norm(f"{name}.ln1", row) if "post" in a.norms else row
            if a.activation != "none":
                z = norm(f"{name}.ln2", row) if "pre" in a.norms else row
                z = np.array([ACTIVATIONS[a.activation](u) for u in z @ w[f"{name}.mlp.W_in"] + w[f"{name}.mlp.b_in"]])
                row = row + z @ w[f"{name}.mlp.W_out"] + w[f"{name}.mlp.b_out"]
                row = norm(f"{name}.ln2", row) if "post" in a.norms else row
            after.append(row)
        x = after
    x = [norm("ln_final", row) if "final" in a.norms else row for row in x]
    z = x[k - 1 if readout is None else readout] if a.pool == "none" else np.sum(x, axis=0)
    z = z / k if a.pool == "mean" else z
    for j in range(a.readout_layers):
        z = np.maximum(z @ w[f"readout.{j}.W"] + w[f"readout.{j}.b"], 0)
    found: Array = z @ w["unembed.W_U"] + w["unembed.b_U"]
    return found


ACTIVATIONS = {
    "relu": lambda z: max(z, 0.0),
    "silu": lambda z: z / (1 + math.exp(-z)),
    "gelu_tanh": lambda z: z / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3))),
    "gelu_erf": lambda z: z * (1 + math.erf(z / math.sqrt(2))) / 2,
}
