"""Attention weights from scores that are stated too high or too low."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from flint import arb
from hypothesis import given, settings
from hypothesis import strategies as st

from checker.arithmetic.enclosures import Enclosure
from checker.lemmas.query_weights import QueryWeights, hull
from tests.support.derivations import Derivation, Meaning, ball
from tests.support.generators import TinyModel, models
from tests.support.oracle import precision
from tests.support.quick_and_slow import quick_and_slow
from tests.support.regions import some_scores
from tests.support.tiny import near_correct, tiny_model


def encloses(ends: Sequence[tuple[int, int]], values: list[arb]) -> bool:
    """Is there a factor C > 0 with low <= C value <= high for all of them? Not refuted with 300 bits."""
    least = [arb(low) / value for (low, _), value in zip(ends, values, strict=True)]
    most = [arb(high) / value for (_, high), value in zip(ends, values, strict=True)]
    return not any(low > high for low, high in product(least, most))


@quick_and_slow(150)
def test_weights_of_a_pair_hold_the_true_ones(run: settings, workspace: Path) -> None:
    """Up to one factor, for the tokens up to m and for the positions; and most often hardly more than the true ones
    when the scores are exact."""
    seen: Counter[str] = Counter()

    @run
    @given(
        model=models(("normal", "near", "ramp", "lattice", "wild")),
        bits=st.integers(8, 12) | st.integers(8, 80) | st.just(400),
        data=st.data(),
    )
    def held(model: TinyModel, bits: int, data: st.DataObject) -> None:
        derivation = Derivation(model.write(workspace / "model"))
        scores = derivation.facts[some_scores(derivation, data.draw)]
        weights = QueryWeights(derivation.problem, scores, bits)
        meaning = Meaning(model.tensors)
        with precision(300):
            root = arb(meaning.h).sqrt()
            for m in range(meaning.v):
                for q in range(m + 1):
                    positions, tokens = weights.of_pair(q, m)
                    tables = (meaning.token_scores[q][: m + 1], meaning.position_scores[q])
                    true = [[(ball(x - max(row)) / root).exp() for x in row] for row in tables]
                    assert all(0 <= low <= high and high > 0 for low, high in positions + tokens)
                    assert encloses(tokens, true[0])
                    assert encloses(positions, true[1])
                    both = [(a * c, b * d) for (a, b), (c, d) in product(positions, tokens)]
                    assert encloses(both, [x * y for y, x in product(true[1], true[0])])
                    assert max(high for _, high in tokens) <= 1 << bits
                    seen["cases"] += 1
                    seen["no lower end is zero"] += all(low > 0 for low, _ in both)

    held()
    print(f"\nweights: {dict(seen)}")
    assert seen["no lower end is zero"] > 0.2 * seen["cases"]


def test_weights_are_as_far_apart_as_the_errors_of_scores_say(workspace: Path) -> None:
    """Of scores that may be off by e, beside the weight of the maximum; the others are from exp(-e) to exp(e)."""
    tensors, bits = near_correct(np.random.default_rng(0), 3, 3, biases=True), 30
    derivation = Derivation(tiny_model(workspace / "model", tensors))
    exact = derivation.facts[derivation.step("score_exact", [], {})]
    unit = 2.0**exact.exponent
    errors = tuple(round(error / unit) for error in (0, 1 / 3, 5 / 2))
    weights = QueryWeights(derivation.problem, replace(exact, error=errors), bits)
    root = math.sqrt(derivation.problem.circuits.h)
    for m in range(3):
        for q in range(m + 1):
            positions, tokens = weights.of_pair(q, m)
            assert all(high - low <= 3 for low, high in positions)
            for t, ends in enumerate(tokens):
                error = 0 if t == m else errors[q] * unit / root
                score = (exact.kept[q][t] - exact.kept[q][m]) * unit / root
                for end, sign in zip(ends, (-1, 1), strict=True):
                    assert end / tokens[m].high == pytest.approx(math.exp(score + sign * error), rel=1e-4)


def test_a_hull_holds_all_and_no_more() -> None:
    assert hull([Enclosure(3, 4), Enclosure(2, 5), Enclosure(2, 3)]) == (2, 5)
    assert hull([Enclosure(1, 3), Enclosure(2, 6), Enclosure(4, 5)]) == (1, 6)
