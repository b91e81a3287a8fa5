"""two-sided: accepted, true on both sides, and close."""

from collections import Counter
from fractions import Fraction
from pathlib import Path

from hypothesis import example, given, settings

from tests.support.checking import prove, verdict
from tests.support.generators import KINDS, SEEDS, TinyModel, margins, models, trained_looking
from tests.support.oracle import Oracle
from tests.support.quick_and_slow import quick_and_slow
from tests.support.tiny import zero_tensors


@quick_and_slow(60)
def test_both_bounds_are_accepted_and_true(run: settings, workspace: Path) -> None:
    """On any tiny model: the checker derives what the search claims, and the truth lies between."""
    seen: Counter[str] = Counter()

    @run
    @example(model=TinyModel("lattice", "F64", zero_tensors(3, 3, 1, 1)), margin=Fraction(0))  # nothing but ties
    @given(model=models(KINDS) | SEEDS.map(trained_looking), margin=margins())
    def true(model: TinyModel, margin: Fraction) -> None:
        path = model.write(workspace / "model")
        truth = Oracle(path).truth(margin)
        statement = prove(path, "two-sided", margin)
        found, claim = verdict(path, statement), statement["predicate"]["claim"]
        assert found.correct == claim["correct"] <= truth.correct
        assert found.wrong == claim["wrong"] <= truth.total - truth.correct
        seen["cases"] += 1
        seen["some correct"] += found.correct > 0
        seen["some wrong"] += found.wrong > 0
        seen["both exact"] += found.correct + found.wrong == truth.total

    true()
    # tiny models are mostly decided as a whole, on either side
    assert seen["some wrong"] > seen["cases"] // 4
    assert seen["both exact"] > seen["cases"] // 2
