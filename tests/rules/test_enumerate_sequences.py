"""enumerate_sequences: accepted, refused by reason, attacked."""

import json
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

from checker.cli import check, estimate
from checker.errors import ResourceLimit
from checker.jobs import outcome_of
from checker.kernel import Verdict
from tests.support import cubic_readings
from tests.support.checking import prove
from tests.support.cubic_readings import readings_of
from tests.support.generators import Sizes, TinyModel, tensors_of
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

RULE = "enumerate_sequences"


def test_accepted() -> None:
    """All correct sequences, pair by pair."""
    proof = honest(RULE)
    assert said(proof) == ("", "")
    regions = [count[:3] for count in proof.facts[-1].counts]
    assert regions == [(m, 1 << q, 7 if q == m else 3) for m in range(3) for q in range(m + 1)]
    true = true_tally(small_model(), regions)
    assert [count.correct for count in proof.facts[-1].counts] == [count.correct for count in true.counts]
    assert 0 < sum(count.correct for count in true.counts) == len(small_model().correct) < 27


REFUSED: list[Refused] = [
    ("conclusion.counts[1][3]", more, "count-too-large", "conclusion.counts[1][3]"),
    ("conclusion.counts[1][4]", more, "count-too-large", "conclusion.counts[1][4]"),
    ("conclusion.counts[1][0]", more, "wrong-region", "conclusion.counts[1]"),
    ("conclusion.counts[1][1]", more, "wrong-region", "conclusion.counts[1]"),
    ("conclusion.counts[1][2]", more, "wrong-region", "conclusion.counts[1]"),
    ("conclusion.counts[1]", shorter, "wrong-type", "conclusion.counts[1]"),
    ("conclusion.counts", shorter, "wrong-shape", "conclusion.counts"),
    ("conclusion.counts", longer, "wrong-shape", "conclusion.counts"),
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


@readings_of(RULE)
def test_unsound_reading_is_refused(example: cubic_readings.Example, tmp_path: Path) -> None:
    cubic_readings.require_refused(example, tmp_path)


@readings_of(RULE)
def test_the_right_reading_is_accepted_on_the_same_model(example: cubic_readings.Example, tmp_path: Path) -> None:
    cubic_readings.require_right_accepted(example, tmp_path)


def test_enumeration_over_budget_is_a_resource_limit(workspace: Path) -> None:
    path = TinyModel("near", "F64", tensors_of("near", Sizes(4, 4, 5, 4), 0)).write(workspace / "model")
    statement = prove(path, "brute-force", Fraction(0))
    certificate = workspace / "model.cert.json"
    certificate.write_text(json.dumps(statement))
    needed = estimate(str(path), str(certificate), None)[1]["operations"]
    assert isinstance(needed, int) and needed > 8 * 4**4
    result = outcome_of(partial(check, str(path), str(certificate), needed - 1))
    assert isinstance(result, ResourceLimit)
    assert isinstance(outcome_of(partial(check, str(path), str(certificate), needed)), Verdict)
