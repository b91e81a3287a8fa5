"""cubic_tokens: accepted, refused by reason, attacked."""

from pathlib import Path
from typing import Any

from tests.support import cubic_readings
from tests.support.cubic_readings import CubicReading, readings_of
from tests.support.one_rule import (
    MARGIN,
    Refused,
    attacked,
    holds,
    honest,
    longer,
    refusal,
    refusals,
    said,
    shorter,
    small_model,
)

RULE = "cubic_tokens"


def test_accepted() -> None:
    """The very tokens that the conditions in balls and fractions accept."""
    proof = honest(RULE)
    assert said(proof) == ("", "")
    masks = CubicReading(small_model().tensors, MARGIN).masks()
    assert [[list(row) for row in rows] for rows in proof.facts[-1].masks] == masks
    assert any(mask for rows in masks for row in rows for mask in row)
    assert holds(proof.facts[-1], small_model())


REFUSED: list[Refused] = [
    ("conclusion.masks[2][0][0]", lambda mask: mask | 4, "token-not-accepted", "conclusion.masks[2][0][0]"),
    ("conclusion.masks[2][1][0]", 2, "token-not-accepted", "conclusion.masks[2][1][0]"),
    ("conclusion.masks[2][1][0]", 3, "token-not-accepted", "conclusion.masks[2][1][0]"),
    ("conclusion.masks[2][0][0]", -1, "token-not-accepted", "conclusion.masks[2][0][0]"),
    ("conclusion.masks[2][0]", longer, "wrong-shape", "conclusion.masks[2][0]"),
    ("conclusion.masks[2]", shorter, "wrong-shape", "conclusion.masks[2]"),
    ("conclusion.masks", longer, "wrong-shape", "conclusion.masks"),
    ("args.bits", 7, "out-of-range", "args.bits"),
    ("args.bits", 4097, "out-of-range", "args.bits"),
    ("args.bits", True, "wrong-type", "args.bits"),
    ("premises", [0, 0], "wrong-premises", "premises"),
    ("premises", shorter, "wrong-premises", "premises"),
    ("premises", longer, "wrong-premises", "premises"),
    ("premises[0]", 9, "bad-premise", "premises[0]"),
    ("premises[0]", -1, "bad-premise", "premises[0]"),
    ("premises", lambda both: both[::-1], "wrong-premises", "premises"),
]


@refusals(REFUSED)
def test_refused_by_reason(place: str, change: Any, code: str, at: str) -> None:
    assert refusal(honest(RULE), place, change) == (code, at)


def test_attacked() -> None:
    """Whatever the arguments and the premises, what is granted is true."""
    seen = attacked(RULE)
    assert seen["some tokens"] > 5


@readings_of(RULE)
def test_unsound_reading_is_refused(example: cubic_readings.Example, tmp_path: Path) -> None:
    cubic_readings.require_refused(example, tmp_path)


@readings_of(RULE)
def test_the_right_reading_is_accepted_on_the_same_model(example: cubic_readings.Example, tmp_path: Path) -> None:
    cubic_readings.require_right_accepted(example, tmp_path)
