"""branch_sequences: accepted, refused by reason, attacked."""

from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checker.budget import Budget
from checker.errors import Rejected, ResourceLimit
from tests.support.derivations import Derivation, tally_holds
from tests.support.generators import GOOD_KINDS, KINDS, Sizes, TinyModel, margins, models, tensors_of
from tests.support.groups import fitting, group
from tests.support.one_rule import (
    Refused,
    attacked,
    honest,
    longer,
    more,
    refusal,
    refusals,
    said,
    shorter,
    small_model,
    true_tally,
)
from tests.support.oracle import Oracle
from tests.support.quick_and_slow import quick_and_slow
from tests.support.regions import all_pairs, branched, coarse, counted, masks
from tests.support.tiny import tiny_model, zero_tensors

RULE = "branch_sequences"


def test_accepted() -> None:
    """Every sequence of this model decided: all that are correct, and all that are wrong."""
    proof = honest(RULE)
    assert said(proof) == ("", "")
    true = true_tally(small_model(), [count[:3] for count in proof.facts[-1].counts])
    assert proof.facts[-1] == true
    assert sum(count.correct + count.wrong for count in true.counts) == 27 > len(small_model().correct)


REFUSED: list[Refused] = [
    ("conclusion.counts[1][3]", more, "count-too-large", "conclusion.counts[1][3]"),
    ("conclusion.counts[1][4]", more, "count-too-large", "conclusion.counts[1][4]"),
    ("conclusion.counts[1][0]", more, "wrong-region", "conclusion.counts[1]"),
    ("conclusion.counts[1][1]", more, "wrong-region", "conclusion.counts[1]"),
    ("conclusion.counts[1][2]", more, "wrong-region", "conclusion.counts[1]"),
    ("conclusion.counts[1]", shorter, "wrong-type", "conclusion.counts[1]"),
    ("conclusion.counts", shorter, "wrong-shape", "conclusion.counts"),
    ("conclusion.counts", longer, "wrong-shape", "conclusion.counts"),
    ("args.queries", shorter, "wrong-shape", "args.queries"),
    ("args.queries", longer, "wrong-shape", "args.queries"),
    ("args.queries[1]", 4, "wrong-shape", "args.queries"),
    ("args.queries[1]", -1, "wrong-shape", "args.queries"),
    ("args.queries[1]", True, "wrong-type", "args.queries[1]"),
    ("args.exponent", (1 << 14) + 1, "out-of-range", "args.exponent"),
    ("args.exponent", -(1 << 14) - 1, "out-of-range", "args.exponent"),
    ("args.bits", 7, "out-of-range", "args.bits"),
    ("args.bits", 4097, "out-of-range", "args.bits"),
    ("args.bits", True, "wrong-type", "args.bits"),
    ("premises", [0], "wrong-premises", "premises"),
]


@refusals(REFUSED)
def test_refused_by_reason(place: str, change: Any, code: str, at: str) -> None:
    assert refusal(honest(RULE), place, change) == (code, at)


def test_attacked() -> None:
    """Whatever the arguments and the premises, what is granted is true."""
    seen = attacked(RULE)
    assert seen["some correct"] > 12
    assert seen["some wrong"] > 8


