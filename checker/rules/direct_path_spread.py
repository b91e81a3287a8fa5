"""Rule direct_path_spread; proof: docs/rules.md#direct_path_spread."""

from checker.facts import DirectPathSpread, UpperTable
from checker.lemmas.spreads import row_spreads
from checker.problem import Problem


def direct_path_spread(problem: Problem, premises: tuple[()], args: dict[str, object]) -> DirectPathSpread:
    """The direct path as a whole counts as an error.

    Requires   nothing.
    Concludes  DirectPathSpread with no centre: for each q the largest minus the smallest entry of EUPU[q].
    Cost       d_vocab^2 d_model multiplications.
    """
    EUPU = problem.circuits.EUPU
    return DirectPathSpread(UpperTable(0, ()), UpperTable(EUPU.exponent, (tuple(row_spreads(EUPU)),)))
