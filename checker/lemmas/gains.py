"""What a class of wrong tokens gains on the maximum: one bound for all of them, at each position and token."""

from operator import add, sub
from typing import NamedTuple

from checker.arithmetic.enclosures import Enclosure, largest_product
from checker.lemmas.separation import Numerators


class Gains(NamedTuple):
    """of_token[i][t] + of_query[q] >= V_p(t) for p in pool i, t <= m, query q and every wrong token of the class."""

    of_token: list[list[int]]
    of_query: dict[int, int]

    def worst(self, weights: dict[int, list[list[Enclosure]]], block: list[int]) -> list[list[int]]:
        """Per pool the largest bound on F_p(t) for any query of a block, t <= m; in the last pool for each query."""
        tables = []
        for i, gains in enumerate(self.of_token[:-1]):
            rows = [
                [largest_product(gain + self.of_query[q], w) for gain, w in zip(gains, weights[q][i], strict=True)]
                for q in block
            ]
            tables.append([max(column) for column in zip(*rows, strict=True)])
        # the last position holds the query
        own = [largest_product(self.of_token[-1][q] + self.of_query[q], weights[q][-1][0]) for q in block]
        return [*tables, own]


def gain_bounds(tables: Numerators, m: int, ys: list[int], queries: list[int], pools: list[list[int]]) -> Gains:
    """For the wrong tokens `ys`. Cost len(ys) additions and comparisons per query, position, and pool and token."""
    (EUPU, EVOU, PVOU), (EUPU_lower, EVOU_lower, PVOU_lower) = tables.upper, tables.lower
    direct = {q: [EUPU[q][y] - EUPU_lower[q][m] for y in ys] for q in queries}
    # the most that any query gives each y; what another query gives less may not depend on y
    centre = [max(column) for column in zip(*direct.values(), strict=True)]
    of_query = {q: max(map(sub, row, centre)) + tables.margin for q, row in direct.items()}
    values = [[row[y] for y in ys] for row in EVOU[: m + 1]]
    of_maximum = [row[m] for row in EVOU_lower[: m + 1]]
    of_token = []
    for pool in pools:
        ahead = [c + max([PVOU[p][y] - PVOU_lower[p][m] for p in pool]) for c, y in zip(centre, ys, strict=True)]
        of_token.append([max(map(add, ahead, row)) - own for row, own in zip(values, of_maximum, strict=True)])
    return Gains(of_token, of_query)
