"""The model as a function: any architecture, evaluated within a radius. To be read beside CERTIFICATE.md, section 1.

Nothing is evaluated before it is asked for. Under a causal mask what a position is in each block, its key and value,
depends on the tokens up to it only, and serves every input that starts with these.
"""

from collections.abc import Callable
from functools import cache, cached_property, partial, reduce
from itertools import chain, product
from operator import mul
from typing import NamedTuple

from checker.arithmetic.activations import Activation
from checker.arithmetic.balls import LONGEST, Ball, LayerNorm, Linear, TooCoarse, norm, rounded
from checker.arithmetic.enclosures import Power, aligned
from checker.arithmetic.float32 import Attended, Float32Activation, Float32LayerNorm, Float32Linear, of_mean, of_sum
from checker.arithmetic.matrices import Matrix, add
from checker.arithmetic.packing import repeat, side_by_side, split
from checker.arithmetic.scaled_exp import ScaledExp
from checker.budget import number
from checker.model.weights import Weights

UNIT = 64  # operations
Vector = Callable[[], Ball]  # evaluated when it is called for the first time


class Prefix(NamedTuple):
    """The first tokens of an input; in each block the positions so far; the residuals that leave the last block."""

    tokens: tuple[int, ...]
    seen: tuple[tuple["Position", ...], ...]
    residuals: tuple[Vector, ...]


