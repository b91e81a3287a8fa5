"""How many choices of one loss per position add up to at most a limit: nearly, and certainly.

`losses` holds whole numbers, [..., pool, token]; a pool is chosen from `uses[pool]` times. A token that must not occur
has a loss above the limit. Each of the `needed` tokens has to occur.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from certgen.counts.polynomials import IntArray
from certgen.models.dyadic import FloatArray

ComplexArray: TypeAlias = npt.NDArray[np.complex128]

DAMPING = 1e-11  # of what a cyclic product adds to the coefficients that are wanted
EXACT = 1 << 53  # below, float64 adds and multiplies whole numbers exactly


def nearly(losses: IntArray, uses: Sequence[int], limits: IntArray, needed: IntArray) -> FloatArray:
    """The share of all choices, [b], for losses [b, pool, token], limits [b] and needed tokens [b, 0 to 2].

    Errors of some 1e-11 of all choices: polynomials are multiplied by Fourier transforms, cyclically, with coefficients
    that fall off fast enough.
    """
    batch, pools, tokens = losses.shape
    lanes = int(limits.max(initial=0)) + 1
    size = fast_size(2 * lanes)
    decay = DAMPING ** (np.arange(lanes + 1) / size)
    decay[lanes] = 0.0  # of what is above every limit
    capped = np.minimum(losses, lanes)
    rows = np.arange(batch * pools).reshape(batch, pools, 1) * (lanes + 1)
    counted = np.bincount((rows + capped).ravel(), minlength=batch * pools * (lanes + 1))
    histogram = counted.reshape(batch, pools, lanes + 1)[..., :lanes] * (decay[:lanes] / tokens)
    whole = np.fft.rfft(histogram, size)
    # all choices, less those without one of the needed tokens, and so on
    signed = [(1, whole)]
    roots = np.exp(-2j * np.pi / size * np.arange(size))
    for column in needed.T:
        loss = np.take_along_axis(capped, column[:, None, None], axis=-1)
        one = roots[loss * np.arange(size // 2 + 1) % size] * (decay[loss] / tokens)
        signed += [(-sign, factors - one) for sign, factors in signed]
    total = sum(sign * np.prod(powers(factors, uses), axis=1) for sign, factors in signed)
    coefficients = np.fft.irfft(total, size)[:, :lanes] / decay[:lanes]
    found = np.where(np.arange(lanes) <= limits[:, None], coefficients, 0.0).sum(axis=1)
    return np.asarray(np.maximum(found, 0.0))


def powers(factors: ComplexArray, uses: Sequence[int]) -> ComplexArray:
    """The factor of each pool as often as it is used."""
    return factors if max(uses, default=1) == 1 else factors ** np.asarray(uses, dtype=int)[:, None]


def fast_size(least: int) -> int:
    """An even number with small prime factors."""
    sizes = [base << shift for base in (1, 3, 5, 9, 15) for shift in range(1, 24)]
    return min(size for size in sizes if size >= least)


def certainly(losses: IntArray, uses: Sequence[int], limit: int, needed: Sequence[int], upward: bool) -> int:
    """A bound on the number of choices for losses [pool, token], from above or from below.

    Exact if there are fewer than 2^53; otherwise what rounding may have changed is on the safe side: every number is
    positive until the end, so that errors are relative.
    """
    tokens = losses.shape[-1]
    everything = tokens ** sum(uses)
    if limit < 0:
        return 0
    unit = 1.0 if everything < EXACT else 1.0 / tokens
    total = size = 0.0
    for number in range(len(needed) + 1):
        for without in combinations(needed, number):
            found = within(np.delete(losses, list(without), axis=-1), uses, limit, unit)
            total, size = total + (-1) ** number * found, size + found
    if unit == 1.0:
        return int(total)
    doubt = Fraction(size) * (sum(uses) + 4) * (limit + 4) / EXACT * 2 + Fraction(1, 1 << 900)
    bound = (Fraction(total) + (doubt if upward else -doubt)) * everything
    return int(-(-bound // 1)) if upward else max(int(bound // 1), 0)


def within(losses: IntArray, uses: Sequence[int], limit: int, unit: float) -> float:
    """How many choices there are, each choice of a token counting as `unit`."""
    product = np.ones(1)
    for row, count in zip(losses, uses, strict=True):
        factor = np.bincount(row[row <= limit], minlength=1) * unit
        while count:
            if count % 2:
                product = np.convolve(product, factor)[: limit + 1]
            count //= 2
            if count:
                factor = np.convolve(factor, factor)[: limit + 1]
    return float(product.sum())
