"""The model as a function in PyTorch, for training.

Every weight has a leading axis over seeds; nothing ever sums over it, so the seeds share the arithmetic and nothing
else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING

from certgen.models.architecture import Architecture

if TYPE_CHECKING:
    from torch import Tensor


def one_head_logits(weights: Mapping[str, Tensor], tokens: Tensor) -> Tensor:
    """The logits at the last position, [seeds, batch, d_vocab_out], of `tokens` [seeds, batch, k].

    `weights` holds W_E, W_pos, W_Q, W_K, W_V, W_O and W_U of a default architecture, without the axis of the head; the
    biases are zero.  Only the last position is read, and its query attends to all k, so this is the one row of
    attention that is computed; tokens enter through products with whole tables, which are faster here than gathering
    rows (and so are their gradients).
    """
    import torch

    W_E, W_pos = weights["W_E"], weights["W_pos"]
    d_vocab, d_head = W_E.shape[1], weights["W_Q"].shape[2]
    query = torch.nn.functional.one_hot(tokens[:, :, -1], d_vocab).to(W_E.dtype) @ W_E + W_pos[:, -1:]
    score_direction = query @ weights["W_Q"] @ weights["W_K"].mT / math.sqrt(d_head)
    scores = (score_direction @ W_E.mT).gather(2, tokens) + score_direction @ W_pos.mT
    attention = scores.softmax(dim=2)
    no_attention = attention.new_zeros(*attention.shape[:2], d_vocab)
    attention_per_token = no_attention.scatter_add(2, tokens, attention)
    attended = attention_per_token @ W_E + attention @ W_pos
    return (query + attended @ weights["W_V"] @ weights["W_O"]) @ weights["W_U"]


def logits(weights: Mapping[str, Tensor], architecture: Architecture, tokens: Tensor) -> Tensor:
    """The logits at the last position, [seeds, batch, d_vocab_out], of `tokens` [seeds, batch, k].

    `weights` are named as in a model file.  The architecture is one that is trained here: causal, normalised before
    each layer and at the end or not at all, and without pooling.
    """
    import torch

    W_E, W_pos = weights["embed.W_E"], weights["pos_embed.W_pos"]
    batch, k = tokens.shape[1:]
    one_hot = torch.nn.functional.one_hot(tokens.flatten(1), W_E.shape[1]).to(W_E.dtype)
    x = one_hot @ W_E + W_pos.repeat(1, batch, 1)  # [seeds, batch k, d_model], as all that follows: one product a seed
    for block in range(architecture.blocks):
        part = _part(weights, f"blocks.{block}.")
        x = x + _attention(_part(part, "attn."), architecture, _norm(_part(part, "ln1."), architecture, x), k)
        if architecture.activation != "none":
            y = _norm(_part(part, "ln2."), architecture, x)
            inner = _activation(architecture)(y @ part["mlp.W_in"] + part["mlp.b_in"][:, None])
            x = x + inner @ part["mlp.W_out"] + part["mlp.b_out"][:, None]
    z = _norm(_part(weights, "ln_final."), architecture, x[:, k - 1 :: k])
    return z @ weights["unembed.W_U"] + weights["unembed.b_U"][:, None]


def _part(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The weights whose names begin so, by the rest of their names."""
    return {name.removeprefix(prefix): weight for name, weight in weights.items() if name.startswith(prefix)}


def _attention(weights: Mapping[str, Tensor], architecture: Architecture, y: Tensor, k: int) -> Tensor:
    import torch

    def project(letter: str) -> Tensor:
        """[seeds, heads, batch, k, d_head]."""
        projected = y[:, None] @ weights[f"W_{letter}"] + weights[f"b_{letter}"][:, :, None]
        return projected.view(*projected.shape[:2], -1, k, projected.shape[-1])

    scale = 1 / math.sqrt(Fraction(architecture.attn_scale_squared))
    mixed = torch.nn.functional.scaled_dot_product_attention(
        project("Q"), project("K"), project("V"), is_causal=True, scale=scale
    )
    return (mixed.flatten(2, 3) @ weights["W_O"]).sum(dim=1) + weights["b_O"][:, None]


def _norm(weights: Mapping[str, Tensor], architecture: Architecture, x: Tensor) -> Tensor:
    from torch.nn import functional

    if architecture.normalization == "none":
        return x
    normal = functional.layer_norm(x, x.shape[-1:], eps=float(Fraction(architecture.eps)))
    return normal * weights["w"][:, None] + weights["b"][:, None] if weights else normal


def _activation(architecture: Architecture) -> Callable[[Tensor], Tensor]:
    from torch.nn import functional

    return {
        "relu": functional.relu,
        "silu": functional.silu,
        "gelu_tanh": lambda z: functional.gelu(z, approximate="tanh"),
        "gelu_erf": functional.gelu,
    }[architecture.activation]
