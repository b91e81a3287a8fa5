"""One figure for all proofs about a model: the area under the best bound against the logarithm of proof length."""

from __future__ import annotations

from collections.abc import Iterable
from math import log

OF_LOGIT = 4  # operations of brute force for each logit of each sequence, about


def area_under_frontier(
    proofs: Iterable[tuple[float, float]], reading: float, brute_force: float, truth: float
) -> float | None:
    """The mean of the best bound so far, over `truth`, for lengths from `reading` to `brute_force`, on a log scale.

    `proofs` are pairs of length and bound, in any order. The best bound so far is a step function, 0 before the first
    proof. 1 would be a proof of the truth for the price of reading the weights; 0, nothing but brute force. `truth` is
    the accuracy, or what is known to be no less than it; a bound above an estimate counts as the estimate. None if
    brute force is no longer than reading, or nothing is correct.
    """
    if not reading < brute_force or truth <= 0:
        return None
    area = best = 0.0
    last = log(reading)
    for length, bound in sorted(proofs):
        place = log(min(max(length, reading), brute_force))
        area += best * (place - last)
        best, last = max(best, min(bound / truth, 1.0)), place
    width = log(brute_force) - log(reading)
    return (area + best * (log(brute_force) - last)) / width


def brute_force_length(v: int, k: int) -> int:
    """About how many operations it takes to evaluate every sequence of k tokens by one head: OF_LOGIT v^(k + 1)."""
    return int(OF_LOGIT * v ** (k + 1))
