"""The model as a function, in float64, with the radius that the checker's evaluation of it will have.

The function is that of any architecture (schemas/CERTIFICATE.md).  The checker evaluates it in fixed point: every
vector is a centre in units of 2^-bits and one radius.  Both are followed here in one pass, the centre as float64 and
the radius in those units, rounded generously: a prediction that decides nothing, and that may be too large but should
never be too small.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from certgen.errors import UserError
from certgen.models.model_file import Model

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

MOST_FLOATS = 1 << 22  # in the largest array of one pass: bounds the memory, not the result
LIPSCHITZ = {"relu": 1.0, "silu": 1.1, "gelu_tanh": 1.13, "gelu_erf": 1.13}  # of the activations
MOST, FLUSHED = 2.0**24, 2.0**-48  # no number in a float32 run is as large; what is flushed to 0 moves nothing by more
SPARE = 1 + 2.0**-20  # far more than float64, or the checker's fixed point, rounds
FLOAT_BITS = 50  # of a float64, with some to spare for the roundings inside a product
_PREDICTED_BITS = 64  # when only the centre is wanted


class Evaluation(NamedTuple):
    """logits [n, d_vocab_out]; per input the radius that the checker's logits will have, and the error of these ones.

    `radius` [n] is in units of 2^-bits, and with more bits no larger; `noise` [n] is in logits, as is `moved` [n], by
    which float32 programs may be farther off. All are infinite where float64 or the number of bits does not suffice.
    """

    logits: FloatArray
    radius: FloatArray
    noise: FloatArray
    moved: FloatArray


def logits(model: Model, sequences: npt.ArrayLike, readout: int | None = None) -> FloatArray:
    """The logits [n, d_vocab_out] of each of `sequences` [n, k], which hold tokens, at the position `readout`.

    That is the last one by default, and not asked for if the model pools.  UserError when they are no sequences of this
    model, or when float64 overflows.
    """
    found = evaluate(model, sequences, readout).logits
    if not np.isfinite(found).all():
        raise UserError("the logits overflow float64", "the weights are too large for this; proofs use exact numbers")
    return found


def evaluate(
    model: Model,
    sequences: npt.ArrayLike,
    readout: int | None = None,
    bits: int = _PREDICTED_BITS,
    float32: bool = False,
) -> Evaluation:
    """The logits of each of `sequences` [n, k], with the radius that `bits` bits leave in the checker.

    With `float32` also how far the checker will say that float32 programs may move them; that is 0 else.
    Prefixes that neighbours share are evaluated once under a causal mask, so sorted sequences are cheapest.
    """
    tokens = checked(model, sequences, readout)
    width = max(array.shape[-1] for array in model.tensors.values())
    step = max(1, MOST_FLOATS // (tokens.shape[1] * width))
    waiting = [tokens[start : start + step] for start in range(0, len(tokens), step)][::-1]
    none, columns = np.zeros(0), all_columns(model) if float32 else {}
    passes = [Evaluation(np.zeros((0, model.tensors["unembed.b_U"].shape[0])), none, none, none)]
    with np.errstate(all="ignore"):
        while waiting:
            some = waiting.pop()
            one = _Pass(model, some, readout, bits, columns)
            if len(some) > 1 and one.at.visible.size * width > MOST_FLOATS:  # they share few prefixes
                waiting += [some[len(some) // 2 :], some[: len(some) // 2]]
            else:
                passes.append(one.run())
    return Evaluation(*(np.concatenate(parts) for parts in zip(*passes, strict=True)))


def checked(model: Model, sequences: npt.ArrayLike, readout: int | None) -> IntArray:
    """The sequences as an array; UserError unless all are sequences of tokens that the model can read."""
    tokens = np.asarray(sequences)
    most, v = model.tensors["pos_embed.W_pos"].shape[0], model.tensors["embed.W_E"].shape[0]
    whole = readout is None and model.is_default  # the task of such a model, unless another is given, is max-of-n_ctx
    if tokens.ndim != 2 or not (most if whole else 1) <= tokens.shape[1] <= most:
        count = "1 token" if tokens.shape[-1:] == (1,) else f"{tokens.shape[-1] if tokens.ndim else 0} tokens"
        given = count if tokens.ndim == 2 else f"shape {list(tokens.shape)}"
        wanted = str(most) if whole else f"1 to {most}"
        raise UserError(f"{given} given, and the model takes sequences of {wanted}", f"for each sequence give {wanted}")
    if tokens.dtype.kind not in "iu":
        raise UserError(f"the tokens have dtype {tokens.dtype}", "give integers")
    outside = tokens[(tokens < 0) | (tokens >= v)]
    if outside.size:
        raise UserError(f"there is no token {outside[0]}", f"tokens are from 0 to {v - 1}")
    if readout is not None and not 0 <= readout < tokens.shape[1]:
        raise UserError(f"there is no position {readout}", f"positions are from 0 to {tokens.shape[1] - 1}")
    return tokens.astype(np.int64)


class Prefixes(NamedTuple):
    """Each prefix of the sequences once, position by position; under a full mask each position of each sequence.

    `tokens` and `positions` [N] are those at the end of a prefix; `visible` [N, k] are the prefixes that it attends to,
    itself where `hidden` [N, k] says that there is none; `ends` [n, k] are the prefixes of each sequence.
    """

    tokens: IntArray
    positions: IntArray
    visible: IntArray
    hidden: npt.NDArray[np.bool_]
    ends: IntArray


def prefixes(sequences: IntArray, d_vocab: int, causal: bool) -> Prefixes:
    """The prefixes of `sequences` [n, k]. Cost a sort of n numbers for each position."""
    n, k = sequences.shape
    if not causal:
        ends = np.arange(n * k).reshape(n, k)
        visible = np.repeat(ends, k, axis=0)
        return Prefixes(sequences.ravel(), np.tile(np.arange(k), n), visible, np.zeros((n * k, k), bool), ends)
    ends, first, count = np.zeros((n, k), np.int64), [], 0
    group = np.zeros(n, np.int64)
    for p in range(k):
        _, found, group = np.unique(group * d_vocab + sequences[:, p], return_index=True, return_inverse=True)
        ends[:, p] = group + count
        first.append(found)
        count += len(found)
    rows = np.concatenate(first)
    positions = np.repeat(np.arange(k), [len(found) for found in first])
    hidden = np.arange(k) > positions[:, None]
    visible = np.where(hidden, np.arange(count)[:, None], ends[rows])
    return Prefixes(sequences[rows, positions], positions, visible, hidden, ends)


class Columns(NamedTuple):
    """Of x -> x W + b, by blocks of columns: at least the largest singular value of W, and the lengths of all of its
    entries and of b."""

    rows: int
    gain: FloatArray
    size: FloatArray
    bias: FloatArray


def all_columns(model: Model) -> Mapping[str, Columns]:
    """By the name of W. The heads of queries, keys and values, and each logit, are blocks of their own."""
    found = {}
    for name, bias in model.tensors.items():
        place, _, last = name.rpartition(".")
        W = f"{place}.W{last[1:]}"
        if last[0] == "b" and W in model.tensors:
            weights, blocks = as_matrix(W, model.tensors[W]), len(bias) if bias.ndim == 2 or last == "b_U" else 1
            parts = np.stack(np.split(weights, blocks, axis=1))
            gain = SPARE * np.array([largest_singular_value(part) for part in parts]) + FLUSHED
            size, b = lengths(parts.reshape(blocks, -1)), lengths(bias.reshape(blocks, -1))
            found[W] = Columns(len(weights), gain, SPARE * size + FLUSHED, SPARE * b + FLUSHED)
    return found


def as_matrix(name: str, tensor: FloatArray) -> FloatArray:
    """The weights of all heads: side by side, or of the output one below the other."""
    if tensor.ndim == 2:
        return tensor
    ordered = tensor if name.endswith("W_O") else tensor.transpose(1, 0, 2).reshape(tensor.shape[1], 1, -1)
    return ordered.reshape(-1, ordered.shape[2])


def largest_singular_value(M: FloatArray, squarings: int = 4) -> float:
    """At least that, by the checker's method: its square is that of M M^T, and no more than the sum of squares."""
    size = float(np.linalg.norm(M))
    if squarings == 0 or size == 0:
        return size
    M = (M if M.shape[0] <= M.shape[1] else M.T) / size
    return size * math.sqrt(largest_singular_value(M @ M.T, squarings - 1))


