"""Attention weights from scores that are stated too high or too low."""

from collections import Counter
from collections.abc import Sequence
from itertools import product
from pathlib import Path

from flint import arb
from hypothesis import given, settings
from hypothesis import strategies as st

from checker.lemmas.query_weights import QueryWeights
from tests.support.derivations import Derivation, Meaning, ball
from tests.support.generators import TinyModel, models
from tests.support.oracle import precision
from tests.support.quick_and_slow import quick_and_slow
from tests.support.regions import some_scores


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
