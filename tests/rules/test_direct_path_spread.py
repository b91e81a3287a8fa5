"""direct_path_spread: accepted, refused by reason, attacked."""

from pathlib import Path
from typing import Any

from tests.support import sub_cubic_readings
from tests.support.derivations import fractions, spread
from tests.support.one_rule import (
    Refused,
    attacked,
    honest,
    less,
    longer,
    more,
    refusal,
    refusals,
    said,
    shorter,
    small_model,
)
from tests.support.sub_cubic_readings import inferences_of

RULE = "direct_path_spread"


def test_accepted() -> None:
    """Exactly the largest minus the smallest logit of each query."""
    proof = honest(RULE)
    assert said(proof) == ("", "")
    fact = proof.facts[-1]
    (spreads,) = fractions(fact.spread.rows, fact.spread.exponent)
    assert list(spreads) == [spread(row) for row in small_model().meaning.EUPU]
    assert fact.centre.rows == ()


REFUSED: list[Refused] = [
    ("conclusion.spread.rows[0][1]", less, "bound-too-small", "conclusion.spread.rows[0][1]"),
    ("conclusion.spread.rows[0]", shorter, "wrong-shape", "conclusion.spread.rows[0]"),
    ("conclusion.spread.rows", longer, "wrong-shape", "conclusion.spread.rows"),
    ("conclusion.centre.exponent", more, "other-centre", "conclusion.centre"),
    ("conclusion.centre.rows", [[0, 0, 0, 0]], "other-centre", "conclusion.centre"),
    ("premises", [0], "wrong-premises", "premises"),
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
