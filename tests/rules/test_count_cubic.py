"""count_cubic: accepted, refused by reason, attacked."""

from itertools import product
from pathlib import Path
from typing import Any

from checker.arithmetic.packing import members
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
)

RULE = "count_cubic"


def test_accepted() -> None:
    """Products of accepted tokens, counted one by one; all of them correct."""
    proof = honest(RULE)
    assert said(proof) == ("", "")
    masks, model = proof.facts[-2].masks, small_model()
    for count in proof.facts[-1].counts:
        (q,) = members(count.queries)
        found = 0
        for x in product(range(3), repeat=3):
            below = [t for t in x[:-1] if t != count.label]
            if (max(x), x[-1]) == (count.label, q) and below:
                accepted = all(masks[count.label][q][len(below) - 1] >> t & 1 for t in below)
                assert x in model.correct or not accepted
                found += accepted
        assert count[2:] == (sum(1 << n for n in range(1, 3 - (q < count.label))), found, 0)
    assert sum(count.correct for count in proof.facts[-1].counts) > 3


REFUSED: list[Refused] = [
    ("conclusion.counts[1][3]", more, "count-too-large", "conclusion.counts[1][3]"),
    ("conclusion.counts[1][4]", more, "count-too-large", "conclusion.counts[1][4]"),
    ("conclusion.counts[1][0]", more, "wrong-region", "conclusion.counts[1]"),
    ("conclusion.counts[1][1]", more, "wrong-region", "conclusion.counts[1]"),
    ("conclusion.counts[1][2]", more, "wrong-region", "conclusion.counts[1]"),
    ("conclusion.counts[1]", shorter, "wrong-type", "conclusion.counts[1]"),
    ("conclusion.counts", shorter, "wrong-shape", "conclusion.counts"),
    ("conclusion.counts", longer, "wrong-shape", "conclusion.counts"),
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
    assert seen["some correct"] > 5


@readings_of(RULE)
def test_unsound_reading_is_refused(example: cubic_readings.Example, tmp_path: Path) -> None:
    cubic_readings.require_refused(example, tmp_path)


@readings_of(RULE)
def test_the_right_reading_is_accepted_on_the_same_model(example: cubic_readings.Example, tmp_path: Path) -> None:
    cubic_readings.require_right_accepted(example, tmp_path)
