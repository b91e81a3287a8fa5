"""pure_sequences: accepted, refused by reason, attacked."""

from pathlib import Path
from typing import Any

from tests.support import cubic_readings
from tests.support.cubic_readings import readings_of
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

RULE = "pure_sequences"


def test_accepted() -> None:
    """The sequences m, ..., m, q that are correct."""
    proof = honest(RULE)
    assert said(proof) == ("", "")
    regions = [count[:3] for count in proof.facts[-1].counts]
    assert regions == [(m, 1 << q, 1) for m in range(3) for q in range(m + 1)]
    true = true_tally(small_model(), regions)
    assert [count.correct for count in proof.facts[-1].counts] == [count.correct for count in true.counts]
    assert {count.correct for count in true.counts} == {0, 1}


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
