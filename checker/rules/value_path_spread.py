"""Rule value_path_spread; proof: docs/rules.md#value_path_spread."""

from itertools import accumulate

from checker.facts import ValuePathSpread
from checker.lemmas.spreads import row_spreads
from checker.problem import Problem


def value_path_spread(problem: Problem, premises: tuple[()], args: dict[str, object]) -> ValuePathSpread:
    """How far attending to tokens up to t can favour any logit over any other.

    Requires   nothing.
    Concludes  ValuePathSpread: the running maximum over t of the largest minus the smallest entry of EVOU[t].
    Cost       d_vocab^2 d_model multiplications.
    """
    EVOU = problem.circuits.EVOU
    return ValuePathSpread(EVOU.exponent, (tuple(accumulate(row_spreads(EVOU), max)),))
