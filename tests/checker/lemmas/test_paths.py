"""Worst sums and counts over a region, against every input of it."""

import random
from itertools import product
from math import prod

import pytest

from checker.arithmetic.enclosures import Enclosure
from checker.errors import Rejected
from checker.lemmas.paths import Table, Weights, lanes_of, longest, pairs, require_means, weight_of
from checker.lemmas.reaching import joint, reaching
from checker.model.weights import read_weights
from checker.problem import Problem
from checker.problem.problem_file import decode_problem
from checker.problem.regions import Group, Region, decode_groups, regions_of
from tests.support.any_problem import Json, Tokens
from tests.support.layer_cases import layer_case
from tests.support.region_hints import part_of

WEIGHTED: Json = {
    "inputs": [
        {"tokens": "0-3", "weights": [1, 2, 0, 10**20]},
        {"tokens": [3, 1]},
        {"tokens": "1-3", "weights": [5, 1, 1]},
    ],
    "label": {"name": "first", "of": [0]},
}


def problem() -> Problem:
    return Problem(read_weights(layer_case(0, WEIGHTED, 4, 4).data), decode_problem(WEIGHTED, ""), (0, 1), 1 << 25)


def any_group(rng: random.Random) -> Group:
    """Any automaton, with ways that lead nowhere and parts that nothing reaches."""
    states, symbols = rng.randint(1, 5), rng.randint(1, 4)
    rows = [[rng.randint(-1, states - 1) for _ in range(symbols)] for _ in range(states)]
    parts = [rng.randint(-1, 2) for _ in range(states)]
    group = {"label": 0, "queries": 14, "rivals": [2], "symbols": [rng.randrange(symbols) for _ in range(4)]}
    (made,) = decode_groups([group | {"next": rows, "parts": parts}], "")
    return made


def by_hand(asked: Problem, group: Group) -> dict[tuple[int, int], list[Tokens]]:
    """The inputs of each region, by query and part."""
    found: dict[tuple[int, int], list[Tokens]] = {}
    for tokens in product(*asked.choices):
        if group.queries >> tokens[2] & 1 and part_of(group, tokens) >= 0:
            found.setdefault((tokens[2], part_of(group, tokens)), []).append(tokens)
    return dict(sorted(found.items()))


def tables(rng: random.Random, size: int) -> Table:
    return [{t: rng.randint(-size, size) for t in range(4)} for _ in range(3)]


def cases(seed: int) -> list[tuple[Problem, Region, list[Tokens]]]:
    """The regions of any group, each with its inputs."""
    asked, group = problem(), any_group(random.Random(seed))
    regions, expected = list(regions_of(asked, (group,))), by_hand(asked, group)
    assert [region.query for region in regions] == [query for query, _ in expected]
    return [(asked, region, inputs) for region, inputs in zip(regions, expected.values(), strict=True)]


@pytest.mark.parametrize("seed", range(40))
def test_a_region_is_its_inputs(seed: int) -> None:
    """Order, weight, worst sum, and the inputs that reach 0: never too few, exactly those with steps enough."""
    rng = random.Random(seed)
    for asked, region, inputs in cases(seed):
        weights = [prod(row[t] for row, t in zip(asked.choices, x, strict=True)) for x in inputs]
        assert weight_of(asked, region) == sum(weights)
        table = tables(rng, rng.choice([1, 10, 10**6]))
        sums = [sum(row[t] for row, t in zip(table, x, strict=True)) for x in inputs]
        assert longest(region, table) == max(sums)
        true = sum(weight for weight, total in zip(weights, sums, strict=True) if total >= 0)
        read = [
            {t: row[t] for ts in layer.tokens.values() for t in ts}
            for layer, row in zip(region.layers, table, strict=True)
        ]
        allowance = max(sums)
        steps = [1, 3, 17] + [max(allowance, 1)] * (allowance < 100)  # the last makes every loss a whole number
        found = [reaching(asked, region, read, sum(weights), number) for number in steps]
        assert all(true <= n <= sum(weights) for n in found)
        assert found[-1] == true or allowance >= 100
        # if the best input only just reaches 0, any number of steps tells those that lose nothing from all others
        read[-1] = {t: x - max(sums) for t, x in read[-1].items()}
        best = sum(weight for weight, total in zip(weights, sums, strict=True) if total == max(sums))
        assert reaching(asked, region, read, sum(weights), 1) == best


