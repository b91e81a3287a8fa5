"""Lanes of the wrong tokens that can reach the maximum."""

import random
from collections import Counter
from fractions import Fraction
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checker.arithmetic.enclosures import Enclosure
from checker.budget import Budget
from checker.lemmas.rivals import Rivals, largest_sum
from checker.lemmas.separation import Numerators
from tests.support.derivations import Derivation, Meaning
from tests.support.generators import TinyModel, margins, models
from tests.support.oracle import Oracle
from tests.support.quick_and_slow import quick_and_slow
from tests.support.regions import all_pairs, branched, coarse
from tests.support.tiny import tiny_model, zero_tensors


def sequences_of(q: int, m: int, k: int) -> list[tuple[int, ...]]:
    """Those with query q and maximum m."""
    return [(*x, q) for x in product(range(m + 1), repeat=k - 1) if m in (*x, q)]


@quick_and_slow(60)
def test_rivals_enclose_every_numerator(run: settings, workspace: Path) -> None:
    """For one position, token and rival: a bound is at least F for any weight in its enclosure, and at most the doubt
    above; no rival is left out that can reach m; the doubt of a sequence, taken off its lanes, borrows from none."""
    seen: Counter[str] = Counter()

    @run
    @given(model=models(most_tokens=3, longest=4), margin=margins(), data=st.data())
    def bounded(model: TinyModel, margin: Fraction, data: st.DataObject) -> None:
        problem = Derivation(model.write(workspace / "model"), margin).problem
        args = data.draw(coarse() | st.fixed_dictionaries({"exponent": st.integers(-8, 1 << 12), "bits": st.just(8)}))
        tables, meaning = Numerators(problem, args["exponent"], args["bits"]), Meaning(model.tensors, margin)
        v, k, unit = problem.v, problem.k, Fraction(2) ** args["exponent"]
        for q, m in all_pairs(v, k):
            rivals, weights = Rivals(tables, q, m), tables.weights(q, m, range(m + 1))
            F: dict[tuple[int, int, int], list[Fraction]] = {}
            for p, t, y in product(range(k), range(m + 1), range(v)):
                lead = [meaning.EUPU[q, z] + meaning.EVOU[t, z] + meaning.PVOU[p, z] for z in (y, m)]
                F[p, t, y] = [(lead[0] - lead[1] + margin) / unit * end for end in weights[p][t]]
            for y in set(range(v)) - {m} - set(rivals.bounds):
                assert all(sum(max(F[p, t, y]) for p, t in enumerate(x)) < 0 for x in sequences_of(q, m, k))
            for y, table in rivals.bounds.items():
                reach = [sum(table[p][t] for p, t in enumerate(x)) for x in sequences_of(q, m, k)]
                assert max(reach, default=0) >= 0  # or it would need no lane
                for p, t in product(range(k), range(m + 1)):
                    bound = table[p][t]
                    assert max(F[p, t, y]) <= bound <= min(F[p, t, y]) + rivals.doubt[p][t]
                    assert 0 <= bound + rivals.offset <= 2 * rivals.offset
            for others in product(range(m + 1), repeat=min(k - 1, 2)):
                x = (*others, *[m] * (k - 1 - len(others)))
                total = rivals.start + sum(rivals.terms[p][t] for p, t in enumerate(x))
                doubt = sum(rivals.doubt[p][t] for p, t in enumerate((*x, q)))
                lanes = [total >> rivals.width * i & (1 << rivals.width) - 1 for i in range(len(rivals.bounds))]
                assert total >> rivals.width * len(lanes) == 0
                for lane, bounds in zip(lanes, rivals.bounds.values(), strict=True):
                    assert lane - (1 << rivals.width - 1) == sum(bounds[p][t] for p, t in enumerate((*x, q)))
                    assert 0 <= doubt <= lane
                seen["lanes"] += len(lanes)

    bounded()
    assert seen["lanes"] > 300


