"""Splitting the token scores S = sE sqrt(d_head) into a kept part of low rank and a residual product of factors.

Each factor F is replaced by F' = F - U V with a supplied rank. Then, exactly,

    F_1 ... F_n  =  sum over i of (F'_1 ... F'_{i-1} U_i) (V_i F_{i+1} ... F_n)  +  F'_1 ... F'_n

The sum is kept, the last product is the residual. Any supplied U and V give a true split (docs/rules.md, "Scores").
"""

from typing import NamedTuple

from checker.arithmetic.matrices import Matrix, add, chain, matmul, negate, transpose
from checker.decode import array, matrix, record
from checker.errors import Rejected
from checker.facts import EXPONENT, Rows, ScoreApproximation
from checker.problem import Problem


class Peel(NamedTuple):
    """A projector P = onto along, both in units of 2^exponent: F becomes F - F P, the last of four factors F - P F."""

    onto: Rows
    along: Rows
    exponent: int


def decode_peels(value: object, path: str) -> tuple[Peel, ...]:
    """[{"onto": [[...]], "along": [[...]], "exponent": e}, ...]"""

    def peel(item: object, at: str) -> Peel:
        fields = record(item, at, ("onto", "along", "exponent"))
        onto, along = matrix(fields["onto"], f"{at}.onto"), matrix(fields["along"], f"{at}.along")
        return Peel(onto, along, EXPONENT(fields["exponent"], f"{at}.exponent"))

    return array(value, path, peel)


class Split(NamedTuple):
    """S = kept + the product of factors."""

    kept: Matrix
    factors: list[Matrix]


def peel(factor: Matrix, projector: Peel, on_left: bool = False) -> tuple[Matrix, Matrix, Matrix]:
    """U, V and F' = F - U V for U V = F P, or P F if `on_left`."""
    onto, along = (Matrix.of(rows, projector.exponent) for rows in (projector.onto, projector.along))
    U, V = (onto, matmul(along, factor)) if on_left else (matmul(factor, onto), along)
    return U, V, add(factor, negate(matmul(U, V)))


def split_scores(problem: Problem, peels: tuple[Peel, ...]) -> Split:
    """One peel: two factors, (r W_Q + b_Q) W_K^T peeled, and W_E^T. Four peels: r, W_Q, W_K^T, W_E^T, all peeled."""
    tokens = transpose(problem.circuits.tensor("embed.W_E"))
    keys = transpose(problem.circuits.of_attention("W_K"))
    if len(peels) == 1:
        factors: list[Matrix] = [problem.circuits.query_key, tokens]
        terms: list[Matrix] = []
    elif len(peels) == 4:
        factors = [problem.circuits.query_residual, problem.circuits.of_attention("W_Q"), keys, tokens]
        bias = chain([problem.circuits.of_attention("b_Q"), keys, tokens])
        terms = [Matrix(bias.rows * problem.v, bias.exponent)]
    else:
        raise Rejected("wrong-shape", "args.peels", "one or four", str(len(peels)))
    peeled: list[Matrix] = []
    for i, factor in enumerate(factors):
        if i < len(peels):
            left, V, factor = peel(factor, peels[i], on_left=i == 3)
            for before in reversed(peeled):
                left = matmul(before, left)
            terms.append(matmul(left, chain([V, *factors[i + 1 :]])))
        peeled.append(factor)
    kept = terms[0]
    for term in terms[1:]:
        kept = add(kept, term)
    return Split(kept, peeled)


def approximation(kept: Matrix, error: list[int], exponent: int) -> ScoreApproximation:
    """The fact that the kept scores err by at most error * 2^exponent per query."""
    unit = min(kept.exponent, exponent)
    rows = tuple([tuple([x << (kept.exponent - unit) for x in row]) for row in kept.rows])
    return ScoreApproximation(unit, rows, tuple([bound << (exponent - unit) for bound in error]))
