"""Rule pure_sequences; proof: docs/rules.md#pure_sequences."""

from checker.facts import Count, Tally
from checker.lemmas.lanes import Lanes, count_correct
from checker.problem import Problem
from checker.problem.cells import queries_of


def pure_sequences(problem: Problem, premises: tuple[()], args: dict[str, int]) -> Tally:
    """The cells (q, m, n = 0): the one sequence m, ..., m, q of each, evaluated.

    Requires   nothing.
    Concludes  Tally: one region per pair q <= m (n = 0; not for q < m when n_ctx = 1), in the order m, then q.
    Cost       d_vocab^2 n_ctx terms of d_vocab lanes.
    """
    lanes = Lanes(problem, args["exponent"], args["bits"])
    counts = []
    for m in range(problem.v):
        for q in queries_of(problem, m):
            *others, last = lanes.terms(q, m, (m, q))
            counts.append(Count(m, 1 << q, 1, count_correct(lanes, m, last[1], [row[:1] for row in others])))
    return Tally(tuple(counts))
