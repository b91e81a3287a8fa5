"""Rule separable_counts; proof: docs/rules.md#separable_counts."""

from typing import Any

from checker.approximations import ScoreApproximation
from checker.counting import count_reaching, sequences_of_pair
from checker.errors import located
from checker.exact import times
from checker.groups import QueryWeights, gain_bounds, hull, members, products, weighted
from checker.judgement import Count, Tally
from checker.numerators import Numerators
from checker.problem import Problem


def separable_counts(problem: Problem, premises: tuple[ScoreApproximation], args: dict[str, Any]) -> Tally:
    """At each position the worst query of a block, and of a class of wrong tokens the one that gains most there.

    Requires   ScoreApproximation. Each of args.groups is a maximum m, classes of wrong tokens that together hold every
               y != m, blocks of queries q <= m, and pools that partition the positions but the last.
    Concludes  Tally, per block, all n: its sequences less those counted as reaching m for any class, with losses
               rounded down to multiples of budget / steps.
    Cost       d_vocab^2 exponentials; per group and pool m d_vocab additions and comparisons; per class, pool and query
               of a block m products; per class and block 2 n_ctx products of `steps` lanes.
    """
    tables = Numerators(problem, args["exponent"], args["bits"])
    attention = QueryWeights(problem, *premises, args["bits"])
    counts = []
    for index, group in enumerate(args["groups"]):
        with located(f"args.groups[{index}]"):
            group.require_valid(problem)
        m, blocks = group.m, [list(members(block)) for block in group.blocks]
        pools = [*[list(members(pool)) for pool in group.pools], [problem.k - 1]]
        uses = list(map(len, pools))
        weights = {}
        for q in set().union(*blocks):
            places, tokens = attention.of_pair(q, m)
            *others, last = [hull([places[p] for p in pool]) for pool in pools]
            weights[q] = [*[products(place, tokens) for place in others], products(last, tokens[q : q + 1])]
        correct = [sum([sequences_of_pair(problem, q, m) for q in block]) for block in blocks]
        for wrong in group.classes:
            base, lead = gain_bounds(tables, m, list(members(wrong)), list(weights), pools)
            for number, block in enumerate(blocks):
                worst = []
                for i, gains in enumerate(base[:-1]):
                    rows = [weighted(gains, lead[q], weights[q][i]) for q in block]
                    worst.append([max(column) for column in zip(*rows, strict=True)])
                # the last position holds the query
                worst.append([times(base[-1][q] + lead[q], weights[q][-1][0]) for q in block])
                correct[number] -= count_reaching(worst, uses, m in block, group.steps)
        for block, left in zip(group.blocks, correct, strict=True):
            counts.append(Count(m, block, (1 << problem.k) - 1, max(left, 0)))
    return Tally(tuple(counts))
