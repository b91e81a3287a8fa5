"""The paper's FLOP count of its proofs (arXiv 2406.11779): what its float proofs compute, not what our checker does.

One operation is counted for each element that an elementwise operation, a comparison, a copy or an assignment yields;
n - 1 for a reduction, and for checking that n numbers are sorted; 2 n - 1 for each element of a matrix product of inner
size n; what it takes to check a singular value decomposition. Indexing and reshaping are free. All gaps are taken to be
1, so that the count depends on sizes only. (What checking our certificates takes is their proof length.)
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from certgen.measures.family import Member, member
from certgen.models.model_file import Model
from certgen.strategies import STRATEGIES

PAPER_ATTENTION = ("mean-query+diff", "drop-average-query-per-output-logit-reasoning")


def flops(model: Model, strategy: str) -> float | None:
    """The count for a proof of the paper on a model of these sizes; None where it is not known.

    For d_vocab = 64, n_ctx = 4, d_model = d_head = 32 the formulas give the known counts to the last operation: of the
    cubic proof, of all ten treatments of the score error (with max-diff-exact, mean-query+diff), and what
    mean-query+max-diff and dropping mean+diff save. For the other treatments of the direct path, which follow the same
    rules, there is no figure to compare with. None for brute force (the published 2^47 has a defect, and
    876,123,000,832, the count without it, could not be derived); for strategies that are not the paper's; and unless
    d_vocab > d_model = d_head > 1 and n_ctx > 1, as products are taken in another order then. Cost: d_vocab steps.
    """
    v, k, d = model.d_vocab, model.n_ctx, model.d_model
    if not v > d == model.d_head > 1 or k < 2:
        return None
    if STRATEGIES[strategy].cost_class == "cubic":
        return float(Count(v, k, d).cubic())
    parts = member(strategy)
    if parts is None or parts.attention not in PAPER_ATTENTION:
        return None
    return float(Count(v, k, d).sub_cubic(parts))


def product(rows: int, inner: int, columns: int) -> int:
    """A matrix product."""
    return rows * columns * (2 * inner - 1)


def mean_row(rows: int, columns: int) -> int:
    """The mean of all rows: sums, and a division per column."""
    return rows * columns


def spreads(rows: int, columns: int) -> int:
    """The largest entry of each row minus the smallest."""
    return rows * (2 * columns - 1)


def bounded(rows: int, columns: int) -> int:
    """|A| times a vector of spreads."""
    return rows * columns + product(rows, columns, 1)


def peel(rows: int, columns: int) -> int:
    """A rank-one part taken off: normalise the direction, project, form the product, subtract."""
    return 3 * rows - 1 + product(columns, rows, 1) + 2 * rows * columns


def svd(rows: int, columns: int) -> int:
    """Checking a decomposition: that U S V is the matrix, that U and V are orthogonal."""
    rank = min(rows, columns)
    scaled = rank * rank  # S is multiplied into the square factor
    orthogonal = rows * rank + columns * rank + product(rank, rows, rank) + product(rank, columns, rank) + 2 * rank**2
    return scaled + product(rows, rank, columns) + orthogonal + 3 * rows * columns + 6 * rank**2


@dataclass(frozen=True)
class Count:
    """Counts for v tokens, k positions, and width d of both the residual stream and the head."""

    v: int
    k: int
    d: int

    @property
    def softmax(self) -> int:
        """Two rows over the positions, divided by the scale first: maximum, subtract, exp, sum, divide."""
        return 2 * (self.k + 2 * (self.k - 1) + 3 * self.k)

    @property
    def value_path(self) -> int:
        """EVOU and PVOU."""
        v, k, d = self.v, self.k, self.d
        return 2 * product(v, d, d) + product(v, d, v) + 2 * product(k, d, d) + product(k, d, v)

    # The cubic proof

    def cubic(self) -> int:
        return self.cubic_circuits() + self.cubic_attention() + self.cubic_logits() + self.cubic_counting()

    def cubic_circuits(self) -> int:
        v, k, d = self.v, self.k, self.d
        queries = v * d + 2 * product(v, d, d)  # made for tokens and for positions
        return v * d + product(v, d, v) + self.value_path + 2 * queries + product(v, d, v) + product(v, d, k)

    def cubic_attention(self) -> int:
        """Extreme attention for each query q, maximum m, other token t < m, and n copies of t."""
        v, k = self.v, self.k
        pairs = v * (v - 1) // 2  # q < m
        count = 6 * v**3 * k + v * (k - 2)
        count += 3 * (pairs + v) + 6 * v
        count += pairs * (3 * (k - 1) + self.softmax + 2 * (k - 2) + 6)
        per_token = [7 * (k - 1) + self.softmax + 2 * (k - n - 2) + 8 for n in range(k)]
        for m in range(v):
            count += m * (m * sum(per_token[: k - 1]) + sum(per_token))
        return count

    def cubic_logits(self) -> int:
        v, k = self.v, self.k
        count = v**3 * k
        count += v * (k * v + 2 * v**2 + v * (k - 1) + 4 * v + 1)  # centring, worst position, sequences of m alone
        count += v * (v - 1) // 2 * (13 * v + 2)  # sequences of m and the query
        count += v * 4 * v**2  # worst wrong tokens of EUPU and of EVOU + PVOU
        return count + 13 * sum(m * self.cubic_cells(m) for m in range(v))

    def cubic_counting(self) -> int:
        return self.v * (self.v + 1) // 2 + 4 * sum(m * self.cubic_cells(m) for m in range(self.v))

    def cubic_cells(self, m: int) -> int:
        """Pairs of a query and a number of other tokens, from 1 on."""
        return m * (self.k - 2) + self.k - 1

    # The sub-cubic family

    def sub_cubic(self, parts: Member) -> int:
        v = self.v
        kept = v * v  # the kept scores, as one table
        scores = self.position_scores() + self.score_error(parts.error) + kept
        attention = self.score_extremes() + 6 * v * v * self.k + self.attention_ranges()
        return scores + attention + self.value_path + self.logits(parts) + v * v * self.k

    def position_scores(self) -> int:
        """Residual streams of queries and keys, and the scores of positions."""
        v, k, d = self.v, self.k, self.d
        return 3 * k * d + 2 * v * d + 2 * product(d, d, k) + product(v, d, k)

    def score_error(self, error: str) -> int:
        """Splitting the scores, and bounding what is left."""
        v, k, d = self.v, self.k, self.d
        if error == "exact-EQKE":
            empty = 3 * (v * d + 2 * d * d + k * d) - 4  # what is left is compared with zero
            return product(v, d, d) + product(d, d, v) + product(v, d, v) + empty
        if error == "svd":
            return self.two_factors() + self.factored_svd() + 1
        if error == "max-diff-exact":
            return self.two_factors() + product(v, d, v) + spreads(v, v)
        if error.endswith("recursive"):
            return self.four_factors() + self.recursive(error)
        mean = self.row_apart([v, d, v]) + v if error.startswith("mean") else 0
        bound = spreads(d, v) + bounded(v, d) + mean
        if error.endswith("subproduct"):
            partial_products = 2 * product(v, d, d) + 2 * product(d, d, v)
            return self.four_factors() + partial_products + 3 * bound + 2 * v
        return self.two_factors() + bound

    def row_apart(self, sizes: list[int]) -> int:
        """The mean row of the first factor through the others, its spread, and the factor without it."""
        first = mean_row(sizes[0], sizes[1]) + sizes[0] * sizes[1]
        chain = sum(product(1, inner, outer) for inner, outer in pairwise(sizes[1:]))
        return first + chain + spreads(1, sizes[-1])

    def recursive(self, error: str) -> int:
        v, d = self.v, self.d
        sizes = [v, d, d, d, v]
        count = spreads(d, v) + sum(bounded(a, b) + a for a, b in ((d, d), (d, d), (v, d)))
        means = 3 if error.startswith("mean-recursive") else 1 if error.startswith("mean") else 0
        return count + sum(self.row_apart(sizes[depth:]) for depth in range(means))

    def factored_svd(self) -> int:
        """A decomposition of a product from those of its factors."""
        v, d = self.v, self.d
        middle = 2 * d * d + product(d, d, d) + svd(d, d)
        return svd(v, d) + svd(d, v) + middle + 2 * product(v, d, d)

    def two_factors(self) -> int:
        """The first singular directions taken off both factors."""
        v, d = self.v, self.d
        return 2 * product(v, d, d) + self.factored_svd() + 2 * peel(v, d) + self.outer() + v * v

    def outer(self) -> int:
        """The product of two rank-one matrices, kept as a rank-one matrix."""
        return product(1, self.d, 1) + self.v

    def four_factors(self) -> int:
        """Query and key direction, second directions, and singular directions of W_Q and W_K taken off in turn."""
        v, d = self.v, self.d
        through = product(d, d, 1)  # a rank-one matrix times W_Q or W_K
        tokens = product(v, d, 1)  # ... times an embedding
        added = 2 * v * v  # a rank-one table, made and added
        directions = 2 * through + self.outer()
        crossed = 2 * (2 * through + tokens)
        singular = 2 * tokens + self.outer() + 2 * (2 * tokens + through)
        norms = 4 * (v * d + d * d) + 4  # Frobenius norms of the four residuals, and their product
        tables = v * v + 9 * added  # nine rank-one tables, the first of which is also the shape of the sum
        return 4 * peel(v, d) + 2 * peel(d, d) + 2 * directions + 2 * crossed + singular + norms + tables

    def score_extremes(self) -> int:
        """Running extremes of each query's scores, and the differences to the maximum."""
        v, k = self.v, self.k
        valid = (v - 1) * (v + 2) // 2  # pairs q <= m with m > 0
        return 2 * v * v + 4 * v * (v - 1) + 2 * v * v * k + 2 * valid * k

    def attention_ranges(self) -> int:
        v, k = self.v, self.k
        pairs = v * (v - 1) // 2
        count = v * k + v * (k - 2) + 2 * k * pairs + 2 * pairs + 2 * (k - 1)
        for n in range(k):
            cells = v if n == 0 else (v - 1) * (v + 2) // 2
            count += cells * (3 * (k - 1) + 2 + 4 * (k - n) + self.softmax + 2 * (k - n - 1) + 2)
        return count

    def direct_path(self, direct: str) -> int:
        v, d = self.v, self.d
        if direct.endswith("max-diff-exact"):
            count = product(v, d, v) + mean_row(v, v) + v * v + spreads(v, v)
            return count + (2 * v * v - 1 + v if direct.startswith("global") else 0)
        centre = 0 if direct.startswith("svd") else mean_row(v, d)  # max-diff: the mean of zeros
        return centre + product(1, d, v) + v * d + spreads(d, v) + bounded(v, d)

    def logits(self, parts: Member) -> int:
        """Wrong logits minus right ones, for each maximum, number of other tokens, and query."""
        v, k, d = self.v, self.k, self.d
        count = k * d + v * d + v * v * k + spreads(v, v) + self.direct_path(parts.direct) + v + v * v
        count += v * (k * v + v * (k - 1) + product(1, d, v) + 8 * v + 3)
        mean_attention = 3 * v if parts.attention == "mean-query+diff" else 0
        for m in range(1, v):
            count += (k - 1) * (m + mean_attention + 4 * v + 4 + 10 * (m + 1))
        return count
