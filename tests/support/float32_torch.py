"""Models of any architecture as programs of PyTorch in float32, all inputs at once."""

import math
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from tests.support.any_case import Case
from tests.support.torch_models import attend

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "silu": F.silu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),
    "gelu_erf": F.gelu,
}


def in_pytorch(case: Case, inputs: list[list[int]], own: bool = True) -> list[list[float]]:
    """The logits of each input; with its `own` LayerNorm and attention, or from the definitions."""
    a, T = case.architecture, {name: torch.from_numpy(x).float() for name, x in case.tensors.items()}
    eps, scale = float(Fraction(a["eps"])), math.sqrt(Fraction(a["attn_scale_squared"]))
    causal, k = a["mask"] == "causal", len(inputs[0])

    def norm(name: str, x: Tensor) -> Tensor:
        w, b = T.get(f"{name}.w"), T.get(f"{name}.b")
        if own:
            return F.layer_norm(x, x.shape[-1:], w, b, eps)
        x = x - x.mean(-1, keepdim=True)
        x = x / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt()
        return x if w is None or b is None else x * w + b

    def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if own:
            found: Tensor = F.scaled_dot_product_attention(q, k, v, is_causal=causal, scale=1 / scale)
            return found
        return attend(q, k, v, causal, scale)

    x = T["embed.W_E"][torch.tensor(inputs)] + T["pos_embed.W_pos"][:k]
    for i in range(a["blocks"]):
        name = f"blocks.{i}"
        y = (norm(f"{name}.ln1", x) if "pre" in a["norms"] else x)[:, None]
        q, keys, v = (y @ T[f"{name}.attn.W_{part}"] + T[f"{name}.attn.b_{part}"][:, None] for part in "QKV")
        z, W_O = attention(q, keys, v), T[f"{name}.attn.W_O"]
        x = x + (z.transpose(1, 2).flatten(2) @ W_O.flatten(0, 1) + T[f"{name}.attn.b_O"])
        x = norm(f"{name}.ln1", x) if "post" in a["norms"] else x
        if a["activation"] != "none":
            y = norm(f"{name}.ln2", x) if "pre" in a["norms"] else x
            active = ACTIVATIONS[a["activation"]](y @ T[f"{name}.mlp.W_in"] + T[f"{name}.mlp.b_in"])
            x = x + (active @ T[f"{name}.mlp.W_out"] + T[f"{name}.mlp.b_out"])
            x = norm(f"{name}.ln2", x) if "post" in a["norms"] else x
    x = norm("ln_final", x) if "final" in a["norms"] else x
    pools: dict[str, Any] = {"sum": lambda x: x.sum(1), "mean": lambda x: x.mean(1)}
    x = pools[a["pool"]](x) if a["pool"] in pools else x[:, case.problem["readout"]]
    for j in range(a["readout_layers"]):
        x = F.relu(x @ T[f"readout.{j}.W"] + T[f"readout.{j}.b"])
    found: list[list[float]] = (x @ T["unembed.W_U"] + T["unembed.b_U"]).double().tolist()
    return found
