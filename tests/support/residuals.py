"""The residual of the scores, from the definition, in float64."""

from fractions import Fraction
from typing import Any

import numpy as np

from tests.support.derivations import Derivation


def in_float64(problem: Any, peels: list[dict[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """(scores, residual), from the definition, in numpy."""

    def tensor(name: str) -> np.ndarray:
        matrix = problem.circuits.tensor(name)
        return np.array([[float(x * Fraction(2) ** matrix.exponent) for x in row] for row in matrix.rows])

    residual = tensor("embed.W_E") + tensor("pos_embed.W_pos")[-1]
    W_Q, W_K, b_Q = (tensor(f"blocks.0.attn.{name}") for name in ("W_Q", "W_K", "b_Q"))
    tokens = tensor("embed.W_E").T
    factors = [(residual @ W_Q + b_Q) @ W_K.T, tokens] if len(peels) == 1 else [residual, W_Q, W_K.T, tokens]
    for number, peel in enumerate(peels):
        onto, along = (np.ldexp(np.array(peel[name], dtype=float), peel["exponent"]) for name in ("onto", "along"))
        factor = factors[number]
        factors[number] = factor - (onto @ (along @ factor) if number == 3 else factor @ onto @ along)
    product = factors[0]
    for factor in factors[1:]:
        product = product @ factor
    return (residual @ W_Q + b_Q) @ W_K.T @ tokens, product


def assert_like_float64(proof: Derivation, peels: list[dict[str, Any]]) -> Any:
    """The kept scores and the spread of the residual, to 1e-9 of the largest; returns the fact."""
    fact = proof.derive("score_residual_spread", [], {"peels": peels})
    scores, residual = in_float64(proof.problem, peels)
    unit = Fraction(2) ** fact.exponent
    kept = np.array([[float(x * unit) for x in row] for row in fact.kept])
    assert np.abs(kept - (scores - residual)).max() <= 1e-9 * max(np.abs(scores).max(), np.abs(residual).max())
    error = np.array([float(x * unit) for x in fact.error])
    assert np.abs(error - np.ptp(residual, axis=1)).max() <= 1e-9 * np.abs(residual).max()
    return fact


def exact_errors(fact: Any) -> list[Fraction]:
    return [x * Fraction(2) ** fact.exponent for x in fact.error]
