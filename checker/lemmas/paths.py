"""Worst cases and counts over a region: every input is a path through its automaton."""

from collections.abc import Iterator
from operator import mul
from typing import Any

from checker.arithmetic.enclosures import Enclosure, aligned
from checker.errors import Rejected, show
from checker.facts import Rows
from checker.model.one_layer import OneLayer
from checker.problem import Problem
from checker.problem.regions import Group, Region, regions_of

Table = list[dict[int, int]]  # position -> token -> number
Weights = list[dict[int, tuple[tuple[int, ...], tuple[int, ...]]]]  # position -> symbol -> lower, upper ends by token


def longest(region: Region, table: Table) -> int:
    """The largest sum over positions of table[p][x_p], for x in the region."""
    peaks = [
        {symbol: max([row[t] for t in choices]) for symbol, choices in tokens.items()}
        for (tokens, _), row in zip(region.layers, table, strict=True)
    ]
    return highest(region, peaks)


def highest(region: Region, peaks: list[dict[int, int]]) -> int:
    """The largest sum over positions of peaks[p][symbol] along a path. One addition for each way."""
    best = {0: 0}
    for (_, ways), peak in zip(region.layers, peaks, strict=True):
        best = {state: max([best[s] + peak[symbol] for s, symbol in into]) for state, into in ways.items()}
    return max(best.values())


def weight_of(problem: Problem, region: Region) -> int:
    """The weight of all its inputs."""
    found = {0: 1}
    for (tokens, ways), weights in zip(region.layers, problem.choices, strict=True):
        sums = {symbol: sum([weights[t] for t in choices]) for symbol, choices in tokens.items()}
        found = {state: sum([found[s] * sums[symbol] for s, symbol in into]) for state, into in ways.items()}
    return sum(found.values())


def weights_of(layer: OneLayer, region: Region) -> list[Weights]:
    """By head: attention to the tokens that the region reads, in one unit for each head, at most 2^bits."""
    heads = []
    for powers in layer.weights(region.query):
        seen = [(row, tokens if row else {}) for row, (tokens, _) in zip(powers, region.layers, strict=True)]
        read = [row[t] for row, tokens in seen for choices in tokens.values() for t in choices]
        ends = iter(aligned(read, layer.bits))
        heads.append([{c: pairs([next(ends) for _ in choices]) for c, choices in tokens.items()} for _, tokens in seen])
    return heads


def pairs(enclosures: list[Enclosure]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """All lower ends, and all upper ends."""
    return tuple([low for low, _ in enclosures]), tuple([high for _, high in enclosures])


def weights_of_labels(problem: Problem, query: int) -> dict[int, int]:
    """Label -> the weight of all inputs with this query and label."""
    found = {problem.label.start: 1}
    for p, row in enumerate(problem.choices):
        after: dict[Any, int] = {}
        problem.budget.spend(len(found) * len(row))
        for state, weight in found.items():
            for t in [query] if p == problem.readout else row:
                following = problem.label.step(state, p, t)
                after[following] = after.get(following, 0) + weight * row[t]
        found = after
    labels: dict[int, int] = {}
    for state, weight in found.items():
        label = problem.label.output(state)
        labels[label] = labels.get(label, 0) + weight
    return labels


def weighted(region: Region, gains: Table, weights: Weights, less: int) -> Table:
    """At least weight * (gain - less), at every token that the region reads; 0 where attention does not look."""
    table = []
    for (tokens, _), values, row in zip(region.layers, gains, weights, strict=True):
        table.append(dict.fromkeys([t for choices in tokens.values() for t in choices], 0))
        for symbol, ends in row.items():
            for t, low, high in zip(tokens[symbol], *ends, strict=True):
                table[-1][t] = max((values[t] - less) * low, (values[t] - less) * high)
    return table


def require_mean(region: Region, gains: Table, weights: Weights, most: int) -> None:
    """The mean over positions of the gains, so weighted, is at most `most` for every input of the region."""
    peaks = []
    for (tokens, _), values, row in zip(region.layers, gains, weights, strict=True):
        peak = dict.fromkeys(tokens, 0)  # of weight * (gain - most), as `weighted` has them
        for symbol, (lows, highs) in row.items():
            above = [values[t] - most for t in tokens[symbol]]
            peak[symbol] = max(*map(mul, above, lows), *map(mul, above, highs))
        peaks.append(peak)
    if (sum_ := highest(region, peaks)) > 0:
        raise Rejected("mean-above-bound", "", f"a bound above {show(most)}", f"a sum of {show(sum_)}")


def hinted(
    problem: Problem, groups: tuple[Group, ...], hints: tuple[Rows, ...], work: int
) -> Iterator[tuple[str, Region, Rows]]:
    """The path of its hints, and every region with these; `work` is how often each of its ways and tokens is looked at.

    A refusal while a region is looked at does not pass through here, so whoever looks at it names the path.
    """
    number = 0
    for region in regions_of(problem, groups):
        if number == len(hints):
            break
        problem.budget.spend(region.size * work)
        yield f"args.hints[{number}]", region, hints[number]
        number += 1
    else:
        region = None
    if region or number < len(hints):
        raise Rejected("wrong-shape", "args.hints", "an entry for each region", f"{len(hints)} entries")
