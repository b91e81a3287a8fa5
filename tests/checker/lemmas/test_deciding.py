"""What a ball of logits decides."""

from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import pytest

from checker.arithmetic.balls import Ball
from checker.lemmas.deciding import decided


@pytest.mark.parametrize("label", [0, 1, 2])
@pytest.mark.parametrize(
    ("radius", "margin", "sign"),
    [
        (0, 9, 1),
        (4, 1, 1),
        (4, 2, 0),
        (5, 0, 0),
        (5, 19, 0),
        (5, 20, -1),
        (0, 10, -1),
        (50, 0, 0),
        (4, Fraction(199, 100), 1),
        (5, Fraction(1999, 100), 0),
    ],
)
def test_a_lead_is_decided_beyond_both_radii(label: int, radius: int, margin: Fraction, sign: int) -> None:
    """The label leads by 10 units of 1, the next of three logits is the last or the first one."""
    problem: Any = SimpleNamespace(margin=Fraction(margin).as_integer_ratio())
    logits = [0, 0, 0]
    logits[label] = 10
    assert decided(problem, Ball(logits, radius), label, 0) == sign
    if label != 1:
        logits[1] = -100
        assert decided(problem, Ball(logits, radius), label, 0) == sign


def test_without_rivals_or_without_logits() -> None:
    problem: Any = SimpleNamespace(margin=(5, 1))
    assert decided(problem, Ball([0], 10**9), 0, 8) == 1
    assert decided(problem, None, 0, 8) == 0
