"""value_path_upper: accepted, refused by reason, attacked."""

from fractions import Fraction
from pathlib import Path
from typing import Any

from tests.support import cubic_readings
from tests.support.cubic_readings import CubicReading, readings_of
from tests.support.one_rule import (
    MARGIN,
    Refused,
    attacked,
    honest,
    less,
    longer,
    refusal,
    refusals,
    said,
    shorter,
    small_model,
)

RULE = "value_path_upper"


def test_accepted() -> None:
    """Exactly the largest lead of a wrong token, in fractions."""
    proof, meaning = honest(RULE), small_model().meaning
    assert said(proof) == ("", "")
    fact, reading = proof.facts[-1], CubicReading(small_model().tensors, MARGIN)
    unit = Fraction(2) ** fact.exponent
    for stated, true in zip(fact.rows, reading.value(), strict=True):
        assert all(x * unit == y for x, y in zip(stated, true, strict=True))
    assert meaning.is_true(fact)


REFUSED: list[Refused] = [
    ("conclusion.rows[1][0]", less, "bound-too-small", "conclusion.rows[1][0]"),
    ("conclusion.rows[1]", shorter, "wrong-shape", "conclusion.rows[1]"),
    ("conclusion.rows[1]", longer, "wrong-shape", "conclusion.rows[1]"),
    ("conclusion.rows", shorter, "wrong-shape", "conclusion.rows"),
    ("conclusion.rows", longer, "wrong-shape", "conclusion.rows"),
    ("conclusion.exponent", 1 << 15, "out-of-range", "conclusion.exponent"),
    ("premises", [0], "wrong-premises", "premises"),
]


@refusals(REFUSED)
def test_refused_by_reason(place: str, change: Any, code: str, at: str) -> None:
    assert refusal(honest(RULE), place, change) == (code, at)


def test_attacked() -> None:
    """Whatever the arguments and the premises, what is granted is true."""
    seen = attacked(RULE)
    assert seen["granted"] == 24


@readings_of(RULE)
def test_unsound_reading_is_refused(example: cubic_readings.Example, tmp_path: Path) -> None:
    cubic_readings.require_refused(example, tmp_path)


@readings_of(RULE)
def test_the_right_reading_is_accepted_on_the_same_model(example: cubic_readings.Example, tmp_path: Path) -> None:
    cubic_readings.require_right_accepted(example, tmp_path)
