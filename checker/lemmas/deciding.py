"""What logits within a radius say about an input; theorem: docs/rules.md#evaluate_inputs."""

from checker.arithmetic.balls import Ball
from checker.problem import Problem


def decided(problem: Problem, logits: Ball | None, label: int, bits: int) -> int:
    """1 if the input is correct, -1 if it is not, 0 if the ball, in units of 2^-bits, holds both, or is not known."""
    if logits is None:
        return 0
    rivals = logits.centre[:label] + logits.centre[label + 1 :]
    if not rivals:
        return 1
    numerator, denominator = problem.margin
    gap, doubt = logits.centre[label] - max(rivals), 2 * logits.radius
    if (gap - doubt) * denominator > numerator << bits:
        return 1
    return -1 if (gap + doubt) * denominator <= numerator << bits else 0
