"""Rule enumerate_sequences; proof: docs/rules.md#enumerate_sequences."""

from checker.facts import Count, Tally
from checker.lemmas.lanes import Lanes, count_correct
from checker.problem import Problem
from checker.problem.cells import cells_of_pair, product_sets, queries_of


def enumerate_sequences(problem: Problem, premises: tuple[()], args: dict[str, int]) -> Tally:
    """Every sequence evaluated.

    Requires   nothing.
    Concludes  Tally: per pair q <= m all cells together, in the order m, then q.
    Cost       d_vocab^n_ctx sequences of d_vocab lanes: one addition and one comparison with a mask each.
    """
    lanes = Lanes(problem, args["exponent"], args["bits"])
    counts = []
    for m in range(problem.v):
        for q in queries_of(problem, m):
            *others, last = lanes.terms(q, m, range(m + 1))
            correct = sum([count_correct(lanes, m, last[q], choices) for choices in product_sets(others, q, m)])
            counts.append(Count(m, 1 << q, cells_of_pair(problem, q, m), correct))
    return Tally(tuple(counts))
