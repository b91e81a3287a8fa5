"""How the sequences of pairs (q, m) are counted: the hint of separable_counts."""

from typing import NamedTuple

from checker.arithmetic.packing import members
from checker.decode import array, bounded, integer, record
from checker.errors import Malformed, Rejected, located, show
from checker.facts import Rows, decode_row, decode_rows
from checker.problem import Problem

Row = tuple[int, ...]
STEPS = bounded(1, 1 << 16)
STEP = bounded(1, 1 << 8192)


class Cut(NamedTuple):
    """What is counted, the number of a class or a wrong token; and how a sum is rounded: a step, and for each table a
    phase in 65536ths of a step."""

    of: int
    step: int
    phases: Row


class Part(NamedTuple):
    """The sequences in which no token of an earlier part occurs before the query, and `token` does; or if it is -1, in
    the last part, all that are left. Classes are counted from above, one wrong token at most from below."""

    token: int
    above: tuple[Cut, ...]
    below: tuple[Cut, ...]


class Block(NamedTuple):
    """Queries that are counted together, as a bit mask; classes that the group does not share; parts."""

    queries: int
    classes: Rows
    parts: tuple[Part, ...]


class Group(NamedTuple):
    """Blocks of queries of one maximum. Each position but the last is in one pool, a bit mask, whose positions are
    given the same, worst table. A class is a bit mask of wrong tokens, then a factor for each of them or nothing."""

    m: int
    pools: Row
    classes: Rows
    blocks: tuple[Block, ...]

    def require_valid(self, problem: Problem) -> None:
        """A maximum of the task, every position in one pool, and valid blocks."""
        if not 0 <= self.m < problem.v:
            raise Rejected("no-such-region", "m", f"0 to {problem.v - 1}", show(self.m))
        others = problem.k - 1
        sane = all(0 < pool < 1 << others for pool in self.pools)
        if not sane or sorted([p for pool in self.pools for p in members(pool)]) != list(range(others)):
            raise Rejected("not-a-partition", "pools", "every position but the last in exactly one pool")
        if not self.blocks:
            raise Rejected("no-such-region", "blocks", "at least one")
        for index, block in enumerate(self.blocks):
            with located(f"blocks[{index}]"):
                self.require_valid_block(block, self.wrong(problem))

    def wrong(self, problem: Problem) -> int:
        """All wrong tokens, as a bit mask."""
        return ((1 << problem.v) - 1) ^ (1 << self.m)

    def require_valid_block(self, block: Block, wrong: int) -> None:
        """Queries up to m; classes of wrong tokens; parts by different tokens below m."""
        if not 0 < block.queries < 2 << self.m:
            raise Rejected("no-such-region", "queries", "a set of queries q <= m, not empty")
        classes = (*self.classes, *block.classes)
        for tokens, *factors in classes:
            if not tokens or tokens & ~wrong or (factors and (len(factors) != tokens.bit_count() or min(factors) <= 0)):
                expected = "sets of wrong tokens, with a positive factor for each or none"
                raise Rejected("no-such-class", "classes", expected)
        *before, last = [part.token for part in block.parts] or [0]
        if last != -1 or not all(0 <= t < self.m for t in before) or len(set(before)) < len(before):
            raise Rejected("not-a-partition", "parts", "different tokens below m, then -1")
        for index, part in enumerate(block.parts):
            of_one = len(part.below) == 0 or (len(part.below) == 1 and block.queries.bit_count() == 1)
            known = all(0 <= cut.of < len(classes) for cut in part.above)
            sane = known and of_one and all(cut.of >= 0 and wrong >> cut.of & 1 for cut in part.below)
            if not sane or any(len(cut.phases) != len(self.pools) + 1 for cut in (*part.above, *part.below)):
                expected = "classes above, one wrong token of one query below, a phase for each pool and the query"
                raise Rejected("no-such-class", f"parts[{index}]", expected)


def decode_groups(value: object, path: str) -> tuple[Group, ...]:
    """[{"m": m, "pools": [mask, ...], "classes": [[mask, factor, ...], ...], "blocks": [{"queries": mask, "classes":
    [...], "parts": [{"token": t, "above": [[class, step, phase, ...], ...], "below": [...]}, ...]}, ...]}, ...]"""

    def classes(item: object, at: str) -> Rows:
        rows = decode_rows(item, at)
        if not all(rows):
            raise Malformed("wrong-type", at, "lists that are not empty")
        return rows

    def cut(item: object, at: str) -> Cut:
        of, step, *phases = row if len(row := decode_row(item, at)) > 1 else (0, 0)
        return Cut(of, STEP(step, f"{at}[1]"), tuple(phases))

    def part(item: object, at: str) -> Part:
        fields = record(item, at, Part._fields)
        above, below = (array(fields[name], f"{at}.{name}", cut) for name in ("above", "below"))
        return Part(integer(fields["token"], f"{at}.token"), above, below)

    def block(item: object, at: str) -> Block:
        fields = record(item, at, Block._fields)
        queries, own = integer(fields["queries"], f"{at}.queries"), classes(fields["classes"], f"{at}.classes")
        return Block(queries, own, array(fields["parts"], f"{at}.parts", part))

    def group(item: object, at: str) -> Group:
        fields = record(item, at, Group._fields)
        m, pools = integer(fields["m"], f"{at}.m"), decode_row(fields["pools"], f"{at}.pools")
        shared = classes(fields["classes"], f"{at}.classes")
        return Group(m, pools, shared, array(fields["blocks"], f"{at}.blocks", block))

    return array(value, path, group)
