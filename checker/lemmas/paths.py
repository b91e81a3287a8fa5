"""Worst cases and counts over a region: every input is a path through its automaton."""

from collections.abc import Callable, Iterator
from functools import cache, reduce
from itertools import zip_longest

from checker.arithmetic.enclosures import Enclosure, aligned
from checker.arithmetic.packing import members, repeat, side_by_side
from checker.errors import Rejected, show
from checker.facts import Rows
from checker.model.one_layer import OneLayer
from checker.problem import Problem
from checker.problem.regions import Group, Region, regions_of

Table = list[dict[int, int]]  # position -> token -> number
Ends = tuple[tuple[int, ...], tuple[int, ...]]  # all lower ends of enclosures, and all upper ends
Weights = list[dict[int, Ends]]  # position -> symbol -> by token

# tables, the largest size of an entry, bits of a lane, and (p, t) -> the entry of each table in a lane of its own
Lanes = tuple[tuple[Table, ...], int, int, Callable[[int, int], int]]


def lanes_of(tables: tuple[Table, ...], bits: int) -> Lanes:
    """A lane holds any sum over positions of (an entry less a bound) * a weight of at most 2^bits, and twice that."""
    most = max([max(map(abs, row.values())) for table in tables for row in table if row])
    width = most.bit_length() + bits + len(tables[0]).bit_length() + 4
    return tables, most, width, cache(lambda p, t: side_by_side([table[p][t] for table in tables], width))


def longest(region: Region, table: Table, larger: Callable[[int, int], int] = max) -> int:
    """The largest sum over positions of table[p][x_p], for x in the region. One addition for each way."""
    best = {0: 0}
    for (tokens, ways), row in zip(region.layers, table, strict=True):
        peak = {symbol: reduce(larger, [row[t] for t in choices]) for symbol, choices in tokens.items()}
        best = {state: reduce(larger, [best[s] + peak[symbol] for s, symbol in into]) for state, into in ways.items()}
    return reduce(larger, best.values())


def require_valid(problem: Problem, group: Group) -> None:
    """An automaton of the problem's tokens, classes of every output but the label; and all its inputs have the label.

    Both automata read all inputs with these queries side by side. Cost tokens times pairs of states at each position.
    """
    states, symbols = len(group.next), len(group.next[0])
    in_range = all(0 <= s < symbols for s in group.symbols) and all(-1 <= s < states for row in group.next for s in row)
    if not in_range or len(group.symbols) != problem.v or len(group.parts) != states or min(group.parts) < -1:
        raise Rejected("bad-automaton", "", f"{problem.v} symbols, a part for each state, states and parts from -1 on")
    if not 0 <= group.label < problem.outputs:
        raise Rejected("no-such-region", "label", f"outputs from 0 to {problem.outputs - 1}", show(group.label))
    others = ((1 << problem.outputs) - 1) ^ (1 << group.label)
    if not all(0 < rivals == rivals & others for rivals in group.rivals):
        raise Rejected("no-such-region", "rivals", "sets of outputs other than the label, none empty")
    at_query = problem.choices[problem.readout or 0]
    if group.queries <= 0 or not all(q in at_query for q in members(group.queries)):
        raise Rejected("no-such-region", "queries", "a set of tokens that can stand where the logits are read")
    reached = labels_of(problem, group)
    for label, own in {(label, own) for own, labels in reached.items() for label in labels}:
        if group.parts[own] >= 0 and label != group.label:
            raise Rejected("wrong-label", f"parts[{own}]", show(group.label), show(label))


def labels_of(problem: Problem, group: Group) -> dict[int, dict[int, int]]:
    """By last state of its automaton, then by label: the weight of all inputs with its queries that lead there."""
    found = {0: {0: 1}}
    for p, (row, tables) in enumerate(zip(problem.choices, problem.label_tables(), strict=True)):
        after: dict[int, dict[int, int]] = {}
        problem.budget.spend(sum(map(len, found.values())) * len(row) * (8 + problem.unit))
        for t in members(group.queries) if p == problem.readout else row:
            for own, states in found.items():
                into, table = after.setdefault(group.next[own][group.symbols[t]], {}), tables[t]
                for state, weight in states.items():
                    into[table[state]] = into.get(table[state], 0) + weight * row[t]
        found = {own: states for own, states in after.items() if own >= 0}
    return found


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


def pairs(enclosures: list[Enclosure]) -> Ends:
    """All lower ends, and all upper ends: lists of numbers are multiplied faster than lists of enclosures."""
    return tuple([low for low, _ in enclosures]), tuple([high for _, high in enclosures])


def weighted(
    region: Region, gains: Table, weights: Weights, less: int, larger: Callable[[int, int], int] = max
) -> Table:
    """At least weight * (gain - less), at every token that the region reads; 0 where attention does not look."""
    table = []
    for (tokens, _), values, row in zip(region.layers, gains, weights, strict=True):
        table.append(dict.fromkeys([t for choices in tokens.values() for t in choices], 0))
        for symbol, ends in row.items():
            for t, low, high in zip(tokens[symbol], *ends, strict=True):
                above = values[t] - less
                table[-1][t] = larger(above * low, above * high)
    return table


def require_means(region: Region, lanes: Lanes, weights: Weights, bounds: list[int]) -> None:
    """The mean over positions of each table, so weighted, is at most its bound for every input of the region.

    No mean is larger than `most`, and none is below -most, so that other bounds need not fit into a lane.
    """
    tables, most, width, packed = lanes
    less = side_by_side([max(~most, min(bound, most)) for bound in bounds], width)
    ones = repeat(1, len(bounds), width)
    tops = ones << (width - 1)

    def larger(x: int, y: int) -> int:
        """Of two numbers, in each lane."""
        ahead = x - y + tops
        by_lane = ahead & tops
        return y + (ahead & (by_lane - (by_lane >> (width - 1))))

    read = [[t for choices in row for t in choices] for row in [at.tokens.values() for at in region.layers]]
    gains = [{t: packed(p, t) for t in row if weights[p]} for p, row in enumerate(read)]
    sums = longest(region, weighted(region, gains, weights, less, larger), larger)
    for top in members((sums - ones + tops) & tops):  # of a sum above 0
        table, bound = tables[top // width], bounds[top // width]
        sum_ = longest(region, weighted(region, table, weights, bound))
        raise Rejected("mean-above-bound", "", f"a bound above {show(bound)}", f"a sum of {show(sum_)}")


def hinted(
    problem: Problem, groups: tuple[Group, ...], hints: tuple[Rows, ...], work: int
) -> Iterator[tuple[str, Region, Rows]]:
    """The path of its hints, and every region with these; `work` is how often each of its ways and tokens is looked at.

    A refusal while a region is looked at does not pass through here, so whoever looks at it names the path.
    """
    for number, (region, rows) in enumerate(zip_longest(regions_of(problem, groups), hints)):
        if region is None or rows is None:
            raise Rejected("wrong-shape", "args.hints", "an entry for each region", f"{len(hints)} entries")
        size = sum([len(x) for tokens, ways in region.layers for x in (*tokens.values(), *ways.values())])
        problem.budget.spend(size * (work + problem.unit))
        yield f"args.hints[{number}]", region, rows
