"""Rule evaluate_inputs; proof: docs/rules.md#evaluate_inputs."""

from typing import Any

from checker.facts import Count, Tally
from checker.lemmas.evaluating import evaluated
from checker.problem import Problem
from checker.problem.cells import any_cell


def evaluate_inputs(problem: Problem, premises: tuple[()], args: dict[str, Any]) -> Tally:
    """Every input evaluated, along the trie of their prefixes.

    Requires   args.bits, increasing: an input that is too close to call is evaluated again, alone, with the next.
    Concludes  Tally: per label and query that occur, in this order, all n, the weight of correct and of wrong inputs.
    Cost       a forward pass of one position for each prefix under a causal mask, of all positions for each input
               otherwise.
    """
    counts, cells = evaluated(problem, args["bits"]), any_cell(problem)
    return Tally(tuple([Count(label, 1 << query, cells, *both) for (label, query), both in sorted(counts.items())]))
