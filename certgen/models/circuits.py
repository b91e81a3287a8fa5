"""The model's circuits, exactly, and in float64 for the search.

The exact tables make every bound that a certificate states correct before it is rounded; the float tables only guide
choices, always with slack, and the checker decides.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache

import numpy as np

from certgen.models.dyadic import ZERO_MAGNITUDE, Dyadic, FloatArray
from certgen.models.model_file import FULL_NAMES, Model, require_default

LN2 = math.log(2.0)
MOST_KEPT = 1 << 23  # numbers of tables that are kept, though they can be made again
FAR = 1e5  # nats; beyond, float64 no longer tells differences to RELATIVE_SLACK
RELATIVE_SLACK = 1e-9  # far above every float64 rounding error of the search, far below anything it decides


@dataclass(frozen=True, eq=False)
class Circuits:
    """Tables of one model for one margin. Shapes: EVOU [v, v], PVOU [k, v], EUPU [v, v], scores [v, v] and [v, k].

    UserError for a model of another architecture than the default one, which has no such tables.
    """

    model: Model
    margin: Fraction

    def __post_init__(self) -> None:
        require_default(self.model)

    @property
    def v(self) -> int:
        return self.model.d_vocab

    @property
    def k(self) -> int:
        return self.model.n_ctx

    def weight(self, name: str) -> Dyadic:
        """An array of the model, by its name there, in the unit in which the file has it."""
        return Dyadic.of(getattr(self.model, name), self.model.exponents[FULL_NAMES[name]])

    @cached_property
    def OVU(self) -> Dyadic:
        return self.weight("W_V") @ (self.weight("W_O") @ self.weight("W_U"))

    @cached_property
    def EVOU(self) -> Dyadic:
        return self.weight("W_E") @ self.OVU

    @cached_property
    def PVOU(self) -> Dyadic:
        return self.weight("W_pos") @ self.OVU

    @cached_property
    def query_residual(self) -> Dyadic:
        """r(q, k-1), one row per query token."""
        return self.weight("W_E") + self.weight("W_pos")[-1:]

    @cached_property
    def direct_constant(self) -> Dyadic:
        """(b_V W_O + b_O) W_U + b_U."""
        value_bias = self.weight("b_V") @ self.weight("W_O") + self.weight("b_O")
        return value_bias @ self.weight("W_U") + self.weight("b_U")

    @cached_property
    def EUPU(self) -> Dyadic:
        return self.query_residual @ self.weight("W_U") + self.direct_constant

    @cached_property
    def queries(self) -> Dyadic:
        """r(q, k-1) W_Q + b_Q."""
        return self.query_residual @ self.weight("W_Q") + self.weight("b_Q")

    @cached_property
    def query_key(self) -> Dyadic:
        """Queries times W_K^T; b_K is left out, it cancels in the softmax."""
        return self.queries @ self.weight("W_K").T

    @cached_property
    def token_scores(self) -> Dyadic:
        """sE * sqrt(d_head)."""
        return self.query_key @ self.weight("W_E").T

    @cached_property
    def position_scores(self) -> Dyadic:
        """sP * sqrt(d_head)."""
        return self.query_key @ self.weight("W_pos").T

    @cached_property
    def token_gaps(self) -> FloatArray:
        """Nats by which each token's score is below the best token's, [q, t]."""
        return self.gaps(self.token_scores)

    @cached_property
    def token_gaps_upto(self) -> Callable[[int], FloatArray]:
        """For m, nats by which each token's score is below that of the best one up to m, [q, t <= m]."""
        return lru_cache(maxsize=max(MOST_KEPT // self.v**2, 1))(self.gaps_upto)

    def gaps_upto(self, m: int) -> FloatArray:
        """The same, made anew."""
        gaps = self.token_gaps[:, : m + 1]
        if gaps.min(axis=1).max() < FAR:
            return np.asarray(gaps - gaps.min(axis=1, keepdims=True))
        return self.gaps(self.token_scores[:, : m + 1])  # the difference of two large numbers would tell nothing

    @cached_property
    def position_gaps(self) -> FloatArray:
        """Nats by which each position's score is below the best position's, [q, p]."""
        return self.gaps(self.position_scores)

    def gaps(self, scores: Dyadic) -> FloatArray:
        """Nats below the largest of each row; capped, as everything beyond the largest depth looks the same."""
        return np.minimum((scores.max(axis=1)[:, None] - scores).floats() / math.sqrt(self.model.d_head), 1e6)

    @cached_property
    def depth(self) -> int:
        """How many bits the smallest weight that matters is below the largest, within the format's limit."""
        deepest = max(self.token_gaps.max(), self.position_gaps.max())
        return int(min(deepest, 2600) / LN2) + 96

    @cached_property
    def value_scale(self) -> int:
        """The smallest e with EVOU, PVOU, EUPU and the margin all below 2^e in size: the unit of the float tables."""
        margin = self.margin.numerator.bit_length() - self.margin.denominator.bit_length() + 1
        return max(
            self.EVOU.magnitude(),
            self.PVOU.magnitude(),
            self.EUPU.magnitude(),
            margin if self.margin else ZERO_MAGNITUDE,
        )

    @cached_property
    def float_tables(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """EUPU, EVOU, PVOU in units of 2^value_scale, so that every entry is below 1."""
        return tuple(table.floats(self.value_scale) for table in (self.EUPU, self.EVOU, self.PVOU))  # type: ignore[return-value]

    @cached_property
    def float_margin(self) -> float:
        """The margin in units of 2^value_scale, rounded up."""
        return math.nextafter(float(self.margin * Fraction(2) ** -self.value_scale), math.inf) if self.margin else 0.0

    def position_weights(self, bits: int) -> tuple[FloatArray, FloatArray]:
        """Outward bounds on exp(sP) relative to each query's largest, when `bits` bits are kept, [q, p]."""
        return outward_exp(self.position_gaps, bits)

    def token_weights(self, m: int, bits: int) -> tuple[FloatArray, FloatArray]:
        """Outward bounds on exp(sE) relative to each query's largest among tokens up to m, [q <= m, t <= m]."""
        return outward_exp(self.token_gaps_upto(m)[: m + 1], bits)


def outward_exp(gaps: FloatArray, bits: int) -> tuple[FloatArray, FloatArray]:
    """Bounds on exp(-gaps), with slack for float64 and for weights of `bits` bits."""
    weights = np.exp(-gaps)
    absolute = 2.0 ** (3 - bits)
    return np.maximum(weights * (1 - RELATIVE_SLACK) - absolute, 0.0), weights * (1 + RELATIVE_SLACK) + absolute
