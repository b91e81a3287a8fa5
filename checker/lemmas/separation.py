"""The tables behind the separation lemma (docs/rules.md).

A sequence x with query q and maximum m is correct if for all y != m

sum over p of F_p(x_p) < 0,   F_p(t) = exp(s(q,p,t)) V_p(t),
V_p(t) = EUPU[q,y] - EUPU[q,m] + EVOU[t,y] - EVOU[t,m] + PVOU[p,y] - PVOU[p,m] + margin.
"""

from collections.abc import Sequence

from checker.arithmetic.enclosures import Enclosure, shift_down, shift_up
from checker.problem import Problem


class Numerators:
    """Logits rounded to multiples of 2^exponent (upper, lower), attention weights kept to `bits` bits."""

    def __init__(self, problem: Problem, exponent: int, bits: int) -> None:
        self.problem, self.bits = problem, bits
        tables = (problem.circuits.EUPU, problem.circuits.EVOU, problem.circuits.PVOU)
        self.upper, self.lower = (
            [[[shift(x, exponent - table.exponent) for x in row] for row in table.rows] for table in tables]
            for shift in (shift_up, shift_down)
        )
        self.margin = problem.margin_upper(exponent)
        # of |V_p(t)| in units of 2^exponent, roundings included
        largest = sum(max(abs(x) for row in table for x in row) for table in self.upper)
        self.bound = 2 * largest + 3 + abs(self.margin)

    def weights(self, q: int, m: int, tokens: Sequence[int]) -> list[list[Enclosure]]:
        """[p][i]: enclosures of exp(s(q, p, tokens[i])) up to one positive factor, at most 2^bits; tokens <= m."""
        of_tokens = self.problem.attention.token_weights(q, m, self.bits)
        return [
            [
                Enclosure((low * of_tokens[t].low) >> self.bits, shift_up(high * of_tokens[t].high, self.bits))
                for t in tokens
            ]
            for low, high in self.problem.attention.position_weights(q, self.bits)
        ]

    def of_maximum(self, q: int, m: int, p: int, t: int) -> int:
        """What is subtracted in V_p(t) for every y: a lower bound on the logit of m, less the margin."""
        EUPU, EVOU, PVOU = self.lower
        return EUPU[q][m] + EVOU[t][m] + PVOU[p][m] - self.margin
