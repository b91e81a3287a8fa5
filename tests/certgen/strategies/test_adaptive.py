"""The strategy adaptive: true within every limit, no longer than it may be, and what a refinement says is what it does.

`pytest -s` prints how often what happened.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from math import inf
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from certgen import load_model, prove
from certgen.bounds.scores import SCORE_ERRORS
from certgen.counts.gains import Maximum, SeparableSearch
from certgen.counts.refinement import Search, Stage
from certgen.counts.units import Branched, UnitsOfMaximum
from certgen.errors import UserError
from certgen.length import length_of
from certgen.models.circuits import Circuits
from certgen.progress import Item
from certgen.strategies.adaptive import Proofs, written
from tests.support.checking import verdict
from tests.support.generators import Sizes, TinyModel, margins, models, tensors_of, trained_looking
from tests.support.oracle import Oracle, Truth
from tests.support.quick_and_slow import quick_and_slow
from tests.support.tiny import random_tensors, tiny_model, zero_tensors

MODERATE = ("normal", "near", "ramp", "lattice", "wild")  # no numbers of size 1e300: the search is in float64
BOUND_OF_CUBIC = 15821617
NO_LIMIT = 1 << 60


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("adaptive")


class Found(NamedTuple):
    correct: int
    length: int


class Case:
    """One model and margin; everything found is accepted and true."""

    def __init__(self, path: Path, margin: Fraction = Fraction(0)) -> None:
        self.path, self.margin, self.model = path, margin, load_model(path)

    def truth(self) -> Truth:
        return Oracle(self.path).truth(self.margin)

    def judged(self, statement: bytes, truth: Truth) -> Found:
        result = verdict(self.path, json.loads(statement))
        assert result.correct <= truth.correct
        assert result.wrong <= truth.total - truth.correct
        return Found(result.correct, length_of(self.path.read_bytes(), statement).total)

    def prove(self, truth: Truth, **options: Any) -> Found:
        return self.judged(prove(self.model, "adaptive", margin=self.margin, **options).to_bytes(), truth)

    def prove_if_possible(self, truth: Truth, **options: Any) -> Found | None:
        try:
            return self.prove(truth, **options)
        except UserError:
            return None


class Refining:
    """A search at its start, and the certificates of its states."""

    def __init__(self, case: Case) -> None:
        self.circuits = Circuits(case.model, case.margin)
        self.step = SCORE_ERRORS["exact-EQKE"](self.circuits)
        scores = SeparableSearch(self.circuits, self.step.conclusion)
        self.units = [UnitsOfMaximum(Maximum(scores, m)) for m in range(self.circuits.v)]
        self.search = Search(self.units)

    def statement(self) -> bytes:
        return written(self.circuits, self.step, self.search.stages[-1]).to_bytes()


def quick_and_slow_seeds(count: int) -> pytest.MarkDecorator:
    """The first seeds by default, fifteen times as many others when slow."""
    slow = pytest.param(range(count, 16 * count), id="slow", marks=pytest.mark.slow)
    return pytest.mark.parametrize("seeds", [pytest.param(range(count), id="quick"), slow])


def cases(seeds: range, workspace: Path) -> Iterator[tuple[np.random.Generator, Case]]:
    """Models of which something, but not everything, is proved at the start, and random numbers for each."""
    for seed in seeds:
        rng = np.random.default_rng([seed, 1])
        path = trained_looking(seed).write(workspace / "model")
        yield rng, Case(path, Fraction(int(rng.choice([0, 0, 1])), 8))


@quick_and_slow(14, 400)
def test_what_is_proved_of_any_model_is_true(run: settings, workspace: Path) -> None:
    @run
    @given(model=models(MODERATE), margin=margins(), percent=st.integers(50, 500))
    def true(model: TinyModel, margin: Fraction, percent: int) -> None:
        case = Case(model.write(workspace / "model"), margin)
        truth = case.truth()
        usual = case.prove(truth)
        case.prove_if_possible(truth, max_length=usual.length * percent // 100)

    true()


@quick_and_slow_seeds(7)
def test_lengths_are_kept_and_more_of_it_proves_no_less(seeds: range, workspace: Path) -> None:
    """Three limits around the length of the coarsest proof, below which a sub-cubic one may do; then what is found
    without a limit, and with one beyond reach: the same, where sequences are few."""
    seen: Counter[str] = Counter()
    for rng, case in cases(seeds, workspace):
        truth = case.truth()
        coarsest = case.judged(Refining(case).statement(), truth)
        found = []
        for percent in sorted(rng.integers(20, 250, size=3).tolist()):
            limit = coarsest.length * percent // 100
            try:
                found.append(case.prove(truth, max_length=limit))
            except UserError as error:
                assert limit < coarsest.length
                assert f"no proof of at most {limit} operations" in str(error)
                assert not found
                seen["none"] += 1
                continue
            assert found[-1].length <= limit
            seen["refined"] += found[-1].correct > coarsest.correct
            seen["shorter"] += found[-1].length < coarsest.length
        most = case.prove(truth, max_length=NO_LIMIT)
        assert all(less.correct <= more.correct for less, more in pairwise([*found, most]))
        seen["more proves more"] += sum(less.correct < more.correct for less, more in pairwise(found))
        usual = case.prove(truth)
        assert coarsest.correct <= usual.correct == most.correct
        seen["coarsest < usual"] += coarsest.correct < usual.correct
        seen["limited < most"] += any(less.correct < most.correct for less in found)
        seen["0 < most < truth"] += 0 < most.correct < truth.correct
        seen["most = truth > 0"] += 0 < most.correct == truth.correct
    print(f"\nlengths: {dict(seen)}")
    frequent = (
        "none",
        "shorter",
        "refined",
        "more proves more",
        "coarsest < usual",
        "limited < most",
        "0 < most < truth",
    )
    assert all(seen[kind] > 0.1 * len(seeds) for kind in frequent)


@quick_and_slow_seeds(7)
def test_a_target_is_reached_or_refused(seeds: range, workspace: Path) -> None:
    """Of whatever is true, and of what is not; with a limit besides, both hold."""
    seen: Counter[str] = Counter()
    for rng, case in cases(seeds, workspace):
        truth = case.truth()
        coarsest = case.judged(Refining(case).statement(), truth)
        best_within: dict[int, Found] = {}
        for share in (Fraction(int(rng.integers(0, 100)), 100), Fraction(truth.correct, truth.total), Fraction(1)):
            limits = {"max_length": coarsest.length * 3 // 2} if rng.integers(3) == 0 else {}
            most = limits.get("max_length", NO_LIMIT)
            found = case.prove_if_possible(truth, target=share, **limits)
            if most not in best_within:
                best_within[most] = case.prove(truth, max_length=most)
            best = best_within[most]
            if found is None:
                assert best.correct < share * truth.total
                seen["refused"] += 1
                seen["refused, true"] += share * truth.total <= truth.correct
            else:
                assert found.correct >= share * truth.total
                assert found.length <= most
                seen["reached"] += 1
                seen["reached by refining"] += found.correct > coarsest.correct
                seen["no further than needed"] += found.correct < best.correct
    print(f"\ntargets: {dict(seen)}")
    assert all(seen[kind] > 0.1 * len(seeds) for kind in ("refused", "reached by refining", "no further than needed"))


@quick_and_slow_seeds(20)
def test_a_refinement_proves_what_it_says(seeds: range, workspace: Path) -> None:
    """After each: the certificate claims the stage's count, is accepted and true; the count never falls."""
    seen: Counter[str] = Counter()
    for _, case in cases(seeds, workspace):
        truth, refining = case.truth(), Refining(case)
        search, before = refining.search, -1
        while before < 0 or search.refine():
            stage = search.stages[-1]
            result = verdict(case.path, json.loads(refining.statement()))
            assert before <= result.correct == stage.correct <= truth.correct
            assert result.wrong <= truth.total - truth.correct
            assert stage.cost == pytest.approx(sum(o.cost for _, _, o in stage.outcomes()))
            before = result.correct
            seen["stages"] += 1
            seen["stages with wrong sequences"] += result.wrong > 0
        assert not search.refine()
        for stage in search.stages:
            seen += kinds_of(stage)
    print(f"\nrefinements: {dict(seen)}")
    assert seen["stages"] > 2 * len(seeds)
    kinds = (
        "counted",
        "finer",
        "apart",
        "several pools",
        "several blocks",
        "each query by itself",
        "behind",
        "branched",
    )
    assert all(seen[kind] for kind in kinds), kinds


