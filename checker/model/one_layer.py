"""One attention layer as the position sees it where the logits are read: constants, and means over positions."""

from functools import cache
from itertools import chain

from checker.arithmetic.balls import Ball, Linear
from checker.arithmetic.enclosures import Enclosure, Power, aligned
from checker.arithmetic.matrices import Matrix, add, matmul
from checker.errors import Rejected
from checker.model.forward import Forward
from checker.model.weights import Weights

Values = list[dict[int, Ball]]  # position -> token -> values of all features; nothing where attention does not look


class OneLayer:
    """Features are the logits without b_U, then what enters each neuron. In units of 2^-bits a feature of an input is

    direct(q) + sum over heads of (sum over p of w_p(x_p) values[head][p][x_p]) / (sum over p of w_p(x_p)),

    q the token at the position read, w = weights(q)[head], p over the positions that it sees. The logits are these plus
    b_U, and plus the activations of the neurons times `out`.
    """

    def __init__(self, weights: Weights, choices: list[dict[int, int]], readout: int | None, bits: int) -> None:
        a, tensors = weights.architecture, weights.tensors
        if (
            readout is None
            or a.blocks != 1
            or a.readout_layers
            or a.norms not in ((), ("pre",))
            or (a.norms and a.has_mlp)
        ):
            expected = "one block, read at one position, with no LayerNorm but one before attention, and then no MLP"
            raise Rejected("wrong-problem", "rule", expected)
        self.readout, self.bits = readout, bits
        self.seen = [{} if a.mask == "causal" and p > readout else row for p, row in enumerate(choices)]
        self.forward = Forward(weights, len(choices), readout, bits)
        U, W_O, b_O = tensors["unembed.W_U"], tensors["blocks.0.attn.W_O"], tensors["blocks.0.attn.b_O"]
        maps, biases = [U], [matmul(b_O, U)]
        self.neurons, self.out = 0, Matrix([], 0)
        if a.has_mlp:
            W_in, b_in = tensors["blocks.0.mlp.W_in"], tensors["blocks.0.mlp.b_in"]
            maps, biases = [U, W_in], [matmul(add(b_O, tensors["blocks.0.mlp.b_out"]), U), add(matmul(b_O, W_in), b_in)]
            self.neurons, self.out = len(W_in.rows[0]), matmul(tensors["blocks.0.mlp.W_out"], U)
        self.bias, self.heads = tensors["unembed.b_U"], a.heads
        self.act = self.forward.act or self.forward.relu  # without neurons never asked
        self.after = [Linear(W, bias, bits) for W, bias in zip(maps, biases, strict=True)]
        size = len(W_O.rows) // a.heads
        by_head = [Matrix(W_O.rows[i : i + size], W_O.exponent) for i in range(0, len(W_O.rows), size)]
        nothing = [Matrix([[0] * len(W.rows[0])], 0) for W in maps]
        of_heads = [
            [Linear(matmul(W, into), zero, bits) for into, zero in zip(maps, nothing, strict=True)] for W in by_head
        ]
        self.values: list[Values] = [
            [
                {t: features(self.forward.first(p, t).heads("V")[head], linears) for t in row}
                for p, row in enumerate(self.seen)
            ]
            for head, linears in enumerate(of_heads)
        ]
        self.weights, self.direct = cache(self.attention), cache(self.not_attended)

    def attention(self, q: int) -> list[list[dict[int, Enclosure]]]:
        """[head][p][t]: exp of the score, up to one factor for each head; at the readout position of q alone."""
        first, block = self.forward.first, self.forward.blocks[0]
        rows = [[q] if p == self.readout else list(row) for p, row in enumerate(self.seen)]
        powers = [block.exponentials(first(self.readout, q), first(p, t)) for p, row in enumerate(rows) for t in row]
        heads = [iter(self.in_one_unit(list(of_head))) for of_head in zip(*powers, strict=True)]
        return [[{t: next(weights) for t in row} for row in rows] for weights in heads]

    def in_one_unit(self, powers: list[Power]) -> list[Enclosure]:
        """All keep their bits, as a region may hold none of the large ones: down to 2^-(16 bits) of the largest."""
        shifts = [power.shift for power in powers]
        finer = min(max(shifts) - min(shifts), 16 * self.bits)
        return aligned([Power(low << finer, high << finer, shift) for low, high, shift in powers], self.bits)

    def not_attended(self, q: int) -> Ball:
        """The residual of q and the biases after it, as features."""
        return features(self.forward.embedded(self.readout, q), self.after)


def features(x: Ball, maps: list[Linear]) -> Ball:
    """What several linear maps make of one vector, side by side."""
    balls = [linear(x) for linear in maps]
    return Ball(list(chain(*[ball.centre for ball in balls])), max([ball.radius for ball in balls]))
