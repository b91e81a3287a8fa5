"""max_token_drop: accepted, refused by reason, attacked."""

from fractions import Fraction
from pathlib import Path
from typing import Any

from tests.support import sub_cubic_readings
from tests.support.one_rule import (
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
from tests.support.sub_cubic_readings import inferences_of

RULE = "max_token_drop"


def test_accepted() -> None:
    """Exactly the largest slope and the largest intercept of a wrong token."""
    proof, meaning = honest(RULE), small_model().meaning
    assert said(proof) == ("", "")
    fact = proof.facts[-1]
    assert meaning.is_true(fact)
    assert fact.spread == proof.facts[-2].spread
    unit = Fraction(2) ** fact.lines.exponent
    for m, row in enumerate(fact.lines.rows):
        lines = [(meaning.EVOU[m, y] - meaning.EVOU[m, m], meaning.positions(m)[y]) for y in range(3) if y != m]
        slopes, bases = zip(*lines, strict=True)
        assert [x * unit for x in row] == [max(slopes), max(bases)]


REFUSED: list[Refused] = [
    ("conclusion.spread.rows[0][1]", less, "bound-too-small", "conclusion.spread.rows[0][1]"),
    ("conclusion.spread.rows[0]", shorter, "wrong-shape", "conclusion.spread.rows[0]"),
    ("conclusion.spread.rows", longer, "wrong-shape", "conclusion.spread.rows"),
    ("conclusion.lines.rows[2][0]", less, "bound-too-small", "conclusion.lines.rows[2][0]"),
    ("conclusion.lines.rows[2][1]", less, "bound-too-small", "conclusion.lines.rows[2][1]"),
    ("conclusion.lines.rows[2]", shorter, "wrong-shape", "conclusion.lines.rows[2]"),
    ("conclusion.lines.rows", shorter, "wrong-shape", "conclusion.lines.rows"),
    ("conclusion.lines.exponent", 1 << 15, "out-of-range", "conclusion.lines.exponent"),
    ("premises", [0], "wrong-premises", "premises"),
    ("premises", shorter, "wrong-premises", "premises"),
    ("premises", longer, "wrong-premises", "premises"),
    ("premises[0]", 9, "bad-premise", "premises[0]"),
    ("premises[0]", -1, "bad-premise", "premises[0]"),
]


@refusals(REFUSED)
def test_refused_by_reason(place: str, change: Any, code: str, at: str) -> None:
    assert refusal(honest(RULE), place, change) == (code, at)


def test_attacked() -> None:
    """Whatever the arguments and the premises, what is granted is true."""
    seen = attacked(RULE)
    assert seen["granted"] == 24


@inferences_of(RULE)
def test_the_inference_is_refused(example: sub_cubic_readings.Example, tmp_path: Path) -> None:
    sub_cubic_readings.require_refused(example, tmp_path)


@inferences_of(RULE)
def test_the_right_inference_is_accepted_on_the_same_model(example: sub_cubic_readings.Example, tmp_path: Path) -> None:
    sub_cubic_readings.require_right_accepted(example, tmp_path)