def kinds_of(stage: Stage) -> Counter[str]:
    """How its units were refined."""
    seen: Counter[str] = Counter()
    for units, unit, _ in stage.outcomes():
        if isinstance(unit, Branched):
            seen["branched"] += 1
            continue
        start = units.coarsest()
        seen["counted"] += 1
        seen["behind"] += unit.behind
        seen["apart"] += unit.apart > 0
        seen["finer"] += unit.steps > start.steps
        seen["several pools"] += len(unit.pools) > 1
        seen["several blocks"] += 1 < unit.blocks < len(unit.queries)
        seen["each query by itself"] += 1 < unit.blocks == len(unit.queries)
    return seen


@pytest.mark.parametrize("needed", [0, 1, 40, 100, 125])
def test_refining_ends_with_what_is_needed(needed: int, workspace: Path) -> None:
    """And the progress is shown, from beginning to end whatever happens."""
    case = Case(tiny_model(workspace / "model", tensors_of("near", Sizes(5, 3, 6, 5), 3)))
    refining, furthest = Refining(case), Refining(case)
    start, shown = refining.search.stages[-1].correct, []

    def track(items: Sequence[Item], what: str) -> Iterable[Item]:
        for item in items:
            shown.append(what)
            yield item

    proofs = Proofs(refining.circuits, refining.step, refining.search, track, needed, (0.0, 0.0))
    assert proofs.last_within(inf) == len(refining.search.stages) - 1
    while furthest.search.refine():
        pass
    reached = refining.search.stages[-1].correct
    assert shown == ["adaptive"] * 100
    assert case.judged(refining.statement(), case.truth()).correct == reached
    assert min(needed, furthest.search.stages[-1].correct) <= reached <= furthest.search.stages[-1].correct
    assert (reached > start) == (needed > start)


