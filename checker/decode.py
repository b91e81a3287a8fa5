"""Bytes to typed values, strictly: everything that is not exactly the format is refused as malformed."""

import json
import re
import zlib
from collections.abc import Callable
from math import gcd
from typing import NoReturn, TypeVar

from checker.budget import MEMORY
from checker.errors import Malformed, ResourceLimit, show

MAX_BYTES = 1 << 28  # of a decompressed certificate
MAX_PRINTED_DIGITS = 4300  # CPython's own limit, and above every number that a certificate can hold
MAX_DIGITS = 4000  # of one number; below CPython's own limit, above v^k of anything checkable

SURROGATE = re.compile("[\ud800-\udfff]")  # in text that was UTF-8: half of a pair of \u escapes, and no character

# What makes the numbers that enter a check, from the certificate and from the model. check-cert uses int, nothing else.
# `certgen length` passes a type whose results count their own operations: so the length of a proof is measured on the
# very code that checks it, and the parameter `integer_type` is all that the trusted side knows of that.
Integer = Callable[[str | int], int]
Value = TypeVar("Value")
Decoder = Callable[[object, str], Value]  # (JSON value, its path) -> typed value, or Malformed


def require_room(needed: int, share: int, what: str) -> None:
    """ResourceLimit for more bytes than a share of the memory."""
    if needed > share:
        raise ResourceLimit("over-budget", "", f"at most {share} bytes for {what} (raise --budget)", str(needed))


def load_json(data: bytes, integer_type: Integer = int, memory: int = MEMORY) -> object:
    """Strict JSON: UTF-8, whole characters, no duplicate keys, no floats, canonical integers of bounded length. What it
    becomes takes at most half the memory: that is seen by its brackets and commas, before a list is made."""
    room = 48 * data.count(b",") + 160 * data.count(b"[") + 800 * data.count(b"{")
    require_room(room + len(data) * (3 if data.isascii() else 12), memory // 2, "a text")

    def pairs(items: list[tuple[str, object]]) -> dict[str, object]:
        if len({key for key, _ in items}) < len(items):
            raise Malformed("duplicate-key")
        # keys and values are all strings that either file may hold; one in a list is refused as such
        for part in [part for item in items for part in item if isinstance(part, str)]:
            if SURROGATE.search(part):
                raise Malformed("lone-surrogate", "", "text of Unicode characters")
        return dict(items)

    def number(digits: str) -> int:
        if len(digits) > MAX_DIGITS or digits == "-0":
            raise Malformed("bad-number", "", f"a canonical integer of at most {MAX_DIGITS} digits")
        return integer_type(digits)

    def refuse(_: str) -> NoReturn:
        raise Malformed("not-an-integer", "", "exact integers only")

    try:
        return json.loads(
            data.decode("utf-8"), object_pairs_hook=pairs, parse_int=number, parse_float=refuse, parse_constant=refuse
        )
    except UnicodeDecodeError as error:
        raise Malformed("not-json", f"byte {error.start} of the JSON text", "UTF-8") from None
    except json.JSONDecodeError as error:
        raise Malformed("not-json", f"line {error.lineno} column {error.colno} of the JSON text") from None
    except RecursionError:
        raise Malformed("not-json", "", "lists and objects nested less deeply") from None


def decompress(data: bytes, memory: int = MEMORY) -> bytes:
    """The content of one gzip member, or `data` itself when it is not gzip; bounded by MAX_BYTES, and by the memory."""
    limit = min(MAX_BYTES, memory // 6)
    if data[:2] == b"\x1f\x8b":
        stream = zlib.decompressobj(wbits=31)
        try:
            data = stream.decompress(data, limit + 1)
        except zlib.error:
            raise Malformed("bad-gzip") from None
        if len(data) <= limit and (not stream.eof or stream.unused_data):
            raise Malformed("bad-gzip", "", "one complete gzip member and nothing after it")
    if limit < MAX_BYTES:
        require_room(3 * len(data), memory // 2, "a text")
    if len(data) > MAX_BYTES:
        raise Malformed("too-large", "", f"at most {MAX_BYTES} bytes")
    return data


def mapping(value: object, path: str) -> dict[str, object]:
    """An object with any fields."""
    if not isinstance(value, dict):
        raise Malformed("wrong-type", path, "an object", show(value))
    return dict(value)


def record(value: object, path: str, fields: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, object]:
    """An object with exactly these fields, and any of the optional ones."""
    value = mapping(value, path)
    fields += tuple([field for field in optional if field in value])
    if set(value) != set(fields):
        missing = [field for field in fields if field not in value]
        raise Malformed(
            "missing-field" if missing else "unknown-field", path, f"exactly the fields {', '.join(fields)}"
        )
    return value


def array(value: object, path: str, item: Decoder[Value]) -> tuple[Value, ...]:
    """A list, each element decoded by `item`."""
    if not isinstance(value, list):
        raise Malformed("wrong-type", path, "a list", show(value))
    return tuple([item(element, f"{path}[{index}]") for index, element in enumerate(value)])


def integer(value: object, path: str) -> int:
    """An integer; JSON's true and false are not."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise Malformed("wrong-type", path, "an integer", show(value))
    return value


def text(value: object, path: str) -> str:
    """A string."""
    if not isinstance(value, str):
        raise Malformed("wrong-type", path, "a string", show(value))
    return value


def bounded(low: int, high: int) -> Decoder[int]:
    """A decoder of integers from `low` to `high`."""

    def decode(value: object, path: str) -> int:
        number = integer(value, path)
        if not low <= number <= high:
            raise Malformed("out-of-range", path, f"{show(low)} to {show(high)}", show(number))
        return number

    return decode


def choice(*names: str) -> Decoder[str]:
    """A decoder of one of these strings."""

    def decode(value: object, path: str) -> str:
        if text(value, path) not in names:
            raise Malformed("unsupported", path, f"one of {', '.join(names)}")
        return str(value)

    return decode


def matrix(value: object, path: str) -> tuple[tuple[int, ...], ...]:
    """A list of rows of one length, neither empty."""
    rows = array(value, path, lambda row, at: array(row, at, integer))
    if not rows or not rows[0] or any(len(row) != len(rows[0]) for row in rows):
        raise Malformed("not-a-matrix", path, "rows of one positive length")
    return rows


def constant(value: object, path: str, expected: object, code: str = "unsupported") -> None:
    """Exactly this value."""
    if isinstance(value, bool) or value != expected:
        raise Malformed(code, path, str(expected), show(value))


def digest(value: object, path: str) -> str:
    """A lower-case SHA-256 digest."""
    if not re.fullmatch("[0-9a-f]{64}", text(value, path)):
        raise Malformed("bad-digest", path, "64 lower-case hexadecimal digits")
    return str(value)


def fraction(value: object, path: str, sign: str = "") -> tuple[int, int]:
    """A canonical non-negative fraction, "p" or "p/q" in lowest terms; or any, if the sign may be "-?"."""
    match = re.fullmatch(f"(0|{sign}[1-9][0-9]{{0,999}})(?:/([1-9][0-9]{{0,999}}))?", text(value, path))
    if match:
        numerator, denominator = int(match[1]), int(match[2] or 1)
        if gcd(numerator, denominator) == 1 and match[2] != "1":
            return numerator, denominator
    kind = "fraction" if sign else "non-negative fraction"
    raise Malformed("bad-fraction", path, f'a {kind} "p" or "p/q" in lowest terms')


def signed_fraction(value: object, path: str) -> tuple[int, int]:
    """The same with a minus in front if it is negative."""
    return fraction(value, path, "-?")
