"""total_branches: accepted, refused by reason, attacked."""

from typing import Any

from checker.facts import Accuracy
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
)

RULE = "total_branches"


def test_accepted() -> None:
    """The sum over the branches, correct and wrong."""
    proof = honest(RULE)
    assert said(proof) == ("", "")
    assert proof.facts[-1] == Accuracy(len(small_model().correct), 27 - len(small_model().correct))


REFUSED: list[Refused] = [
    ("conclusion.correct", more, "count-too-large", "conclusion.correct"),
    ("conclusion.wrong", more, "count-too-large", "conclusion.wrong"),
    ("conclusion.correct", True, "wrong-type", "conclusion.correct"),
    ("premises", shorter, "wrong-premises", "premises"),
    ("premises", longer, "wrong-premises", "premises"),
    ("premises[0]", 0, "wrong-premises", "premises"),
    ("premises[0]", 9, "bad-premise", "premises[0]"),
]


@refusals(REFUSED)
def test_refused_by_reason(place: str, change: Any, code: str, at: str) -> None:
    assert refusal(honest(RULE), place, change) == (code, at)


def test_attacked() -> None:
    """Whatever the arguments of its premise, the sum is at most the truth."""
    assert attacked(RULE)["granted"] == 24
