"""What the kernel knows of a rule."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from checker.decode import Decoder
from checker.errors import Rejected
from checker.facts import BITS, EXPONENT, Fact, Proved
from checker.problem import Problem

# Attention weights are kept to `bits` bits of the largest of a query.
WEIGHT_ARGS: dict[str, Decoder[object]] = {"bits": BITS}
# Logit differences are rounded up to multiples of 2^exponent.
LANE_ARGS: dict[str, Decoder[object]] = {"exponent": EXPONENT, **WEIGHT_ARGS}


@dataclass(frozen=True, slots=True)
class Rule:
    """A pure derivation (problem, premises, args) -> fact, and the exact types it works on.

    With `repeat` the last premise type stands for one or more premises. A rule that is not `general` is a theorem about
    the uniform task max-of-k on one attention-only block with one head, and nothing else. Premises have the margin of
    the problem; those of a rule with a `ladder` have any, and it is told which.
    """

    derive: Callable[[Problem, Any, Any], Fact]
    premises: tuple[type[Fact], ...]
    args: dict[str, Decoder[object]]
    concludes: type[Fact]
    repeat: bool = False
    general: bool = False
    ladder: bool = False

    def require_applies(self, problem: Problem, premises: list[Proved]) -> None:
        """A problem that the rule is about; as many premises as it needs, each of its type and margin."""
        if not (self.general or problem.is_max_of_k):
            raise Rejected("wrong-problem", "rule", "max-of-k, uniform, on one attention-only block with one head")
        expected = list(self.premises)
        if self.repeat:
            expected += expected[-1:] * (len(premises) - len(expected))
        if [type(premise.fact) for premise in premises] != expected:
            names = ", ".join(kind.__name__ for kind in self.premises)
            raise Rejected("wrong-premises", "premises", f"facts of type {names or 'none'}{' ...' * self.repeat}")
        for at, premise in enumerate(premises):
            if premise.margin != problem.margin and not self.ladder:
                raise Rejected("wrong-margin", f"premises[{at}]", "the margin of the step")
