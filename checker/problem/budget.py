"""A limit on the work of a step, looked at before the work is done."""

from typing import NamedTuple

from checker.errors import ResourceLimit


class Budget(NamedTuple):
    """At most this many sequences, or prefixes of sequences, in each step by itself."""

    most: int

    def afford(self, cost: int, what: str) -> None:
        """Refuse, before starting, work whose count of `what` exceeds the budget."""
        if cost > self.most:
            raise ResourceLimit("over-budget", "", f"at most {self.most} {what} (raise --budget)", str(cost))
