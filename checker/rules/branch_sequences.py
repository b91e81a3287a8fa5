"""Rule branch_sequences; proof: docs/rules.md#branch_sequences."""

from itertools import accumulate
from operator import mul
from typing import Any

from checker.counting import require_queries
from checker.judgement import Count, Tally
from checker.lanes import Lanes, product_sets
from checker.problem import Problem


def branch_sequences(problem: Problem, premises: tuple[()], args: dict[str, Any]) -> Tally:
    """Sequences decided in bundles: a prefix whose worst continuation is correct settles all of its continuations.

    Requires   nothing. args.queries[m] is a set of queries q <= m, as a bit mask.
    Concludes  Tally: per chosen pair, all n.
    Cost       per pair n_ctx m d_vocab comparisons; one addition of d_vocab lanes per prefix looked at, at most
               (m + 1) n_ctx for every sequence that is not correct.
    """
    lanes = Lanes(problem, args["exponent"], args["depth"], args["bits"])
    counts, visited = [], 0
    for q, m in require_queries(problem, args["queries"]):
        *others, last = lanes.terms(q, m, range(m + 1))
        wrong, correct = lanes.wrong(m), 0
        for choices in product_sets(others, q, m):
            # rest[i] and below[i]: the worst that positions from i on can add, and how many ways there are to fill them
            rest = list(accumulate([lanes.largest(row) for row in reversed(choices)], initial=0))[::-1]
            below = list(accumulate([len(row) for row in reversed(choices)], mul, initial=1))[::-1]
            prefixes = [(last[q] + lanes.start, 0)]
            while prefixes:
                prefix, position = prefixes.pop()
                if not (prefix + rest[position]) & wrong:
                    correct += below[position]
                elif position < len(choices):
                    visited += len(choices[position])
                    problem.afford(visited, "prefixes")
                    prefixes += [(prefix + term, position + 1) for term in choices[position]]
        counts.append(Count(m, 1 << q, (1 << problem.k - (q < m)) - 1, correct))
    return Tally(tuple(counts))
