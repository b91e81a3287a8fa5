"""Integers that count what is done with them, in the unit of docs/length.md."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

LIMB = 64


def limbs(number: int) -> int:
    """64-bit words of a number's size; zero takes one."""
    return (number.real.bit_length() + LIMB - 1) // LIMB or 1


class CountingType(NamedTuple):
    """A type of integers whose operations add their cost to one total; what adds to it besides; and what it is."""

    integer: type[int]
    spend: Callable[[int], None]
    spent: Callable[[], int]


Operation = Callable[..., Any]


def counting() -> CountingType:
    """A new one, with a total of 0. Results of operations are of that type, too.

    Every operation of a check passes here, so that these functions do without attributes and further calls where they
    can. `number.real` is the plain integer, with which nothing is counted; what has none is no integer. Two numbers are
    below 2^63, and take one word each, if the bits of their lengths together make less than 64.
    """
    total = 0

    def spend(cost: int) -> None:
        nonlocal total
        total += cost

    def unary(operation: Operation) -> Operation:
        """-a, abs(a) and the like cost the limbs of a."""

        def counted(self: int) -> Any:
            nonlocal total
            a = self.real
            total += (a.bit_length() + 63) // 64 or 1
            return Counting(operation(a))

        return counted

    def both_ways(operation: Operation) -> tuple[Operation, Operation]:
        """The operation, and the same with operands exchanged."""
        return operation, lambda self, other: operation(other, self)

    def linear(operation: Operation, compares: bool = False) -> Operation:
        """a + b and the like cost the limbs of the longer one; so does a < b, but nothing with what is no integer."""

        def counted(self: int, other: Any) -> Any:
            nonlocal total
            try:
                a, b = self.real, other.real
            except AttributeError:
                return NotImplemented
            if a.bit_length() | b.bit_length() < 64:
                total += 1
            else:
                total += (max(a.bit_length(), b.bit_length()) + 63) // 64
            return operation(a, b) if compares else Counting(operation(a, b))

        return counted

    def shift(operation: Operation) -> Operation:
        """a << b and a >> b cost the limbs of the longest number."""

        def counted(self: int, other: int) -> Any:
            nonlocal total
            a, b = self.real, other.real
            result = operation(a, b)
            if a.bit_length() | b.bit_length() | result.bit_length() < 64:
                total += 1
            else:
                total += (max(a.bit_length(), b.bit_length(), result.bit_length()) + 63) // 64
            return Counting(result)

        return counted

    def product(self: int, other: Any) -> Any:
        """a * b costs one operation for each pair of limbs; to repeat a sequence costs nothing."""
        nonlocal total
        try:
            a, b = self.real, other.real
        except AttributeError:
            return NotImplemented
        if a.bit_length() | b.bit_length() < 64:
            total += 1
        else:
            total += ((a.bit_length() + 63) // 64 or 1) * ((b.bit_length() + 63) // 64 or 1)
        return Counting(a * b)

    def quotient(part: int) -> Operation:
        """a // b and a % b cost one operation for each pair of limbs of quotient and divisor."""

        def counted(self: int, other: int) -> Any:
            nonlocal total
            b = other.real
            parts = divmod(self.real, b)
            total += ((parts[0].bit_length() + 63) // 64 or 1) * ((b.bit_length() + 63) // 64)
            return Counting(parts[part])

        return counted

    def power(self: int, exponent: int) -> Any:
        """By squaring: a ** b costs what repeated multiplication of the growing powers costs."""
        result, base, left = Counting(1), self, exponent.real
        while left:
            if left & 1:
                result = product(result, base)
            left >>= 1
            if left:
                base = product(base, base)
        return result

    class Counting(int):
        """An integer that adds to the total."""

        __neg__, __abs__, __invert__ = unary(operator.neg), unary(operator.abs), unary(operator.invert)
        bit_length, bit_count = unary(int.bit_length), unary(int.bit_count)
        __add__, __radd__ = both_ways(linear(operator.add))
        __sub__, __rsub__ = both_ways(linear(operator.sub))
        __and__, __rand__ = both_ways(linear(operator.and_))
        __or__, __ror__ = both_ways(linear(operator.or_))
        __xor__, __rxor__ = both_ways(linear(operator.xor))
        __lshift__, __rlshift__ = both_ways(shift(operator.lshift))
        __rshift__, __rrshift__ = both_ways(shift(operator.rshift))
        __lt__, __le__, __eq__ = linear(operator.lt, True), linear(operator.le, True), linear(operator.eq, True)
        __gt__, __ge__, __ne__ = linear(operator.gt, True), linear(operator.ge, True), linear(operator.ne, True)
        __mul__ = __rmul__ = product
        __floordiv__, __rfloordiv__ = both_ways(quotient(0))
        __mod__, __rmod__ = both_ways(quotient(1))
        __pow__ = power  # type: ignore[assignment]  # without a modulus, which the checker never takes
        __hash__ = int.__hash__

        def __rpow__(self, base: int) -> Any:  # type: ignore[override]
            return power(Counting(base), self)

    return CountingType(Counting, spend, lambda: total)
