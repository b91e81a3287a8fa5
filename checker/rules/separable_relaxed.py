"""Rule separable_relaxed; proof: docs/rules.md#separable_relaxed."""

from operator import add
from typing import Any

from checker.counting import count_reaching, require_queries, sequences_of_pair
from checker.exact import times
from checker.judgement import Count, Tally
from checker.numerators import Numerators
from checker.problem import Problem


def separable_relaxed(problem: Problem, premises: tuple[()], args: dict[str, Any]) -> Tally:
    """At each position the wrong token that gains most there; sequences in which even these stay behind m are correct.

    Requires   nothing. args.queries[m] is a set of queries q <= m, as a bit mask.
    Concludes  Tally: per chosen pair, all n, its sequences less those counted as reaching m, with losses rounded down
               to multiples of budget / args.steps.
    Cost       per pair n_ctx m d_vocab additions and comparisons, and 2 n_ctx products of args.steps lanes.
    """
    tables = Numerators(problem, args["exponent"], args["depth"], args["bits"])
    EUPU, EVOU, PVOU = tables.upper
    counts = []
    for q, m in require_queries(problem, args["queries"]):
        direct, *positions = [row[:m] + row[m + 1 :] for row in (EUPU[q], *PVOU)]
        gains = [list(map(add, direct, EVOU[t][:m] + EVOU[t][m + 1 :])) for t in range(m + 1)]
        worst = [
            [
                times(
                    max(map(add, gain, row), default=tables.of_maximum(q, m, p, t) - 1) - tables.of_maximum(q, m, p, t),
                    w,
                )
                for t, (gain, w) in enumerate(zip(gains, weights, strict=True))
            ]
            for p, (row, weights) in enumerate(zip(positions, tables.weights(q, m, range(m + 1)), strict=True))
        ]
        reaching = count_reaching(worst[:-1], worst[-1][q], args["steps"], require_final=q < m)
        counts.append(Count(m, 1 << q, (1 << problem.k - (q < m)) - 1, sequences_of_pair(problem, q, m) - reaching))
    return Tally(tuple(counts))
