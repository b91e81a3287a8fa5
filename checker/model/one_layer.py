"""One attention layer as the position sees it where the logits are read: constants, and means over positions."""

from functools import cache
from itertools import chain

from checker.arithmetic.balls import Ball, Linear, rounded
from checker.arithmetic.enclosures import Enclosure, Power
from checker.arithmetic.matrices import Matrix, add, matmul
from checker.errors import Rejected
from checker.model.final_norm import divisor, unembedding
from checker.model.forward import Forward
from checker.model.weights import Weights

Values = list[dict[int, Ball]]  # position -> token -> values of all features; nothing where attention does not look


class OneLayer:
    """Features are the logits before `bias`, then what enters each neuron. In units of 2^-bits a feature of an input is

    direct(q) + sum over heads of (sum over p of w_p(x_p) values[head][p][x_p]) / (sum over p of w_p(x_p)),

    q the token at the position read, w = weights(q)[head], p over the positions that it sees. The logits times a number
    that `scale` encloses are these plus that number times `bias`, plus the activations of the neurons times `out`.
    """

    def __init__(self, weights: Weights, choices: list[dict[int, int]], readout: int | None, bits: int) -> None:
        a, tensors = weights.architecture, weights.tensors
        bent = a.has_mlp and a.norms  # a LayerNorm before, or after, what is no longer linear in attention
        if readout is None or a.blocks != 1 or a.readout_layers or "post" in a.norms or bent:
            expected = "one block, read at one position, without LayerNorm between attention and MLP or after an MLP"
            raise Rejected("wrong-problem", "rule", expected)
        self.readout, self.bits, self.words = readout, bits, 1 + bits // 64
        self.seen = [{} if a.mask == "causal" and p > readout else row for p, row in enumerate(choices)]
        self.forward = Forward(weights, len(choices), readout, bits)
        U, self.bias = unembedding(weights)
        W_O, b_O = tensors["blocks.0.attn.W_O"], tensors["blocks.0.attn.b_O"]
        maps, biases = [U], [matmul(b_O, U)]
        self.neurons, self.out = 0, Matrix([], 0)
        if a.has_mlp:
            W_in, b_in = tensors["blocks.0.mlp.W_in"], tensors["blocks.0.mlp.b_in"]
            maps, biases = [U, W_in], [matmul(add(b_O, tensors["blocks.0.mlp.b_out"]), U), add(matmul(b_O, W_in), b_in)]
            self.neurons, self.out = len(W_in.rows[0]), matmul(tensors["blocks.0.mlp.W_out"], U)
        self.heads = a.heads
        self.act = self.forward.act or self.forward.relu  # without neurons never asked
        self.after = [Linear(W, bias, bits) for W, bias in zip(maps, biases, strict=True)]
        size = len(W_O.rows) // a.heads
        by_head = [Matrix(W_O.rows[i : i + size], W_O.exponent) for i in range(0, len(W_O.rows), size)]
        self.values = [self.added([plain(matmul(W, into), bits) for into in maps], h) for h, W in enumerate(by_head)]
        self.scale = Enclosure(1 << bits, 1 << bits)
        if "final" in a.norms:
            own = [self.forward.embedded(readout, q).plus(Ball(rounded(b_O, bits)[0], 1)) for q in choices[readout]]
            rows = [self.added([plain(W, bits)], h) for h, W in enumerate(by_head)]
            self.scale = divisor(a.eps, [own, *[chain(*[row.values() for row in table]) for table in rows]], bits)
        self.weights, self.direct = cache(self.attention), cache(self.not_attended)

    def added(self, maps: list[Linear], head: int) -> Values:
        """What linear maps make of the values of a head."""
        first = self.forward.first
        return [{t: features(first(p, t).heads("V")[head], maps) for t in row} for p, row in enumerate(self.seen)]

    def attention(self, q: int) -> list[list[dict[int, Power]]]:
        """[head][p][t]: exp of the score; at the readout position of q alone."""
        first, block = self.forward.first, self.forward.blocks[0]
        rows = [[q] if p == self.readout else list(row) for p, row in enumerate(self.seen)]
        powers = [
            {t: block.exponentials(first(self.readout, q), first(p, t)) for t in row} for p, row in enumerate(rows)
        ]
        return [[{t: of_heads[head] for t, of_heads in row.items()} for row in powers] for head in range(self.heads)]

    def not_attended(self, q: int) -> Ball:
        """The residual of q and the biases after it, as features."""
        return features(self.forward.embedded(self.readout, q), self.after)


def plain(W: Matrix, bits: int) -> Linear:
    """x -> x W."""
    return Linear(W, Matrix([[0] * len(W.rows[0])], 0), bits)


def features(x: Ball, maps: list[Linear]) -> Ball:
    """What several linear maps make of one vector, side by side."""
    balls = [linear(x) for linear in maps]
    return Ball(list(chain(*[ball.centre for ball in balls])), max([ball.radius for ball in balls]))
