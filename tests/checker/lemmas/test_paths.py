"""Worst sums and counts over a region, against every input of it."""

import random
from itertools import product
from math import prod

import pytest

from checker.arithmetic.balls import TooCoarse
from checker.arithmetic.enclosures import Enclosure
from checker.errors import Rejected
from checker.lemmas.paths import (
    Table,
    Weights,
    labels_of,
    lanes_of,
    longest,
    pairs,
    require_means,
    require_valid,
    weight_of,
)
from checker.lemmas.reaching import joint, reaching
from checker.model.weights import read_weights
from checker.problem import Problem
from checker.problem.problem_file import decode_problem
from checker.problem.regions import Group, Layer, Region, decode_groups, regions_of
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


def any_tokens(count: int, length: int) -> Region:
    """Any of so many tokens at each of so many positions; of no problem."""
    return Region(0, Group(0, 0, (), (), (), ()), 0, [Layer({0: list(range(count))}, {0: [(0, 0)]})] * length)


def means_are_bounded(region: Region, gains: list[Table], weights: list[dict[int, int]], bounds: list[int]) -> bool:
    """Whether that is granted, of exact weights."""
    bits = max(max(row.values()) for row in weights).bit_length()
    exact = by_symbol(region, [{t: Enclosure(w, w) for t, w in row.items()} for row in weights])
    try:
        require_means(region, lanes_of(tuple(gains), bits), exact, bounds)
    except Rejected:
        return False
    return True


def test_means_side_by_side_are_each_by_itself() -> None:
    """Three tables at once, with sums that are 0 or a unit above or below it."""
    rng, region, granted = random.Random(0), any_tokens(2, 2), 0
    for _ in range(400):
        gains = [[{t: rng.randint(-2, 2) for t in range(2)} for _ in range(2)] for _ in range(3)]
        weights = [{t: rng.randint(1, 2) for t in range(2)} for _ in range(2)]
        bounds = [rng.randint(0, 2) for _ in range(3)]
        worst = max(
            sum(weights[p][t] * (table[p][t] - bound) for p, t in enumerate(x))
            for table, bound in zip(gains, bounds, strict=True)
            for x in product(range(2), repeat=2)
        )
        assert means_are_bounded(region, gains, weights, bounds) == (worst <= 0)
        granted += worst <= 0
    assert 100 < granted < 300, granted


@pytest.mark.parametrize("length", [1, 2, 7, 8, 40])
def test_a_lane_holds_the_largest_sum(length: int) -> None:
    """All entries as large as they get, with the largest weights, on either side of 0 and in either lane."""
    region, size = any_tokens(2, length), 7
    high, low = ([{0: sign * size, 1: -size} for _ in range(length)] for sign in (1, -1))
    weights = [dict.fromkeys(range(2), 1 << 5) for _ in range(length)]
    for tables in ([high, low], [low, high], [high, high], [low, low]):
        for bounds in ([-size - 1] * 2, [size - 1] * 2, [size] * 2, [size, -size], [-size, size]):
            true = all((size if table is high else -size) <= b for table, b in zip(tables, bounds, strict=True))
            assert means_are_bounded(region, tables, weights, bounds) == true


@pytest.mark.parametrize("readout", [0, 1, 2])
def test_queries_are_tokens_where_the_logits_are_read(readout: int) -> None:
    """1 and 2 at the first position, 0 and 1 at the second, 0 and 2 at the third. Labels weigh what their inputs do."""
    stated: Json = {
        "inputs": [{"tokens": [1, 2], "weights": [3, 5]}, {"tokens": [0, 1]}, {"tokens": [0, 2], "weights": [7, 1]}],
        "label": {"name": "first"},
        "readout": readout,
    }
    asked = Problem(read_weights(layer_case(0, stated, 3, 3).data), decode_problem(stated, ""), (0, 1), 1 << 25)
    for query in range(3):
        group = Group(1, 1 << query, (4,), (0, 0, 0), ((0,),), (-1,))
        if query in asked.choices[readout]:
            require_valid(asked, group)
            own = {t: w for t, w in asked.choices[0].items() if readout or t == query}
            rest = [asked.choices[p] if p != readout else {query: asked.choices[p][query]} for p in (1, 2)]
            others = prod(sum(row.values()) for row in rest)
            assert sorted(labels_of(asked, group)[0].values()) == sorted(w * others for w in own.values())
            for change in ({"queries": 0}, {"rivals": (0,)}, {"rivals": (8,)}, {"label": -1}, {"symbols": (0, 0, -1)}):
                with pytest.raises(Rejected, match=r"no-such-region|bad-automaton"):
                    require_valid(asked, group._replace(**change))
        else:
            with pytest.raises(Rejected, match="no-such-region"):
                require_valid(asked, group)


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


def test_no_mean_without_weight() -> None:
    """Of two heads, one may put no weight on anything that is read: of its mean nothing is known."""
    region, gains = any_tokens(1, 2), [{0: 1}, {0: 1}]
    heavy, light = (by_symbol(region, [{0: Enclosure(low, 1)}] * 2) for low in (1, 0))
    assert joint(region, 0, [gains, gains], [heavy, heavy], (0, 0))
    for weights in ([heavy, light], [light, heavy]):
        with pytest.raises(TooCoarse):
            joint(region, 0, [gains, gains], weights, (0, 0))


def test_inputs_that_lose_more_than_there_are_lanes_are_not_counted() -> None:
    """However much: a number is not shifted by more than all lanes."""
    asked = problem()
    for far in (1, 2, 10**40):
        table = [{0: 0, 1: -far, 2: -far, 3: -far}, {1: 0, 3: -far}, {1: 0, 2: 0, 3: 0}]
        (group,) = decode_groups(
            [{"label": 0, "queries": 14, "rivals": [2], "symbols": [0] * 4, "next": [[0]], "parts": [0]}], ""
        )
        for region in regions_of(asked, (group,)):
            weight = asked.choices[2][region.query]
            assert reaching(asked, region, table, weight_of(asked, region), 1) == weight