def lengths(x: FloatArray) -> FloatArray:
    """Of the vectors along the last axis."""
    found: FloatArray = np.sqrt((x * x).sum(axis=-1))
    return found


def grown(x: FloatArray | float) -> FloatArray:
    """x / (1 - x), infinite from x = 1/2."""
    return np.where(np.asarray(x) < 0.5, x / (1 - np.minimum(x, 0.5)), np.inf)


class Balls(NamedTuple):
    """Vectors `centre` [N, n]. The `radius` [N], in units of 2^-bits, bounds the error of every entry; what float32
    programs compute may be farther off, by the length `moved` [N]."""

    centre: FloatArray
    radius: FloatArray
    moved: FloatArray

    def __add__(self, other: Balls) -> Balls:  # type: ignore[override]
        return Balls(*(mine + its for mine, its in zip(self, other, strict=True)))

    def rows(self, which: IntArray) -> Balls:
        return Balls(*(array[which] for array in self))


class _Pass:
    """One evaluation of some sequences; `largest` is the largest number met, which scales the noise of float64."""

    def __init__(
        self, model: Model, sequences: IntArray, readout: int | None, bits: int, columns: Mapping[str, Columns]
    ) -> None:
        self.tensors, self.architecture, self.columns = model.tensors, model.architecture, columns
        causal, self.pooled = model.architecture.mask == "causal", model.architecture.pool != "none"
        self.read = sequences.shape[1] - 1 if readout is None else readout
        if causal and not self.pooled and not columns:
            sequences = sequences[:, : self.read + 1]  # what comes later changes nothing, but programs multiply it by 0
        self.at = prefixes(sequences, model.tensors["embed.W_E"].shape[0], causal)
        self.are_numbers = np.ones(len(self.at.tokens), bool)  # keys and values of each prefix, whatever a program does
        self.unit = math.ldexp(1.0, -bits)
        self.largest = max(1.0, *(float(np.abs(array).max(initial=0.0)) for array in model.tensors.values()))
        self.root = math.sqrt(Fraction(model.architecture.attn_scale_squared))
        self.eps = float(Fraction(model.architecture.eps))

    def run(self) -> Evaluation:
        architecture, at, pooled = self.architecture, self.at, self.pooled
        ends = at.ends if pooled else at.ends[:, self.read]
        wanted = np.unique(ends)  # the prefixes that the readout needs
        embedded = self.tensors["embed.W_E"][at.tokens] + self.tensors["pos_embed.W_pos"][at.positions]
        x = self.seen(Balls(embedded, np.full(len(embedded), 1.0), self.off(lengths(embedded), 4)))
        for block in range(architecture.blocks):
            rows = wanted if block == architecture.blocks - 1 else np.arange(len(at.tokens))
            x = self.block(f"blocks.{block}", x, at, rows)
        if architecture.blocks == 0:
            x = x.rows(wanted)
        if "final" in architecture.norms:
            x = self.norm("ln_final", x)
        place = np.searchsorted(wanted, ends)
        z = self.pool(x, place) if pooled else x
        for layer in range(architecture.readout_layers):
            z = self.linear(z, f"readout.{layer}.W", f"readout.{layer}.b")
            z = z._replace(centre=relu(z.centre))
        moved = self.moves(z, "unembed.W_U").max(axis=1)
        z = self.seen(self.image(z, "unembed.W_U", "unembed.b_U")._replace(moved=moved))
        if not pooled:
            z = z.rows(place)
        z = z._replace(moved=np.where(self.are_numbers[at.ends].all(axis=1), z.moved, np.inf))
        lost = ~(np.isfinite(z.centre).all(axis=1) & np.isfinite(z.radius) & math.isfinite(self.largest))
        noise = z.radius * math.ldexp(self.largest, -FLOAT_BITS)
        return Evaluation(z.centre, *(np.where(lost, np.inf, each) for each in (z.radius, noise, z.moved)))

    def block(self, name: str, x: Balls, at: Prefixes, rows: IntArray) -> Balls:
        """What the block leaves at the prefixes `rows`."""
        norms = self.architecture.norms
        y = self.norm(f"{name}.ln1", x) if "pre" in norms else x
        x = self.attention(f"{name}.attn", y, at, rows, x.rows(rows))
        if "post" in norms:
            x = self.norm(f"{name}.ln1", x)
        if self.architecture.activation == "none":
            return self.seen(x)
        x = self.mlp(f"{name}.mlp", self.norm(f"{name}.ln2", x) if "pre" in norms else x, x)
        return self.seen(self.norm(f"{name}.ln2", x) if "post" in norms else x)

    def attention(self, name: str, y: Balls, at: Prefixes, rows: IntArray, rest: Balls) -> Balls:
        """All heads, and the rest. Arrays are [row, head, visible position, entry of the head]."""
        q, k, v = (self.heads(name, part, of) for part, of in (("Q", y.rows(rows)), ("K", y), ("V", y)))
        self.are_numbers &= np.isfinite(k.moved).all(axis=1) & np.isfinite(v.moved).all(axis=1)
        visible, hidden = at.visible[rows], at.hidden[rows][:, None]
        keys, values = k.centre[visible], v.centre[visible]
        scores = np.einsum("rhe,rphe->rhp", q.centre, keys) / self.root
        self.largest = max(self.largest, float(np.abs(scores).max(initial=0.0)))
        q_radius, k_radius = q.radius[:, None, None], k.radius[visible][:, None]
        key_sizes, query_sizes = np.abs(keys).sum(axis=3).transpose(0, 2, 1), np.abs(q.centre).sum(axis=2)[:, :, None]
        doubt = q_radius * key_sizes + k_radius * query_sizes + q.centre.shape[2] * self.unit * q_radius * k_radius
        doubt = (doubt + 2) / self.root + np.abs(scores) + 4  # of the scores, in units

        scores = np.where(hidden, -np.inf, scores)
        weights = np.exp(scores - scores.max(axis=2, keepdims=True))
        weights /= weights.sum(axis=2, keepdims=True)
        mixed = np.einsum("rhp,rphe->rhe", weights, values)

        worst = np.where(hidden, 0.0, doubt).max(axis=2)  # [row, head]
        growth = 2 * worst * _expm1_ratio(2 * worst * self.unit)  # (e^(2 doubt) - 1) / unit
        spread = growth + (4 + 2 * visible.shape[1]) * (1 + growth * self.unit)
        v_radius = np.where(hidden[:, 0], 0.0, v.radius[visible]).max(axis=1)
        sizes = np.where(hidden[:, 0], 0.0, np.abs(values).max(axis=(2, 3))).max(axis=1) + v_radius * self.unit
        radius = v_radius + (2 * sizes[:, None] * spread).max(axis=1) + 2
        moved = np.zeros(len(rows))
        if self.columns:
            key, value, key_moved, value_moved = (
                np.where(hidden, 0.0, each[visible].transpose(0, 2, 1)).max(axis=2)
                for each in (self.length(k), self.length(v), k.moved, v.moved)
            )
            far = lengths(values - mixed[:, None]).transpose(0, 2, 1)
            spread = (weights * far).sum(axis=2) * (1 + spread * self.unit)
            spread += 2 * (1 + math.sqrt(values.shape[3])) * radius[:, None] * self.unit
            product = self.length(q) * key
            shown = ~hidden.transpose(0, 2, 1)[..., None]
            middle = np.where(shown, keys, 0.0).sum(axis=1, keepdims=True) / shown.sum(axis=1, keepdims=True)
            between = np.where(hidden, 0.0, lengths(keys - middle).transpose(0, 2, 1)).max(axis=2)
            between += (1 + math.sqrt(keys.shape[3])) * (k_radius.max(axis=2) + 1) * self.unit
            apart = q.moved * between + key_moved * self.length(q) + self.off(product, q.centre.shape[2] + 12)
            exponents = 17 * product / self.root + 20 * at.ends.shape[1] + 7
            shifted = spread * grown(apart / self.root) + self.off(value, exponents)
            moved = lengths(value_moved + shifted)
        return self.linear(Balls(mixed.reshape(len(rows), -1), radius, moved), f"{name}.W_O", f"{name}.b_O", rest)

    def heads(self, name: str, part: str, y: Balls) -> Balls:
        """Queries, keys or values [N, head, entry], each head of which moves by itself."""
        found = self.seen(self.image(y, f"{name}.W_{part}", f"{name}.b_{part}"))
        centre = found.centre.reshape(-1, *self.tensors[f"{name}.b_{part}"].shape)
        return Balls(centre, found.radius, self.moves(y, f"{name}.W_{part}"))

    def mlp(self, name: str, y: Balls, rest: Balls) -> Balls:
        z = self.linear(y, f"{name}.W_in", f"{name}.b_in")
        kind = self.architecture.activation
        slope, bent = LIPSCHITZ[kind], 0 if kind == "relu" else 4
        moved = slope * z.moved + (0 if kind == "relu" else self.off(self.length(z), 16))
        z = Balls(ACTIVATIONS[kind](z.centre), slope * z.radius + bent, moved)
        return self.linear(z, f"{name}.W_out", f"{name}.b_out", rest)

    def linear(self, x: Balls, W: str, b: str, rest: Balls | None = None) -> Balls:
        """x W + b + rest; what all blocks of columns move, they move together."""
        found = self.image(x, W, b)._replace(moved=lengths(self.moves(x, W, rest)))
        return self.seen(found if rest is None else found + rest)

    def image(self, x: Balls, W: str, b: str) -> Balls:
        """x W + b; an entry is off by at most the radius times the sum of |W| in its column, and by the roundings."""
        weights, bias = as_matrix(W, self.tensors[W]), self.tensors[b].ravel()
        largest_column = np.abs(weights).sum(axis=0).max(initial=0.0) + len(weights) * self.unit
        sizes = np.abs(x.centre).sum(axis=1)
        radius = x.radius * largest_column + sizes / 2 + 4
        return Balls(x.centre @ weights + bias, radius, np.zeros(len(radius)))

    def moves(self, x: Balls, W: str, rest: Balls | None = None) -> FloatArray:
        """How far float32 programs may move x W + b, and what the sum with the rest rounds; [N, blocks of columns]."""
        if not self.columns:
            return np.zeros((len(x.centre), 1))
        of, more = self.columns[W], 0.0 if rest is None else self.length(rest)[:, None]
        sizes = self.length(x)[:, None] * of.size + of.bias + more
        return x.moved[:, None] * of.gain + self.off(sizes, of.rows + 3)

    def length(self, x: Balls) -> FloatArray:
        """At least that of any vector that is computed."""
        radius = x.radius.reshape(len(x.radius), *[1] * (x.moved.ndim - 1)) * self.unit
        found: FloatArray = lengths(x.centre) + (math.sqrt(x.centre.shape[-1]) + 1) * radius + x.moved
        return found

    def off(self, sizes: FloatArray, roundings: FloatArray | int) -> FloatArray:
        """What so many roundings change in vectors of sums, by the length of the sizes of their summands."""
        if not self.columns:
            return np.zeros(sizes.shape)
        found: FloatArray = SPARE * sizes * grown(np.asarray(roundings) * 2.0**-24) + FLUSHED + self.unit
        return np.where(sizes < MOST, found, np.inf)

    def norm(self, name: str, x: Balls) -> Balls:
        centred = x.centre - x.centre.mean(axis=1, keepdims=True)
        variance = (centred * centred).mean(axis=1)
        normal = centred / np.sqrt(variance + self.eps)[:, None]
        least = np.maximum(np.sqrt(variance) - (x.radius + 2) * self.unit, math.sqrt(self.eps))
        sizes, n, root = np.abs(normal).max(axis=1), x.centre.shape[1], math.sqrt(x.centre.shape[1])
        radius = (x.radius + 1) * (2 + sizes) / least + sizes + 4
        wrong = self.off(self.length(x) / root + math.sqrt(self.eps), 11 * n + 24)
        left = least - SPARE * x.moved / root - 2 * self.unit
        moved = x.moved / left + SPARE * root * wrong / (left - wrong)
        moved = np.where(left > 2 * wrong, moved, np.inf if self.columns else 0.0)
        if self.architecture.normalization == "LN":
            weights, bias = self.tensors[f"{name}.w"], self.tensors[f"{name}.b"]
            scale = np.abs(weights).max(initial=0.0) + self.unit
            normal = normal * weights + bias
            radius = radius * scale + sizes + 4
            moved = moved * scale + self.off((1 + root + moved) * scale + lengths(bias) + n * self.unit, 8)
        return self.seen(Balls(normal, np.where(least > 0, radius, np.inf), moved))

    def pool(self, x: Balls, place: IntArray) -> Balls:
        """The sum or mean over the positions; place [n, k] are rows of x."""
        total, k = Balls(*(each[place].sum(axis=1) for each in x)), place.shape[1]
        total = total._replace(moved=total.moved + self.off(self.length(x)[place].sum(axis=1), k + 3))
        if self.architecture.pool == "mean":
            total = Balls(total.centre / k, total.radius / k + 2, total.moved / k + 2 * self.unit)
        return self.seen(total)

    def seen(self, x: Balls) -> Balls:
        """The same, after taking note of its largest number."""
        self.largest = max(self.largest, float(np.abs(x.centre).max(initial=0.0)))
        return x


def _expm1_ratio(x: FloatArray) -> FloatArray:
    """(e^x - 1) / x."""
    ratio: FloatArray = np.where(x < 1e-8, 1 + 1e-8, np.expm1(x) / np.where(x == 0, 1.0, x))
    return ratio


def silu(z: FloatArray) -> FloatArray:
    found: FloatArray = z / (1 + np.exp(-z))
    return found


def gelu_tanh(z: FloatArray) -> FloatArray:
    found: FloatArray = z / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3)))
    return found


def gelu_erf(z: FloatArray) -> FloatArray:
    twice = [math.erfc(x) for x in (z * -math.sqrt(0.5)).ravel().tolist()]  # numpy has no erfc
    found: FloatArray = z / 2 * np.reshape(twice, z.shape)
    return found


def relu(z: FloatArray) -> FloatArray:
    return np.maximum(z, 0.0)


ACTIVATIONS: dict[str, Callable[[FloatArray], FloatArray]] = {
    "relu": relu,
    "silu": silu,
    "gelu_tanh": gelu_tanh,
    "gelu_erf": gelu_erf,
}
