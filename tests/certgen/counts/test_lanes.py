"""Counts of choices by their losses, against listing them."""

from itertools import product

import numpy as np
import pytest

from certgen.counts.lanes import certainly, nearly

LOSSES = np.array([[0, 3, 1, 7], [2, 0, 9, 1]])  # [pool, token]
USES = [2, 1]


def listed(losses: np.ndarray, uses: list[int], limit: int, needed: list[int]) -> int:
    """One choice after another."""
    rows = [row for row, times in zip(losses, uses, strict=True) for _ in range(times)]
    choices = product(range(losses.shape[1]), repeat=len(rows))
    return sum(
        sum(row[token] for row, token in zip(rows, choice, strict=True)) <= limit and set(needed) <= set(choice)
        for choice in choices
    )


@pytest.mark.parametrize("needed", [[], [3], [3, 1]])
@pytest.mark.parametrize("limit", [-1, 0, 2, 5, 10, 40])
def test_counts_are_those_of_a_list(limit: int, needed: list[int]) -> None:
    wanted = listed(LOSSES, USES, limit, needed)
    for upward in (True, False):
        assert certainly(LOSSES, USES, limit, needed, upward) == wanted
    shares = nearly(LOSSES[None].repeat(2, axis=0), USES, np.array([limit, 4]), np.array([needed, needed], dtype=int))
    assert shares[0] * 64 == pytest.approx(wanted, abs=1e-6)
    assert shares[1] * 64 == pytest.approx(listed(LOSSES, USES, 4, needed), abs=1e-6)


def test_a_count_that_floats_cannot_hold_is_rounded_to_the_safe_side() -> None:
    losses, uses = np.zeros((1, 7), dtype=int), [40]
    exact = 7**40 - 6**40  # the choices that hold token 6
    above, below = (certainly(losses, uses, 0, [6], upward) for upward in (True, False))
    assert below < exact < above
    assert above - below < exact / 10**9


def test_without_positions_there_is_one_choice() -> None:
    nothing = np.zeros((0, 3), dtype=int)
    assert certainly(nothing, [], 0, [], True) == 1
    assert nearly(nothing[None], [], np.array([0]), np.zeros((1, 0), dtype=int)).tolist() == pytest.approx([1.0])
