"""Groups of pairs (q, m) whose incorrect sequences are counted together: the hint of separable_counts."""

from typing import NamedTuple

from checker.arithmetic.packing import members
from checker.decode import array, bounded, integer, record
from checker.errors import Rejected, show
from checker.problem import Problem

STEPS = bounded(1, 1 << 16)


class Group(NamedTuple):
    """One maximum m; sets of wrong tokens, of queries and of positions as bit masks; how finely losses are counted.

    Together the classes hold every y != m, or nothing would be known of the token left out. Each position but the last
    is in one pool, whose positions are given the same, worst table.
    """

    m: int
    steps: int
    classes: tuple[int, ...]
    blocks: tuple[int, ...]
    pools: tuple[int, ...]

    def require_valid(self, problem: Problem) -> None:
        """A maximum of the task, every wrong token in a class, blocks of queries q <= m, every position in one pool."""
        if not 0 <= self.m < problem.v:
            raise Rejected("no-such-region", "m", f"0 to {problem.v - 1}", show(self.m))
        held = 0
        for tokens in self.classes:
            held |= tokens
        if held != ((1 << problem.v) - 1) ^ (1 << self.m) or not all(self.classes):
            raise Rejected("wrong-token-left-out", "classes", "sets that together hold every token but m")
        if not self.blocks or not all(0 < block < 2 << self.m for block in self.blocks):
            raise Rejected("no-such-region", "blocks", "sets of queries q <= m, none empty, at least one")
        others = problem.k - 1
        sane = all(0 < pool < 1 << others for pool in self.pools)
        if not sane or sorted([p for pool in self.pools for p in members(pool)]) != list(range(others)):
            raise Rejected("not-a-partition", "pools", "every position but the last in exactly one pool")


def decode_groups(value: object, path: str) -> tuple[Group, ...]:
    """[{"m": m, "steps": n, "classes": [mask, ...], "blocks": [mask, ...], "pools": [mask, ...]}, ...]"""

    def masks(item: object, at: str) -> tuple[int, ...]:
        return array(item, at, integer)

    def group(item: object, at: str) -> Group:
        fields = record(item, at, Group._fields)
        return Group(
            integer(fields["m"], f"{at}.m"),
            STEPS(fields["steps"], f"{at}.steps"),
            masks(fields["classes"], f"{at}.classes"),
            masks(fields["blocks"], f"{at}.blocks"),
            masks(fields["pools"], f"{at}.pools"),
        )

    return array(value, path, group)
