"""Regions: the inputs of one query and one label that a small automaton sends to one of its parts.

The regions of one automaton share no input, as it is deterministic. Different wrong outputs may be watched by different
automata: an input is correct if each of them stays behind in the region that it is sent to for that output.
"""

from collections.abc import Iterator
from typing import NamedTuple

from checker.arithmetic.packing import members
from checker.decode import array, integer, matrix, record
from checker.problem import Problem

Ways = dict[int, list[tuple[int, int]]]  # state after a position -> states before it, with the symbol that is read


class Group(NamedTuple):
    """The inputs with this label and a query of a set, cut into parts; and classes of wrong outputs to watch in them.

    symbols[t] is what the automaton reads for token t, next[state][symbol] the state that follows, or -1; it starts in
    state 0. parts[state] is the part of the inputs that end there, or -1. Sets of queries and outputs are bit masks.
    """

    label: int
    queries: int
    rivals: tuple[int, ...]
    symbols: tuple[int, ...]
    next: tuple[tuple[int, ...], ...]
    parts: tuple[int, ...]


class Layer(NamedTuple):
    """What a region reads at one position: its tokens by symbol, and the ways from state to state."""

    tokens: dict[int, list[int]]
    ways: Ways


class Region(NamedTuple):
    """An accepted set: every path through the layers, from state 0 on, and every choice of tokens along it."""

    number: int  # of its group
    group: Group
    query: int
    layers: list[Layer]


def decode_groups(value: object, path: str) -> tuple[Group, ...]:
    """[{"label": c, "queries": mask, "rivals": [mask, ...], "symbols": [...], "next": [[...], ...], "parts": [...]}]"""

    def group(item: object, at: str) -> Group:
        fields = record(item, at, Group._fields)
        label, queries = (integer(fields[name], f"{at}.{name}") for name in ("label", "queries"))
        rivals, symbols, parts = (array(fields[key], f"{at}.{key}", integer) for key in ("rivals", "symbols", "parts"))
        return Group(label, queries, rivals, symbols, matrix(fields["next"], f"{at}.next"), parts)

    return array(value, path, group)


def regions_of(problem: Problem, groups: tuple[Group, ...]) -> Iterator[Region]:
    """All regions that have an input: by group, then query, then part."""
    for number, group in enumerate(groups):
        for query in members(group.queries):
            layers, live = [], [0]
            for p, row in enumerate(problem.choices):
                tokens: dict[int, list[int]] = {}
                for t in [query] if p == problem.readout else row:
                    tokens.setdefault(group.symbols[t], []).append(t)
                problem.budget.spend(4 * len(live) * len(tokens) + 4 * len(row))
                ways: Ways = {}
                for state in live:
                    for symbol in tokens:
                        ways.setdefault(group.next[state][symbol], []).append((state, symbol))
                ways.pop(-1, None)
                layers.append(Layer(tokens, ways))
                live = list(ways)
            for part in sorted({group.parts[state] for state in live} - {-1}):
                ends = {state for state in live if group.parts[state] == part}
                yield Region(number, group, query, leading_to(ends, layers))


def leading_to(ends: set[int], layers: list[Layer]) -> list[Layer]:
    """Only the ways that lead to these states, and only the symbols that are read on them."""
    kept = []
    for tokens, ways in reversed(layers):
        ways = {state: ways[state] for state in sorted(ends)}
        before = [way for into in ways.values() for way in into]
        ends, symbols = {state for state, _ in before}, sorted({symbol for _, symbol in before})
        kept.append(Layer({symbol: tokens[symbol] for symbol in symbols}, ways))
    return kept[::-1]
