"""What the kernel knows of a rule."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from checker.decode import Decoder
from checker.errors import Rejected
from checker.facts import BITS, EXPONENT, Fact
from checker.problem import Problem

# Attention weights are kept to `bits` bits of the largest of a query.
WEIGHT_ARGS: dict[str, Decoder[object]] = {"bits": BITS}
# Logit differences are rounded up to multiples of 2^exponent.
LANE_ARGS: dict[str, Decoder[object]] = {"exponent": EXPONENT, **WEIGHT_ARGS}


@dataclass(frozen=True, slots=True)
class Rule:
    """A pure derivation (problem, premises, args) -> fact, and the exact types it works on.

    With `repeat` the last premise type stands for one or more premises.
    """

    derive: Callable[[Problem, Any, Any], Fact]
    premises: tuple[type[Fact], ...]
    args: dict[str, Decoder[object]]
    concludes: type[Fact]
    repeat: bool = False

    def require_premises(self, facts: tuple[Fact, ...]) -> None:
        """As many premises as the rule needs, each of its type."""
        expected = list(self.premises)
        if self.repeat:
            expected += expected[-1:] * (len(facts) - len(expected))
        if [type(fact) for fact in facts] != expected:
            names = ", ".join(kind.__name__ for kind in self.premises)
            raise Rejected("wrong-premises", "premises", f"facts of type {names or 'none'}{' ...' * self.repeat}")
