"""Rule float32_any_order; proof: docs/rules.md#float32_any_order."""

from checker.errors import Rejected
from checker.facts import Accuracy, Float32Accuracy, Proved
from checker.lemmas.float32 import BITS, gap_error
from checker.problem import Problem


def float32_any_order(problem: Problem, premises: tuple[Proved, ...], args: dict[str, object]) -> Float32Accuracy:
    """What is correct, and what is wrong, by more than float32 arithmetic may change.

    Requires   Accuracy at margins that are all at least the error of a difference of two logits away from that of the
               problem. Above it they say what is correct, below it what is wrong. Weights are float32 numbers.
    Concludes  Float32Accuracy.
    Cost       per position and token a few products with W_K and W_V, per query with all weights.
    """
    gap, (numerator, denominator) = gap_error(problem), problem.margin
    proved = {1: Accuracy(0, 0), -1: Accuracy(0, 0)}
    for at, ((above, below), fact) in enumerate(premises):
        ahead = above * denominator - numerator * below
        if abs(ahead) << BITS < gap * denominator * below:
            raise Rejected("margin-too-close", f"premises[{at}]", "a margin farther from that of the step")
        side = 1 if ahead > 0 else -1
        proved[side] = max(proved[side], fact, key=lambda one: one.correct if side > 0 else one.wrong)
    return Float32Accuracy(proved[1].correct, proved[-1].wrong)