class Forward:
    """One model on inputs of k tokens, with `bits` bits. The logits are read at `readout`, or pooled if it is None; the
    ball holds those that float32 programs compute, too, with `float32`."""

    def __init__(self, weights: Weights, k: int, readout: int | None, bits: int, float32: bool = False) -> None:
        self.weights, self.architecture, self.k, self.bits = weights, weights.architecture, k, bits
        self.float32 = float32
        self.readout = range(k) if readout is None else (readout,)
        activation = Float32Activation if float32 else Activation
        self.act = activation(self.architecture.activation, bits) if self.architecture.has_mlp else None
        self.blocks = [Block(self, f"blocks.{index}", index == 0) for index in range(self.architecture.blocks)]
        self.final = self.norm("final", "ln_final")
        self.hidden = [self.linear(f"readout.{i}.W", f"readout.{i}.b") for i in range(self.architecture.readout_layers)]
        self.relu, self.unembed = activation("relu", bits), self.linear("unembed.W_U", "unembed.b_U")
        self.embedded = cache(self.embed)
        self.first = cache(lambda p, t: Position(self.blocks[0], partial(self.embedded, p, t)))
        self.start = Prefix((), ((),) * len(self.blocks), ())

    def linear(self, W: str, b: str) -> Linear:
        """x -> x W + b, with the columns of all heads side by side; each head, and each logit, moves by itself."""
        matrix, bias, blocks = self.weights.tensors[W], self.weights.tensors[b], 1
        if W == "unembed.W_U":
            blocks = len(bias.rows[0])
        if W.endswith(("W_Q", "W_K", "W_V")):
            blocks = self.architecture.heads
            inputs = len(matrix.rows) // self.architecture.heads
            matrix = Matrix([list(chain(*matrix.rows[i::inputs])) for i in range(inputs)], matrix.exponent)
            bias = Matrix([list(chain(*bias.rows))], bias.exponent)
        return (Float32Linear if self.float32 else Linear)(matrix, bias, self.bits, blocks)

    def norm(self, place: str, name: str) -> Callable[[Ball], Ball]:
        """The LayerNorm of this name, or nothing if the architecture has none at this place."""
        if place not in self.architecture.norms:
            return unchanged
        parts = [self.weights.tensors[f"{name}.{part}"] for part in "wb" if self.architecture.normalization == "LN"]
        return (Float32LayerNorm if self.float32 else LayerNorm)(self.architecture.eps, parts, self.bits)

    def embed(self, p: int, t: int) -> Ball:
        """W_E[t] + W_pos[p]."""
        E, P = self.weights.tensors["embed.W_E"], self.weights.tensors["pos_embed.W_pos"]
        both = add(Matrix(E.rows[t : t + 1], E.exponent), Matrix(P.rows[p : p + 1], P.exponent))
        x = Ball(rounded(both, self.bits)[0], 1)
        return x._replace(moved=of_sum([x], self.bits)) if self.float32 else x

    def after(self, prefix: Prefix, t: int) -> Prefix:
        """The prefix with one more token. Its position is added; all are after the last one, if they see each other."""
        tokens = (*prefix.tokens, t)
        new = list(enumerate(tokens))[-1:]
        if self.architecture.mask == "full":
            new = list(enumerate(tokens)) if len(tokens) == self.k else []
        leaving: list[Vector] = [partial(self.embedded, p, t) for p, t in new]
        seen = []
        for index, block in enumerate(self.blocks):
            positions = [Position(block, x) for x in leaving] if index else [self.first(p, t) for p, t in new]
            seen.append((*prefix.seen[index], *positions))
            leaving = [cache(partial(block, position, seen[-1])) for position in positions]
        return Prefix(tokens, tuple(seen), (*prefix.residuals, *leaving))

    def logits(self, prefix: Prefix) -> Ball | None:
        """The logits of a whole input, from the final residuals of the positions that are read; None if too coarse."""
        try:
            if self.float32:  # programs multiply what they do not see by 0, which must be a number for that
                for position, part in product(chain(*prefix.seen), "KV"):
                    position.heads(part)
            read = [self.final(prefix.residuals[p]()) for p in self.readout]
            x = reduce(Ball.plus, read)
            if self.float32 and self.architecture.pool != "none":
                x = x._replace(moved=x.moved + of_sum(read, self.bits))
            if self.architecture.pool == "mean":
                x = Ball([c // self.k for c in x.centre], x.radius // self.k + 2, x.moved // self.k + 1)
            for layer in self.hidden:
                x = self.relu(layer(x))
            logits = self.unembed.image(x)
            return Ball(logits.centre, logits.radius + max(self.unembed.moves(x)))
        except TooCoarse:
            return None


def unchanged(x: Ball) -> Ball:
    """No normalization."""
    return x


def work(weights: Weights, k: int, bits: int) -> int:
    """About how many operations a position takes: UNIT for 4,000 multiply-adds of 64 bits side by side, as many for an
    exponential with a score of fewer than 64 products, or eight columns of a matrix; eight times as many for a SiLU or
    a GELU, and more with more bits; sixteen times for the rest of a block. Weights above 16 make numbers longer from
    layer to layer."""
    tables = [W for name, W in weights.tensors.items() if not name.startswith(("embed.", "pos_embed."))]
    products = sum([len(W.rows) * len(W.rows[0]) for W in tables])
    growth = sum([max(0, max([max(map(abs, row)) for row in W.rows]).bit_length() + W.exponent - 4) for W in tables])
    blocks = weights.architecture.blocks
    exponentials = max(blocks * weights.architecture.heads, 1) * k * (1 + weights.sizes.get("d_head", 0) // 64)
    if weights.architecture.activation not in ("none", "relu"):
        exponentials += 8 * blocks * weights.sizes.get("d_mlp", 0) * (1 + bits // 64)
    words = 1 + (bits + min(growth, LONGEST)) // 64
    columns = sum([len(W.rows[0]) for W in tables])
    return UNIT * ((products // 4000 + exponentials) * words**2 + columns // 8 + 16 * (blocks + 1))


def forward_memory(weights: Weights, choices: list[dict[int, int]], passes: int, bits: int) -> int:
    """Bytes of a model's weights, which are also packed in lanes of four sizes; of every token at every position in the
    first block, with attention between any two that are seen together; of one input in the other blocks."""
    a, sizes, tables = weights.architecture, weights.sizes, weights.tensors.values()
    places, k = sum(map(len, choices)), len(choices)
    growth = sum([max(0, max([max(map(int.bit_length, row)) for row in W.rows]) + W.exponent - 4) for W in tables])
    length = number(2 * bits + min(growth, LONGEST))
    width = 6 * sizes["d_model"] + 4 * a.heads * sizes.get("d_head", 0) + 2 * sizes.get("d_mlp", 0)
    pairs = min(places * places, passes * k) * a.heads * (130 + 2 * number(bits)) * min(a.blocks, 1)
    weights_packed = sum([len(W.rows) * len(W.rows[0]) for W in tables]) * (number(bits) + 4 * (length - 30))
    return weights_packed + pairs + (places + k * (a.blocks + 1)) * width * length


class Position:
    """One position in one block: the residual that enters, and what attention reads of it, when asked for."""

    def __init__(self, block: "Block", residual: Vector) -> None:
        self.block, self.residual = block, residual
        self.heads, self.packed, self.largest = cache(self.of_heads), cache(self.pack), cache(self.measure)

    @cached_property
    def normed(self) -> Ball:
        """The residual as attention reads it."""
        return self.block.norms["pre", "ln1"](self.residual())

    def of_heads(self, part: str) -> list[Ball]:
        """y W_part + b_part by head: the queries Q, the keys K, the values V."""
        linear = self.block.linear[part]
        centre, radius, _ = linear.image(self.normed)
        width = len(centre) // self.block.count
        parts = [centre[start : start + width] for start in range(0, len(centre), width)]
        return [Ball(part, radius, moved) for part, moved in zip(parts, linear.moves(self.normed), strict=True)]

    def measure(self, head: int) -> int:
        """The largest entry of the centre of a value."""
        return max(map(abs, self.heads("V")[head].centre))

    def pack(self, head: int, span: int) -> int:
        """The centre of a value, its entries side by side."""
        return side_by_side(self.heads("V")[head].centre, span)


class Block:
    """Attention, then an MLP unless the activation is none; each adds to the residual."""

    def __init__(self, forward: Forward, name: str, first: bool) -> None:
        self.bits, self.k, self.float32, architecture = forward.bits, forward.k, forward.float32, forward.architecture
        self.count, self.exp, self.act = architecture.heads, ScaledExp(architecture.attn_scale_squared), forward.act
        self.linear = {part: forward.linear(f"{name}.attn.W_{part}", f"{name}.attn.b_{part}") for part in "QKVO"}
        if self.act:
            self.linear["in"] = forward.linear(f"{name}.mlp.W_in", f"{name}.mlp.b_in")
            self.linear["out"] = forward.linear(f"{name}.mlp.W_out", f"{name}.mlp.b_out")
        parts = ("ln1", "ln2") if self.act else ("ln1",)
        self.norms = {(place, ln): forward.norm(place, f"{name}.{ln}") for place in ("pre", "post") for ln in parts}
        # positions of the first block come again and again, and these weights with them
        self.weights = cache(self.exponentials) if first else self.exponentials

    def __call__(self, position: Position, visible: tuple[Position, ...]) -> Ball:
        """The residual that leaves, of a position that sees these."""
        weights = [list(of_head) for of_head in zip(*[self.weights(position, other) for other in visible], strict=True)]
        means = [self.mean(head, powers, visible) for head, powers in enumerate(weights)]
        moved = self.moves(position, weights, visible, means) if self.float32 else []
        centre, radius = list(chain(*[mean.centre for mean in means])), max([mean.radius for mean in means])
        mean = Ball(centre, radius, norm(moved))
        x = self.norms["post", "ln1"](self.linear["O"](mean, position.residual()))
        if self.act:
            z = self.act(self.linear["in"](self.norms["pre", "ln2"](x)))
            x = self.norms["post", "ln2"](self.linear["out"](z, x))
        return x

    def exponentials(self, position: Position, other: Position) -> list[Power]:
        """exp of the score that a position gives another one, by head; a score is off by at most `doubt`."""
        powers = []
        for query, key in zip(position.heads("Q"), other.heads("K"), strict=True):
            score = sum(map(mul, query.centre, key.centre))
            doubt = query.radius * sum(map(abs, key.centre)) + key.radius * sum(map(abs, query.centre))
            doubt += len(key.centre) * query.radius * key.radius
            powers.append(self.exp(-score - doubt, doubt - score, -2 * self.bits, self.bits))
        return powers

    def mean(self, head: int, powers: list[Power], visible: tuple[Position, ...]) -> Ball:
        """Sum of w v / sum of w at the lower ends of w; elsewhere within 2 max|v| (high - low) / low of that."""
        lows, highs = zip(*aligned(powers, self.bits), strict=True)
        least, most = sum(lows), sum(highs)
        if least == 0:
            raise TooCoarse
        values = [other.heads("V")[head] for other in visible]
        radius, width = max([value.radius for value in values]), len(values[0].centre)
        largest = max([other.largest(head) for other in visible]) + radius
        span = -(-(least * largest).bit_length() // 64) * 64 + 64
        half = 1 << (span - 1)
        total = sum(map(mul, lows, [other.packed(head, span) for other in visible]), half * repeat(1, width, span))
        doubt = -(-2 * largest * (most - least) // least)
        return Ball([(lane - half) // least for lane in split(total, width, span)], radius + doubt + 1)

    def moves(
        self, position: Position, weights: list[list[Power]], visible: tuple[Position, ...], means: list[Ball]
    ) -> list[int]:
        """How far float32 moves the mean of each head."""
        found, scale = [], self.exp.constants(self.bits)[0].high
        for head, (powers, mean) in enumerate(zip(weights, means, strict=True)):
            keys, values = [[other.heads(part)[head] for other in visible] for part in "KV"]
            seen = Attended(keys, values, aligned(powers, self.bits))
            found.append(of_mean(position.heads("Q")[head], seen, mean, scale, self.k, self.bits))
        return found