def enclosures(rng: random.Random) -> list[dict[int, Enclosure]]:
    return [{t: Enclosure(low := rng.randint(0, 20), low + rng.randint(0, 1)) for t in range(4)} for _ in range(3)]


def by_symbol(region: Region, rows: list[dict[int, Enclosure]]) -> Weights:
    """In the form of the checker."""
    return [
        {symbol: pairs([row[t] for t in choices]) for symbol, choices in tokens.items()}
        for (tokens, _), row in zip(region.layers, rows, strict=True)
    ]


@pytest.mark.parametrize("seed", range(20))
def test_the_least_bound_on_a_mean(seed: int) -> None:
    """Granted exactly from the largest mean on, over all weights in their enclosures; less is refused."""
    rng = random.Random(seed)
    for _, region, inputs in cases(seed):
        gains, weights = tables(rng, 50), enclosures(rng)
        bound = -50
        while True:
            ends = [product(*[{row[t].low, row[t].high} for row, t in zip(weights, x, strict=True)]) for x in inputs]
            gained = [[row[t] - bound for row, t in zip(gains, x, strict=True)] for x in inputs]
            worst = max(
                sum(w * g for w, g in zip(ws, gs, strict=True))
                for end, gs in zip(ends, gained, strict=True)
                for ws in end
            )
            if worst <= 0:
                break
            with pytest.raises(Rejected, match="mean-above-bound"):
                require_means(region, lanes_of((gains,), 5), by_symbol(region, weights), [bound])
            bound += 1
        # beside another table, whose bound is far too large or one too small
        lanes = lanes_of((gains, [{t: x - 7 for t, x in row.items()} for row in gains]), 5)
        require_means(region, lanes, by_symbol(region, weights), [bound, 10**99])
        with pytest.raises(Rejected, match=f"bound above {bound - 1}"):
            require_means(region, lanes, by_symbol(region, weights), [bound - 1, 10**99])
        for low in (bound - 8, -(10**99)):
            with pytest.raises(Rejected, match="mean-above-bound"):
                require_means(region, lanes, by_symbol(region, weights), [10**99, low])


@pytest.mark.parametrize("seed", range(20))
def test_one_denominator_a_head(seed: int) -> None:
    """Wherever a constant and the means of two heads are not negative in sum, nor is the table, for any given means."""
    rng = random.Random(seed)
    for _, region, inputs in cases(seed):
        gains, weights = [tables(rng, 50) for _ in range(2)], [enclosures(rng) for _ in range(2)]
        weights = [[{t: Enclosure(w.low + 1, w.high + 1) for t, w in row.items()} for row in rows] for rows in weights]
        constant = rng.randint(-60, 20)
        table = joint(
            region,
            constant,
            gains,
            [by_symbol(region, rows) for rows in weights],
            (rng.randint(-90, 90), rng.randint(-90, 90)),
        )
        single = joint(region, constant, gains[:1], [by_symbol(region, weights[0])], (0,))
        for x in inputs:
            for ends in product([False, True], repeat=3):
                means = []
                for gain, rows in zip(gains, weights, strict=True):
                    ws = [row[t].high if end else row[t].low for row, t, end in zip(rows, x, ends, strict=True)]
                    over = sum(w * row[t] for w, row, t in zip(ws, gain, x, strict=True))
                    means.append((over, sum(ws)))
                (a, b), (c, d) = means
                if constant * b * d + a * d + c * b >= 0:
                    assert sum(row[t] for row, t in zip(table, x, strict=True)) >= 0
                if constant * b + a >= 0:
                    assert sum(row[t] for row, t in zip(single, x, strict=True)) >= 0


def test_terms_below_zero_are_divided_by_the_largest_weights() -> None:
    """Of two heads each loses 1/2 with the heaviest weights, 1 and 1, and 1 with the lightest, 1 and 0."""
    asked = problem()
    (group,) = decode_groups(
        [{"label": 0, "queries": 2, "rivals": [2], "symbols": [0] * 4, "next": [[0]], "parts": [0]}], ""
    )
    (region,) = regions_of(asked, (group,))
    gains: Table = [dict.fromkeys(range(4), -1), dict.fromkeys(range(4), 0), dict.fromkeys(range(4), 0)]
    ends = [Enclosure(1, 1), Enclosure(0, 1), Enclosure(0, 0)]
    weights = by_symbol(region, [dict.fromkeys(range(4), end) for end in ends])
    table = joint(region, 1, [gains, gains], [weights, weights], (0, 0))
    assert [set(row.values()) for row in table] == [{1}, {0}, {0}]
