"""Hints for the score error: which directions to peel off, in which basis to measure, how large a singular value is.

Any hint is sound; these make the certified error small. All are found in float64 and rounded; the errors that a
certificate states are then computed exactly from the rounded hints.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from certgen.certificate.arguments import Peel
from certgen.errors import UserError
from certgen.models.circuits import Circuits
from certgen.models.dyadic import Dyadic, FloatArray, mean_row

HINT_BITS = 30
LOOSEST = 5  # then the ridge is a thousand times what it is added to, and every witness will do


@dataclass(frozen=True, eq=False)
class Split:
    """token_scores = kept + the product of factors, exactly."""

    peels: list[Peel]
    kept: Dyadic
    factors: list[Dyadic]


def rounded(onto: FloatArray, along: FloatArray) -> Peel:
    """The projector onto @ along with entries rounded to HINT_BITS bits of the largest, scaled to be alike."""
    onto, along = (np.clip(np.nan_to_num(table), -1e150, 1e150) for table in (onto, along))
    balance = np.sqrt(np.abs(along).max()) / np.sqrt(np.abs(onto).max()) if onto.any() and along.any() else 1.0
    onto, along = onto * balance, along / balance
    largest = max(np.abs(onto).max(), np.abs(along).max(), 2.0**-500)
    exponent = int(np.frexp(largest)[1]) - HINT_BITS
    exact = [[[round(x) for x in row] for row in np.ldexp(table, -exponent).tolist()] for table in (onto, along)]
    return Peel(onto=exact[0], along=exact[1], exponent=exponent)


def matrices(peel: Peel) -> tuple[Dyadic, Dyadic]:
    """The two exact factors of a projector."""
    onto, along = (Dyadic(np.array(rows, dtype=object), peel.exponent) for rows in (peel.onto, peel.along))
    return onto, along


def peeled(factor: Dyadic, peel: Peel, on_left: bool = False) -> Dyadic:
    """F - F P, or F - P F."""
    onto, along = matrices(peel)
    return factor - (onto @ (along @ factor) if on_left else (factor @ onto) @ along)


def centred_singular_vectors(circuits: Circuits) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Singular vectors of the token scores with each query's mean removed, which no softmax sees."""
    scores = circuits.token_scores.floats(circuits.token_scores.magnitude())
    return np.linalg.svd(scores - scores.mean(axis=1, keepdims=True), full_matrices=False)


def scaled(table: Dyadic) -> FloatArray:
    """In units in which the largest entry is near 1."""
    return table.floats(table.magnitude())


def two_factor_split(circuits: Circuits, flat: bool) -> Split:
    """(r W_Q + b_Q) W_K^T and W_E^T; peeled off is a rank-1 approximation of their product.

    It is the best one in the Frobenius norm, or, if `flat`, one with less spread within the rows of the residual.
    """
    queries, tokens = circuits.query_key, circuits.weight("W_E").T
    u, s, vt = centred_singular_vectors(circuits)
    Q, E = scaled(queries), scaled(tokens).T
    unit = queries.magnitude() + tokens.magnitude()
    onto = (E - E.mean(axis=0)).T @ vt[0]
    size = np.ldexp(1.0, min(unit - circuits.token_scores.magnitude(), 900)) / s[0] if s[0] > 0 else 0.0
    along = Q.T @ u[:, 0] * size
    if flat:
        coefficients = flattening_coefficients(circuits.token_scores.floats(unit), E @ along, Q @ onto)
        onto = np.linalg.lstsq(Q, coefficients)[0]
    peel = rounded(onto[:, None], along[None, :])
    factors = [peeled(queries, peel), tokens]
    return Split([peel], circuits.token_scores - factors[0] @ factors[1], factors)


def flattening_coefficients(rows: FloatArray, pattern: FloatArray, start: FloatArray) -> FloatArray:
    """For each row the multiple of the pattern, within a tenth of a start, whose removal leaves the least spread.

    The spread is convex in the coefficient: ternary search, all rows at once.
    """
    low, high = np.sort(np.stack([0.9 * start, 1.1 * start]), axis=0)
    for _ in range(60):
        third = (high - low) / 3
        left, right = (np.ptp(rows - c[:, None] * pattern, axis=1) for c in (low + third, high - third))
        low, high = np.where(left < right, low, low + third), np.where(left < right, high - third, high)
    return np.asarray((low + high) / 2)


