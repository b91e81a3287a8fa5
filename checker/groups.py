"""Groups of pairs (q, m) whose incorrect sequences are counted together, and the attention weights they need."""

from collections.abc import Iterator
from operator import add, sub
from typing import NamedTuple

from checker.approximations import ScoreApproximation
from checker.decode import array, bounded, integer, record
from checker.errors import Rejected, show
from checker.exact import shift_up, times
from checker.numerators import Numerators
from checker.problem import Enclosure, Power, Problem, aligned
from checker.weights import Matrix

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
        wrong = 0
        for tokens in self.classes:
            wrong |= tokens
        if wrong != (1 << problem.v) - 1 ^ 1 << self.m or not all(self.classes):
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


def members(mask: int) -> Iterator[int]:
    """The elements of a bit mask, smallest first."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


class QueryWeights:
    """Attention weights of every query, from approximate scores."""

    def __init__(self, problem: Problem, scores: ScoreApproximation, bits: int) -> None:
        self.problem, self.bits = problem, bits
        kept = Matrix([list(row) for row in scores.kept], scores.exponent)
        # exp(S[t]) as a multiple of exp(S[m] - K[m] + error), which is the same for all t: for t != m, and for t = m
        self.others: list[list[Power]] = []
        self.own: list[list[Power]] = []
        for q, error in enumerate(scores.error):
            powers = problem.exponentials(kept, q, bits)
            light, heavy, far = problem.exp_below(error, scores.exponent, bits)
            least, _, farther = problem.exp_below(2 * error, scores.exponent, bits)
            self.others.append([(low * least >> bits + farther, high, n) for low, high, n in powers])
            self.own.append([(low * light >> bits, shift_up(high * heavy, bits), n + far) for low, high, n in powers])

    def of_pair(self, q: int, m: int) -> tuple[list[Enclosure], list[Enclosure]]:
        """Enclosures of exp(sP(q, p)), and of exp(sE(q, t)) for t <= m, whose products are true up to one factor.

        In units of 2^-bits; the largest token weight times the largest position weight is about 1.
        """
        tokens = aligned([*self.others[q][:m], self.own[q][m]], self.bits)
        largest = max([high for _, high in tokens])
        positions = self.problem.position_weights(q, self.bits)
        scaled = [((low << self.bits) // largest, -(-(high << self.bits) // largest)) for low, high in positions]
        return scaled, tokens


def hull(enclosures: list[Enclosure]) -> Enclosure:
    """The least enclosure of several numbers."""
    lows, highs = zip(*enclosures, strict=True)
    return min(lows), max(highs)


class Gains(NamedTuple):
    """base[i][t] + lead[q] is at least V_p(t) for p in pool i, query q, t <= m and every wrong token of a class."""

    base: list[list[int]]
    lead: dict[int, int]


def gain_bounds(tables: Numerators, m: int, ys: list[int], queries: list[int], pools: list[list[int]]) -> Gains:
    """For the wrong tokens `ys`. Cost len(ys) additions and comparisons per query, position, and pool and token."""
    (EUPU, EVOU, PVOU), lower = tables.upper, tables.lower
    direct = {q: [EUPU[q][y] - lower[0][q][m] for y in ys] for q in queries}
    centre = [max(column) for column in zip(*direct.values(), strict=True)]
    lead = {q: max(map(sub, row, centre)) + tables.margin for q, row in direct.items()}
    tokens = [[row[y] for y in ys] for row in EVOU[: m + 1]]
    base = []
    for pool in pools:
        ahead = [c + max([PVOU[p][y] - lower[2][p][m] for p in pool]) for c, y in zip(centre, ys, strict=True)]
        base.append([max(map(add, ahead, token)) - of_m[m] for token, of_m in zip(tokens, lower[1], strict=False)])
    return Gains(base, lead)


def products(position: Enclosure, tokens: list[Enclosure]) -> list[Enclosure]:
    """The weight of a position times that of each token."""
    return [(position[0] * low, position[1] * high) for low, high in tokens]


def weighted(gains: list[int], lead: int, weights: list[Enclosure]) -> list[int]:
    """The largest (gain + lead) * w for w >= 0 in its enclosure, token by token."""
    return [times(gain + lead, weight) for gain, weight in zip(gains, weights, strict=True)]
