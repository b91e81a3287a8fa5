"""Rule count_cubic; proof: docs/rules.md#count_cubic."""

from math import comb

from checker.facts import Count, CubicTokens, Tally
from checker.problem import Problem


def count_cubic(problem: Problem, premises: tuple[CubicTokens], args: dict[str, int]) -> Tally:
    """How many sequences the accepted tokens make.

    Requires   T: CubicTokens.
    Concludes  Tally: per pair q <= m the cells n >= 1 together, sum over n of |T(q,m,n)|^n C(n_ctx - 1, n).
    Cost       d_vocab^2 n_ctx / 2 powers.
    """
    (tokens,) = premises
    counts = []
    for m, rows in enumerate(tokens.masks):
        for q, masks in enumerate(rows):
            correct = sum([mask.bit_count() ** n * comb(problem.k - 1, n) for n, mask in enumerate(masks, start=1)])
            if masks:
                counts.append(Count(m, 1 << q, sum(1 << n for n in range(1, len(masks) + 1)), correct))
    return Tally(tuple(counts))
