"""Every strategy: accepted, true, and monotone in the margin. `pytest -s` prints how often what happened."""

from collections import Counter
from fractions import Fraction
from pathlib import Path

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from certgen.strategies import STRATEGIES
from checker.kernel import Verdict
from tests.support.checking import PLAIN, outcome, prove, verdict
from tests.support.generators import KINDS, TinyModel, margins, models
from tests.support.oracle import Oracle
from tests.support.quick_and_slow import quick_and_slow


def names_for(model: TinyModel) -> list[str]:
    """The strategies for a kind of model: searches for hints in float64 are not for numbers of size 1e300."""
    return [name for name in sorted(STRATEGIES) if name in PLAIN or model.kind != "extreme"]


@st.composite
def strategy_names(draw: st.DrawFn, model: TinyModel) -> str:
    return draw(st.sampled_from(PLAIN) | st.sampled_from(names_for(model)))


@quick_and_slow(80, 2000)
def test_every_strategy_proves_something_true(run: settings, workspace: Path) -> None:
    """Accepted, and the certified number is at most the true one."""
    seen: Counter[str] = Counter()

    @run
    @given(model=st.one_of([models([kind]) for kind in KINDS]), margin=margins(), data=st.data())
    def true(model: TinyModel, margin: Fraction, data: st.DataObject) -> None:
        path = model.write(workspace / "model")
        truth = Oracle(path).truth(margin)
        names = names_for(model)
        if len(names) > 6:
            others = data.draw(st.lists(st.sampled_from(names), min_size=3, max_size=3))
            names = [PLAIN[truth.correct % 2], *others]
        for name in names:
            statement = prove(path, name, margin)
            result = verdict(path, statement)
            assert result.correct == statement["predicate"]["claim"]["correct"] <= truth.correct
            assert result.wrong == statement["predicate"]["claim"]["wrong"] <= truth.total - truth.correct
            assert result.total == truth.total
            assert Fraction(*result.margin) == margin
            seen["cases"] += 1
            seen["0 < certified"] += result.correct > 0
            seen["0 < certified < truth"] += 0 < result.correct < truth.correct
            seen["certified = truth > 0"] += 0 < result.correct == truth.correct
            seen[f"kind {model.kind}"] += 1

    true()
    print(f"\nstrategies: {dict(seen)}")
    assert seen["0 < certified"] > 0.3 * seen["cases"]
    assert all(seen[f"kind {kind}"] for kind in KINDS)


@quick_and_slow(80, 2000)
def test_a_larger_margin_never_certifies_more(run: settings, workspace: Path) -> None:
    """For margins a thousandth of the logits apart; closer ones may be rounded to different units."""
    less = 0

    @run
    @given(
        model=models(("normal", "near", "ramp", "lattice", "drawn")),
        pair=st.tuples(margins(), margins()),
        data=st.data(),
    )
    def monotone(model: TinyModel, pair: tuple[Fraction, Fraction], data: st.DataObject) -> None:
        nonlocal less
        name = data.draw(strategy_names(model))
        path = model.write(workspace / "model")
        small, large = sorted(pair)
        scale = Oracle(path).scale
        assume(large - small > Fraction(int(scale.p), int(scale.q)) / 1000)
        certified = [verdict(path, prove(path, name, margin)).correct for margin in (small, large)]
        assert certified[0] >= certified[1]
        less += certified[0] > certified[1]

    monotone()
    assert less > 10


@quick_and_slow(80, 2000)
def test_a_certificate_moved_to_another_margin(run: settings, workspace: Path) -> None:
    """A smaller margin: still accepted, since every bound stated for the larger one holds. A larger one: still true."""
    seen: Counter[str] = Counter()

    @run
    @given(model=models(), margin=margins(), other=margins(), data=st.data())
    def moved(model: TinyModel, margin: Fraction, other: Fraction, data: st.DataObject) -> None:
        path = model.write(workspace / "model")
        statement = prove(path, data.draw(strategy_names(model)), margin)
        statement["predicate"]["margin"] = str(other)
        result = outcome(path, statement)
        if other <= margin:
            assert isinstance(result, Verdict), str(result)
        if isinstance(result, Verdict):
            assert Fraction(*result.margin) == other
            assert result.correct <= Oracle(path).truth(other).correct
        seen[f"{'smaller' if other <= margin else 'larger'}: {type(result).__name__}"] += 1

    moved()
    print(f"\nmoved to another margin: {dict(seen)}")
    assert seen["larger: Rejected"] > 1
