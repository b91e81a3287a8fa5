"""EQKE, the scores of one model for each pair of tokens, and how far they are from rank 1."""

from __future__ import annotations

import math

import numpy as np

from certgen.models.dyadic import FloatArray
from certgen.models.model_file import Model


def singular_ratio(model: Model) -> float:
    """sigma_1 / sigma_2 of EQKE, the paper's measure of how far scores are of rank 1; infinite if they are.

    EQKE is v by v: query tokens with the last position, key tokens with the mean position. Cost v^3, in float64.
    """
    values = np.linalg.svd(EQKE(model), compute_uv=False)
    return float(values[0] / values[1]) if len(values) > 1 and values[1] > 0 else math.inf


def EQKE(model: Model) -> FloatArray:
    """Scores of the last position for key tokens at the mean position [v, v], in nats; a constant per query is free."""
    queries = (model.W_E + model.W_pos[-1]) @ model.W_Q + model.b_Q
    keys = (model.W_E + model.W_pos.mean(axis=0)) @ model.W_K
    return np.asarray(queries @ keys.T / math.sqrt(model.d_head))


def centred(scores: FloatArray) -> FloatArray:
    """Each query's scores relative to their mean, which is all that a softmax sees."""
    return np.asarray(scores - scores.mean(axis=1, keepdims=True))
