"""Attention on the maximum m for every gap that its rivals may keep, from stated scores, in float64 with slack."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np

from certgen.bounds.scores import SCORE_ERRORS, ScoreStep
from certgen.certificate.facts import ScoreApproximation
from certgen.models.circuits import MOST_KEPT, Circuits
from certgen.models.dyadic import BoolArray, FloatArray

BITS = 32  # of a stated attention, and of the weights behind it
SLACK = 2.0 ** (2 - BITS)  # above every other rounding of this search and of the checker


@dataclass(frozen=True, eq=False)
class Attention:
    """For one maximum m: stated ranges low, high [q, n, g - 1] in units of 2^-BITS, and which are allowed."""

    low: FloatArray
    high: FloatArray
    allowed: BoolArray


@dataclass(frozen=True, eq=False)
class ScoreBound:
    """A score step, and the attention that follows from it for a maximum."""

    step: ScoreStep
    attention: Callable[[int], Attention]


@lru_cache(maxsize=16)
def score_bound(circuits: Circuits, error: str) -> ScoreBound:
    """The step for a score error, with its attention; kept for other strategies on the same circuits, if small."""
    step = SCORE_ERRORS[error](circuits)
    most = MOST_KEPT // (circuits.k * circuits.v**2)  # maxima; where not all fit, none would be found again
    made = partial(attention_on, circuits, step.conclusion)
    return ScoreBound(step, lru_cache(maxsize=None)(made) if most >= circuits.v else made)


def attention_on(circuits: Circuits, scores: ScoreApproximation, m: int) -> Attention:
    """Ranges for queries q <= m, n = 0 ... k - 1, gaps 1 ... m."""
    k, queries = circuits.k, np.arange(m + 1)
    scale = 2.0 ** min(scores.exponent, 900) / np.sqrt(circuits.model.d_head)
    kept = np.array([row[: m + 1] for row in scores.kept[: m + 1]], dtype=float)
    error = np.array(scores.error[: m + 1], dtype=float)[:, None]
    below = m - np.arange(1, m + 1)  # largest token allowed beside m, for each gap
    near = (kept[:, m:] - np.maximum.accumulate(kept, axis=1)[:, below] - error) * scale
    far = (kept[:, m:] - np.minimum.accumulate(kept, axis=1)[:, below] + error) * scale

    weights = [table[: m + 1] for table in circuits.position_weights(BITS)]
    own_query = (queries == m)[:, None]
    light, heavy = (
        [np.pad(np.cumsum(order, axis=1), ((0, 0), (1, 0))) for order in orders]
        for orders in zip(*(sorted_both_ways(table[:, :-1]) for table in weights), strict=True)
    )
    n = np.arange(k)
    shares = []
    # the least attention: m on light positions, the others on heavy ones; the most: the other way round
    for mine, others, difference, up in ((light, heavy, near, 0), (heavy, light, far, 1)):
        own = mine[up][:, k - 1 - n] + np.where(own_query, weights[up][:, -1:], 0.0)
        rest = others[1 - up][:, n] + np.where(own_query, 0.0, weights[1 - up][:, -1:])
        small = np.exp(-np.minimum(np.abs(difference), 700.0))
        rounding = 2.0 ** (3 - BITS) * np.where((difference >= 0) == (up == 1), -1.0, 1.0)
        small = np.maximum(small + rounding, 0.0)
        x = np.where(difference >= 0, 1.0, small)[:, None, :]
        y = np.where(difference >= 0, small, 1.0)[:, None, :]
        shares.append(own[:, :, None] * x / (own[:, :, None] * x + rest[:, :, None] * y + 1e-300))
    low = np.floor((shares[0] - SLACK) * 2.0**BITS)
    high = np.ceil((shares[1] + SLACK) * 2.0**BITS)
    n = n[None, :, None]
    fits = own_query[:, :, None] | (queries[:, None] <= below[None, :])[:, None, :]
    exists = np.where(own_query[:, :, None], n >= 1, n <= k - 2)
    return Attention(low, high, np.asarray(fits & exists))


def sorted_both_ways(weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Each row from its smallest entry up, and from its largest down."""
    rising = np.sort(weights, axis=1)
    return rising, rising[:, ::-1]