DEGENERATE: dict[str, Callable[[], dict[str, np.ndarray]]] = {
    "one token": lambda: random_tensors(np.random.default_rng(2), 1, 3, 2, 2),
    "one token, one position": lambda: random_tensors(np.random.default_rng(5), 1, 1, 2, 2),
    "one position": lambda: random_tensors(np.random.default_rng(3), 4, 1, 3, 2),
    "one position, one dimension": lambda: random_tensors(np.random.default_rng(4), 5, 1, 1, 1),
    "two tokens": lambda: tensors_of("near", Sizes(2, 4, 3, 2), 1),
    "two tokens, two positions": lambda: random_tensors(np.random.default_rng(6), 2, 2, 2, 2),
    "two tokens, one position": lambda: random_tensors(np.random.default_rng(7), 2, 1, 2, 2),
    "ties": lambda: zero_tensors(3, 3, 1, 1),
    "all correct": lambda: zero_tensors(2, 3, 1, 1, W_E=[0, 1], W_V=1, W_O=1, W_U=[0, 9], b_U=[1, 0]),
}


@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_models(name: str, workspace: Path) -> None:
    case = Case(tiny_model(workspace / "model", DEGENERATE[name]()))
    truth = case.truth()
    for options in ({}, {"max_length": NO_LIMIT}, {"target": 0}, {"target": 0, "max_length": NO_LIMIT}):
        found = case.prove(truth, **options)
        if "max_length" in options and "target" not in options and truth.clear == truth.correct:
            assert found.correct == truth.correct
    usual = case.prove(truth)
    assert case.prove(truth, max_length=usual.length).length <= usual.length
    with pytest.raises(UserError):
        case.prove(truth, max_length=1)
    for share in (Fraction(1, 2), Fraction(1)):
        found_or_not = case.prove_if_possible(truth, target=share)
        assert (found_or_not is not None) == (truth.correct >= share * truth.total)


