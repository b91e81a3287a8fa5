"""Numbers side by side in one integer, against lists of them."""

from hypothesis import given
from hypothesis import strategies as st

from checker.arithmetic import packing
from checker.arithmetic.packing import blocks_with_bits, concatenate, members, repeat, split

SPANS = st.integers(1, 9)


@st.composite
def items_of_a_span(draw: st.DrawFn) -> tuple[list[int], int]:
    span = draw(SPANS)
    return draw(st.lists(st.integers(0, (1 << span) - 1) | st.just(0), min_size=1, max_size=9)), span


def side_by_side(items: list[int], span: int) -> int:
    return sum(item << span * at for at, item in enumerate(items))


@given(st.sets(st.integers(0, 200)))
def test_members_of_a_mask(elements: set[int]) -> None:
    assert list(members(sum(1 << x for x in elements))) == sorted(elements)


@given(items_of_a_span())
def test_concatenate(case: tuple[list[int], int]) -> None:
    items, span = case
    assert concatenate(items, span) == side_by_side(items, span)


@given(items_of_a_span(), st.integers(1, 20))
def test_repeat(case: tuple[list[int], int], count: int) -> None:
    (item, *_), span = case
    assert repeat(item, count, span) == side_by_side([item] * count, span)


@given(items_of_a_span())
def test_blocks_with_bits(case: tuple[list[int], int]) -> None:
    items, span = case
    assert blocks_with_bits(side_by_side(items, span), len(items), span) == sum(item != 0 for item in items)


@st.composite
def signed_items(draw: st.DrawFn) -> tuple[list[int], int]:
    """Items of either sign; often the smallest and the largest that a lane can hold."""
    half = 1 << (draw(st.integers(1, 70)) - 1)
    entries = st.integers(-half, half - 1) | st.sampled_from([-half, half - 1, 0, -1 if half > 1 else 0])
    return draw(st.lists(entries, min_size=1, max_size=40)), half.bit_length()


@given(signed_items())
def test_items_of_either_sign_side_by_side(case: tuple[list[int], int]) -> None:
    items, span = case
    assert packing.side_by_side(items, span) == side_by_side(items, span)


@given(signed_items())
def test_what_is_packed_is_split_again(case: tuple[list[int], int]) -> None:
    """With half of a lane added to each, no item borrows from the next one."""
    items, span = case
    half = 1 << (span - 1)
    packed = packing.side_by_side(items, span) + half * repeat(1, len(items), span)
    assert split(packed, len(items), span) == [item + half for item in items]
