"""What follows from a fact: compared with fractions, at every boundary."""

from fractions import Fraction
from itertools import product
from typing import Any

import pytest

from checker.errors import Rejected
from checker.facts import CubicTokens, Fact, ScoreApproximation, UpperTable

SOME = range(-3, 4)
EXPONENTS = (-2, 0, 3)
ENTAILED = ("", "")


def refusal(derived: Fact, stated: Any) -> tuple[str, str]:
    """Its code and place; two empty strings for what follows."""
    try:
        derived.require_entails(stated)
    except Rejected as refused:
        return refused.code, refused.path
    return ENTAILED


def units(exponent: int) -> Fraction:
    return Fraction(2) ** exponent


@pytest.mark.parametrize("exponents", list(product(EXPONENTS, repeat=2)))
def test_bounds_in_other_units_are_compared_exactly(exponents: tuple[int, int]) -> None:
    """Those that become smaller by less than a unit are refused, too."""
    own, other = exponents
    for bound, claimed in product(SOME, [*SOME, 8, 16, 32, 64, 95, 96, 97]):
        said = refusal(UpperTable(own, ((0,), (9, bound))), UpperTable(other, ((0,), (9 << 5, claimed))))
        follows = bound * units(own) <= claimed * units(other)
        assert said == (ENTAILED if follows else ("bound-too-small", "rows[1][1]"))


@pytest.mark.parametrize("exponents", list(product(EXPONENTS, repeat=2)))
def test_errors_grow_by_what_kept_scores_change(exponents: tuple[int, int]) -> None:
    """By the spread of the change, in whatever units."""
    own, other = exponents
    for x, y, error, claimed in product((-2, 0, 3), (-1, 0, 1), (0, 1), (-1, 0, 1, 2, 3, 5, 8, 11, 16, 24, 32, 40)):
        derived = ScoreApproximation(own, ((0, 0), (1, x)), (0, error))
        stated = ScoreApproximation(other, ((0, 0), (1, y)), (0, claimed))
        changes = [units(other) - units(own), y * units(other) - x * units(own)]
        follows = max(changes) - min(changes) + error * units(own) <= claimed * units(other)
        assert refusal(derived, stated) == (ENTAILED if follows else ("error-too-small", "error[1]"))


@pytest.mark.parametrize(
    ("kept", "error", "at"),
    [
        (((0, 0),), (0, 0), "kept"),
        (((0, 0), (0, 0), (0, 0)), (0, 0), "kept"),
        (((0, 0), (0,)), (0, 0), "kept[1]"),
        (((0, 0), (0, 0, 0)), (0, 0), "kept[1]"),
        (((0, 0), (0, 0)), (0,), "error"),
        (((0, 0), (0, 0)), (0, 0, 0), "error"),
    ],
)
def test_scores_of_another_shape_are_refused(kept: Any, error: Any, at: str) -> None:
    derived = ScoreApproximation(0, ((0, 0), (0, 0)), (0, 0))
    assert refusal(derived, ScoreApproximation(0, kept, error)) == ("wrong-shape", at)


def test_of_accepted_tokens_every_subset_follows() -> None:
    """And nothing else: no further token, and no number below 0, which would be a set without end."""
    for accepted, claimed in product(range(8), range(-9, 9)):
        said = refusal(CubicTokens((((1, accepted),),)), CubicTokens((((0, claimed),),)))
        follows = claimed >= 0 and all(accepted >> t & 1 for t in range(9) if claimed >> t & 1)
        assert said == (ENTAILED if follows else ("token-not-accepted", "masks[0][0][1]"))
