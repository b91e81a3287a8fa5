"""Rule value_path_upper; proof: docs/rules.md#value_path_upper."""

from checker.facts import ValuePathUpper
from checker.problem import Problem


def value_path_upper(problem: Problem, premises: tuple[()], args: dict[str, object]) -> ValuePathUpper:
    """How far attending to token t, at whatever position, can favour a wrong token over m.

    Requires   nothing.
    Concludes  ValuePathUpper: for t <= m, max over y != m of EVOU[t,y] - EVOU[t,m] plus
               max over p of PVOU[p,y] - PVOU[p,m].
    Cost       d_vocab^2 (d_vocab / 2 + n_ctx) additions and comparisons.
    """
    v, EVOU, PVOU = problem.v, problem.circuits.EVOU, problem.circuits.PVOU
    exponent = min(EVOU.exponent, PVOU.exponent)
    e_shift, p_shift = EVOU.exponent - exponent, PVOU.exponent - exponent
    table = []
    for m in range(v):
        position = {y: max([row[y] - row[m] for row in PVOU.rows]) << p_shift for y in range(v) if y != m}
        table.append(
            tuple(
                [
                    max([((row[y] - row[m]) << e_shift) + best for y, best in position.items()], default=0)
                    for row in EVOU.rows[: m + 1]
                ]
            )
        )
    return ValuePathUpper(exponent, tuple(table))
