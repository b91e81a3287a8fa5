"""Rule separable_exact; proof: docs/rules.md#separable_exact."""

from typing import Any

from checker.counting import count_reaching, require_queries, sequences_of_pair
from checker.exact import times
from checker.judgement import Count, Tally
from checker.numerators import Numerators
from checker.problem import Problem


def separable_exact(problem: Problem, premises: tuple[()], args: dict[str, Any]) -> Tally:
    """Each wrong token by itself; the sequences in which it reaches m are counted and added up.

    Requires   nothing. args.queries[m] is a set of queries q <= m, as a bit mask.
    Concludes  Tally: per chosen pair, all n, its sequences less those counted for any wrong token, at least 0.
    Cost       per pair n_ctx m d_vocab multiplications, and for each wrong token that can reach m at all 2 n_ctx
               products of args.steps lanes.
    """
    tables = Numerators(problem, args["exponent"], args["depth"], args["bits"])
    EUPU, EVOU, PVOU = tables.upper
    counts = []
    for q, m in require_queries(problem, args["queries"]):
        weights = tables.weights(q, m, range(m + 1))
        left = sequences_of_pair(problem, q, m)
        base = [[tables.of_maximum(q, m, p, t) for t in range(m + 1)] for p in range(problem.k)]
        for y in range(problem.v):
            if y != m:
                worst = [
                    [
                        times(EUPU[q][y] + EVOU[t][y] + PVOU[p][y] - b, w)
                        for t, (b, w) in enumerate(zip(row, ws, strict=True))
                    ]
                    for p, (row, ws) in enumerate(zip(base, weights, strict=True))
                ]
                left -= count_reaching(worst[:-1], worst[-1][q], args["steps"], require_final=q < m)
        counts.append(Count(m, 1 << q, (1 << problem.k - (q < m)) - 1, max(left, 0)))
    return Tally(tuple(counts))
