"""What follows from a fact: compared with fractions, at every boundary."""

from fractions import Fraction
from itertools import product
from typing import Any

import pytest

from checker.errors import Malformed, Rejected
from checker.facts import (
    EXPONENT,
    NATURAL,
    Accuracy,
    AtMargin,
    AttentionRanges,
    Count,
    CubicTokens,
    Fact,
    MaxTokenPath,
    Profile,
    RegionGaps,
    Regions,
    ScoreApproximation,
    Tally,
    UpperTable,
    decode_count,
    decode_precisions,
)

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


def test_a_range_may_be_wider() -> None:
    """With the same gap and unit; an empty one stays empty."""

    def ranges(*cell: int, bits: int = 8) -> AttentionRanges:
        return AttentionRanges(bits, ((((1, 0, 9), cell),),))

    for gap, low, high in product((1, 2, 3), SOME, SOME):
        follows = gap == 2 and low <= 0 and high >= 1
        code = ENTAILED if follows else ("range-too-narrow", "ranges[0][0][1]")
        assert refusal(ranges(2, 0, 1), ranges(gap, low, high)) == code
    assert refusal(ranges(), ranges()) == ENTAILED
    for derived, stated in ((ranges(), ranges(2, 0, 1)), (ranges(2, 0, 1), ranges())):
        assert refusal(derived, stated) == ("wrong-shape", "ranges[0][0][1]")
    for bits in (9, 10):
        assert refusal(ranges(2, 0, 1, bits=9), ranges(2, 0, 1, bits=bits)) == (
            ENTAILED if bits == 9 else ("wrong-unit", "bits")
        )


def test_ends_of_ranges_move_outward_and_gaps_up() -> None:
    """All lower ends one way, all upper ends the other."""
    derived = Regions(8, (), ((5, 6), (0, 1, 2, 3)))
    for number, by in product(range(4), (-1, 0, 1)):
        row = [end + by * (at == number) for at, end in enumerate((0, 1, 2, 3))]
        said = refusal(derived, Regions(8, (), ((4, 7), tuple(row))))
        follows = by >= 0 if number % 2 else by <= 0
        assert said == (ENTAILED if follows else ("range-too-narrow", f"ranges[1][{number}]"))
    for rows in (((5, 6),), ((5, 6), (0, 1, 2)), ((5, 6), (0, 1, 2, 3, 4))):
        at = "ranges" if len(rows) == 1 else "ranges[1]"
        assert refusal(derived, Regions(8, (), rows)) == ("wrong-shape", at)
    assert refusal(derived, Regions(9, (), derived.ranges)) == ("wrong-region", "groups")
    gaps = RegionGaps(derived, ((1,), (2, 3)))
    for by in (-1, 0, 1):
        said = refusal(gaps, RegionGaps(derived, ((1,), (2, 3 + by))))
        assert said == (ENTAILED if by >= 0 else ("bound-too-small", "gaps[1][1]"))
    assert refusal(gaps, RegionGaps(Regions(9, (), ()), gaps.gaps)) == ("wrong-region", "regions.groups")


def test_smaller_counts_follow_of_the_same_regions() -> None:
    derived = Tally((Count(0, 1, 1, 5, 5), Count(1, 2, 3, 4, 5)))
    for place, by in product(range(5), (-1, 0, 1)):
        row = [number + by * (at == place) for at, number in enumerate(derived.counts[1])]
        said = refusal(derived, Tally((Count(0, 1, 1, 5, 5), Count(*row))))
        wrong = "wrong-region", "counts[1]"
        if place >= 3:
            wrong = "count-too-large", f"counts[1][{place}]"
        assert said == (ENTAILED if by == 0 or (place >= 3 and by < 0) else wrong)


