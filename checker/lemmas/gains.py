"""What wrong tokens gain on a maximum, at each position and token; times weights, what is added up to be counted."""

from functools import reduce
from operator import add, mul, sub
from typing import NamedTuple

from checker.arithmetic.packing import members
from checker.lemmas.paths import Ends
from checker.lemmas.separation import Numerators

Weights = dict[int, list[Ends]]  # query -> pool -> t


class Gains(NamedTuple):
    """of_token[i][t] + of_query[q] >= c[y] V_p(t) for p in pool i, t <= m, query q and every wrong token of a class; in
    the last pool for each query t in their order."""

    of_token: list[list[int]]
    of_query: dict[int, int]

    def worst(self, weights: Weights, block: list[int]) -> list[list[int]]:
        """Per pool the largest of c[y] F_p(t) for any query of a block, t <= m; in the last pool for each query."""
        *before, at_query = self.of_token
        gains_of = dict(zip(self.of_query, at_query, strict=True))
        tables, of_block = [], [(self.of_query[q], weights[q]) for q in block]
        for i, gains in enumerate(before):
            rows = [largest_products([x + own for x in gains], ws[i]) for own, ws in of_block]
            tables.append(reduce(lambda row, other: list(map(max, row, other)), rows))
        # the last position holds the query
        last = [largest_products([gains_of[q] + own], ws[-1])[0] for q, (own, ws) in zip(block, of_block, strict=True)]
        return [*tables, last]


def largest_products(factors: list[int], ends: Ends) -> list[int]:
    """For each factor the largest of its products with a number in its enclosure, which is not negative."""
    return [x * (high if x >= 0 else low) for x, low, high in zip(factors, *ends, strict=True)]


def gain_bounds(
    tables: Numerators, m: int, wrong: tuple[int, ...], queries: list[int], pools: list[list[int]]
) -> Gains:
    """For a class of wrong tokens ys, with the factors c. Cost len(ys) additions and comparisons per query, position,
    and pool and token; if there are factors, products per query, position and token."""
    (EUPU, EVOU, PVOU), (EUPU_lower, EVOU_lower, PVOU_lower) = tables.upper, tables.lower
    ys, factors = list(members(wrong[0])), wrong[1:]

    def times(row: list[int]) -> list[int]:
        return list(map(mul, factors, row)) if factors else row

    behind = {q: EUPU_lower[q][m] - tables.margin for q in queries}
    direct = {q: times([EUPU[q][y] - behind[q] for y in ys]) for q in queries}
    # the most that any query gives each y; what another query gives less may not depend on y
    centre = [max(column) for column in zip(*direct.values(), strict=True)]
    of_query = {q: max(map(sub, row, centre)) for q, row in direct.items()}
    values, of_maximum = [[row[y] for y in ys] for row in EVOU[: m + 1]], [row[m] for row in EVOU_lower[: m + 1]]
    if factors:  # what all gain less is multiplied by them, too
        values = [times([x - own for x in row]) for row, own in zip(values, of_maximum, strict=True)]
        of_maximum = [0 for _ in of_maximum]
    of_token, rows = [], list(zip(values, of_maximum, strict=True))
    for pool in pools:
        ahead = list(map(add, centre, times([max([PVOU[p][y] - PVOU_lower[p][m] for p in pool]) for y in ys])))
        tokens = [rows[q] for q in queries] if pool == pools[-1] else rows
        of_token.append([max(map(add, row, ahead)) - own for row, own in tokens])
    return Gains(of_token, of_query)


def least_gains(
    tables: Numerators, m: int, y: int, weights: Weights, q: int, pools: list[list[int]]
) -> list[list[int]]:
    """Per pool the least of F_p(t) for one wrong token and query, t <= m; in the last pool for the query."""
    (EUPU, EVOU, PVOU), (EUPU_upper, EVOU_upper, PVOU_upper) = tables.lower, tables.upper
    direct = EUPU[q][y] - EUPU_upper[q][m] + tables.margin - 1  # the margin was rounded up
    found = []
    for i, pool in enumerate(pools):
        ahead = direct + min([PVOU[p][y] - PVOU_upper[p][m] for p in pool])
        tokens = [q] if i == len(pools) - 1 else range(m + 1)
        gains = [ahead + EVOU[t][y] - EVOU_upper[t][m] for t in tokens]
        found.append([-x for x in largest_products([-gain for gain in gains], weights[q][i])])
    return found
