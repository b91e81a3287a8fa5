"""The model as a function: any architecture, evaluated within a radius. To be read beside CERTIFICATE.md, section 1.

Positions are evaluated one after another. Under a causal mask what an earlier one leaves behind, its key and value in
each block, serves every input that starts with the same tokens.
"""

from functools import cache, cached_property
from itertools import chain
from operator import mul
from typing import NamedTuple

from checker.arithmetic.activations import Activation
from checker.arithmetic.balls import Ball, LayerNorm, Linear, TooCoarse, ceil_shift, rounded
from checker.arithmetic.enclosures import Enclosure, Power, aligned, exp_enclosure, ln2_enclosure, sqrt_enclosure
from checker.arithmetic.matrices import Matrix, add
from checker.arithmetic.packing import repeat, split
from checker.model.weights import Weights


class Prefix(NamedTuple):
    """The first tokens of an input; the positions evaluated in each block; the final residuals that are wanted.

    A prefix is lost when the bits did not suffice: then nothing is known of any input that starts with it.
    """

    tokens: tuple[int, ...]
    seen: tuple[tuple["Position", ...], ...]
    residuals: tuple[Ball, ...]
    lost: bool = False


class Forward:
    """One model on inputs of k tokens, with `bits` bits. The logits are read at `readout`, or pooled if it is None."""

    def __init__(self, weights: Weights, k: int, readout: int | None, bits: int) -> None:
        self.weights, self.architecture, self.k, self.bits = weights, weights.architecture, k, bits
        self.readout = range(k) if readout is None else range(readout, readout + 1)
        self.causal = self.architecture.mask == "causal"
        self.blocks = [Block(self, f"blocks.{index}", index == 0) for index in range(self.architecture.blocks)]
        self.final = self.norm("final", "ln_final")
        hidden = [f"readout.{index}" for index in range(self.architecture.readout_layers)]
        self.hidden = [self.linear(f"{name}.W", f"{name}.b") for name in hidden]
        self.relu, self.unembed = Activation("relu", bits), self.linear("unembed.W_U", "unembed.b_U")
        self.first = cache(self.enter)  # every block knows its inputs by position and token only: the first one's

    def linear(self, W: str, b: str) -> Linear:
        """x W + b, with the heads of both side by side."""
        tensors, heads = self.weights.tensors, self.architecture.heads
        matrix, bias = tensors[W], tensors[b]
        if W.endswith(("W_Q", "W_K", "W_V")):
            inputs = len(matrix.rows) // heads
            rows = [list(chain(*matrix.rows[i::inputs])) for i in range(inputs)]
            matrix, bias = Matrix(rows, matrix.exponent), Matrix([list(chain(*bias.rows))], bias.exponent)
        return Linear(matrix, bias, self.bits)

    def norm(self, place: str, name: str) -> LayerNorm | None:
        """The LayerNorm of this name, if the architecture has one there."""
        if place not in self.architecture.norms:
            return None
        parts = [self.weights.tensors[f"{name}.{part}"] for part in "wb" if self.architecture.normalization == "LN"]
        return LayerNorm(self.architecture.eps, parts, self.bits)

    def embed(self, p: int, t: int) -> Ball:
        """W_E[t] + W_pos[p]."""
        W_E, W_pos = self.weights.tensors["embed.W_E"], self.weights.tensors["pos_embed.W_pos"]
        both = add(Matrix(W_E.rows[t : t + 1], W_E.exponent), Matrix(W_pos.rows[p : p + 1], W_pos.exponent))
        return Ball(rounded(both, self.bits)[0], 1)

    def enter(self, p: int, t: int) -> "Position":
        """A position in the first block, where it depends on its token alone."""
        return Position(self.blocks[0], self.embed(p, t))

    @property
    def start(self) -> Prefix:
        """No token yet."""
        return Prefix((), ((),) * len(self.blocks), ())

    @property
    def work(self) -> int:
        """About how many thousands of multiply-adds of 64 bits a position takes; an exponential counts as one."""
        sizes = [len(W.rows) * len(W.rows[0]) for name, W in self.weights.tensors.items() if "embed." not in name[:10]]
        exponentials = len(self.blocks) * self.architecture.heads * self.k
        return (sum(sizes) // 1000 + exponentials + 1) * (1 + self.bits // 64) ** 2

    def after(self, prefix: Prefix, token: int) -> Prefix:
        """The prefix with one more token: its position is evaluated, or under a full mask all are after the last."""
        p = len(prefix.tokens)
        prefix = prefix._replace(tokens=(*prefix.tokens, token))
        ready = range(p, p + 1) if self.causal else range(self.k if p + 1 == self.k else 0)
        try:
            return prefix if prefix.lost else self.evaluated(prefix, ready)
        except TooCoarse:
            return prefix._replace(lost=True)

    def evaluated(self, prefix: Prefix, new: range) -> Prefix:
        """The prefix with these positions evaluated; each sees all that are seen, itself included."""
        wanted = [p for p in new if p in self.readout]
        if not self.blocks:
            return prefix._replace(residuals=(*prefix.residuals, *[self.embed(p, prefix.tokens[p]) for p in wanted]))
        if not new or (self.causal and new[0] > self.readout[-1]):
            return prefix
        entering, seen = [self.first(p, prefix.tokens[p]) for p in new], []
        for block, following, before in zip(self.blocks, (*self.blocks[1:], self.blocks[-1]), prefix.seen, strict=True):
            seen.append((*before, *entering))
            leaving = [p for p in new if p in wanted or block is not self.blocks[-1]]
            residuals = [block(entering[p - new.start], seen[-1]) for p in leaving]
            entering = [Position(following, residual) for residual in residuals]
        return Prefix(prefix.tokens, tuple(seen), (*prefix.residuals, *residuals))

    def logits(self, prefix: Prefix) -> Ball | None:
        """The logits of a whole input; None if the bits do not suffice."""
        try:
            return None if prefix.lost else self.read(prefix.residuals)
        except TooCoarse:
            return None

    def read(self, residuals: tuple[Ball, ...]) -> Ball:
        """From the final residuals of the positions that are read to logits."""
        final = [self.final(x) if self.final else x for x in residuals]
        x = final[0]
        for other in final[1:]:
            x = x.plus(other)
        if self.architecture.pool == "mean":
            x = Ball([c // self.k for c in x.centre], x.radius // self.k + 2)
        for layer in self.hidden:
            x = self.relu(layer(x))
        return self.unembed(x)


class Position:
    """One position in one block: the residual that enters; its query, key and value for each head, when asked for."""

    def __init__(self, block: "Block", residual: Ball) -> None:
        self.block, self.residual = block, residual
        self.packed = cache(self.pack)

    @cached_property
    def normed(self) -> Ball:
        """What the attention reads."""
        return self.block.before(self.block.ln1, self.residual)

    @cached_property
    def queries(self) -> list[Ball]:
        """y W_Q + b_Q by head."""
        return self.block.of_heads(self.block.query(self.normed))

    @cached_property
    def keys(self) -> list[Ball]:
        """y W_K + b_K by head."""
        return self.block.of_heads(self.block.key(self.normed))

    @cached_property
    def values(self) -> list[Ball]:
        """y W_V + b_V by head."""
        return self.block.of_heads(self.block.value(self.normed))

    @cached_property
    def largest(self) -> list[int]:
        """A bound on the entries of each head's value."""
        return [value.largest for value in self.values]

    def pack(self, head: int, span: int) -> int:
        """The centre of a value, its entries side by side."""
        return sum([x << (span * j) for j, x in enumerate(self.values[head].centre)])


class Block:
    """Attention, then an MLP unless the activation is none; each adds to the residual."""

    def __init__(self, forward: Forward, name: str, first: bool) -> None:
        self.bits, architecture = forward.bits, forward.architecture
        self.heads, self.scale_squared = architecture.heads, architecture.attn_scale_squared
        self.pre = "pre" in architecture.norms
        self.query, self.key, self.value, self.output = [
            forward.linear(f"{name}.attn.W_{part}", f"{name}.attn.b_{part}") for part in "QKVO"
        ]
        self.ln1, self.ln2 = [forward.norm("pre" if self.pre else "post", f"{name}.{norm}") for norm in ("ln1", "ln2")]
        self.act = None if architecture.activation == "none" else Activation(architecture.activation, self.bits)
        if self.act:
            self.enter = forward.linear(f"{name}.mlp.W_in", f"{name}.mlp.b_in")
            self.leave = forward.linear(f"{name}.mlp.W_out", f"{name}.mlp.b_out")
        self.constants = cache(self.enclose_constants)
        # in the first block positions, and with them these weights, come again and again
        self.weights = cache(self.exponentials) if first else self.exponentials

    def of_heads(self, x: Ball) -> list[Ball]:
        """The entries of each head."""
        width = len(x.centre) // self.heads
        return [Ball(x.centre[h * width : (h + 1) * width], x.radius) for h in range(self.heads)]

    def before(self, norm: LayerNorm | None, x: Ball) -> Ball:
        """The residual as a part of the block reads it."""
        return norm(x) if norm and self.pre else x

    def after(self, norm: LayerNorm | None, x: Ball) -> Ball:
        """The residual as a part of the block leaves it."""
        return norm(x) if norm and not self.pre else x

    def __call__(self, position: Position, visible: tuple[Position, ...]) -> Ball:
        """The residual that leaves, of a position that sees these."""
        x = self.after(self.ln1, position.residual.plus(self.output(self.attention(position, visible))))
        if not self.act:
            return x
        return self.after(self.ln2, x.plus(self.leave(self.act(self.enter(self.before(self.ln2, x))))))

    def attention(self, position: Position, visible: tuple[Position, ...]) -> Ball:
        """The mean value of each head, side by side."""
        weights = zip(*[self.weights(position, other) for other in visible], strict=True)
        means = [self.mean(head, list(powers), visible) for head, powers in enumerate(weights)]
        return Ball(list(chain(*[mean.centre for mean in means])), max([mean.radius for mean in means]))

    def mean(self, head: int, powers: list[Power], visible: tuple[Position, ...]) -> Ball:
        """Sum of w v / sum of w at the lower ends of w; elsewhere within 2 max|v| (high - low) / low of that."""
        lows, highs = zip(*aligned(powers, self.bits), strict=True)
        least, most = sum(lows), sum(highs)
        if least == 0:
            raise TooCoarse
        largest = max([other.largest[head] for other in visible])
        span = -(-(least * largest).bit_length() // 64) * 64 + 64
        half, width = 1 << (span - 1), len(visible[0].values[head].centre)
        total = sum(map(mul, lows, [other.packed(head, span) for other in visible]), half * repeat(1, width, span))
        radius = max([other.values[head].radius for other in visible]) - -2 * largest * (most - least) // least + 1
        return Ball([(lane - half) // least for lane in split(total, width, span)], radius)

    def exponentials(self, position: Position, other: Position) -> list[Power]:
        """exp of the score that a position gives another one, by head; a score is off by less than `doubt`."""
        powers = []
        for query, key in zip(position.queries, other.keys, strict=True):
            score = sum(map(mul, query.centre, key.centre))
            doubt = query.radius * sum(map(abs, key.centre)) + key.radius * sum(map(abs, query.centre))
            doubt += len(key.centre) * query.radius * key.radius
            powers.append(self.exp_minus(-score - doubt, doubt - score))
        return powers

    def enclose_constants(self, scale: int) -> tuple[Enclosure, Enclosure]:
        """1 / sqrt(attn_scale_squared) and ln 2 in units of 2^-scale."""
        numerator, denominator = self.scale_squared
        return sqrt_enclosure(denominator, numerator, scale), ln2_enclosure(scale)

    def exp_minus(self, lower: int, upper: int) -> Power:
        """exp(-x / sqrt(attn_scale_squared)) for every x from lower to upper, in units of 2^-(2 bits)."""
        numerator, denominator = self.scale_squared
        size = max(abs(lower), abs(upper)).bit_length() - 2 * self.bits
        size = max(size + (denominator.bit_length() - numerator.bit_length()) // 2 + 1, 0)  # x below 2^size
        scale = self.bits + 16 + (1 << size.bit_length())  # few scales occur
        root, ln2 = self.constants(scale)
        low = lower * (root.low if lower >= 0 else root.high) >> 2 * self.bits
        high = ceil_shift(upper * (root.high if upper >= 0 else root.low), 2 * self.bits)
        if high - low > self.bits << scale:
            raise TooCoarse
        return exp_enclosure(low, high, scale, self.bits, ln2)
