"""The logits of wrong tokens as lines in the attention a on the maximum m."""

from checker.arithmetic.matrices import Matrix, add, add_row, matmul
from checker.facts import DirectPathSpread
from checker.problem import Problem

Line = tuple[int, int]  # slope, intercept


def wrong_token_lines(problem: Problem, direct: DirectPathSpread) -> tuple[list[list[Line]], int]:
    """(lines[m], exponent): for each y != m the exact line EVOU[m,y] - EVOU[m,m], M[y] - M[m] + max over p of PVOU.

    M belongs to the direct path's centre (docs/rules.md, "max_token rules"). Cost d_vocab^2 n_ctx.
    """
    EVOU, PVOU, v = problem.circuits.EVOU, problem.circuits.PVOU, problem.v
    kept = Matrix([[0] * v], PVOU.exponent)
    if direct.centre.rows:
        centre = Matrix.of(direct.centre.rows, direct.centre.exponent)
        kept = add(matmul(centre, problem.circuits.tensor("unembed.W_U")), problem.circuits.direct_constant)
    position = add_row(PVOU, kept)
    exponent = min(EVOU.exponent, position.exponent)
    e_shift, p_shift = EVOU.exponent - exponent, position.exponent - exponent
    lines = []
    for m in range(v):
        slopes = [(x - EVOU.rows[m][m]) << e_shift for x in EVOU.rows[m]]
        intercepts = [max([row[y] - row[m] for row in position.rows]) << p_shift for y in range(v)]
        lines.append([(slopes[y], intercepts[y]) for y in range(v) if y != m])
    return lines, exponent
