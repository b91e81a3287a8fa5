"""Section 3, Bytes and JSON: the file as Python values, and readers of the types that the format has.

A reader takes a value and its path, and returns the value or refuses it.
"""

import json
import re
import sys
import zlib
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from tests.second_verifier.refusal import Refused, require

Json = Any
Reader = Callable[[Json, str], Json]
MOST_BYTES = 1 << 28
MOST_DIGITS = 4000

sys.set_int_max_str_digits(0)  # lengths are limited here, by the format


def unpacked(data: bytes) -> bytes:
    """The JSON text of a certificate file."""
    require(len(data) <= MOST_BYTES, "too-large")
    if not data.startswith(b"\x1f\x8b"):
        return data
    member = zlib.decompressobj(wbits=31)
    try:
        text = member.decompress(data, MOST_BYTES + 1)
    except zlib.error as error:
        raise Refused("bad-gzip") from error
    require(len(text) <= MOST_BYTES, "too-large")
    require(member.eof and not member.unused_data, "bad-gzip")
    return text


def integer_of(text: str) -> int:
    require(text != "-0" and len(text) <= MOST_DIGITS, "bad-number")
    return int(text)


def no_integer(_: str) -> Json:
    raise Refused("not-an-integer")


def object_of(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    require(len(dict(pairs)) == len(pairs), "duplicate-key")
    return dict(pairs)


def parse(data: bytes) -> Json:
    """Strict JSON."""
    try:
        value = json.loads(
            data.decode("utf-8"),
            parse_int=integer_of,
            parse_float=no_integer,
            parse_constant=no_integer,
            object_pairs_hook=object_of,
        )
    except (ValueError, RecursionError) as error:
        raise Refused("not-json") from error
    require_characters(value)
    return value


def require_characters(value: Json) -> None:
    """No string has a half of a surrogate pair."""
    if isinstance(value, str):
        require(not any(0xD800 <= ord(letter) < 0xE000 for letter in value), "lone-surrogate")
    elif isinstance(value, list):
        for item in value:
            require_characters(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            require_characters(key)
            require_characters(item)


def canonical(value: Json) -> str:
    """Keys sorted, no white space, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def integer(low: int | None = None, high: int | None = None) -> Reader:
    def read(value: Json, path: str) -> Json:
        require(isinstance(value, int) and not isinstance(value, bool), "wrong-type", path)
        require((low is None or low <= value) and (high is None or value <= high), "out-of-range", path)
        return value

    return read


def text(value: Json, path: str) -> Json:
    require(isinstance(value, str), "wrong-type", path)
    return value


def constant(expected: Json, code: str) -> Reader:
    """This value and no other; a Boolean is no number."""

    def read(value: Json, path: str) -> Json:
        require(type(value) is type(expected) and value == expected, code, path)
        return value

    return read


def list_of(reader: Reader) -> Reader:
    def read(value: Json, path: str) -> Json:
        require(isinstance(value, list), "wrong-type", path)
        for index, item in enumerate(value):
            reader(item, f"{path}[{index}]")
        return value

    return read


def tuple_of(*readers: Reader) -> Reader:
    """A list of exactly so many."""

    def read(value: Json, path: str) -> Json:
        require(isinstance(value, list) and len(value) == len(readers), "wrong-type", path)
        for index, (item, reader) in enumerate(zip(value, readers, strict=True)):
            reader(item, f"{path}[{index}]")
        return value

    return read


def record(fields: dict[str, Reader], optional: dict[str, Reader] | None = None) -> Reader:
    """An object with exactly these fields, examined in this order."""

    def read(value: Json, path: str) -> Json:
        require(isinstance(value, dict), "wrong-type", path)
        missing = fields.keys() - value.keys()
        unknown = value.keys() - fields.keys() - (optional or {}).keys()
        require(not missing, "missing-field", path)
        require(not unknown, "unknown-field", path)
        for name, reader in {**fields, **(optional or {})}.items():
            if name in value:
                reader(value[name], f"{path}.{name}" if path else name)
        return value

    return read


def fraction(signed: bool) -> Reader:
    """A string "p" or "p/q" in lowest terms."""

    def read(value: Json, path: str) -> Json:
        text(value, path)
        found = re.fullmatch(r"(-?)(0|[1-9][0-9]*)(?:/([1-9][0-9]*))?", value, re.ASCII)
        if found is None:
            raise Refused("bad-fraction", path)
        sign, top, bottom = found.groups()
        require(max(len(top), len(bottom or "")) <= 1000, "bad-fraction", path)
        require(not sign or (signed and top != "0"), "bad-fraction", path)
        require(str(Fraction(int(top), int(bottom or "1"))) == value.removeprefix("-"), "bad-fraction", path)
        return value

    return read


def digest(value: Json, path: str) -> Json:
    text(value, path)
    require(re.fullmatch(r"[0-9a-f]{64}", value, re.ASCII) is not None, "bad-digest", path)
    return value
