"""Counting the inputs of a region in which a class of wrong outputs can reach the label."""

from checker.arithmetic.balls import TooCoarse
from checker.arithmetic.enclosures import Enclosure
from checker.lemmas.counting import polynomial
from checker.lemmas.paths import Table, count, longest, weighted
from checker.problem import Problem
from checker.problem.regions import Region


def joint(
    region: Region, constant: int, gains: list[Table], weights: list[list[dict[int, Enclosure]]], means: tuple[int, ...]
) -> Table:
    """A table whose sum over positions is not negative if constant + the sum over heads of their means is not.

    Of one head only the numerator counts. Of several, each is compared with a mean of its own: its terms are divided by
    the least sum of its weights in this region where they are positive, by the largest where they are negative.
    """
    if len(gains) == 1:
        return weighted(region, gains[0], weights[0], -constant)
    total: Table = [{} for _ in region.layers]
    for gain, weight, mean in zip(gains, weights, means, strict=True):
        one = [dict.fromkeys(row, 1) for row in weight]
        most = longest(region, weighted(region, one, weight, 0))
        least = -longest(region, weighted(region, one, weight, 2))  # of the weights times -1
        if least <= 0:
            raise TooCoarse
        for row, terms in zip(total, weighted(region, gain, weight, mean), strict=True):
            for t, z in terms.items():
                row[t] = row.get(t, 0) - (-z // (least if z >= 0 else most))  # rounded up
    for t in total[0]:  # every input has one token there
        total[0][t] += constant + sum(means)
    return total


def reaching(problem: Problem, region: Region, table: Table, weight: int, steps: int) -> int:
    """At least the weight of the region's inputs whose sum of table[p][x_p] is not negative; the region has `weight`.

    Losses against the largest entries are rounded down to multiples of (allowance + 1) / (steps + 1).
    """
    if longest(region, table) < 0:
        return 0
    peaks = [max(row.values()) for row in table]
    allowance, width = sum(peaks), weight.bit_length() + 1
    problem.budget.afford(region.size * (width * steps // 64000 + 1), "thousands of words in products of lanes")
    factors = []
    for (tokens, _), row, peak, weights in zip(region.layers, table, peaks, problem.choices, strict=True):
        losses = {t: (peak - x) * (steps + 1) // (allowance + 1) for t, x in row.items()}
        factors.append(
            {
                symbol: polynomial([(losses[t], weights[t]) for t in choices if losses[t] <= steps], width, steps)
                for symbol, choices in tokens.items()
            }
        )
    return count(region, factors, (1 << (width * (steps + 1))) - 1) % ((1 << width) - 1)  # 2^width = 1: a sum of lanes
