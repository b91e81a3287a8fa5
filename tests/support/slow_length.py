"""The definition of docs/length.md, operation by operation: a slow way to the number that certgen.length finds."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, ClassVar

from certgen.length import ProofLength
from checker.certificate import decode_certificate
from checker.kernel import verify
from checker.model.weights import read_weights

LIMB = 64

bit_length = int.bit_length  # of the plain integer, which costs nothing


def limbs(number: int) -> int:
    """64-bit words of a number's size; zero takes one."""
    return -(-bit_length(number) // LIMB) or 1


class Meter:
    """The running total of one measurement, and the type of the integers that add to it."""

    def __init__(self) -> None:
        self.length = 0
        self.integer = type("Counted", (Counting,), {"meter": self})

    def read(self, text: str | int) -> int:
        """A number that enters the check."""
        number: int = self.integer(text)
        self.length += limbs(number)
        return number


Operation = Callable[..., Any]


def unary(operation: Operation) -> Operation:
    """-a, abs(a) and the like cost the limbs of a."""

    def counted(self: Counting) -> Any:
        kind = type(self)
        kind.meter.length += limbs(self)
        return kind(operation(self))

    return counted


def linear(operation: Operation) -> Operation:
    """a + b and the like cost the limbs of the longer one."""

    def counted(self: Counting, other: int) -> Any:
        result = operation(self, other)
        if result is NotImplemented:
            return result
        kind = type(self)
        kind.meter.length += limbs(self if bit_length(self) > bit_length(other) else other)
        return kind(result)

    return counted


def shift(operation: Operation) -> Operation:
    """a << b and a >> b cost the limbs of the longest number."""

    def counted(self: Counting, other: int) -> Any:
        kind, result = type(self), operation(self, other)
        kind.meter.length += max(limbs(result), limbs(self), limbs(other))
        return kind(result)

    return counted


def comparison(operation: Operation) -> Operation:
    """a < b and the like cost as much as a - b; what is no integer costs nothing."""

    def counted(self: Counting, other: int) -> Any:
        if isinstance(other, int):
            type(self).meter.length += limbs(self if bit_length(self) > bit_length(other) else other)
        return operation(self, other)

    return counted


def product(self: Counting, other: int) -> Any:
    """a * b costs one operation for each pair of limbs; to repeat a sequence costs nothing."""
    kind, result = type(self), int.__mul__(self, other)
    if result is NotImplemented:
        return result
    kind.meter.length += limbs(self) * limbs(other)
    return kind(result)


def quotient(operation: Operation, dividend_first: bool = True) -> Operation:
    """a // b and a % b cost one operation for each pair of limbs of quotient and divisor."""

    def counted(self: Counting, other: int) -> Any:
        kind = type(self)
        dividend, divisor = (self, other) if dividend_first else (other, self)
        kind.meter.length += limbs(int.__floordiv__(dividend, divisor)) * limbs(divisor)
        return kind(operation(self, other))

    return counted


def power(self: Counting, exponent: int) -> Any:
    """By squaring: a ** b costs what repeated multiplication of the growing powers costs."""
    result, base, left = type(self)(1), self, int(exponent)
    while left:
        if left & 1:
            result = product(result, base)
        left >>= 1
        if left:
            base = product(base, base)
    return result


class Counting(int):
    """An integer whose operations add their cost to the meter of its class; their results are of that class, too."""

    meter: ClassVar[Meter]

    __neg__, __abs__, __invert__ = unary(int.__neg__), unary(int.__abs__), unary(int.__invert__)
    bit_length, bit_count = unary(int.bit_length), unary(int.bit_count)
    __add__, __radd__ = linear(int.__add__), linear(int.__radd__)
    __sub__, __rsub__ = linear(int.__sub__), linear(int.__rsub__)
    __and__, __rand__ = linear(int.__and__), linear(int.__rand__)
    __or__, __ror__ = linear(int.__or__), linear(int.__ror__)
    __xor__, __rxor__ = linear(int.__xor__), linear(int.__rxor__)
    __lshift__, __rlshift__ = shift(int.__lshift__), shift(int.__rlshift__)
    __rshift__, __rrshift__ = shift(int.__rshift__), shift(int.__rrshift__)
    __lt__, __le__, __eq__ = comparison(int.__lt__), comparison(int.__le__), comparison(int.__eq__)
    __gt__, __ge__, __ne__ = comparison(int.__gt__), comparison(int.__ge__), comparison(int.__ne__)
    __mul__ = __rmul__ = product
    __floordiv__, __rfloordiv__ = quotient(int.__floordiv__), quotient(int.__rfloordiv__, dividend_first=False)
    __mod__, __rmod__ = quotient(int.__mod__), quotient(int.__rmod__, dividend_first=False)
    __pow__ = power  # type: ignore[assignment]  # without a modulus, which the checker never takes
    __hash__ = int.__hash__

    def __rpow__(self, base: int, modulus: None = None) -> Any:  # type: ignore[override]
        return power(type(self)(base), self)


def slow_length(model: bytes, certificate: bytes) -> ProofLength:
    """Of a certificate that verifies."""
    meter = Meter()
    marks = [0]
    weights = read_weights(model, meter.read)
    marks.append(meter.length)
    decoded = decode_certificate(certificate, meter.read)
    marks.append(meter.length)
    verify(decoded, weights, 1 << 62)
    marks.append(meter.length)
    return ProofLength(*(after - before for before, after in pairwise(marks)))
