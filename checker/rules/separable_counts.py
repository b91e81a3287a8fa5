"""Rule separable_counts; proof: docs/rules.md#separable_counts."""

from typing import Any

from checker.arithmetic.packing import members
from checker.errors import located
from checker.facts import Count, ScoreApproximation, Tally
from checker.lemmas.counting import count_reaching
from checker.lemmas.gains import gain_bounds
from checker.lemmas.groups import Group
from checker.lemmas.query_weights import QueryWeights
from checker.lemmas.separation import Numerators
from checker.problem import Problem
from checker.problem.cells import any_cell, sequences_of_pair


def separable_counts(problem: Problem, premises: tuple[ScoreApproximation], args: dict[str, Any]) -> Tally:
    """At each position the worst query of a block, and of a class of wrong tokens the one that gains most there.

    Requires   ScoreApproximation. Each of args.groups is a maximum m, classes of wrong tokens that together hold every
               y != m, blocks of queries q <= m, and pools that partition the positions but the last.
    Concludes  Tally, per block, all n: its sequences less those counted as reaching m for any class, with losses
               rounded down to multiples of (allowance + 1) / (steps + 1).
    Cost       d_vocab^2 exponentials; per group and pool m d_vocab additions and comparisons; per class, pool and query
               of a block m products; per class and block 2 n_ctx products of `steps` lanes.
    """
    tables = Numerators(problem, args["exponent"], args["bits"])
    attention = QueryWeights(problem, *premises, args["bits"])
    counts: list[Count] = []
    for index, group in enumerate(args["groups"]):
        with located(f"args.groups[{index}]"):
            group.require_valid(problem)
        counts += counts_of_blocks(tables, attention, group)
    return Tally(tuple(counts))


def counts_of_blocks(tables: Numerators, attention: QueryWeights, group: Group) -> list[Count]:
    """For each block of queries its sequences, less those that any class of wrong tokens may reach m in."""
    problem, m = tables.problem, group.m
    blocks = [list(members(block)) for block in group.blocks]
    pools = [*[list(members(pool)) for pool in group.pools], [problem.k - 1]]
    queries = set().union(*blocks)
    weights = {q: attention.of_pools(q, m, pools) for q in queries}
    left = [sum([sequences_of_pair(problem, q, m) for q in block]) for block in blocks]
    for wrong in group.classes:
        gains = gain_bounds(tables, m, list(members(wrong)), list(queries), pools)
        for number, block in enumerate(blocks):
            worst = gains.worst(weights, block)
            left[number] -= count_reaching(worst, list(map(len, pools)), m in block, group.steps)
    cells = any_cell(problem)
    return [Count(m, block, cells, max(correct, 0)) for block, correct in zip(group.blocks, left, strict=True)]