def test_smaller_numbers_and_larger_losses_follow_at_the_same_margins() -> None:
    """Of a loss as a fraction, however it is written."""
    derived = Profile(3, 2, (AtMargin(4, 1, (-1, 2)), AtMargin(3, 2, (0, 1))), (2, 3))
    for by, place in product((-1, 0, 1), ("correct", "wrong")):
        numbers = {"correct": 3, "wrong": 2, place: {"correct": 3, "wrong": 2}[place] + by}
        expected = ENTAILED if by <= 0 else ("count-too-large", place)
        assert refusal(Accuracy(3, 2), Accuracy(**numbers)) == expected
        assert refusal(derived, Profile(**numbers, profile=derived.profile, mean_loss=(2, 3))) == expected
        last = AtMargin(**numbers, margin=(0, 1))
        path = f"profile[1].{place}" if by > 0 else ""
        assert refusal(derived, Profile(3, 2, (derived.profile[0], last), (2, 3))) == (expected[0], path)
    for above, below in product(range(1, 6), range(1, 6)):
        said = refusal(derived, Profile(3, 2, derived.profile, (above, below)))
        assert said == (ENTAILED if 3 * above >= 2 * below else ("loss-too-small", "mean_loss"))
    for profile in (derived.profile[:1], (*derived.profile, derived.profile[1])):
        assert refusal(derived, Profile(3, 2, profile, (2, 3))) == ("wrong-shape", "profile")
    moved = (AtMargin(4, 1, (-1, 3)), derived.profile[1])
    assert refusal(derived, Profile(3, 2, moved, (2, 3))) == ("wrong-margin", "profile[0].margin")


def malformed(decoder: Any, value: object) -> str:
    """Its code; an empty string for what is decoded as it is."""
    try:
        found = decoder(value, "p")
    except Malformed as refused:
        return refused.code
    assert found == (tuple(value) if isinstance(value, list) else value)
    return ""


@pytest.mark.parametrize(
    ("decoder", "low", "high"), [(EXPONENT, -16384, 16384), (NATURAL, 0, 10**4000)], ids=["exponent", "natural"]
)
def test_both_ends_of_a_range_belong_to_it(decoder: Any, low: int, high: int) -> None:
    assert [malformed(decoder, value) for value in (low, high)] == ["", ""]
    assert [malformed(decoder, value) for value in (low - 1, high + 1)] == ["out-of-range"] * 2


def test_one_to_eight_precisions() -> None:
    assert [malformed(decode_precisions, list(range(8, 8 + n))) for n in (1, 8)] == ["", ""]
    assert [malformed(decode_precisions, list(range(8, 8 + n))) for n in (0, 9)] == ["out-of-range"] * 2
    assert [malformed(decode_precisions, bits) for bits in ([9, 9], [10, 9])] == ["not-increasing"] * 2


def test_counts_are_five_numbers() -> None:
    """No number of wrong inputs is stated in fewer words."""
    assert decode_count([1, 2, 3, 4, 5], "") == Count(1, 2, 3, 4, 5)
    assert Count(1, 2, 3, 4).wrong == 0
    assert [malformed(decode_count, [1] * n) for n in (4, 6)] == ["wrong-type"] * 2


def test_a_path_of_the_maximum_has_no_smaller_spreads_and_lines() -> None:
    derived = MaxTokenPath(UpperTable(0, ((3,),)), UpperTable(0, ((1, 2),)))
    for spread, line, said in [
        (3, 2, ENTAILED),
        (4, 3, ENTAILED),
        (2, 2, ("bound-too-small", "spread.rows[0][0]")),
        (3, 1, ("bound-too-small", "lines.rows[0][1]")),
    ]:
        assert refusal(derived, MaxTokenPath(UpperTable(0, ((spread,),)), UpperTable(0, ((1, line),)))) == said


def test_margins_of_a_profile_are_decoded() -> None:
    rows = [{"margin": "1/2", "correct": 1, "wrong": 2}]
    value = {"correct": 3, "wrong": 4, "profile": rows, "mean_loss": "5/2"}
    assert Profile.decode(value, "") == Profile(3, 4, (AtMargin(1, 2, (1, 2)),), (5, 2))


def test_ranges_are_decoded_cell_by_cell() -> None:
    value = {"bits": 8, "ranges": [[[[0, 1, 2], []]], [[[3]], [[4]]]]}
    ranges = ((((0, 1, 2), ()),), (((3,),), ((4,),)))
    assert AttentionRanges.decode(value, "") == AttentionRanges(8, ranges)
    with pytest.raises(Malformed) as caught:
        AttentionRanges.decode({"bits": 8, "ranges": [[[[0, "1"]]]]}, "p")
    assert caught.value.path == "p.ranges[0][0][0][1]"
