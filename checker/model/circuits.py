"""Exact circuits of one model.

Names follow the field: EVOU[t,y] is what attending to token t adds to logit y, PVOU[p,y] the same for position p,
EUPU[q,y] the direct path of the query token q at the last position, scores split as sE(q,t) + sP(q,p).
"""

from functools import cached_property

from checker.arithmetic.matrices import Matrix, add, add_row, matmul, transpose
from checker.model.weights import Weights


class Circuits:
    """Products of the weights of one layer with one head. Tables are exact and made on first use."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.v = weights.sizes["d_vocab"]
        self.h = weights.sizes["d_head"]
        self.k = weights.sizes["n_ctx"]

    def tensor(self, name: str) -> Matrix:
        """A weight matrix, without the head axis."""
        return self.weights.tensors[name]

    def of_attention(self, name: str) -> Matrix:
        """A weight of the attention layer."""
        return self.tensor(f"blocks.0.attn.{name}")

    @cached_property
    def OVU(self) -> Matrix:
        """W_V W_O W_U, d_model x d_vocab, multiplied from the cheaper side."""
        return matmul(self.of_attention("W_V"), matmul(self.of_attention("W_O"), self.tensor("unembed.W_U")))

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
        value_bias = add(matmul(self.of_attention("b_V"), self.of_attention("W_O")), self.of_attention("b_O"))
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
        queries = add_row(matmul(self.query_residual, self.of_attention("W_Q")), self.of_attention("b_Q"))
        return matmul(queries, transpose(self.of_attention("W_K")))

    @cached_property
    def token_scores(self) -> Matrix:
        """sE(q, t) * sqrt(d_head), d_vocab x d_vocab."""
        return matmul(self.query_key, transpose(self.tensor("embed.W_E")))

    @cached_property
    def position_scores(self) -> Matrix:
        """sP(q, p) * sqrt(d_head), d_vocab x n_ctx."""
        return matmul(self.query_key, transpose(self.tensor("pos_embed.W_pos")))
