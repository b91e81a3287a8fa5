"""Refusals as data: a stable code, where it happened, what was expected and what was found.

No text that came from a certificate is ever echoed, so no input can forge a verdict line.
"""

from collections.abc import Iterator
from contextlib import contextmanager


class Refusal(Exception):
    """The certificate was not verified. Subclasses fix the verdict word and the exit code."""

    word = "REFUSED"
    exit_code = 70

    def __init__(self, code: str, path: str = "", expected: str = "", got: str = "") -> None:
        super().__init__(code)
        self.code, self.path, self.expected, self.got = code, path, expected, got

    def under(self, prefix: str) -> "Refusal":
        """The same refusal, its path now starting at `prefix`."""
        path = f"{prefix}.{self.path}" if self.path and not self.path.startswith("[") else prefix + self.path
        return type(self)(self.code, path, self.expected, self.got)

    def __str__(self) -> str:
        where = f" at {self.path}" if self.path else ""
        detail = f": expected {self.expected}" if self.expected else ""
        return f"{self.code}{where}{detail}{', got ' + self.got if self.got else ''}"


@contextmanager
def located(path: str) -> Iterator[None]:
    """Any refusal inside happened under this path."""
    try:
        yield
    except Refusal as refusal:
        raise refusal.under(path) from None


class Rejected(Refusal):
    """Well formed and about this model, but a proof step does not hold."""

    word, exit_code = "REJECTED", 1


class Malformed(Refusal):
    """Certificate or model file outside the format."""

    word, exit_code = "MALFORMED", 3


class OtherModel(Refusal):
    """The certificate is about other weights."""

    word, exit_code = "OTHER-MODEL", 4


class ResourceLimit(Refusal):
    """Checking would cost more than the stated budget; nothing is said about the proof."""

    word, exit_code = "RESOURCE-LIMIT", 5


def show(value: object) -> str:
    """A short, safe rendering of an untrusted value: small integers as they are, anything else by its type."""
    if type(value) is bool or value is None:
        return repr(value).lower()
    if isinstance(value, int):
        return str(value) if value.bit_length() <= 256 else f"an integer of {value.bit_length()} bits"
    names: dict[type, str] = {str: "a string", list: "a list", dict: "an object"}
    return names.get(type(value), type(value).__name__)
