"""What a class of wrong tokens gains on the maximum: a bound for each of them, at any position, token and query."""

import random
from fractions import Fraction
from itertools import product

from checker.lemmas.gains import gain_bounds
from checker.lemmas.separation import Numerators
from tests.support.derivations import Derivation
from tests.support.one_rule import drawn


def test_no_wrong_token_gains_more() -> None:
    seen = 0
    for seed in range(30):
        rng, model = random.Random(seed), drawn(seed)
        meaning, exponent = model.meaning, rng.choice([-40, -8, 0])
        problem = Derivation(model.path, meaning.margin).problem
        tables, unit = Numerators(problem, exponent, 16), Fraction(2) ** exponent
        m = rng.randrange(meaning.v)
        wrong = [y for y in range(meaning.v) if y != m and rng.random() < 0.7]
        pools = [[p for p in range(meaning.k) if p % 2 == part] for part in range(2)]
        pools = [pool for pool in pools if pool]
        if not wrong:
            continue
        gains = gain_bounds(tables, m, wrong, list(range(m + 1)), pools)
        tokens = range(m + 1)
        for part, y, q, t in product(range(len(pools)), wrong, tokens, tokens):
            bound = (gains.of_token[part][t] + gains.of_query[q]) * unit
            for p in pools[part]:
                ahead, behind = (meaning.EUPU[q, z] + meaning.EVOU[t, z] + meaning.PVOU[p, z] for z in (y, m))
                assert ahead - behind + meaning.margin <= bound, seed
                seen += 1
    assert seen > 500
