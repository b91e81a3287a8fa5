"""Rule separable_counts; proof: docs/rules.md#separable_counts."""

from collections.abc import Iterator
from typing import Any

from checker.arithmetic.packing import members
from checker.errors import Rejected, located
from checker.facts import Count, ScoreApproximation, Tally
from checker.lemmas.counting import Tables, count_reaching, largest_sum
from checker.lemmas.gains import gain_bounds, least_gains
from checker.lemmas.groups import Group
from checker.lemmas.query_weights import QueryWeights
from checker.lemmas.separation import Numerators
from checker.problem import Problem
from checker.problem.cells import any_cell, sequences_of_pair


def separable_counts(problem: Problem, premises: tuple[ScoreApproximation], args: dict[str, Any]) -> Tally:
    """At each position the worst query of a block, and of a class of wrong tokens the one that gains most there.

    Requires   ScoreApproximation. args.groups: each is about a maximum m and pools of the positions but the last; for
               each of its blocks of queries q <= m classes of wrong tokens. In each part of a block, those that are
               counted and those that stay behind m together hold every y != m.
    Concludes  Tally, per block, all n: its sequences less those counted, in some part, as reaching m for some class;
               and as wrong those counted, for one wrong token in each part, as surely reaching m.
    Cost       d_vocab^2 exponentials; per class, pool and token of a group m additions and comparisons; per class, pool
               and query of a block m products; per count and pool a polynomial, and 2 or 4 log(pool) products.
    """
    tables = Numerators(problem, args["exponent"], args["bits"])
    attention = QueryWeights(problem, *premises, args["bits"])
    counts: list[Count] = []
    for index, group in enumerate(args["groups"]):
        with located(f"args.groups[{index}]"):
            group.require_valid(problem)
            counts += counts_of_blocks(tables, attention, group)
    return Tally(tuple(counts))


def counts_of_blocks(tables: Numerators, attention: QueryWeights, group: Group) -> Iterator[Count]:
    """Block by block."""
    problem, m = tables.problem, group.m
    pools = [*[list(members(pool)) for pool in group.pools], [problem.k - 1]]
    uses = list(map(len, pools))
    queries = sorted(set().union(*[members(block.queries) for block in group.blocks]))
    weights = {q: attention.of_pools(q, m, pools) for q in queries}
    shared = [gain_bounds(tables, m, row, queries, pools) for row in group.classes]
    for index, block in enumerate(group.blocks):
        those = list(members(block.queries))
        own = [gain_bounds(tables, m, row, those, pools) for row in block.classes]
        classes = [by_token(gains.worst(weights, those), those, m) for gains in (*shared, *own)]
        correct, wrong, excluded = sum([sequences_of_pair(problem, q, m) for q in those]), 0, set[int]()
        for at, part in enumerate(block.parts):
            needed = [m, part.token] if part.token >= 0 else [m]
            held, here, counted = 0, [without(table, excluded) for table in classes], {cut.of for cut in part.above}
            for number, (tokens, *_) in enumerate((*group.classes, *block.classes)):
                if number in counted or largest_sum(here[number], uses, needed) < 0:
                    held |= tokens
            if held != group.wrong(problem):
                raise Rejected("wrong-token-left-out", f"blocks[{index}].parts[{at}]", "all counted, or behind m")
            for cut in part.above:
                correct -= count_reaching(here[cut.of], uses, cut, True, needed, problem.budget)
            for cut in part.below:
                least = by_token(least_gains(tables, m, cut.of, weights, those[0], pools), those, m)
                wrong += count_reaching(without(least, excluded), uses, cut, False, needed, problem.budget)
            excluded.add(part.token)
        yield Count(m, block.queries, any_cell(problem), max(correct, 0), wrong)


def by_token(rows: list[list[int]], queries: list[int], m: int) -> Tables:
    """Each number by its token, t <= m; those of the last row by the query: m itself, or what is no token."""
    *others, last = rows
    own = {q if q == m else ~q: x for q, x in zip(queries, last, strict=True)}
    return [*[dict(enumerate(row)) for row in others], own]


def without(tables: Tables, excluded: set[int]) -> Tables:
    """Only the other tokens."""
    return [{t: x for t, x in row.items() if t not in excluded} if excluded else row for row in tables]
