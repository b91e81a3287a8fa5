"""Rule regions; proof: docs/rules.md#regions."""

from typing import Any

from checker.errors import located
from checker.facts import Regions, require_same_length
from checker.lemmas.paths import Table, hinted, lanes_of, require_means, require_valid, weights_of
from checker.model.one_layer import OneLayer
from checker.problem import Problem


def regions(problem: Problem, premises: tuple[()], args: dict[str, Any]) -> Regions:
    """Regions of inputs with one label each, and how far what enters each neuron ranges in them.

    Requires   args.groups: every input that reaches a part of a group's automaton has the group's label.
               args.hints, for each region that has an input, for each neuron: a lower bound on the mean of each head,
               then an upper bound on each, in units of 2^-args.bits; the worst path proves each of them.
    Concludes  Regions.
    Cost       tokens times pairs of states at each position per group; per region, neuron and head two additions for
               each way of the automaton, two products for each position and token.
    """
    layer = problem.one_layer(args["bits"])
    for index, group in enumerate(args["groups"]):
        with located(f"args.groups[{index}]"):
            require_valid(problem, group)
    ends_of = [entering(layer, neuron, sign) for sign in (1, -1) for neuron in range(layer.neurons)]
    lanes, ranges = [lanes_of(tables, layer.bits) for tables in zip(*ends_of, strict=True)], []
    hints = hinted(problem, args["groups"], args["hints"], 2 * layer.neurons * layer.heads * layer.words)
    for at, region, rows in hints:
        with located(at):
            require_same_length(layer.neurons, len(rows), "")
            direct, weights = layer.direct(region.query), weights_of(layer, region) if lanes else []
            ends: list[int] = []
            for neuron, row in enumerate(rows):
                require_same_length(2 * layer.heads, len(row), f"[{neuron}]")
                own = direct.centre[problem.outputs + neuron]
                ends += own - direct.radius + sum(row[: layer.heads]), own + direct.radius + sum(row[layer.heads :])
            for head, tables in enumerate(lanes):
                bounds = [row[layer.heads + head] for row in rows] + [-row[head] for row in rows]
                require_means(region, tables, weights[head], bounds)
            ranges.append(tuple(ends))
    return Regions(args["bits"], args["groups"], tuple(ranges))


def entering(layer: OneLayer, neuron: int, sign: int) -> list[Table]:
    """[head][p][t]: at least what a position adds to what enters a neuron, times the sign."""
    j = neuron - layer.neurons  # the last features
    return [[{t: sign * x.centre[j] + x.radius for t, x in row.items()} for row in values] for values in layer.values]
