"""What a proof is about: exact circuits of one model, the task, the margin, and the budget for checking.

Names follow the field: EVOU[t,y] is what attending to token t adds to logit y, PVOU[p,y] the same for position p,
EUPU[q,y] the direct path of the query token q at the last position, scores split as sE(q,t) + sP(q,p).
"""

from functools import cache, cached_property
from itertools import accumulate

from checker.errors import ResourceLimit
from checker.exact import (
    add,
    add_row,
    exp_enclosure,
    ln2_enclosure,
    matmul,
    shift_down,
    shift_up,
    sqrt_enclosure,
    transpose,
)
from checker.weights import Matrix, Weights

Enclosure = tuple[int, int]
Power = tuple[int, int, int]  # (low, high, shift): between low and high in units of 2^-(bits + shift)


class Problem:
    """Max-of-k for one model, k = n_ctx. Tables are exact and made on first use."""

    def __init__(self, weights: Weights, margin: tuple[int, int], budget: int) -> None:
        self.weights = weights
        self.margin = margin
        self.budget = budget
        self.v = weights.sizes["d_vocab"]
        self.h = weights.sizes["d_head"]
        self.k = weights.sizes["n_ctx"]
        self.constants = cache(self.enclose_constants)
        self.all_exponentials = cache(self.every_exponential)

    def afford(self, cost: int, what: str) -> None:
        """Refuse, before starting, work whose count of `what` exceeds the budget."""
        if cost > self.budget:
            raise ResourceLimit("over-budget", "", f"at most {self.budget} {what} (raise --budget)", str(cost))

    def margin_upper(self, exponent: int) -> int:
        """The margin rounded up to a multiple of 2^exponent."""
        numerator, denominator = self.margin
        return -(-(numerator << max(-exponent, 0)) // (denominator << max(exponent, 0)))

    def tensor(self, name: str) -> Matrix:
        """A weight matrix, without the head axis."""
        return self.weights.tensors[name]

    def attention(self, name: str) -> Matrix:
        """A weight of the attention layer."""
        return self.tensor(f"blocks.0.attn.{name}")

    @cached_property
    def OVU(self) -> Matrix:
        """W_V W_O W_U, d_model x d_vocab, multiplied from the cheaper side."""
        return matmul(self.attention("W_V"), matmul(self.attention("W_O"), self.tensor("unembed.W_U")))

    @cached_property
    def EVOU(self) -> Matrix:
        """d_vocab x d_vocab."""
        return matmul(self.tensor("embed.W_E"), self.OVU)

    @cached_property
    def PVOU(self) -> Matrix:
        """n_ctx x d_vocab."""
        return matmul(self.tensor("pos_embed.W_pos"), self.OVU)

    @cached_property
    def query_residual(self) -> Matrix:
        """r(q, k-1) = W_E[q] + W_pos[k-1], d_vocab x d_model."""
        last = self.tensor("pos_embed.W_pos")
        return add_row(self.tensor("embed.W_E"), Matrix(last.rows[-1:], last.exponent))

    @cached_property
    def direct_constant(self) -> Matrix:
        """(b_V W_O + b_O) W_U + b_U, one row."""
        value_bias = add(matmul(self.attention("b_V"), self.attention("W_O")), self.attention("b_O"))
        return add(matmul(value_bias, self.tensor("unembed.W_U")), self.tensor("unembed.b_U"))

    @cached_property
    def EUPU(self) -> Matrix:
        """Direct path with every bias after the attention: r(q, k-1) W_U + (b_V W_O + b_O) W_U + b_U."""
        return add_row(matmul(self.query_residual, self.tensor("unembed.W_U")), self.direct_constant)

    @cached_property
    def query_key(self) -> Matrix:
        """(r(q, k-1) W_Q + b_Q) W_K^T, d_vocab x d_model: its product with r(t, p) is the score times sqrt(d_head).

        b_K adds the same to every position's score of a query and leaves the attention unchanged.
        """
        queries = add_row(matmul(self.query_residual, self.attention("W_Q")), self.attention("b_Q"))
        return matmul(queries, transpose(self.attention("W_K")))

    @cached_property
    def token_scores(self) -> Matrix:
        """sE(q, t) * sqrt(d_head), d_vocab x d_vocab."""
        return matmul(self.query_key, transpose(self.tensor("embed.W_E")))

    @cached_property
    def position_scores(self) -> Matrix:
        """sP(q, p) * sqrt(d_head), d_vocab x n_ctx."""
        return matmul(self.query_key, transpose(self.tensor("pos_embed.W_pos")))

    def enclose_constants(self, scale: int) -> tuple[Enclosure, Enclosure]:
        """1 / sqrt(d_head) and ln 2 in units of 2^-scale."""
        return sqrt_enclosure(1, self.h, scale), ln2_enclosure(scale)

    def exp_below(self, difference: int, exponent: int, bits: int) -> Power:
        """exp(-difference * 2^exponent / sqrt(d_head)), for difference >= 0."""
        size = max(difference.bit_length() + exponent, 0)  # x < 2^size
        scale = bits + 16 + (1 << size.bit_length())  # more than that, and few scales occur
        root, ln2 = self.constants(scale)
        lower, upper = shift_down(difference * root[0], -exponent), shift_up(difference * root[1], -exponent)
        return exp_enclosure(lower, upper, scale, bits, ln2)

    def exponentials(self, scores: Matrix, row: int, bits: int) -> list[Power]:
        """exp((score - largest score of the row) / sqrt(d_head)) for every entry of a row."""
        largest = max(scores.rows[row])
        return [self.exp_below(largest - score, scores.exponent, bits) for score in scores.rows[row]]

    def every_exponential(self, name: str, bits: int) -> list[list[Power]]:
        """exp(sE) or exp(sP) for every query, each row up to a positive factor. One exp per entry."""
        scores = {"token": self.token_scores, "position": self.position_scores}[name]
        return [self.exponentials(scores, q, bits) for q in range(self.v)]

    def token_weights(self, q: int, m: int, bits: int) -> list[Enclosure]:
        """Enclosures of exp(sE(q, t)) for t <= m up to a positive factor, at most 2^bits."""
        return aligned(self.all_exponentials("token", bits)[q][: m + 1], bits)

    def position_weights(self, q: int, bits: int) -> list[Enclosure]:
        """Enclosures of exp(sP(q, p)) up to a positive factor, at most 2^bits."""
        return aligned(self.all_exponentials("position", bits)[q], bits)


def aligned(powers: list[Power], bits: int) -> list[Enclosure]:
    """The same numbers up to one power of two, rounded outward; the largest keep their bits."""
    least = min([shift for _, _, shift in powers])
    return [(low >> shift - least, (high - 1 >> shift - least) + 1) for low, high, shift in powers]


def partial_sums(weights: list[Enclosure], heaviest: bool) -> list[Enclosure]:
    """Entry n encloses the sum of the n smallest (or largest) weights."""
    lows = sorted([low for low, _ in weights], reverse=heaviest)
    highs = sorted([high for _, high in weights], reverse=heaviest)
    return list(zip(accumulate(lows, initial=0), accumulate(highs, initial=0), strict=True))
