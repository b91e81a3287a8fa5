"""Exact real arrays for the search: numpy arrays of Python integers with one power-of-two exponent."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.object_]
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

ZERO_MAGNITUDE = -(1 << 12)  # below the products of all but subnormal weights


@dataclass(frozen=True, eq=False)
class Dyadic:
    """The real array integers * 2^exponent; `integers` has dtype object and holds Python integers of any length."""

    integers: IntArray
    exponent: int

    @staticmethod
    def of(array: FloatArray, exponent: int) -> Dyadic:
        """The very numbers of a finite float64 array, all of them multiples of 2^exponent."""
        significands, exponents = np.frexp(array)
        whole = np.ldexp(significands, 53).astype(np.int64).astype(object)
        shifts = exponents - 53 - exponent
        up, down = (np.maximum(shift, 0).astype(object) for shift in (shifts, -shifts))
        return Dyadic((whole << up) >> down, exponent)

    @property
    def T(self) -> Dyadic:
        return Dyadic(self.integers.T, self.exponent)

    def __getitem__(self, index: Any) -> Dyadic:
        return Dyadic(np.array(self.integers[index], dtype=object), self.exponent)

    def __matmul__(self, other: Dyadic) -> Dyadic:
        return Dyadic(self.integers @ other.integers, self.exponent + other.exponent)

    def __add__(self, other: Dyadic) -> Dyadic:
        exponent = min(self.exponent, other.exponent)
        return Dyadic(self.at(exponent) + other.at(exponent), exponent)

    def __neg__(self) -> Dyadic:
        return Dyadic(-self.integers, self.exponent)

    def __sub__(self, other: Dyadic) -> Dyadic:
        return self + -other

    def max(self, axis: int | None = None) -> Dyadic:
        """Largest entry, or largest along an axis."""
        return Dyadic(np.array(self.integers.max(axis=axis), dtype=object), self.exponent)

    def at(self, exponent: int) -> IntArray:
        """The integers when written with a smaller (or the same) exponent."""
        integers: IntArray = self.integers << (self.exponent - exponent)
        return integers

    def ceil(self, exponent: int) -> IntArray:
        """Rounded up to multiples of 2^exponent."""
        return self.at(exponent) if self.exponent >= exponent else -(-self.integers >> (exponent - self.exponent))

    def magnitude(self) -> int:
        """The smallest e with every |entry| < 2^e; very negative when all are zero."""
        longest = int(np.max(np.abs(self.integers), initial=0)).bit_length()
        return longest + self.exponent if longest else ZERO_MAGNITUDE

    def floats(self, exponent: int = 0) -> FloatArray:
        """The nearest float64 to each entry divided by 2^exponent; overflow becomes infinity."""
        shift = self.exponent - exponent
        floats: FloatArray = np.vectorize(lambda number: nearest(number, shift), otypes=[np.float64])(self.integers)
        return floats


def mean_row(table: Dyadic) -> Dyadic:
    """The mean of the rows, rounded down to the table's unit, as the checker rounds it."""
    return Dyadic((table.integers.sum(axis=0) // len(table.integers))[None, :], table.exponent)


def nearest(number: int, shift: int) -> float:
    """float64 nearest to number * 2^shift."""
    try:
        return number / (1 << -shift) if shift < 0 else float(number << shift)
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")


def dyadic_ceil(number: Fraction, exponent: int) -> int:
    """A rational rounded up to a multiple of 2^exponent."""
    return -((-number.numerator << max(-exponent, 0)) // (number.denominator << max(exponent, 0)))