@quick_and_slow(60)
def test_branching_proves_what_enumeration_proves(run: settings, workspace: Path) -> None:
    """With the same arguments, pair by pair: a prefix is settled only when all its continuations would be. More only
    where a few bits make the lanes of enumeration, which bound products more coarsely, doubt a sequence. And wrong
    sequences besides: all of them when nothing is left undecided."""
    seen: Counter[str] = Counter()

    @run
    @given(model=models(KINDS + GOOD_KINDS * 2), margin=margins(), data=st.data())
    def equal(model: TinyModel, margin: Fraction, data: st.DataObject) -> None:
        path = model.write(workspace / "model")
        derivation = Derivation(path, margin)
        v, k = derivation.problem.v, derivation.problem.k
        args = data.draw(coarse())
        branched = derivation.derive("branch_sequences", [], {**args, "queries": masks(v, all_pairs(v, k))})
        enumerated = derivation.derive("enumerate_sequences", [], args)
        assert [count[:3] for count in branched.counts] == [count[:3] for count in enumerated.counts]
        pairs = [(b.correct, e.correct) for b, e in zip(branched.counts, enumerated.counts, strict=True)]
        assert all(b >= e for b, e in pairs)
        seen["cases"] += 1
        seen["the same"] += all(b == e for b, e in pairs)
        assert all(count.wrong == 0 for count in enumerated.counts)
        assert tally_holds(branched, v, k, Oracle(path).correct_sequences(margin))
        wrong = sum(count.wrong for count in branched.counts)
        seen["wrong"] += wrong > 0
        seen["everything"] += sum(count.correct for count in branched.counts) + wrong == v**k

    equal()
    print(f"\nbranching: {dict(seen)}")
    assert seen["the same"] > 0.9 * seen["cases"]
    assert seen["wrong"] > 5
    assert seen["everything"] > 10


@pytest.mark.parametrize(
    "queries", [[], [1, 3, 7], [1, 3, 7, 15, 0], [1, 3, 7, -1], [2, 3, 7, 15], [1, 3, 7, 16], [1, 3, 7, 1 << 3000]]
)
def test_sets_of_pairs_that_do_not_fit(queries: list[int], workspace: Path) -> None:
    path = tiny_model(workspace / "model", tensors_of("near", Sizes(4, 2, 5, 4), 3))
    with pytest.raises(Rejected) as caught:
        branched(path, [], queries=queries)
    assert (caught.value.code, caught.value.path) == ("wrong-shape", "args.queries")


@pytest.mark.parametrize("k", [1, 2, 3])
def test_a_tie_with_the_only_rival_is_wrong(k: int, workspace: Path) -> None:
    """Bounds of exactly 0, in the lowest lane."""
    path = tiny_model(workspace / "two", zero_tensors(2, k, 1, 1))
    counts = branched(path, all_pairs(2, k), exponent=-8, bits=16).counts
    assert [count.correct for count in counts] == [0] * len(counts)
    assert sum(count.wrong for count in counts) == 2**k


def test_branching_has_a_budget(workspace: Path) -> None:
    """All sequences wrong: every prefix is looked at, m + 1 at a time, until the budget ends."""
    path = tiny_model(workspace / "ties", zero_tensors(3, 4, 1, 1))
    derivation = Derivation(path)
    args = {"exponent": -8, "bits": 16, "queries": [0, 0, 4]}
    derivation.problem.budget = Budget(1 << 20)
    (count,) = derivation.derive("branch_sequences", [], args).counts
    assert count == (2, 4, 15, 0, 27)
    spent = derivation.problem.budget.spent
    assert spent > 24 * (3 + 9 + 27)
    derivation.problem.budget = Budget(spent)
    derivation.derive("branch_sequences", [], args)
    derivation.problem.budget = Budget(spent - 1)
    with pytest.raises(ResourceLimit) as caught:
        derivation.derive("branch_sequences", [], args)
    assert caught.value.code == "over-budget"


def test_branching_does_not_enumerate(workspace: Path) -> None:
    """4^11 sequences of a pair, one of them wrong: four prefixes are looked at for each position but the last."""
    tensors = zero_tensors(4, 12, 1, 1, W_E=[-10, 3, 3, 3], W_V=1, W_O=1, W_U=[0, 0, 0, 1], b_U=[-5.5] * 3 + [0])
    path = tiny_model(workspace / "long", tensors)  # logit_3 = 3 + 3 - 13 (number of 0) / 12, against -5.5
    derivation = Derivation(path)
    derivation.problem.budget = Budget(1 << 15)
    args = {"exponent": -40, "bits": 40, "queries": [0, 0, 0, 8]}
    assert derivation.derive("branch_sequences", [], args).counts[0][3:] == (4**11 - 1, 1)
    assert counted(path, group((4, 12), 3, [7], [8]), cutter=fitting(11)) == [4**11 - 1]
