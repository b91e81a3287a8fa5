"""Worst cases and counts over a region: every input is a path through its automaton."""

from collections.abc import Iterator

from checker.arithmetic.enclosures import Enclosure, largest_product
from checker.errors import Rejected, show
from checker.facts import Rows
from checker.problem import Problem
from checker.problem.regions import Group, Region, regions_of

Table = list[dict[int, int]]  # position -> token -> number


def longest(region: Region, table: Table) -> int:
    """The largest sum over positions of table[p][x_p], for x in the region. One addition for each way."""
    best = {0: 0}
    for (tokens, ways), row in zip(region.layers, table, strict=True):
        peaks = {symbol: max([row[t] for t in choices]) for symbol, choices in tokens.items()}
        best = {state: max([best[s] + peaks[symbol] for s, symbol in into]) for state, into in ways.items()}
    return max(best.values())


def count(region: Region, factors: list[dict[int, int]], mask: int = -1) -> int:
    """The sum over paths of the products of factors[p][symbol], masked after each position, over all ends."""
    found = {0: 1}
    for (_, ways), row in zip(region.layers, factors, strict=True):
        found = {state: sum([found[s] * row[symbol] for s, symbol in into]) & mask for state, into in ways.items()}
    return sum(found.values())


def weight_of(problem: Problem, region: Region) -> int:
    """The weight of all its inputs."""
    sums = [
        {symbol: sum([weights[t] for t in choices]) for symbol, choices in tokens.items()}
        for (tokens, _), weights in zip(region.layers, problem.choices, strict=True)
    ]
    return count(region, sums)


def weighted(region: Region, gains: Table, weights: list[dict[int, Enclosure]], less: int) -> Table:
    """At least weight * (gain - less), at every token that the region reads; 0 where attention does not look."""
    table = []
    for (tokens, _), values, row in zip(region.layers, gains, weights, strict=True):
        read = [t for choices in tokens.values() for t in choices]
        table.append({t: largest_product(values[t] - less, row[t]) if row else 0 for t in read})
    return table


def require_mean(region: Region, gains: Table, weights: list[dict[int, Enclosure]], most: int) -> None:
    """The mean over positions of the gains, so weighted, is at most `most` for every input of the region."""
    if (above := longest(region, weighted(region, gains, weights, most))) > 0:
        raise Rejected("mean-above-bound", "", f"a bound above {show(most)}", f"a sum of {show(above)}")


def hinted(
    problem: Problem, groups: tuple[Group, ...], hints: tuple[Rows, ...], work: int
) -> Iterator[tuple[str, Region, Rows]]:
    """Every region with the hints for it and their path; `work` is how often each of its ways and tokens is looked at.

    A refusal while a region is looked at does not pass through here, so whoever looks at it names the path.
    """
    number, spent = 0, 0
    for region in regions_of(problem, groups):
        if number == len(hints):
            break
        spent += region.size * work
        problem.budget.afford(spent // 1000, "thousands of steps through automata")
        yield f"args.hints[{number}]", region, hints[number]
        number += 1
    else:
        region = None
    if region or number < len(hints):
        raise Rejected("wrong-shape", "args.hints", "an entry for each region", f"{len(hints)} entries")
