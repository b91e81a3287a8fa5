"""What the exact tables of one attention layer take, from sizes of the weights; to be read beside circuits.py."""

from functools import cached_property

from checker.budget import Cost, Span, number, product, span, words
from checker.model.weights import Weights


class Sizes:
    """Lengths of numbers, before any table is made."""

    def __init__(self, weights: Weights) -> None:
        self.weights, sizes = weights, weights.sizes
        self.v, self.d, self.h, self.k = (sizes[name] for name in ("d_vocab", "d_model", "d_head", "n_ctx"))

    def of(self, name: str) -> Span:
        """Of a weight matrix; one letter and an underscore for those of attention."""
        return span(*self.weights.tensors[f"blocks.0.attn.{name}" if name[1] == "_" else name])

    @cached_property
    def residual(self) -> Span:
        """W_E[t] + W_pos[p]."""
        return self.of("embed.W_E").plus(self.of("pos_embed.W_pos"))

    @cached_property
    def logits(self) -> Span:
        """EUPU, EVOU and PVOU, all in one unit."""
        U, d = self.of("unembed.W_U"), self.d
        attended = self.of("W_V").times(self.of("W_O").times(U, self.h), d).times(self.residual, d)
        bias = self.of("b_V").times(self.of("W_O"), self.h).plus(self.of("b_O"))
        return self.residual.plus(bias).times(U, d).plus(self.of("unembed.b_U")).plus(attended)

    @cached_property
    def scores(self) -> Span:
        """Scores times sqrt(d_head), of tokens and of positions."""
        queries = self.residual.times(self.of("W_Q"), self.d).plus(self.of("b_Q"))
        return queries.times(self.of("W_K"), self.h).times(self.residual, self.d)

    @property
    def of_logits(self) -> Cost:
        """EUPU, EVOU and PVOU."""
        v, d, rows, bits = self.v, self.d, 2 * self.v + self.k + 1, self.logits.bits
        steps = (rows * d * v + 2 * d * v * self.h) * product(bits, bits // 2)
        return Cost(f"logits of {v} tokens, {bits} bits", steps, rows * v * number(bits), "logits")

    @property
    def of_scores(self) -> Cost:
        """Of tokens and positions, and the products of queries and keys that they are made of."""
        v, k, d, bits = self.v, self.k, self.d, self.scores.bits
        steps = v * d * (v + k + 2 * self.h) * product(bits, bits // 2)
        return Cost(f"scores of {v} tokens, {bits} bits", steps, v * (v + k + d) * number(bits), "scores")

    def of_exponentials(self, bits: int) -> list[Cost]:
        """Those of all scores to so many bits, and the scores."""
        count = self.v * (self.v + self.k)
        what = f"exponentials of {count} scores to {bits} bits"
        each = exponential(self.scores, bits)
        cost = Cost(what, count * each + constants(self.scores, bits), count * (130 + 2 * number(bits)), (bits, "exp"))
        return [self.of_scores, cost]


def scale_of(x: Span, bits: int) -> int:
    """At least the bits after the point of what is exponentiated; see scaled_exp.py."""
    return bits + 16 + 2 * max(x.top + 1, 1)


def exponential(x: Span, bits: int) -> int:
    """Operations of an enclosure of exp(-x / sqrt(s)): two series, whose terms get shorter by 8 bits or more."""
    scale, work = scale_of(x, bits), bits + 32
    longest = x.bits + scale + max(x.top, 0)
    series = (work // 10 + 3) * (5 + 2 * product(work, work)) + 9 * (1 + product(work, work))
    return 40 + 2 * series + 4 * words(longest) * words(scale)


def constants(x: Span, bits: int) -> int:
    """Operations of ln 2 and the square root, for each of the scales that occur."""
    scale = scale_of(x, bits)
    return 4 * scale * (2 + words(scale)) + 8 * product(scale, scale)