@pytest.mark.parametrize("target", [-1, 2, "1.01", "much", "1/0", float("nan"), float("inf")])
def test_targets_that_make_no_sense(target: Any, workspace: Path) -> None:
    model = load_model(tiny_model(workspace / "model", zero_tensors(2, 2, 1, 1)))
    with pytest.raises(UserError, match="target"):
        prove(model, "adaptive", target=target)


@pytest.mark.parametrize("options", [{"max_length": 10**9}, {"target": "0.5"}, {"max_length": 10**9, "target": 0}])
def test_only_adaptive_has_a_length_and_a_target(options: dict[str, Any], workspace: Path) -> None:
    model = load_model(tiny_model(workspace / "model", zero_tensors(2, 2, 1, 1)))
    with pytest.raises(UserError, match="adaptive"):
        prove(model, "cubic", **options)


def test_a_trained_model(shipped: Path) -> None:
    """Better than the cubic proof."""
    model = load_model(shipped)
    claims = {name: prove(model, name).predicate.claim for name in ("adaptive", "cubic")}
    assert claims["cubic"].correct == BOUND_OF_CUBIC
    assert claims["adaptive"].correct > 1.04 * BOUND_OF_CUBIC


@pytest.mark.slow
def test_a_trained_model_is_proved_by_a_short_proof(shipped: Path) -> None:
    """Hardly longer than the cubic proof."""
    model, data = load_model(shipped), shipped.read_bytes()
    lengths = {name: length_of(data, prove(model, name).to_bytes()).total for name in ("adaptive", "cubic")}
    assert lengths["adaptive"] < 1.1 * lengths["cubic"]


@pytest.fixture(scope="module")
def many(workspace: Path) -> Path:
    """A model of more sequences than are all followed: most of them correct, but not all."""
    return TinyModel("near", "F64", tensors_of("near", Sizes(17, 4, 8, 4), 2)).write(workspace / "many")


def test_pair_by_pair(many: Path) -> None:
    """Without a length or a target; from both sides if both are asked for."""
    truth = verdict(many, json.loads(prove(many, "exact").to_bytes()))
    assert truth.correct + truth.wrong == truth.total > 1 << 16
    assert 0 < truth.wrong < truth.total // 2
    usual, both = (verdict(many, json.loads(prove(many, both=value).to_bytes())) for value in (False, True))
    assert 0 < usual.correct <= both.correct <= truth.correct
    assert usual.wrong == 0 < both.wrong <= truth.wrong


@pytest.mark.parametrize("options", [{"max_length": 10**7}, {"target": "1/2"}])
def test_both_bounds_have_no_length_or_target(many: Path, options: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="without a length or a target"):
        prove(many, both=True, **options)


def test_levels_of_fineness(workspace: Path) -> None:
    """Of more sequences than are followed one by one: the finest within a length, the first that proves enough."""
    path = TinyModel("near", "F64", tensors_of("near", Sizes(5, 14, 8, 4), 8)).write(workspace / "longer")
    usual = prove(path).predicate.claim
    assert usual.total > 1 << 31
    length = length_of(path.read_bytes(), prove(path).to_bytes()).total
    within = prove(path, max_length=length)
    assert length_of(path.read_bytes(), within.to_bytes()).total <= length
    assert within.predicate.claim.correct >= usual.correct
    enough = prove(path, target=Fraction(usual.correct, usual.total))
    assert verdict(path, json.loads(enough.to_bytes())).correct >= usual.correct
    coarser = prove(path, max_length=length * 2 // 3).predicate.claim
    assert 0 < coarser.correct <= within.predicate.claim.correct
