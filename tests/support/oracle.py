"""The truth about a tiny model: every sequence decided exactly, from the definition of the model.

Independent of the product: the file is read by the safetensors package, weights are rationals, softmax and logits are
Arb balls (python-flint). A comparison that a ball leaves open is decided after grouping equal exponents exactly: the
exponents are rationals over sqrt(d_head), so a sum of exponentials with distinct exponents is zero only if all of its
coefficients are (Lindemann-Weierstrass). All zero is a tie, and a tie is wrong; otherwise some precision decides.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import product
from typing import NamedTuple

import flint
import numpy as np
import safetensors.numpy
from flint import arb, fmpq, fmpq_mat

FIRST_PRECISION = 128
LAST_PRECISION = 1 << 17


class Truth(NamedTuple):
    """How many of the d_vocab^n_ctx sequences are correct; how many of these clearly (see Oracle.is_clear); how many
    are not correct only because of exact ties."""

    correct: int
    clear: int
    ties: int
    total: int


def exact(array: np.ndarray) -> fmpq_mat:
    """The very numbers of an array of one or two axes (one axis is one row)."""
    rows = np.atleast_2d(np.asarray(array, dtype=np.float64))
    return fmpq_mat(len(rows), rows.shape[1], [fmpq(*x.as_integer_ratio()) for x in rows.ravel().tolist()])


def add_row(matrix: fmpq_mat, row: fmpq_mat, index: int = 0) -> fmpq_mat:
    """One row added to every row of a matrix."""
    rows, columns = matrix.nrows(), matrix.ncols()
    return fmpq_mat(rows, columns, [matrix[i, j] + row[index, j] for i in range(rows) for j in range(columns)])


def largest(matrix: fmpq_mat) -> fmpq:
    """The largest absolute value of the entries."""
    return max(abs(x) for x in matrix.entries())


@contextmanager
def precision(bits: int) -> Iterator[None]:
    """Arb works with this precision inside."""
    before, flint.ctx.prec = flint.ctx.prec, bits
    try:
        yield
    finally:
        flint.ctx.prec = before


class Oracle:
    """One model file."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        tensors = {
            name.rpartition(".")[2]: exact(array[0] if ".attn." in name and array.ndim > 1 else array)
            for name, array in safetensors.numpy.load_file(path).items()
        }
        W_E, W_pos, W_U = tensors["W_E"], tensors["W_pos"], tensors["W_U"]
        self.v, self.k, self.h = W_E.nrows(), W_pos.nrows(), tensors["W_Q"].ncols()
        residuals = [add_row(W_E, W_pos, p) for p in range(self.k)]  # [p][t] = W_E[t] + W_pos[p]
        queries = add_row(residuals[-1] * tensors["W_Q"], tensors["b_Q"])
        # scores times sqrt(d_head): scores[p][q, t]
        self.scores = [queries * add_row(r * tensors["W_K"], tensors["b_K"]).transpose() for r in residuals]
        # what attention to token t at position p writes into the logits: attended[p][t, y]
        self.attended = [add_row(r * tensors["W_V"], tensors["b_V"]) * tensors["W_O"] * W_U for r in residuals]
        # what the residual stream of the query itself writes into the logits: direct[q, y]
        self.direct = add_row(add_row(residuals[-1], tensors["b_O"]) * W_U, tensors["b_U"])

        OVU = tensors["W_V"] * tensors["W_O"] * W_U
        EUPU = add_row(self.direct, tensors["b_V"] * tensors["W_O"] * W_U)
        self.scale = max(largest(W_E * OVU), largest(W_pos * OVU), largest(EUPU))

    def truth(self, margin: Fraction | int = 0) -> Truth:
        """Decides every sequence: correct if logit_y + margin < logit_m for every y != m, where m = max(x)."""
        bound = fmpq(*Fraction(margin).as_integer_ratio())
        correct = clear = ties = 0
        with precision(FIRST_PRECISION):
            root = arb(self.h).sqrt()
            for q in range(self.v):
                top = max(row[q, t] for row in self.scores for t in range(self.v))
                weights = [[(arb(row[q, t] - top) / root).exp() for t in range(self.v)] for row in self.scores]
                attended = [
                    [[arb(table[t, y]) for y in range(self.v)] for t in range(self.v)] for table in self.attended
                ]
                direct = [arb(self.direct[q, y]) for y in range(self.v)]
                for others in product(range(self.v), repeat=self.k - 1):
                    sequence = (*others, q)
                    sign = self.sign(sequence, bound, weights, attended, direct)
                    correct += sign < 0
                    ties += sign == 0
                    clear += sign < 0 and self.is_clear(sequence, bound, weights, root)
        return Truth(correct, clear, ties, self.v**self.k)

    def correct_sequences(self, margin: Fraction | int = 0) -> set[tuple[int, ...]]:
        """All of them."""
        bound = fmpq(*Fraction(margin).as_integer_ratio())
        found = set()
        with precision(FIRST_PRECISION):
            root = arb(self.h).sqrt()
            attended = [[[arb(table[t, y]) for y in range(self.v)] for t in range(self.v)] for table in self.attended]
            for q in range(self.v):
                top = max(row[q, t] for row in self.scores for t in range(self.v))
                weights = [[(arb(row[q, t] - top) / root).exp() for t in range(self.v)] for row in self.scores]
                direct = [arb(self.direct[q, y]) for y in range(self.v)]
                for others in product(range(self.v), repeat=self.k - 1):
                    if self.sign((*others, q), bound, weights, attended, direct) < 0:
                        found.add((*others, q))
        return found

    def sign(
        self,
        sequence: tuple[int, ...],
        margin: fmpq,
        weights: list[list[arb]],
        attended: list[list[list[arb]]],
        direct: list[arb],
    ) -> int:
        """The sign of max over y != m of logit_y + margin - logit_m; -1 if there is no wrong token."""
        m = max(sequence)
        exponentials = [weights[p][t] for p, t in enumerate(sequence)]
        denominator = sum(exponentials, arb(0))
        alphas = [w / denominator for w in exponentials]
        logits = [
            direct[y]
            + sum((a * attended[p][t][y] for p, (a, t) in enumerate(zip(alphas, sequence, strict=True))), arb(0))
            for y in range(self.v)
        ]
        signs = [-1]
        for y in range(self.v):
            if y != m:
                lead = logits[y] + margin - logits[m]
                signs.append(-1 if lead < 0 else 1 if lead > 0 else self.exact_sign(sequence, y, margin))
        return max(signs)

    def barely_wrong_margin(self, sequence: tuple[int, ...]) -> Fraction:
        """A margin with which this sequence is wrong, by about 2^-30 of the margin; 0 if it is wrong anyway."""
        m, q = max(sequence), sequence[-1]
        with precision(FIRST_PRECISION):
            root = arb(self.h).sqrt()
            scores = [arb(self.scores[p][q, t]) / root for p, t in enumerate(sequence)]
            weights = [(score - max(scores, key=float)).exp() for score in scores]
            leads = []
            for y in set(range(self.v)) - {m}:
                values = [arb(table[t, m] - table[t, y]) for table, t in zip(self.attended, sequence, strict=True)]
                mean = sum((w * x for w, x in zip(weights, values, strict=True)), arb(0)) / sum(weights, arb(0))
                leads.append(arb(self.direct[q, m] - self.direct[q, y]) + mean)
            if not leads or not all(lead.is_finite() for lead in leads):
                return Fraction(0)
            mantissa, exponent = min((lead.upper() for lead in leads), key=float).man_exp()
        margin = Fraction(int(mantissa)) * Fraction(2) ** int(exponent) * (1 + Fraction(1, 1 << 30))
        return margin if margin > 0 and max(margin.numerator, margin.denominator) < 10**999 else Fraction(0)

    def exact_sign(self, sequence: tuple[int, ...], y: int, margin: fmpq) -> int:
        """The sign of logit_y + margin - logit_m, times the denominator of the softmax: a sum of exponentials."""
        m, q = max(sequence), sequence[-1]
        coefficients: dict[fmpq, fmpq] = {}
        for p, t in enumerate(sequence):
            score, table = self.scores[p][q, t], self.attended[p]
            lead = self.direct[q, y] - self.direct[q, m] + table[t, y] - table[t, m] + margin
            coefficients[score] = coefficients.get(score, fmpq(0)) + lead
        terms = sorted(((s, c) for s, c in coefficients.items() if c), reverse=True)
        if not terms:
            return 0
        bits = FIRST_PRECISION
        while bits <= LAST_PRECISION:
            with precision(bits):
                root = arb(self.h).sqrt()
                value = sum((arb(c) * (arb(s - terms[0][0]) / root).exp() for s, c in terms), arb(0))
                if value < 0 or value > 0:
                    return -1 if value < 0 else 1
            bits *= 2
        raise RuntimeError(f"undecided with {LAST_PRECISION} bits: {sequence}, y = {y}")

    def is_clear(self, sequence: tuple[int, ...], margin: fmpq, weights: list[list[arb]], root: arb) -> bool:
        """Correct with room to spare, so that a search in float64 that keeps 36 bits must see it.

        Let V(p, y) be the lead of y over m at position p as in the separation lemma, and w(p) = exp(s - s*), where s*
        is the largest score of the query over all positions and all tokens up to m. Clear means: for every y != m,
        sum over p of w(p) V(p, y) < -1e-7 n_ctx S, where S is the largest absolute value in EVOU, PVOU, EUPU and of
        the margin; and s* is at most 2000 nats below the query's largest score over all tokens.
        """
        m, q = max(sequence), sequence[-1]
        allowed = max(row[q, t] for row in self.scores for t in range(m + 1))
        top = max(row[q, t] for row in self.scores for t in range(self.v))
        depth = arb(top - allowed) / root
        if not depth < 2000:
            return False
        limit = -arb(self.k * max(self.scale, margin)) / 10**7 * (-depth).exp()
        for y in range(self.v):
            value = arb(0)
            for p, t in enumerate(sequence):
                table = self.attended[p]
                lead = self.direct[q, y] - self.direct[q, m] + table[t, y] - table[t, m] + margin
                value += weights[p][t] * lead
            if y != m and not value < limit:
                return False
        return True


def truth(path: str | os.PathLike[str], margin: Fraction | int = 0) -> Truth:
    """The truth about the model file at `path` for one margin."""
    return Oracle(path).truth(margin)