def four_factor_split(circuits: Circuits) -> Split:
    """r, W_Q, W_K^T, W_E^T; peeled off are two directions of queries and tokens, and one each of W_Q and W_K."""
    u, _, vt = centred_singular_vectors(circuits)
    whole = [circuits.query_residual, circuits.weight("W_Q"), circuits.weight("W_K").T, circuits.weight("W_E").T]
    r, W_Q, W_K, E = (scaled(factor) for factor in (*whole[:2], whole[2].T, whole[3].T))
    E = E - E.mean(axis=0)
    queries, tokens = (leading_directions(rows, rows.T @ first) for rows, first in ((r, u[:, 0]), (E, vt[0])))
    of_Q = np.linalg.svd(W_Q)[2][:1].T
    of_K = np.linalg.svd(W_K)[0][:, :1]
    peels = [rounded(basis, basis.T) for basis in (queries, of_Q, of_K, tokens)]
    factors = [peeled(factor, peel, i == 3) for i, (factor, peel) in enumerate(zip(whole, peels, strict=True))]
    residual = (factors[0] @ factors[1]) @ (factors[2] @ factors[3])
    return Split(peels, circuits.token_scores - residual, factors)


def leading_directions(rows: FloatArray, first: FloatArray) -> FloatArray:
    """Two orthonormal columns (one if there is no more room): a direction, and the principal one of what it leaves."""
    first = first / max(float(np.linalg.norm(first)), 1e-300)
    second = np.linalg.svd(rows - np.outer(rows @ first, first))[2][0]
    basis = np.stack([first, second], axis=1) if rows.shape[1] > 1 else first[:, None]
    return np.asarray(np.linalg.qr(basis)[0])


def product_basis(left: Dyadic, right: Dyadic) -> Peel:
    """Coordinates between the factors in which their product is its singular value decomposition."""
    A, B = scaled(left), scaled(right)
    _, s, vt = np.linalg.svd(A @ B, full_matrices=False)
    kept = max(1, int(np.count_nonzero(s[: min(B.shape)] > 1e-7 * max(s[0], 1e-300))))
    root = np.sqrt(np.maximum(s[:kept], 1e-300))
    return rounded(B @ vt[:kept].T / root, (root[:, None] * vt[:kept]) @ np.linalg.pinv(B))


@dataclass(frozen=True)
class SingularValue:
    """Bound sigma 2^exponent, ridge 2^ridge_exponent, and the witness W of rule score_singular_value."""

    sigma: int
    exponent: int
    ridge: int
    ridge_exponent: int
    witness: list[list[int]]


def singular_value(left: Dyadic, right: Dyadic) -> SingularValue:
    """Bound the largest singular value of left @ right after centring the rows of right.

    What is found in float64 is tried exactly, and looser numbers if float64 was not enough. Cost v d^2 + d^3.
    """
    centred = right.T - mean_row(right.T)  # as the rule rounds it: to short numbers, that makes a difference
    for looser in range(LOOSEST + 1):
        bound = near_singular_value(left, centred, looser)
        if bound is not None and dominates(left, centred, bound):
            return bound
    raise UserError("no bound on the singular values of the scores was found", "choose a strategy without svd")


def near_singular_value(left: Dyadic, right: Dyadic, looser: int) -> SingularValue | None:
    """The largest singular value of left @ right.T in float64, with some room; None if float64 finds no witness."""
    A, B = scaled(left), scaled(right)
    size = B.shape[1]
    ridge = float(np.trace(B.T @ B)) / size * 2.0 ** (6 * looser - 20) + 2.0**-60
    G = B.T @ B + ridge * np.eye(size)
    H = A.T @ A
    try:
        root = np.linalg.cholesky(G)
        largest = float(np.sqrt(max(np.linalg.eigvalsh(root.T @ H @ root)[-1], 0.0)))
        sigma = max(largest, 2.0**-20) * (1 + 2.0 ** (2 * looser - 10))
        values, vectors = np.linalg.eigh(sigma**2 * G - G @ H @ G)
    except np.linalg.LinAlgError:
        return None
    if not values[-1] > 0:
        return None
    witness = vectors / np.sqrt(np.maximum(values, values[-1] * 1e-13))
    shift = 2.0**24 / np.abs(witness).max(axis=0).min()
    return SingularValue(
        sigma=int(np.ceil(sigma * 2.0**50)),
        exponent=left.magnitude() + right.magnitude() - 50,
        ridge=int(np.ceil(ridge * 2.0**80)),
        ridge_exponent=2 * right.magnitude() - 80,
        witness=[[round(x) for x in row] for row in (witness * shift).tolist()],
    )


def dominates(left: Dyadic, right: Dyadic, bound: SingularValue) -> bool:
    """The side condition of the rule, exactly."""
    identity = np.eye(len(bound.witness), dtype=int).astype(object)
    G = right.T @ right + Dyadic(identity * bound.ridge, bound.ridge_exponent)
    N = Dyadic(G.integers * bound.sigma**2, G.exponent + 2 * bound.exponent) - G @ (left.T @ left) @ G
    witness = np.array(bound.witness, dtype=object)
    checked = witness.T @ N.integers @ witness
    diagonal = np.diagonal(checked)
    return bool(np.all(diagonal > abs(checked).sum(axis=1) - abs(diagonal)))
