"""What wrong tokens gain on the maximum: bounds for each of them, at any position, token and query."""

import random
from fractions import Fraction
from itertools import product
from typing import NamedTuple

from checker.arithmetic.enclosures import Enclosure
from checker.arithmetic.packing import members
from checker.lemmas.gains import Weights, gain_bounds, largest_products, least_gains
from checker.lemmas.paths import pairs
from checker.lemmas.separation import Numerators
from tests.support.derivations import Derivation, Meaning, mask_of
from tests.support.groups import partition
from tests.support.one_rule import drawn


class Drawn(NamedTuple):
    """A model, a maximum, pools whose last one is that of the query, and weights between any two ends."""

    rng: random.Random
    meaning: Meaning
    tables: Numerators
    unit: Fraction
    m: int
    pools: list[list[int]]
    weights: Weights


def drawn_case(seed: int) -> Drawn:
    rng, model = random.Random(seed), drawn(seed)
    meaning, exponent = model.meaning, rng.choice([-40, -8, 0])
    tables = Numerators(Derivation(model.path, meaning.margin).problem, exponent, 16)
    m = rng.randrange(meaning.v)
    pools = [list(members(pool)) for pool in partition(rng, list(range(meaning.k - 1)))]
    pools.append([meaning.k - 1])
    weights: Weights = {
        q: [
            pairs([Enclosure(low, low + rng.choice([0, 1, 70])) for low in rng.choices([0, 1, 9, 1 << 20], k=tokens)])
            for tokens in [*[m + 1 for _ in pools[1:]], 1]
        ]
        for q in range(m + 1)
    }
    return Drawn(rng, meaning, tables, Fraction(2) ** exponent, m, pools, weights)


def gain(meaning: Meaning, q: int, p: int, t: int, y: int, m: int) -> Fraction:
    """V_p(t)."""
    ahead, behind = (meaning.EUPU[q, z] + meaning.EVOU[t, z] + meaning.PVOU[p, z] for z in (y, m))
    return Fraction(ahead - behind + meaning.margin)


def test_the_largest_product_is_at_one_of_the_ends() -> None:
    factors = [-3, -2, -1, 0, 1, 2]
    lows, highs = (0, 1, 2, 3, 4, 5), (7, 3, 9, 8, 6, 5)
    expected = [max(x * low, x * high) for x, low, high in zip(factors, lows, highs, strict=True)]
    assert largest_products(factors, (lows, highs)) == expected


def test_no_wrong_token_gains_more() -> None:
    """A factor multiplies all that its token gains, and weights only widen the bound."""
    seen = 0
    for seed in range(45):
        rng, meaning, tables, unit, m, pools, weights = drawn_case(seed)
        wrong = [y for y in range(meaning.v) if y != m and rng.random() < 0.7]
        if not wrong:
            continue
        factors = [rng.choice([1, 2, rng.randint(1, 50), 1 << 99]) for _ in wrong if seed % 3]
        gains = gain_bounds(tables, m, (mask_of(wrong), *factors), list(range(m + 1)), pools)
        block = rng.sample(range(m + 1), rng.randint(1, m + 1))
        worst = gains.worst(weights, block)
        tokens = range(m + 1)
        for i, (at, y), q, t in product(range(len(pools)), enumerate(wrong), tokens, tokens):
            for p in pools[i]:
                most = gain(meaning, q, p, t, y, m) * (factors[at] if factors else 1)
                assert most <= (gains.of_token[i][t] + gains.of_query[q]) * unit, seed
                if q in block and (p < meaning.k - 1 or t == q):
                    weight = [ends[t if p < meaning.k - 1 else 0] for ends in weights[q][i]]
                    bound = worst[i][t if p < meaning.k - 1 else block.index(q)]
                    assert max(end * most for end in weight) <= bound * unit, seed
                    seen += 1
    assert seen > 500


def test_without_factors_is_with_equal_ones() -> None:
    for seed in range(12):
        rng, meaning, tables, _, m, pools, _ = drawn_case(seed)
        wrong = mask_of(y for y in range(meaning.v) if y != m)
        if not wrong:
            continue
        factor = rng.choice([1, 3, 1 << 70])
        plain, gauged = (
            gain_bounds(tables, m, (wrong, *[factor] * count), list(range(m + 1)), pools)
            for count in (0, wrong.bit_count())
        )
        assert [[x * factor for x in row] for row in plain.of_token] == gauged.of_token
        assert {q: x * factor for q, x in plain.of_query.items()} == gauged.of_query


def test_a_wrong_token_gains_no_less() -> None:
    """And hardly more, where weights are known and numbers of the model are not rounded."""
    seen = 0
    for seed in range(45):
        rng, meaning, tables, unit, m, pools, weights = drawn_case(seed)
        others = [y for y in range(meaning.v) if y != m]
        if not others:
            continue
        q, y = rng.randrange(m + 1), rng.choice(others)
        found = least_gains(tables, m, y, weights, q, pools)
        assert [len(row) for row in found] == [*[m + 1 for _ in pools[1:]], 1]
        for i, (row, pool) in enumerate(zip(found, pools, strict=True)):
            low, high = weights[q][i]
            for at, least in enumerate(row):
                t = at if i < len(pools) - 1 else q
                true = [gain(meaning, q, p, t, y, m) * end for p in pool for end in (low[at], high[at])]
                assert least * unit <= min(true), seed
                # seven ends are rounded by less than a unit each
                assert min(true) <= (least + 7 * high[at]) * unit, seed
                seen += 1
    assert seen > 100
