"""Every input evaluated, along the trie of prefixes; theorem: docs/rules.md#evaluate_inputs."""

from collections.abc import Callable
from functools import cache, partial, reduce
from typing import Any

from checker.errors import Rejected, show
from checker.lemmas.deciding import decided
from checker.model.forward import Forward, Prefix, work
from checker.problem import Problem


def evaluated(problem: Problem, precisions: tuple[int, ...], float32: bool = False) -> dict[tuple[int, int], list[int]]:
    """By label and query, of those that occur, the weight of correct and of wrong inputs; with `float32` of those that
    are so in every run of every float32 program. An input that is too close to call is evaluated again, alone, with
    the next precision."""
    costs = {bits: work(problem.weights, problem.k, bits) << float32 for bits in precisions}
    forward_of = cache(lambda bits: Forward(problem.weights, problem.k, problem.readout, bits, float32))
    first = forward_of(precisions[0])
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
        for bits in precisions:
            forward, whole = forward_of(bits), prefix
            if forward is not first:
                problem.budget.spend(problem.k * costs[bits])
                whole = reduce(forward.after, prefix.tokens, forward.start)
            sign = decided(problem, forward.logits(whole), label, bits)
            if sign:
                here[sign < 0] += weight
                break
    return counts
