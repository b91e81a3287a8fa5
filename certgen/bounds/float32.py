"""How far float32 arithmetic may move differences of logits, as the rule float32_any_order bounds it, in float64.

The checker computes its own bound; this one has to be no smaller, so that a proof at this margin is accepted.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import numpy.typing as npt

from certgen.counts.evaluation import Question
from certgen.errors import UserError
from certgen.models.forward import LIPSCHITZ, MOST, SPARE, grown
from certgen.models.model_file import Model
from certgen.regions.tables import OneLayer, why_not

Array = npt.NDArray[np.float64]

UNIT = 2.0**-24
WIDEST, SCALES = 1 << 16, 1 << 16
FLUSHED = 2.0**-40  # far more than the checker's fixed point rounds
BITS = 64


def float32_gap(question: Question) -> Fraction:
    """A short fraction, at least what the checker finds. UserError for what the rule float32_any_order is not about."""
    if reason := why_not_float32(question):
        said = f"--semantics float32-any-order, with a strategy that does not evaluate every input: {reason}"
        raise UserError(said, "the strategy brute-force is for every model and problem, in float32, too")
    require_float32(question.model)
    with np.errstate(over="ignore", invalid="ignore"):
        gap = SPARE * gap_error(question) + FLUSHED
    if not gap < MOST:
        raise too_large(question.model)
    step = Fraction(2) ** (int(np.floor(np.log2(gap))) - 5)
    return -(-Fraction(gap) // step) * step


def why_not_float32(question: Question) -> str | None:
    """Why no error of float32 is known before inputs are evaluated; None if one is."""
    if question.model.architecture.norms:
        return "it has LayerNorm, and what float32 does to that is known of single inputs only"
    return why_not(question)


def require_float32(model: Model) -> None:
    """UserError unless every weight is a float32 number that is not too large."""
    for name, tensor in model.tensors.items():
        if not np.array_equal(tensor.astype(np.float32).astype(np.float64), tensor):
            reason = f"{model.path}: {name} has weights that are no float32 numbers"
            raise UserError(
                reason, "make a model file of what the float32 program computes with, or prove it about real numbers"
            )
        if np.abs(tensor).max() >= MOST or max(tensor.shape) > WIDEST:
            raise too_large(model)
    if not 1 / SCALES <= float(Fraction(model.architecture.attn_scale_squared)) <= SCALES:
        raise too_large(model)


def too_large(model: Model) -> UserError:
    reason = f"{model.path}: its numbers are too large, or too many are added, for a bound on the errors of float32"
    return UserError(reason, "prove it about real numbers: --semantics exact-real")


def roundings(number: int) -> Array:
    """What so many roundings change, relative to a number."""
    return grown(number * UNIT)


def gap_error(question: Question) -> float:
    """The sums of checker/lemmas/float32.py. Axes are head, query or position and token, and entry, in this order."""
    tensors, kind = question.model.tensors, question.model.architecture
    layer, k, d = OneLayer(question, BITS), question.task.k, question.model.d_model
    attn = {part: tensors[f"blocks.0.attn.{part}"] for part in ("W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V", "b_O")}
    U, heads, width = tensors["unembed.W_U"], *attn["W_O"].shape[:2]
    residual = np.abs(tensors["embed.W_E"] + tensors["pos_embed.W_pos"][:k, None])
    seen, queries = layer.allowed & layer.seen[:, None], layer.allowed[layer.readout]
    own, others = residual[layer.readout, queries], residual[seen]

    def off(part: str, x: Array) -> Array:
        """What is rounded in queries, keys or values."""
        W, b = np.abs(attn[f"W_{part}"]), np.abs(attn[f"b_{part}"])
        return roundings(d + 3) * (x @ W + b[:, None])

    query, query_off = np.abs(layer.query[:, queries]), off("Q", own)
    key, key_off = largest(np.abs(layer.key[:, seen])), largest(off("K", others))
    value, value_off = largest(np.abs(layer.value[:, seen])), largest(off("V", others))
    product = ((query + query_off) * (key + key_off)).sum(axis=-1) / layer.root
    inexact = ((query + query_off) * key_off + query_off * key).sum(axis=-1) / layer.root
    exponents = roundings(4) * 2 * product + roundings(9 * k)
    together = roundings(width + 12) * product + inexact + exponents
    features = layer.values[:, seen]
    moved = np.einsum("hq,hf->qf", together / 2, features.max(axis=1) - features.min(axis=1))
    mixed = value_off + grown(2 * exponents + (2 * k + 6) * UNIT)[..., None] * (value + value_off)

    def flat(x: Array) -> Array:
        """All heads side by side."""
        return np.swapaxes(x, 0, 1).reshape(x.shape[1], heads * width)

    W_O, outputs = attn["W_O"].reshape(heads * width, d), U.shape[1]
    total = flat(value + mixed) @ np.abs(W_O) + np.abs(attn["b_O"]) + own
    error = roundings(heads * width + 4) * total
    x = total + error
    logits = moved[:, :outputs] + flat(mixed) @ np.abs(W_O @ U)
    if layer.neurons:
        W_in, W_out = tensors["blocks.0.mlp.W_in"], np.abs(tensors["blocks.0.mlp.W_out"])
        total = x @ np.abs(W_in) + np.abs(tensors["blocks.0.mlp.b_in"])
        entering = error @ np.abs(W_in) + moved[:, outputs:] + flat(mixed) @ np.abs(W_O @ W_in)
        entering += roundings(d + 2) * total
        total += entering
        leaving = LIPSCHITZ[kind.activation] * entering + (kind.activation != "relu") * roundings(16) * total
        logits += leaving @ np.abs(layer.out)
        total = (total + leaving) @ W_out + np.abs(tensors["blocks.0.mlp.b_out"]) + x
        after = roundings(layer.neurons + 3) * total
        x, error = total + after, error + after
    logits += roundings(d + 2) * (x @ np.abs(U) + np.abs(tensors["unembed.b_U"])) + error @ np.abs(U)
    return float(np.sort(logits, axis=1)[:, -2:].sum(axis=1).max())


def largest(x: Array) -> Array:
    """Of each entry, over positions and tokens, which stay an axis."""
    found: Array = x.max(axis=1, keepdims=True)
    return found
