"""The tables of one attention layer in float64, as the checker will have them in integers."""

from __future__ import annotations

from fractions import Fraction
from functools import cached_property, lru_cache

import numpy as np

from certgen.counts.evaluation import Question
from certgen.errors import UserError
from certgen.models.forward import FloatArray
from certgen.problem.labels import IntArray
from certgen.regions.paths import Region


class OneLayer:
    """Features are the logits without b_U, then what enters each neuron; everything in logits, of float64.

    values [head, position, token, feature], direct [token, feature], out [neuron, output], bias [output],
    present [position, token]: can the token stand there, and is it seen from the readout? `radius` bounds what the
    checker's fixed point with `bits` bits adds to a feature.
    """

    def __init__(self, question: Question, bits: int) -> None:
        model, task = question.model, question.task
        require_one_layer(question)
        self.question, self.bits, self.unit = question, bits, 2.0**-bits
        tensors, kind = model.tensors, model.architecture
        assert task.readout is not None
        k, self.readout, self.heads = task.k, task.readout, kind.heads
        E, P = tensors["embed.W_E"], tensors["pos_embed.W_pos"][:k]
        attn = {
            name: tensors[f"blocks.0.attn.{name}"] for name in ("W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V", "b_O")
        }
        residual = P[:, None] + E[None]  # [k, v, d]
        read, grown = self.normed(residual) if "pre" in kind.norms else (residual, 1.0)
        U, self.bias = unembedding(question)
        maps, biases = [U], [attn["b_O"] @ U]
        self.neurons, self.out = 0, np.zeros((0, U.shape[1]))
        if kind.activation != "none":
            W_in = tensors["blocks.0.mlp.W_in"]
            maps.append(W_in)
            biases = [
                (attn["b_O"] + tensors["blocks.0.mlp.b_out"]) @ U,
                attn["b_O"] @ W_in + tensors["blocks.0.mlp.b_in"],
            ]
            self.neurons, self.out = W_in.shape[1], tensors["blocks.0.mlp.W_out"] @ U
        into = np.concatenate(maps, axis=1)
        self.outputs = U.shape[1]
        self.value = value = np.einsum("pvd,hde->hpve", read, attn["W_V"]) + attn["b_V"][:, None, None]
        onward = np.einsum("hed,df->hef", attn["W_O"], into)
        self.values = np.einsum("hpve,hef->hpvf", value, onward)
        self.direct = residual[self.readout] @ into + np.concatenate(biases)
        self.key = np.einsum("pvd,hde->hpve", read, attn["W_K"]) + attn["b_K"][:, None, None]
        self.query = np.einsum("vd,hde->hve", read[self.readout], attn["W_Q"]) + attn["b_Q"][:, None]
        self.root = float(Fraction(kind.attn_scale_squared)) ** 0.5
        weight = np.array([[w > 0 for w in row] for row in task.space.rows])
        self.allowed = weight
        self.seen = np.arange(k) <= self.readout if kind.mask == "causal" else np.ones(k, bool)
        self.scale = (1.0, 1.0)
        if "final" in kind.norms:
            rows = np.einsum("hpve,hed->hpvd", value, attn["W_O"])[:, self.allowed & self.seen[:, None]]
            own = residual[self.readout, self.allowed[self.readout]] + attn["b_O"]
            self.scale = divisor(float(Fraction(kind.eps)), [own, *rows])
        # how far the checker's fixed point can be off, in units: a linear map adds its roundings to what it is given
        r_value = linear_radius(read, attn["W_V"], grown)
        self.radius = self.unit * max(linear_radius(value, onward, r_value), linear_radius(residual, into[None], 1.0))
        r_key, r_query = linear_radius(read, attn["W_K"], grown), linear_radius(read, attn["W_Q"], grown)
        doubt = r_query * np.abs(self.key).sum(axis=-1).max() + r_key * np.abs(self.query).sum(axis=-1).max()
        self.doubt = 4 * self.unit * (2 * doubt / self.root + 64)
        self.scores = lru_cache(maxsize=4)(self.attention)

    def attention(self, query: int) -> FloatArray:
        """[head, position, token]: scores; -inf where attention does not look."""
        scores = np.einsum("he,hpve->hpv", self.query[:, query], self.key) / self.root
        present = self.allowed & self.seen[:, None]
        present[self.readout] = np.arange(present.shape[1]) == query
        found: FloatArray = np.where(present, scores, -np.inf)
        return found

    def shares(self, query: int, inputs: IntArray) -> FloatArray:
        """[head, input, position]: how much of the attention each position of these inputs gets."""
        scores = self.scores(query)[:, np.arange(inputs.shape[1]), inputs]
        own: FloatArray = np.exp(scores - scores.max(axis=2, keepdims=True))
        own /= own.sum(axis=2, keepdims=True)
        return own

    def weights(self, region: Region) -> FloatArray:
        """[head, position, token]: attention to tokens that the region reads, of each head the largest 1; else 0."""
        scores = np.full((self.heads, *self.allowed.shape), -np.inf)
        for p, (tokens, _, _) in enumerate(region.layers):
            scores[:, p, tokens] = self.scores(region.query)[:, p, tokens]
        found: FloatArray = np.exp(scores - scores.max(axis=(1, 2), keepdims=True))
        return found

    def normed(self, x: FloatArray) -> tuple[FloatArray, float]:
        """LayerNorm before attention, and how many units its result is off at most."""
        tensors, kind = self.question.model.tensors, self.question.model.architecture
        centred = x - x.mean(axis=-1, keepdims=True)
        sigma = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + float(Fraction(kind.eps)))
        normal = centred / sigma
        radius = float(((2 + np.abs(normal).max()) / sigma.min()) * 2 + np.abs(normal).max() + 4)
        if kind.normalization == "LN":
            w, b = tensors["blocks.0.ln1.w"], tensors["blocks.0.ln1.b"]
            radius = float(radius * (np.abs(w).max() + 1) + np.abs(normal).max() + 4)
            normal = normal * w + b
        return np.asarray(normal, np.float64), radius

    @cached_property
    def activation(self) -> str:
        return self.question.model.architecture.activation


