"""Rule branch_sequences; proof: docs/rules.md#branch_sequences."""

from itertools import accumulate
from operator import mul
from typing import Any, NamedTuple

from checker.budget import words
from checker.facts import Count, Tally
from checker.lemmas.rivals import Rivals
from checker.lemmas.separation import Numerators
from checker.lemmas.ties import tied, work
from checker.problem import Problem
from checker.problem.cells import cells_of_pair, product_sets, require_queries


def branch_sequences(problem: Problem, premises: tuple[()], args: dict[str, Any]) -> Tally:
    """Sequences decided in bundles: a prefix whose worst continuation is correct settles all of its continuations.

    Requires   nothing. args.queries[m] is a set of queries q <= m, as a bit mask.
    Concludes  Tally: per chosen pair, all n, the correct sequences, and those that are surely wrong or exact ties.
    Cost       per pair n_ctx m d_vocab multiplications; per prefix looked at, of which there are at most (m + 1) n_ctx
               for each sequence that is not proved correct, a few additions of a lane for each wrong token that can
               reach m; per sequence too close to call, a test for a tie with each of these.
    """
    tables = Numerators(problem, args["exponent"], args["bits"])
    counts = []
    for q, m in require_queries(problem, args["queries"]):
        rivals = Rivals(tables, q, m)
        lanes = words(rivals.ones.bit_length())
        correct = wrong = 0
        for choices in product_sets([list(range(m + 1))] * (problem.k - 1), q, m):
            problem.budget.spend(problem.k * (30 + (m + 1) * (3 + 3 * len(rivals.bounds) + lanes)))
            # most[i], ways[i]: the most that the last i positions can add, and how many ways there are to fill them
            most = list(accumulate([rivals.largest(p, row) for p, row in enumerate(choices)][::-1], initial=0))
            ways = list(accumulate([len(row) for row in choices[::-1]], mul, initial=1))
            prefixes = [Prefix((), rivals.start, rivals.doubt[-1][q])]
            while prefixes:
                prefix = prefixes.pop()
                p = len(prefix.tokens)
                left = len(choices) - p
                if not (prefix.total + most[left]) & rivals.tops:
                    correct += ways[left]
                elif left:
                    problem.budget.spend(len(choices[p]) * (24 + p // 8 + lanes))
                    prefixes += [prefix.followed_by(t, rivals) for t in choices[p]]
                else:
                    wrong += surely_wrong(problem, rivals, prefix, q, m)
        counts.append(Count(m, 1 << q, cells_of_pair(problem, q, m), correct, wrong))
    return Tally(tuple(counts))


class Prefix(NamedTuple):
    """The first tokens of a sequence, the sum of their terms and of the query's, and how far that may be too high."""

    tokens: tuple[int, ...]
    total: int
    doubt: int

    def followed_by(self, t: int, rivals: Rivals) -> "Prefix":
        """The prefix with one more token."""
        p = len(self.tokens)
        return Prefix((*self.tokens, t), self.total + rivals.terms[p][t], self.doubt + rivals.doubt[p][t])


def surely_wrong(problem: Problem, rivals: Rivals, prefix: Prefix, q: int, m: int) -> bool:
    """Whether some rival is ahead after all doubts, or exactly level with m, in the sequence of prefix and query."""
    if (prefix.total - prefix.doubt * rivals.ones) & rivals.tops:
        return True
    reaching = rivals.reaching(prefix.total)
    problem.budget.spend(len(reaching) * problem.k * work(problem))
    return any(tied(problem, (*prefix.tokens, q), m, y) for y in reaching)
