"""Counting the inputs of a region in which a class of wrong outputs can reach the label."""

from checker.arithmetic.balls import TooCoarse
from checker.budget import words
from checker.lemmas.paths import Table, Weights, longest, weighted
from checker.problem import Problem
from checker.problem.regions import Region


def joint(region: Region, constant: int, gains: list[Table], weights: list[Weights], means: tuple[int, ...]) -> Table:
    """A table whose sum over positions is not negative if constant + the sum over heads of their means is not.

    Of one head only the numerator counts. Of several, each is compared with a mean of its own: its terms are divided by
    the least sum of its weights in this region where they are positive, by the largest where they are negative.
    """
    if len(gains) == 1:
        return weighted(region, gains[0], weights[0], -constant)
    total: Table = [{} for _ in region.layers]
    for gain, weight, mean in zip(gains, weights, means, strict=True):
        one = [dict.fromkeys(values, 1) for values in gain]
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

    A token on a way loses what the best continuation would have had more; the best input loses nothing. Losses are
    rounded down to multiples of (allowance + 1) / (steps + 1), the allowance being the sum of the best input.
    """
    best = [dict.fromkeys(region.layers[-1].ways, 0)]  # the most that can follow a state, from the last one back
    for (tokens, ways), row in zip(region.layers[::-1], table[::-1], strict=True):
        peaks = {symbol: max([row[t] for t in choices]) for symbol, choices in tokens.items()}
        before: dict[int, int] = {}
        for state, into in ways.items():
            for s, symbol in into:
                sum_ = peaks[symbol] + best[-1][state]
                before[s] = max(before.get(s, sum_), sum_)
        best.append(before)
    allowance, width = best[-1][0], weight.bit_length() + 1
    if allowance < 0:
        return 0
    lanes = width * (steps + 1)
    problem.budget.require_memory(
        max([len(ways) for _, ways in region.layers]) * (lanes // 3 + 100), "lanes of a count"
    )
    terms = sum([len(tokens[c]) for tokens, ways in region.layers for into in ways.values() for _, c in into])
    problem.budget.spend(terms * (20 + 2 * words(lanes)))
    mask, found = (1 << (width * (steps + 1))) - 1, {0: 1}
    for (tokens, ways), row, weights, start, end in zip(
        region.layers, table, problem.choices, best[:0:-1], best[-2::-1], strict=True
    ):
        after = {}
        for state, into in ways.items():
            total = 0
            for s, symbol in into:
                most = start[s] - end[state]
                losses = [((most - row[t]) * (steps + 1) // (allowance + 1), weights[t]) for t in tokens[symbol]]
                total += sum([(found[s] * times) << (width * loss) for loss, times in losses if loss <= steps])
            after[state] = total & mask
        found = after
    return sum(found.values()) % ((1 << width) - 1)  # the sum of the lanes, as 2^width = 1 here
