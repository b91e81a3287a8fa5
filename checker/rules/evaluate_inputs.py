"""Rule evaluate_inputs; proof: docs/rules.md#evaluate_inputs."""

from collections.abc import Callable
from functools import cache, partial, reduce
from typing import Any

from checker.errors import Rejected, show
from checker.facts import Count, Tally
from checker.lemmas.deciding import decided
from checker.model.forward import Forward, Prefix, work
from checker.problem import Problem
from checker.problem.cells import any_cell


def evaluate_inputs(problem: Problem, premises: tuple[()], args: dict[str, Any]) -> Tally:
    """Every input evaluated, along the trie of their prefixes.

    Requires   args.bits, increasing: an input that is too close to call is evaluated again, alone, with the next.
    Concludes  Tally: per label and query that occur, in this order, all n, the weight of correct and of wrong inputs.
    Cost       a forward pass of one position for each prefix under a causal mask, of all positions for each input
               otherwise.
    """
    costs = {bits: work(problem.weights, problem.k, bits) for bits in args["bits"]}
    forward_of = cache(lambda bits: Forward(problem.weights, problem.k, problem.readout, bits))
    first = forward_of(args["bits"][0])
    counts: dict[tuple[int, int], list[int]] = {}
    waiting: list[tuple[Callable[[], Prefix], int, Any]] = [(lambda: first.start, 1, problem.label.start)]
    while waiting:
        make, weight, state = waiting.pop()
        prefix = make()
        if (p := len(prefix.tokens)) < problem.k:
            for token, times in problem.choices[p].items():
                after = partial(first.after, prefix, token)  # made when its turn comes: there may be many tokens
                waiting.append((after, weight * times, problem.label.step(state, p, token)))
            continue
        label = problem.label.output(state)
        if not 0 <= label < problem.outputs:
            raise Rejected("wrong-task", "label", f"outputs from 0 to {problem.outputs - 1}", show(label))
        here = counts.setdefault((label, prefix.tokens[problem.query_position]), [0, 0])
        for bits in args["bits"]:
            forward, whole = forward_of(bits), prefix
            if forward is not first:
                problem.budget.spend(problem.k * costs[bits])
                whole = reduce(forward.after, prefix.tokens, forward.start)
            sign = decided(problem, forward.logits(whole), label, bits)
            if sign:
                here[sign < 0] += weight
                break
    cells = any_cell(problem)
    return Tally(tuple([Count(label, 1 << query, cells, *both) for (label, query), both in sorted(counts.items())]))
