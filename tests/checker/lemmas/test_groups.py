"""Which groups of sequences are about something: each part of one changed, in every way that matters."""

from types import SimpleNamespace
from typing import Any

import pytest

from checker.errors import Malformed, Rejected
from checker.lemmas.groups import STEPS, Block, Cut, Group, Part

PROBLEM: Any = SimpleNamespace(v=4, k=3)
CUT = Cut(0, 1, (0, 0, 0))
PART = Part(-1, (CUT,), ())
BLOCK = Block(0b111, ((0b0001, 3),), (PART,))
GROUP = Group(2, (0b01, 0b10), ((0b0011,), (0b1000,)), (BLOCK,))
VALID = "", ""


def refusal(group: Group) -> tuple[str, str]:
    """Its code and place; two empty strings for a group that is valid."""
    try:
        group.require_valid(PROBLEM)
    except Rejected as refused:
        return refused.code, refused.path
    return VALID


def with_block(**given: Any) -> Group:
    """The second of two blocks is another one."""
    return GROUP._replace(blocks=(BLOCK, BLOCK._replace(**given)))


def with_part(queries: int = 0b111, **given: Any) -> Group:
    """The part of the second block is another one."""
    return with_block(queries=queries, parts=(PART._replace(**given),))


@pytest.mark.parametrize("m", [-1, 0, 1, 2, 3, 4, 5])
def test_the_maximum_is_a_token(m: int) -> None:
    group = Group(m, (0b11,), (), (Block(1, (), (Part(-1, (), ()),)),))
    assert refusal(group) == (VALID if 0 <= m < 4 else ("no-such-region", "m"))


@pytest.mark.parametrize(
    ("pools", "valid"),
    [
        ((0b01, 0b10), True),
        ((0b10, 0b01), True),
        ((0b11,), True),
        ((), False),
        ((0b01,), False),
        ((0b10,), False),
        ((0b11, 0b10), False),
        ((0b01, 0b10, 0), False),
        ((0b01, 0b10, 0b100), False),
        ((0b111,), False),
        ((-1,), False),
        ((-4, 0b11), False),
    ],
)
def test_every_position_but_the_last_is_in_one_pool(pools: tuple[int, ...], valid: bool) -> None:
    cut = CUT._replace(phases=(0,) * (len(pools) + 1))
    group = GROUP._replace(pools=pools, blocks=(BLOCK._replace(parts=(PART._replace(above=(cut,)),)),))
    assert refusal(group) == (VALID if valid else ("not-a-partition", "pools"))


def test_there_is_a_block() -> None:
    assert refusal(GROUP._replace(blocks=())) == ("no-such-region", "blocks")


@pytest.mark.parametrize("queries", [-8, -1, 0, 1, 2, 4, 7, 8, 9, 16])
def test_a_block_holds_queries_up_to_the_maximum(queries: int) -> None:
    expected = VALID if 0 < queries < 8 else ("no-such-region", "blocks[1].queries")
    assert refusal(with_block(queries=queries)) == expected


@pytest.mark.parametrize(
    ("row", "valid"),
    [
        ((0b0001,), True),
        ((0b1011,), True),
        ((0b0011, 1, 1), True),
        ((0b0011, 1, 1 << 99), True),
        ((0,), False),
        ((0b0100,), False),
        ((0b0101,), False),
        ((0b10000,), False),
        ((-1,), False),
        ((0b0011, 1), False),
        ((0b0011, 1, 1, 1), False),
        ((0b0011, 0, 5), False),
        ((0b0011, 5, -1), False),
        ((0b0011, 0), False),
    ],
)
def test_a_class_holds_wrong_tokens_with_a_positive_factor_each_or_none(row: tuple[int, ...], valid: bool) -> None:
    """Whether blocks share it or it is of one of them."""
    for group, at in (
        (with_block(classes=(row,)), "blocks[1].classes"),
        (GROUP._replace(classes=(*GROUP.classes, row)), "blocks[0].classes"),
    ):
        assert refusal(group) == (VALID if valid else ("no-such-class", at))


@pytest.mark.parametrize(
    ("tokens", "valid"),
    [
        ([-1], True),
        ([0, -1], True),
        ([1, 0, -1], True),
        ([], False),
        ([0], False),
        ([0, 1], False),
        ([-2], False),
        ([-1, -1], False),
        ([-1, 0, -1], False),
        ([2, -1], False),
        ([3, -1], False),
        ([0, 0, -1], False),
        ([1, 0, 1, -1], False),
    ],
)
def test_parts_are_of_different_tokens_below_m_and_the_last_of_all_the_rest(tokens: list[int], valid: bool) -> None:
    parts = tuple(PART._replace(token=token) for token in tokens)
    assert refusal(with_block(parts=parts)) == (VALID if valid else ("not-a-partition", "blocks[1].parts"))


NO_SUCH_CLASS = "no-such-class", "blocks[1].parts[0]"


@pytest.mark.parametrize("of", [-1, 0, 1, 2, 3, 4])
def test_a_class_that_is_counted_is_there(of: int) -> None:
    """The three classes of the group and of the block."""
    assert refusal(with_part(above=(CUT, CUT._replace(of=of)))) == (VALID if 0 <= of < 3 else NO_SUCH_CLASS)


@pytest.mark.parametrize("of", [-1, 0, 1, 2, 3, 4, 5])
def test_what_is_counted_from_below_is_one_wrong_token_of_one_query(of: int) -> None:
    cut = CUT._replace(of=of)
    assert refusal(with_part(0b010, below=(cut,))) == (VALID if of in (0, 1, 3) else NO_SUCH_CLASS)
    assert refusal(with_part(0b011, below=(cut,))) == NO_SUCH_CLASS
    assert refusal(with_part(0b010, below=(cut, cut))) == NO_SUCH_CLASS
    assert refusal(with_part(0b010, above=(CUT._replace(of=9),), below=(CUT,))) == NO_SUCH_CLASS


@pytest.mark.parametrize("phases", [0, 1, 2, 3, 4])
def test_there_is_a_phase_for_each_pool_and_the_query(phases: int) -> None:
    cut = CUT._replace(phases=(0,) * phases)
    expected = VALID if phases == 3 else NO_SUCH_CLASS
    assert refusal(with_part(0b010, above=(CUT, cut))) == expected
    assert refusal(with_part(0b010, below=(cut,))) == expected


def test_steps_are_from_one_to_two_to_the_sixteenth() -> None:
    assert [STEPS(steps, "") for steps in (1, 1 << 16)] == [1, 1 << 16]
    for wrong in (0, -1, (1 << 16) + 1):
        with pytest.raises(Malformed, match="out-of-range"):
            STEPS(wrong, "")
