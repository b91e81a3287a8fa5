"""Rule float32_inputs; proof: docs/rules.md#float32_inputs."""

from typing import Any

from checker.facts import Float32Accuracy
from checker.lemmas.evaluating import evaluated
from checker.lemmas.float32 import require_float32
from checker.problem import Problem


def float32_inputs(problem: Problem, premises: tuple[()], args: dict[str, Any]) -> Float32Accuracy:
    """Every input evaluated, with room for what any float32 program rounds.

    Requires   args.bits, as for evaluate_inputs. Weights are float32 numbers.
    Concludes  Float32Accuracy.
    Cost       that of evaluate_inputs, twice; and for each matrix products of it with itself.
    """
    require_float32(problem.weights)
    correct, wrong = zip(*evaluated(problem, args["bits"], float32=True).values(), strict=True)
    return Float32Accuracy(sum(correct), sum(wrong))
