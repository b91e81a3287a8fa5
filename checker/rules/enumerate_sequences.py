"""Rule enumerate_sequences; proof: docs/rules.md#enumerate_sequences."""

from checker.judgement import Count, Tally
from checker.lanes import Lanes, count_correct, product_sets
from checker.problem import Problem


def enumerate_sequences(problem: Problem, premises: tuple[()], args: dict[str, int]) -> Tally:
    """Every sequence evaluated.

    Requires   nothing.
    Concludes  Tally: per pair q <= m all cells together, in the order m, then q.
    Cost       d_vocab^n_ctx sequences of d_vocab lanes: one addition and one comparison with a mask each.
    """
    v, k = problem.v, problem.k
    problem.afford(v**k, "sequences")
    lanes = Lanes(problem, args["exponent"], args["bits"])
    counts = []
    for m in range(v):
        for q in range(m if k == 1 else 0, m + 1):
            *others, last = lanes.terms(q, m, range(m + 1))
            correct = sum([count_correct(lanes, m, last[q], choices) for choices in product_sets(others, q, m)])
            counts.append(Count(m, 1 << q, (1 << k - (q < m)) - 1, correct))
    return Tally(tuple(counts))
