"""Refusals: where they happened, of which file, and what is shown of a value that nobody trusts."""

import pytest

from checker.errors import (
    InternalError,
    Malformed,
    OtherModel,
    Refusal,
    Rejected,
    ResourceLimit,
    about,
    located,
    show,
    show_set,
)


def test_exit_codes() -> None:
    kinds = (Refusal, Rejected, Malformed, OtherModel, ResourceLimit, InternalError)
    assert [kind.exit_code for kind in kinds] == [70, 1, 3, 4, 5, 70]


@pytest.mark.parametrize(("path", "whole"), [("", "a"), ("b", "a.b"), ("[3]", "a[3]"), ("[3].c", "a[3].c")])
def test_a_path_grows_at_its_front(path: str, whole: str) -> None:
    with pytest.raises(Rejected) as caught, located("a"):
        raise Rejected("code", path, "this", "that")
    assert (caught.value.code, caught.value.path) == ("code", whole)
    assert (caught.value.expected, caught.value.got) == ("this", "that")


def test_a_refusal_in_words() -> None:
    assert str(Rejected("code")) == "code"
    assert str(Rejected("code", "a", "this", "that")) == "code at a: expected this, got that"
    assert str(Rejected("code", expected="this")) == "code: expected this"
    with pytest.raises(Rejected, match=r"^code in CERT at a: got that$"), about("MODEL"), about("CERT"):
        raise Rejected("code", "a", got="that")  # the innermost file


def test_values_are_shown_short_and_safe() -> None:
    values = (True, False, None, 7, -7, "VERIFIED", ["x"], {"x": 1}, 1.5)
    words = ["true", "false", "none", "7", "-7", "a string", "a list", "an object", "float"]
    assert [show(value) for value in values] == words
    assert show((1 << 256) - 1) == str((1 << 256) - 1)
    assert show(-(1 << 256)) == "an integer of 257 bits"


def test_masks_are_shown_as_sets() -> None:
    assert [show_set(mask) for mask in (0, 1, 0b1010, 1 << 63)] == ["{}", "{0}", "{1, 3}", "{63}"]
    assert show_set((1 << 64) - 1) == f"{{{', '.join(map(str, range(64)))}}}"
    assert show_set(1 << 64) == hex(1 << 64)
    assert [show_set(mask) for mask in (-1, (1 << 256) - 1)] == ["-0x1", hex((1 << 256) - 1)]
    assert show_set(1 << 256) == "an integer of 257 bits"
