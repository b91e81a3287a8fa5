"""Rule branch_sequences; proof: docs/rules.md#branch_sequences."""

from itertools import accumulate
from operator import mul
from typing import Any

from checker.counting import require_queries
from checker.judgement import Count, Tally
from checker.lanes import Lanes, product_sets
from checker.problem import Problem
from checker.ties import tied


def branch_sequences(problem: Problem, premises: tuple[()], args: dict[str, Any]) -> Tally:
    """Sequences decided in bundles: a prefix whose worst continuation is correct settles all of its continuations.

    Requires   nothing. args.queries[m] is a set of queries q <= m, as a bit mask.
    Concludes  Tally: per chosen pair, all n, the correct sequences, and those that are surely wrong or exact ties.
    Cost       per pair n_ctx m d_vocab comparisons; one addition of d_vocab lanes per prefix looked at, at most
               (m + 1) n_ctx for every sequence that is not correct.
    """
    lanes = Lanes(problem, args["exponent"], args["bits"])
    counts, visited = [], 0
    for q, m in require_queries(problem, args["queries"]):
        terms, slack = lanes.terms(q, m, range(m + 1)), lanes.slack(q, m, range(m + 1))
        top, correct, wrong = lanes.wrong(m), 0, 0
        for choices in product_sets([list(range(m + 1))] * (problem.k - 1), q, m):
            # rest[i], below[i]: the worst that the last i positions can add, and how many ways there are to fill them
            worst = [lanes.largest([row[t] for t in tokens]) for row, tokens in zip(terms, choices, strict=False)]
            rest = list(accumulate(worst[::-1], initial=0))
            below = list(accumulate([len(tokens) for tokens in choices[::-1]], mul, initial=1))
            prefixes: list[tuple[int, int, tuple[int, ...]]] = [(terms[-1][q] + lanes.start, slack[-1][q], ())]
            while prefixes:
                prefix, doubt, x = prefixes.pop()
                p, left = len(x), len(choices) - len(x)
                if not (prefix + rest[left]) & top:
                    correct += below[left]
                elif left:
                    visited += len(choices[p])
                    problem.afford(visited, "prefixes")
                    prefixes += [(prefix + terms[p][t], doubt + slack[p][t], (*x, t)) for t in choices[p]]
                elif (prefix - doubt * lanes.ones) & top or any(
                    tied(problem, (*x, q), m, y) for y in lanes.tokens_of(prefix & top)
                ):
                    wrong += 1
        counts.append(Count(m, 1 << q, (1 << problem.k - (q < m)) - 1, correct, wrong))
    return Tally(tuple(counts))
