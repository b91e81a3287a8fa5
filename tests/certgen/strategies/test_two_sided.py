"""two-sided: accepted, true on both sides, and close."""

import pickle
import sys
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings

from certgen.bounds.scores import SCORE_ERRORS
from certgen.certificate.arguments import Block, Group
from certgen.certificate.arguments import Part as PartArgs
from certgen.counts.gains import SeparableSearch
from certgen.counts.maxima import Maxima, Wanted, Written
from certgen.counts.two_sided import FINEST, LEVELS, usual
from certgen.models.circuits import Circuits
from certgen.models.model_file import load_model
from certgen.progress import quiet
from checker import check
from tests.support.checking import prove, verdict
from tests.support.generators import KINDS, SEEDS, TinyModel, margins, models, trained_looking
from tests.support.oracle import Oracle
from tests.support.quick_and_slow import quick_and_slow
from tests.support.tiny import zero_tensors

module = sys.modules["certgen.strategies.two_sided"]  # in the package the strategy hides the module of its name


@quick_and_slow(40, 600)
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


def test_long_proofs_have_several_steps(monkeypatch: pytest.MonkeyPatch, workspace: Path) -> None:
    """Which prove the same, and can be checked side by side."""
    path = trained_looking(3).write(workspace / "model")
    together = prove(path, "two-sided", Fraction(0))
    monkeypatch.setattr(module, "OF_A_STEP", 1)
    apart = prove(path, "two-sided", Fraction(0))
    found, steps = ([step for step in of["predicate"]["steps"] if of_counts(step)] for of in (together, apart))
    assert len(found) == 1 < len(steps) <= module.MOST_STEPS
    for kind in ("args", "conclusion"):
        name = {"args": "groups", "conclusion": "counts"}[kind]
        assert [one for step in steps for one in step[kind][name]] == found[0][kind][name]
    assert apart["predicate"]["claim"] == together["predicate"]["claim"]
    alone = verdict(path, apart)
    assert check(str(path), str(path.with_suffix(".cert.json")), jobs=2) == alone


def test_processes_share_the_search_of_the_same_certificate(workspace: Path) -> None:
    """To the byte; a search that is stopped early leaves no trace of what was begun in advance."""
    circuits = Circuits(load_model(trained_looking(3).write(workspace / "model")), Fraction(0))
    for level in (LEVELS[0], usual(4), usual(20), FINEST):
        proofs = [module.pair_by_pair(circuits, quiet, "two-sided", level, True, jobs).to_bytes() for jobs in (1, 2)]
        assert proofs[0] == proofs[1]


def test_a_process_that_is_started_anew_finds_the_same(workspace: Path) -> None:
    """As on systems that do not fork: all that it gets is a pickle."""
    circuits = Circuits(load_model(trained_looking(3).write(workspace / "model")), Fraction(1, 8))
    scores = SeparableSearch(circuits, SCORE_ERRORS["exact-EQKE"](circuits).conclusion, module.PRECISION)
    maxima = Maxima(scores, 16, both=True)
    copy = pickle.loads(pickle.dumps(maxima))
    found = [{q: one.look_at(Wanted(2, q, 1, 32, own=True)) for q in range(3)} for one in (maxima, copy)]
    assert found[0].keys() == found[1].keys()
    assert [one.written((2, those)) for one, those in zip((maxima, copy), found, strict=True)] == [
        maxima.written((2, found[0]))
    ] * 2


def of_counts(step: Any) -> bool:
    return bool(step["rule"] == "separable_counts")


def test_steps_take_about_the_same_work() -> None:
    """In order, and whatever blocks of one group belong together."""
    blocks = [Block(queries=1, classes=[], parts=[PartArgs(token=-1, above=[[0, 1, 0]], below=[])]) for _ in range(100)]
    written = [Written(Group(m=m, pools=[1], classes=[], blocks=blocks[: m + 1]), []) for m in range(100)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "OF_A_STEP", 1 << 14)
        steps = module.in_steps(written, 2)
    assert [one for of_step in steps for one in of_step] == written
    work = [sum((group.m + 1) * len(group.blocks) for group, _ in of_step) for of_step in steps]
    assert len(steps) == module.MOST_STEPS
    assert max(work) < 1.2 * sum(work) / len(work)
    assert len(module.in_steps(written[:20], 2)) == 1