def test_a_doubt_larger_than_the_numerators_borrows_from_no_lane(workspace: Path) -> None:
    """Five positions of full weight, tables that round up to 0: the doubt, 7 x 5, is more than 2 k offsets, 6 x 5, and
    more than the next power of two, 32."""
    path = tiny_model(workspace / "five", zero_tensors(2, 5, 1, 1, b_U=[-0.5, 0]))
    (count,) = branched(path, [(0, 1)], exponent=0, bits=8).counts
    assert count == (1, 1, 15, 0, 0)
    (count,) = branched(path, [(0, 1)], exponent=-8, bits=8).counts
    assert count == (1, 1, 15, 15, 0)
    assert Oracle(path).truth(0).correct == 31  # all but (0, 0, 0, 0, 0)


@pytest.mark.parametrize("scores", [[0, 0, 0], [0, 0, 8], [8, 0, 0], [0, 8, 0]])
def test_doubts_of_all_positions_are_taken_off_and_no_less_than_seven(scores: list[int], workspace: Path) -> None:
    """Every rounding goes the wrong way, by nearly 1: bounds add up to 6 for each position where F is below 0. So
    nothing is correct as far as bounds tell, and nothing is wrong, though a doubt of 6 would have left 0. The doubt of
    a position is as large as its weight."""
    tensors = zero_tensors(
        *(2, 3, 2, 1),
        W_E=[[1, 0], [1, 0]],
        W_pos=[[1, score] for score in scores],
        b_Q=1,
        W_K=[0, 1],
        W_V=[1, 0],
        W_O=[1, 0],
        W_U=[[1 / 64, 63 / 64], [0, 0]],
        b_U=[2, -1],
    )
    path = tiny_model(workspace / "rounded", tensors)
    margin = Fraction(1, 64)
    assert Oracle(path).truth(margin).correct == 7  # all whose maximum is 1
    (count,) = branched(path, [(1, 1)], margin, exponent=0, bits=8).counts
    assert count == (1, 2, 7, 0, 0)
    (count,) = branched(path, [(1, 1)], margin, exponent=-6, bits=8).counts
    assert count == (1, 2, 7, 4, 0)


def test_the_largest_sum_is_that_of_a_sequence_of_the_pair() -> None:
    rng = random.Random(0)
    for m, k in product(range(3), range(1, 4)):
        for q in range(m if k == 1 else 0, m + 1):
            for _ in range(20):
                bounds = [[rng.randint(-9, 9) for _ in range(m + 1)] for _ in range(k)]
                sums = [sum(bounds[p][t] for p, t in enumerate(x)) for x in sequences_of(q, m, k)]
                assert largest_sum(bounds, q, m) == max(sums)


@pytest.mark.parametrize("k", range(1, 10))
def test_lanes_hold_the_largest_bounds_and_doubts(k: int) -> None:
    """As far below 0 as values get, with weights of which nothing is known; and above."""
    bits, bound = 8, 3
    for sign, ends in product((-1, 1), (Enclosure(0, 1 << bits), Enclosure(1 << bits, 1 << bits))):
        upper = [[[0, sign * bound, 0, sign * bound]] * 4, [[0, 0, 0, 0]] * 4, [[0, 0, 0, 0]] * k]
        tables: Any = SimpleNamespace(
            problem=SimpleNamespace(k=k, v=4, budget=Budget(1 << 30)),
            bits=bits,
            bound=bound,
            upper=upper,
            weights=lambda q, m, tokens, ends=ends: [[ends for _ in tokens] for _ in range(k)],
            of_maximum=lambda q, m, p, t: 0,
        )
        rivals = Rivals(tables, 2, 2)
        value = max(sign * bound * end for end in ends)
        assert rivals.doubt == [[7 * ends.high + (ends.high - ends.low) * bound] * 3] * k
        assert list(rivals.bounds) == [y for y in (0, 1, 3) if y == 0 or value >= 0]
        total, doubt = rivals.start + sum(row[0] for row in rivals.terms[:-1]), k * rivals.doubt[0][0]
        for less in (0, doubt):
            lanes = total - less * rivals.ones
            for y in rivals.bounds:
                lane = lanes & (1 << rivals.width) - 1
                assert lane - (1 << rivals.width - 1) == (0 if y == 0 else k * value) - less
                lanes >>= rivals.width
            assert lanes == 0
        assert rivals.reaching(total) == list(rivals.bounds)
        for y in rivals.bounds:
            below = total - (1 + k * max(value, 0) * (y > 0) << rivals.width * list(rivals.bounds).index(y))
            assert rivals.reaching(below) == [other for other in rivals.bounds if other != y]
