"""What wrong tokens gain on a maximum, at each position and token; times weights, what is added up to be counted."""

from operator import add
from typing import NamedTuple

from checker.arithmetic.enclosures import Enclosure, largest_product
from checker.arithmetic.packing import members
from checker.lemmas.separation import Numerators

Weights = dict[int, list[list[Enclosure]]]  # query -> pool -> t


class Gains(NamedTuple):
    """of_token[i][t] + of_query[q] >= c[y] V_p(t) for p in pool i, t <= m, query q and every wrong token of a class."""

    of_token: list[list[int]]
    of_query: dict[int, int]

    def worst(self, weights: Weights, block: list[int]) -> list[list[int]]:
        """Per pool the largest of c[y] F_p(t) for any query of a block, t <= m; in the last pool for each query."""
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


def gain_bounds(
    tables: Numerators, m: int, wrong: tuple[int, ...], queries: list[int], pools: list[list[int]]
) -> Gains:
    """For a class of wrong tokens ys, with the factors c. Cost len(ys) additions, comparisons and if there are factors
    products per query, position, and pool and token."""
    (EUPU, EVOU, PVOU), (EUPU_lower, EVOU_lower, PVOU_lower) = tables.upper, tables.lower
    ys, factors = list(members(wrong[0])), wrong[1:]

    def most(ahead: list[int], row: list[int], own: int) -> int:
        if factors:
            return max([c * (a + x - own) for c, a, x in zip(factors, ahead, row, strict=True)])
        return int(max(map(add, ahead, row))) - own

    direct = {q: [EUPU[q][y] + tables.margin for y in ys] for q in queries}
    # the most that any query gives each y; what another query gives less may not depend on y
    centre = [max([row[i] - EUPU_lower[q][m] for q, row in direct.items()]) for i in range(len(ys))]
    behind = [-x for x in centre]
    of_query = {q: most(behind, row, EUPU_lower[q][m]) for q, row in direct.items()}
    values = [[row[y] for y in ys] for row in EVOU[: m + 1]]
    of_token = []
    for pool in pools:
        ahead = [c + max([PVOU[p][y] - PVOU_lower[p][m] for p in pool]) for c, y in zip(centre, ys, strict=True)]
        of_token.append([most(ahead, row, EVOU_lower[t][m]) for t, row in enumerate(values)])
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
        found.append([-largest_product(-gain, w) for gain, w in zip(gains, weights[q][i], strict=True)])
    return found
