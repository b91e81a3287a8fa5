"""Splitting the scores: whatever the projectors, what is kept and what is left add up to the scores exactly."""

import random

import pytest

from checker.arithmetic.matrices import Matrix, chain
from checker.errors import Rejected
from checker.facts import ScoreApproximation
from checker.lemmas.splitting import approximation, decode_peels, split_scores
from tests.support.derivations import Derivation, fractions
from tests.support.hints import any_peel
from tests.support.one_rule import drawn


@pytest.mark.parametrize("four", [False, True])
def test_the_split_is_exact(four: bool) -> None:
    for seed in range(20):
        rng, model = random.Random(seed), drawn(seed)
        proof = Derivation(model.path)
        d, h = proof.weights.sizes["d_model"], proof.weights.sizes["d_head"]
        peels = decode_peels([any_peel(rng, size) for size in ((d, h, d, d) if four else (d,))], "")
        kept, factors = split_scores(proof.problem, peels)
        residual = chain(factors)
        total = fractions(kept.rows, kept.exponent) + fractions(residual.rows, residual.exponent)
        assert (total == model.meaning.token_scores).all(), seed


@pytest.mark.parametrize("count", [0, 2, 3, 5])
def test_one_or_four_projectors(count: int) -> None:
    proof = Derivation(drawn(0).path)
    d = proof.weights.sizes["d_model"]
    peels = decode_peels([any_peel(random.Random(0), d) for _ in range(count)], "")
    with pytest.raises(Rejected) as caught:
        split_scores(proof.problem, peels)
    assert (caught.value.code, caught.value.path) == ("wrong-shape", "args.peels")


def test_scores_and_errors_are_stated_in_the_finer_unit() -> None:
    assert approximation(Matrix([[1, 2]], 3), [5], 0) == ScoreApproximation(0, ((8, 16),), (5,))
    assert approximation(Matrix([[1, 2]], 0), [5], 3) == ScoreApproximation(0, ((1, 2),), (40,))
