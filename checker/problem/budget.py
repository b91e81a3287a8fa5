"""A limit on the work of a step, looked at before the work is done."""

from checker.errors import ResourceLimit


class Budget:
    """At most this many sequences, prefixes of sequences, or thousands of other things, in each step by itself."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.restart()

    def restart(self) -> None:
        """A new step begins."""
        self.spent = 0

    def afford(self, cost: int, what: str) -> None:
        """Refuse, before starting, work whose count of `what` exceeds the budget."""
        if cost > self.most:
            raise ResourceLimit("over-budget", "", f"at most {self.most} {what} (raise --budget)", str(cost))

    def spend(self, cost: int) -> None:
        """Work that comes in many small pieces: refuse the piece with which it gets too much."""
        self.spent += cost
        self.afford(self.spent // 1000, "thousands of steps")
