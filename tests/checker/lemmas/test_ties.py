"""Exact ties."""

from collections import Counter
from fractions import Fraction
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checker.lemmas.ties import tied
from tests.support.derivations import Derivation, Meaning
from tests.support.generators import Sizes, tensors_of
from tests.support.oracle import Oracle
from tests.support.quick_and_slow import quick_and_slow
from tests.support.regions import branched
from tests.support.tiny import tiny_model, zero_tensors

Sequence = tuple[int, ...]


def is_tied(meaning: Meaning, x: Sequence, y: int) -> bool:
    """The coefficients of equal exponents, all zero; in fractions and from the definition of the model."""
    m, q = max(x), x[-1]
    sums: dict[Fraction, Fraction] = {}
    for p, t in enumerate(x):
        score = meaning.token_scores[q][t] + meaning.position_scores[q][p]
        lead = [meaning.EUPU[q, z] + meaning.EVOU[t, z] + meaning.PVOU[p, z] for z in (y, m)]
        sums[score] = sums.get(score, Fraction(0)) + lead[0] - lead[1] + meaning.margin
    return all(value == 0 for value in sums.values())


@quick_and_slow(150)
def test_ties_are_what_grouping_equal_scores_says(run: settings, workspace: Path) -> None:
    """Every sequence and wrong token of models full of ties, some with equal scores everywhere."""
    seen: Counter[str] = Counter()

    @run
    @given(
        v=st.integers(1, 3),
        k=st.integers(1, 4),
        seed=st.integers(0, 2**32 - 1),
        margin=st.sampled_from([Fraction(0), Fraction(0), Fraction(1), Fraction(1, 3), Fraction(2)]),
        uniform=st.booleans(),
    )
    def grouped(v: int, k: int, seed: int, margin: Fraction, uniform: bool) -> None:
        tensors = tensors_of("lattice", Sizes(v, k, 2, 2), seed)
        if uniform:
            tensors |= {name: 0 * x for name, x in tensors.items() if name.endswith(("W_Q", "b_Q"))}
        problem = Derivation(tiny_model(workspace / "model", tensors), margin).problem
        meaning = Meaning(tensors, margin)
        for x in product(range(v), repeat=k):
            for y in set(range(v)) - {max(x)}:
                expected = is_tied(meaning, x, y)
                assert tied(problem, x, max(x), y) == expected
                seen["tied" if expected else "not tied"] += 1
                seen["tied, by more than one score"] += (
                    expected and len({meaning.token_scores[x[-1]][t] for t in x}) > 1
                )

    grouped()
    print(f"\nties: {dict(seen)}")
    assert all(seen[kind] > 20 for kind in ("tied", "not tied", "tied, by more than one score"))


@pytest.mark.parametrize("score", [-1, 0, 1])
def test_a_sum_of_zero_is_a_tie_only_if_scores_are_equal(score: int, workspace: Path) -> None:
    """Tokens -1 and 1 that write -1 and 1 for the larger one; the sequence (1, 0) is decided by attention alone, by so
    little that a few bits do not tell."""
    tensors = zero_tensors(2, 2, 1, 1, W_E=[-1, 1], W_K=[1], b_Q=[score * 2.0**-30], W_V=[1], W_O=[1], W_U=[0, 1])
    # the direct path would favour token 1 over 0 by -1 for query 0; a bias makes up for it
    tensors["unembed.b_U"][:] = [0, 1]
    path = tiny_model(workspace / "zero-sum", tensors)
    (count,) = branched(path, [(0, 1)], bits=8, exponent=-4).counts
    assert tied(Derivation(path).problem, (1, 0), 1, 0) == (score == 0)
    assert ((1, 0) in Oracle(path).correct_sequences()) == (score > 0)
    assert count[3:] == (0, int(score == 0))
    (count,) = branched(path, [(0, 1)], bits=60, exponent=-60).counts
    assert count[3:] == (int(score > 0), int(score <= 0))


@pytest.mark.parametrize("margin", [0, 1, 2**90])
def test_ties_of_logits_in_a_unit_above_one(margin: int, workspace: Path) -> None:
    """Every weight is 2^60: no table has a unit below 1, and the logits of all outputs are equal."""
    tensors = {name: np.full_like(x, 2.0**60) for name, x in zero_tensors(2, 2, 1, 1).items()}
    problem = Derivation(tiny_model(workspace / "huge", tensors), Fraction(margin)).problem
    assert problem.circuits.EUPU.exponent > 0
    assert tied(problem, (1, 0), 1, 0) == (margin == 0)
