"""The strategy brute-force misses no sequence that is clearly correct."""

from collections import Counter
from fractions import Fraction
from pathlib import Path

from hypothesis import given, settings

from tests.support.checking import prove, verdict
from tests.support.generators import TinyModel, margins, models
from tests.support.oracle import Oracle
from tests.support.quick_and_slow import quick_and_slow


@quick_and_slow(100, 2500)
def test_brute_force_finds_every_clearly_correct_sequence(run: settings, workspace: Path) -> None:
    """`Oracle.is_clear` states which sequences the search may not miss. When all correct ones are clear, the certified
    number is the true one."""
    seen: Counter[str] = Counter()

    @run
    @given(model=models(), margin=margins())
    def found(model: TinyModel, margin: Fraction) -> None:
        path = model.write(workspace / "model")
        truth = Oracle(path).truth(margin)
        certified = verdict(path, prove(path, "brute-force", margin)).correct
        assert truth.clear <= certified <= truth.correct
        seen["cases"] += 1
        seen["all clear"] += truth.clear == truth.correct
        seen["with ties"] += truth.ties > 0

    found()
    print(f"\nbrute-force: {dict(seen)}")
    assert seen["all clear"] > 0.6 * seen["cases"]
    assert seen["with ties"] > 0
