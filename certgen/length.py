"""Proof length: the work of checking, counted by running the very checker on integers that count their operations.

The unit is an operation on 64-bit limbs: add, subtract, compare, shift and mask cost the limbs of the longer operand,
a product the product of the limb counts, a quotient the limbs of quotient times divisor, and every number read from the
model or the certificate its limbs. Control flow and hashing are free.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from certgen.errors import UserError
from certgen.files import read_bytes
from checker import Refusal
from checker.certificate import decode_certificate
from checker.kernel import verify
from checker.model.weights import read_weights

LIMB = 64
UNLIMITED = 1 << 62


bit_length = int.bit_length  # of the plain integer, which costs nothing


def limbs(number: int) -> int:
    """64-bit words of a number's size; zero takes one."""
    return -(-bit_length(number) // LIMB) or 1


class Meter:
    """The running total; one per measurement."""

    def __init__(self) -> None:
        self.length = 0
        self.integer = counting_integer(self)

    def read(self, text: str | int) -> int:
        """A number that enters the check."""
        number: int = self.integer(text)
        self.length += limbs(number)
        return number


def counting_integer(meter: Meter) -> type[int]:
    """A subclass of int whose operations add their cost to the meter and return the same subclass."""

    def unary(operation: Callable[[int], int]) -> Callable[..., Any]:
        def counted(self: int) -> Any:
            meter.length += limbs(self)
            return Counting(operation(self))

        return counted

    def linear(operation: Callable[[int, int], int]) -> Callable[..., Any]:
        def counted(self: int, other: int) -> Any:
            result = operation(self, other)
            if result is NotImplemented:
                return result
            meter.length += limbs(self if bit_length(self) > bit_length(other) else other)
            return Counting(result)

        return counted

    def shift(operation: Callable[[int, int], int]) -> Callable[..., Any]:
        def counted(self: int, other: int) -> Any:
            result = operation(self, other)
            meter.length += max(limbs(result), limbs(self), limbs(other))
            return Counting(result)

        return counted

    def comparison(operation: Callable[[int, int], bool]) -> Callable[..., Any]:
        def counted(self: int, other: int) -> Any:
            if isinstance(other, int):
                meter.length += limbs(self if bit_length(self) > bit_length(other) else other)
            return operation(self, other)

        return counted

    def product(self: int, other: int) -> Any:
        meter.length += limbs(self) * limbs(other)
        return Counting(int.__mul__(self, other))

    def quotient(operation: Callable[[int, int], int], dividend_first: bool) -> Callable[..., Any]:
        def counted(self: int, other: int) -> Any:
            dividend, divisor = (self, other) if dividend_first else (other, self)
            meter.length += limbs(int.__floordiv__(dividend, divisor)) * limbs(divisor)
            return Counting(operation(self, other))

        return counted

    def power(self: int, exponent: int) -> Any:
        """By squaring: what repeated multiplication of the growing powers costs."""
        result, base, left = Counting(1), self, int(exponent)
        while left:
            if left & 1:
                result = product(result, base)
            left >>= 1
            if left:
                base = product(base, base)
        return result

    names = ("add", "sub", "and", "or", "xor")
    members: dict[str, Any] = {f"__{name}__": linear(getattr(int, f"__{name}__")) for name in names}
    members |= {f"__r{name}__": linear(getattr(int, f"__r{name}__")) for name in names}
    members |= {f"__{name}__": unary(getattr(int, f"__{name}__")) for name in ("neg", "abs", "invert")}
    members |= {name: shift(getattr(int, name)) for name in ("__lshift__", "__rshift__", "__rlshift__", "__rrshift__")}
    members |= {
        name: comparison(getattr(int, name)) for name in ("__lt__", "__le__", "__gt__", "__ge__", "__eq__", "__ne__")
    }
    members |= {"__mul__": product, "__rmul__": product, "__pow__": power, "__hash__": int.__hash__}
    members |= {"__rpow__": lambda self, base: power(Counting(base), self)}
    members |= {f"__{name}__": quotient(getattr(int, f"__{name}__"), True) for name in ("floordiv", "mod")}
    members |= {f"__r{name}__": quotient(getattr(int, f"__r{name}__"), False) for name in ("floordiv", "mod")}
    members |= {name: unary(getattr(int, name)) for name in ("bit_length", "bit_count")}
    Counting: Any = type("Counting", (int,), members)
    counting: type[int] = Counting
    return counting


@dataclass(frozen=True)
class ProofLength:
    """Operations to read the model, to read the certificate, and to derive and compare its steps."""

    model: int
    certificate: int
    derivation: int

    @property
    def total(self) -> int:
        return self.model + self.certificate + self.derivation


def proof_length(model: str | Path, certificate: str | Path) -> ProofLength:
    """Check the certificate while counting; UserError if it does not verify. Some twenty times slower than checking."""
    return length_of(read_bytes(model), read_bytes(certificate))


def length_of(model: bytes, certificate: bytes) -> ProofLength:
    """The same of files in memory."""
    meter = Meter()
    marks = [0]
    try:
        weights = read_weights(model, meter.read)
        marks.append(meter.length)
        decoded = decode_certificate(certificate, meter.read)
        marks.append(meter.length)
        verify(decoded, weights, UNLIMITED)
    except Refusal as refusal:
        raise UserError(
            f"only a proof has a length; this one is refused: {refusal}", "run check-cert for details"
        ) from None
    marks.append(meter.length)
    return ProofLength(*(after - before for before, after in pairwise(marks)))