def unembedding(question: Question) -> tuple[FloatArray, FloatArray]:
    """W_U and b_U; with a final LayerNorm what stands in front of the residual and of its divisor, times d_model."""
    tensors, kind = question.model.tensors, question.model.architecture
    U, bias = tensors["unembed.W_U"], tensors["unembed.b_U"]
    if "final" not in kind.norms:
        return U, bias
    if kind.normalization == "LN":
        bias = bias + tensors["ln_final.b"] @ U
        U = tensors["ln_final.w"][:, None] * U
    return len(U) * U - U.sum(axis=0), bias


def divisor(eps: float, parts: list[FloatArray]) -> tuple[float, float]:
    """A range of the final LayerNorm's divisor times d_model, of a residual that is a sum of means of rows of each."""
    d = parts[0].shape[-1]
    spread = sum(float(part.std(axis=-1).max()) for part in parts)
    return d * eps**0.5 * (1 - 1e-9), d * (spread**2 + eps) ** 0.5 * (1 + 1e-9) + 1e-9


def linear_radius(x: FloatArray, W: FloatArray, radius: float) -> float:
    """In units, that of x @ W[h] of fixed-point vectors x within `radius` units, generously."""
    column = float(np.abs(W).sum(axis=-2).max(initial=0.0)) + W.shape[-2] * 1e-6
    return float(radius * column + np.abs(x).sum(axis=-1).max() / 2 + 8)


def why_not(question: Question) -> str | None:
    """Why regions do not apply, in a few words; None if they do."""
    kind = question.model.architecture
    if kind.blocks != 1:
        return f"it has {kind.blocks} blocks, and regions are for one"
    if kind.pool != "none" or question.task.readout is None:
        return "its logits are pooled over positions, and regions are for logits that are read at one"
    if kind.readout_layers:
        return "it has layers between the readout and the logits"
    if "post" in kind.norms:
        return "it has a LayerNorm after attention, in the residual stream"
    if kind.norms and kind.activation != "none":
        return "it has an MLP and LayerNorm, and regions are for one of them"
    return None


def require_one_layer(question: Question, strategy: str = "regions") -> None:
    """UserError unless the rules about regions, by which this strategy proves, are about this model."""
    reason = why_not(question)
    if reason:
        raise UserError(
            f"the strategy {strategy} is for one attention layer, with or without an MLP; {reason}",
            "the strategy brute-force is for every model and problem",
        )
