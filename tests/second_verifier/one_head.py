"""Section 1, Max-of-k: the tables of a model of one head, as fractions. Scores are times sqrt(h)."""

from fractions import Fraction
from functools import cache, cached_property
from itertools import product

from tests.second_verifier.exponentials import Sum, add, sign, term
from tests.second_verifier.model_file import ModelFile

Row = list[Fraction]
Matrix = list[Row]
Sequence = tuple[int, ...]


def matmul(a: Matrix, b: Matrix) -> Matrix:
    columns = list(zip(*b, strict=True))
    return [[sum((x * y for x, y in zip(row, column, strict=True)), Fraction(0)) for column in columns] for row in a]


def plus(a: Matrix, row: Row) -> Matrix:
    """A row added to every row."""
    return [[x + y for x, y in zip(given, row, strict=True)] for given in a]


def minus(a: Matrix, b: Matrix) -> Matrix:
    return [[x - y for x, y in zip(one, other, strict=True)] for one, other in zip(a, b, strict=True)]


def transpose(a: Matrix) -> Matrix:
    return [list(column) for column in zip(*a, strict=True)]


def spread(row: Row) -> Fraction:
    return max(row) - min(row)


class OneHead:
    """One model, whatever the margin."""

    def __init__(self, file: ModelFile) -> None:
        t, self.file = file.tensors, file
        self.v, self.d, self.h, self.k = (file.extents[name] for name in ("d_vocab", "d_model", "d_head", "n_ctx"))
        attn = "blocks.0.attn."
        self.W_E, self.W_pos, self.W_U = t["embed.W_E"], t["pos_embed.W_pos"], t["unembed.W_U"]
        self.W_Q, self.W_K, self.b_Q = t[f"{attn}W_Q"][0], t[f"{attn}W_K"][0], t[f"{attn}b_Q"][0]
        VOU = matmul(matmul(t[f"{attn}W_V"][0], t[f"{attn}W_O"][0]), self.W_U)
        biases = plus(matmul([t[f"{attn}b_V"][0]], t[f"{attn}W_O"][0]), t[f"{attn}b_O"])
        (self.constant,) = plus(matmul(biases, self.W_U), t["unembed.b_U"])
        self.r = plus(self.W_E, self.W_pos[-1])
        self.EVOU, self.PVOU = matmul(self.W_E, VOU), matmul(self.W_pos, VOU)
        self.EUPU = plus(matmul(self.r, self.W_U), self.constant)
        g = matmul(plus(matmul(self.r, self.W_Q), self.b_Q), transpose(self.W_K))
        self.token_scores = matmul(g, transpose(self.W_E))
        self.position_scores = matmul(g, transpose(self.W_pos))
        self.lead = cache(self.find_lead)
        self.known: dict[tuple[Sequence, Fraction], int] = {}

    def others(self, m: int) -> list[int]:
        """The wrong tokens."""
        return [y for y in range(self.v) if y != m]

    def pairs(self) -> list[tuple[int, int]]:
        """(m, q) that have sequences, in order: q <= m, and only q = m if there is one position."""
        return [(m, q) for m in range(self.v) for q in range(m + 1) if self.k > 1 or q == m]

    def ns(self, m: int, q: int) -> range:
        """The n of the cells of a pair."""
        return range(self.k if q == m else self.k - 1)

    def sequences(self, m: int, q: int) -> list[Sequence]:
        """Of a pair."""
        return [(*x, q) for x in product(range(m + 1), repeat=self.k - 1) if m in (*x, q)]

    def find_lead(self, q: int, m: int, y: int, p: int, t: int) -> Fraction:
        """V_p(t) without the margin: how far y is ahead of m at a position."""
        of_token, of_position = self.EVOU[t], self.PVOU[p]
        return self.EUPU[q][y] - self.EUPU[q][m] + of_token[y] - of_token[m] + of_position[y] - of_position[m]

    def numerator(self, x: Sequence, y: int, margin: Fraction) -> Sum:
        """The sum of Lemma 1: negative if y is behind by more than the margin."""
        m, q = max(x), x[-1]
        tokens, positions = self.token_scores[q], self.position_scores[q]
        return add(term(tokens[t] + positions[p], self.lead(q, m, y, p, t) + margin) for p, t in enumerate(x))

    def is_correct(self, x: Sequence, margin: Fraction) -> bool:
        """Decided, ties included."""
        key = x, margin
        if key not in self.known:
            wrong = self.others(max(x))
            self.known[key] = all(sign(self.numerator(x, y, margin), self.h) < 0 for y in wrong)
        return bool(self.known[key])

    @cached_property
    def position_gains(self) -> Matrix:
        """[m][y]: the maximum over p of PVOU[p,y] - PVOU[p,m]."""
        return [[max(row[y] - row[m] for row in self.PVOU) for y in range(self.v)] for m in range(self.v)]
