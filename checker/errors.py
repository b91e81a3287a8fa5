"""Refusals as data: a stable code, in which file and where, what was expected and what was found.

No text that came from a certificate is ever echoed, except digests that have the form of one: no input can forge a
verdict line.
"""

from collections.abc import Iterator
from contextlib import contextmanager


class Refusal(Exception):
    """The certificate was not verified. Subclasses fix the verdict word and the exit code.

    `file` is MODEL, PROBLEM or CERT once it is known which the refusal is about.
    """

    word = "REFUSED"
    exit_code = 70
    roles = ("expected", "got")  # what `expected` and `got` are, in words
    file = ""

    def __init__(self, code: str, path: str = "", expected: str = "", got: str = "") -> None:
        super().__init__(code)
        self.code, self.path, self.expected, self.got = code, path, expected, got

    def under(self, prefix: str) -> "Refusal":
        """The same refusal, its path now starting at `prefix`."""
        path = f"{prefix}.{self.path}" if self.path and not self.path.startswith("[") else prefix + self.path
        return type(self)(self.code, path, self.expected, self.got)

    def __str__(self) -> str:
        where = "".join([f" {word} {place}" for word, place in (("in", self.file), ("at", self.path)) if place])
        found = zip(self.roles, (self.expected, self.got), strict=True)
        detail = ", ".join([f"{role} {what}" for role, what in found if what])
        return f"{self.code}{where}{': ' if detail else ''}{detail}"


@contextmanager
def located(path: str) -> Iterator[None]:
    """Any refusal inside happened under this path."""
    try:
        yield
    except Refusal as refusal:
        raise refusal.under(path) from None


@contextmanager
def about(file: str) -> Iterator[None]:
    """Any refusal inside is about this file."""
    try:
        yield
    except Refusal as refusal:
        refusal.file = refusal.file or file
        raise


class Rejected(Refusal):
    """Well formed and about this model, but a proof step does not hold."""

    word, exit_code = "REJECTED", 1


class Malformed(Refusal):
    """Certificate or model file outside the format."""

    word, exit_code = "MALFORMED", 3


class OtherModel(Refusal):
    """The certificate is about other weights."""

    word, exit_code = "OTHER-MODEL", 4
    roles = ("the certificate is about", "the model given is")


class ResourceLimit(Refusal):
    """Checking would cost more than the stated budget; nothing is said about the proof."""

    word, exit_code = "RESOURCE-LIMIT", 5


class InternalError(Refusal):
    """A defect of the checker. It says nothing about the certificate."""

    word, exit_code = "INTERNAL-ERROR", 70


def show(value: object) -> str:
    """A short, safe rendering of an untrusted value: small integers as they are, anything else by its type."""
    if type(value) is bool or value is None:
        return repr(value).lower()
    if isinstance(value, int):
        return str(value) if value.bit_length() <= 256 else f"an integer of {value.bit_length()} bits"
    names: dict[type, str] = {str: "a string", list: "a list", dict: "an object"}
    return names.get(type(value), type(value).__name__)


def show_set(mask: int) -> str:
    """A bit mask as the set of its bits, such as {0, 3}; in hexadecimal when it is long, or negative and no set."""
    if not 0 <= mask < 1 << 64:
        return hex(mask) if mask.bit_length() <= 256 else show(mask)
    return f"{{{', '.join([str(bit) for bit in range(64) if (mask >> bit) & 1])}}}"
