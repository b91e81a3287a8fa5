"""attention_ranges: accepted, refused by reason, attacked."""

from pathlib import Path
from typing import Any

from tests.support import sub_cubic_readings
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

RULE = "attention_ranges"


def test_accepted() -> None:
    """The attention of every sequence is in its range; at both ends of the range of a cell with one other token it is
    that of a sequence, up to rounding."""
    proof, meaning = honest(RULE), small_model().meaning
    assert said(proof) == ("", "")
    fact = proof.facts[-1]
    assert meaning.is_true(fact)
    gap, *ends = fact.ranges[1][1][1]  # query 1, maximum 1, and one 0
    shares = [meaning.attention(x) * 2**fact.bits for x in meaning.cell(1, 1, 1, gap)]
    assert len(shares) == 2
    assert 0 < ends[0] <= min(shares) < ends[0] + 16
    assert ends[1] - 16 < max(shares) <= ends[1] < 1 << fact.bits


REFUSED: list[Refused] = [
    ("conclusion.ranges[2][0][0][1]", more, "range-too-narrow", "conclusion.ranges[2][0][0]"),
    ("conclusion.ranges[2][0][0][2]", less, "range-too-narrow", "conclusion.ranges[2][0][0]"),
    ("conclusion.ranges[2][0][0][0]", more, "range-too-narrow", "conclusion.ranges[2][0][0]"),
    ("conclusion.ranges[2][0][0][0]", less, "range-too-narrow", "conclusion.ranges[2][0][0]"),
    ("conclusion.ranges[2][0][0]", [], "wrong-shape", "conclusion.ranges[2][0][0]"),
    ("conclusion.ranges[0][0][0]", [1, 0, 1 << 40], "wrong-shape", "conclusion.ranges[0][0][0]"),
    ("conclusion.ranges[2][0]", longer, "wrong-shape", "conclusion.ranges[2][0]"),
    ("conclusion.ranges[2]", shorter, "wrong-shape", "conclusion.ranges[2]"),
    ("conclusion.ranges", shorter, "wrong-shape", "conclusion.ranges"),
    ("conclusion.bits", more, "wrong-unit", "conclusion.bits"),
    ("conclusion.bits", 7, "out-of-range", "conclusion.bits"),
    ("args.gaps[2][0]", shorter, "wrong-shape", "args.gaps"),
    ("args.gaps[2][0]", longer, "wrong-shape", "args.gaps"),
    ("args.gaps[2]", shorter, "wrong-shape", "args.gaps"),
    ("args.gaps", shorter, "wrong-shape", "args.gaps"),
    ("args.gaps[2][0][0]", 3, "bad-gap", "args.gaps[2][0][0]"),
    ("args.gaps[2][0][0]", -1, "bad-gap", "args.gaps[2][0][0]"),
    ("args.gaps[2][1][0]", 2, "bad-gap", "args.gaps[2][1][0]"),
    ("args.gaps[2][2][0]", 1, "bad-gap", "args.gaps[2][2][0]"),
    ("args.gaps[0][0][1]", 1, "bad-gap", "args.gaps[0][0][1]"),
    ("args.bits", 7, "out-of-range", "args.bits"),
    ("args.bits", 4097, "out-of-range", "args.bits"),
    ("args.bits", True, "wrong-type", "args.bits"),
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
