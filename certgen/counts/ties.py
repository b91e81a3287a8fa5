"""Exact ties: sequences that float64 cannot decide, and that need no more precision but exact arithmetic."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from certgen.models.circuits import Circuits


def tied(circuits: Circuits, sequence: list[int], m: int) -> bool:
    """Whether some wrong token's logit, plus the margin, equals that of m exactly.

    Softmax weights of different scores are linearly independent over the rationals (theorem of Lindemann and
    Weierstrass), so it does if and only if the gains of all tokens of equal score cancel. Cost k v.
    """
    q, tables = sequence[-1], (circuits.EUPU, circuits.EVOU, circuits.PVOU)
    unit = min(0, *(table.exponent for table in tables))
    EUPU, EVOU, PVOU = (table.at(unit) for table in tables)
    scale = min(circuits.token_scores.exponent, circuits.position_scores.exponent)
    of_tokens, of_positions = circuits.token_scores.at(scale)[q], circuits.position_scores.at(scale)[q]
    margin = circuits.margin
    gains: dict[int, npt.NDArray[np.object_]] = {}
    for p, t in enumerate(sequence):
        logits = EUPU[q] + EVOU[t] + PVOU[p]
        gain = (logits - logits[m]) * margin.denominator + (margin.numerator << -unit)
        score = of_tokens[t] + of_positions[p]
        gains[score] = gains[score] + gain if score in gains else gain
    cancels = np.logical_and.reduce([gain == 0 for gain in gains.values()])
    return bool(np.delete(cancels, m).any())
