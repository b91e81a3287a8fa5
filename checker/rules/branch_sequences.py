"""Rule branch_sequences; proof: docs/rules.md#branch_sequences."""

from itertools import accumulate
from operator import mul
from typing import Any

from checker.counting import require_queries
from checker.judgement import Count, Tally
from checker.lanes import product_sets
from checker.numerators import Numerators
from checker.problem import Problem
from checker.rivals import Rivals
from checker.ties import tied


def branch_sequences(problem: Problem, premises: tuple[()], args: dict[str, Any]) -> Tally:
    """Sequences decided in bundles: a prefix whose worst continuation is correct settles all of its continuations.

    Requires   nothing. args.queries[m] is a set of queries q <= m, as a bit mask.
    Concludes  Tally: per chosen pair, all n, the correct sequences, and those that are surely wrong or exact ties.
    Cost       per pair n_ctx m d_vocab multiplications; per prefix looked at, of which there are at most (m + 1) n_ctx
               for each sequence that is not proved correct, a few additions of a lane for each wrong token that can
               reach m; per sequence too close to call, a test for a tie with each of these.
    """
    tables = Numerators(problem, args["exponent"], args["bits"])
    counts, visited = [], 0
    for q, m in require_queries(problem, args["queries"]):
        rivals = Rivals(tables, q, m)
        correct = wrong = 0
        for choices in product_sets([list(range(m + 1))] * (problem.k - 1), q, m):
            # rest[i], below[i]: the worst that the last i positions can add, and how many ways there are to fill them
            rest = list(accumulate([rivals.largest(p, row) for p, row in enumerate(choices)][::-1], initial=0))
            below = list(accumulate([len(row) for row in choices[::-1]], mul, initial=1))
            prefixes: list[tuple[int, int, tuple[int, ...]]] = [(rivals.start, rivals.doubt[-1][q], ())]
            while prefixes:
                prefix, doubt, x = prefixes.pop()
                p, left = len(x), len(choices) - len(x)
                if not (prefix + rest[left]) & rivals.tops:
                    correct += below[left]
                elif left:
                    visited += len(choices[p])
                    problem.afford(visited, "prefixes")
                    prefixes += [(prefix + rivals.terms[p][t], doubt + rivals.doubt[p][t], (*x, t)) for t in choices[p]]
                elif (prefix - doubt * rivals.ones) & rivals.tops or any(
                    tied(problem, (*x, q), m, y) for y in rivals.reaching(prefix)
                ):
                    wrong += 1
        counts.append(Count(m, 1 << q, (1 << problem.k - (q < m)) - 1, correct, wrong))
    return Tally(tuple(counts))
