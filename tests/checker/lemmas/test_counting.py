"""Counting by polynomials against counting one by one; and readings that look right and miss wrong sequences."""

from collections import Counter
from collections.abc import Callable
from itertools import product
from math import prod

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checker.lemmas.counting import count_reaching, count_within
from tests.support.counting import Tables, reaching, repeated
from tests.support.quick_and_slow import quick_and_slow

MOST_STEPS = 1 << 16


def within(losses: Tables, steps: int) -> int:
    return sum(sum(choice) <= steps for choice in product(*losses))


NUMBERS = st.integers(-20, 20) | st.integers(-(10**6), 10**6) | st.sampled_from([-(1 << 20000), 1 << 20000, 0, -1, 1])
ROWS = st.lists(NUMBERS, min_size=1, max_size=5)


@st.composite
def pooled(draw: st.DrawFn) -> tuple[Tables, list[int]]:
    """Up to four choices from fewer tables; the last table, of the query, is used once."""
    times = draw(st.sampled_from([[], [1], [2], [3], [1, 1], [2, 1], [1, 2], [1, 1, 1]]))
    return [draw(ROWS) for _ in [*times, 1]], [*times, 1]


def peak(tables: Tables, times: list[int]) -> int:
    """The largest sum."""
    return sum(max(row) * count for row, count in zip(tables, times, strict=True))


def moved(tables: Tables, times: list[int], budget: int) -> Tables:
    """The last table moved, so that this is the largest sum."""
    by = budget - peak(tables, times)
    return [*tables[:-1], [x + by for x in tables[-1]]]


@quick_and_slow(1500)
def test_counting_never_misses_a_wrong_sequence(run: settings) -> None:
    """Nor does it count one too many when steps + 1 is a multiple of budget + 1: then no loss is rounded. Otherwise it
    may, however many steps there are: losses 6, 2 of a budget of 7 fit in 9 steps as 7 + 2."""
    seen: Counter[str] = Counter()

    @run
    @given(
        case=pooled(),
        near=st.integers(-30, 60) | st.none(),
        steps=st.integers(1, 40) | st.integers(1, 2000),
        last_has_final=st.booleans(),
    )
    def never(case: tuple[Tables, list[int]], near: int | None, steps: int, last_has_final: bool) -> None:
        tables, times = case
        if near is not None:  # a budget of this size, most often exactly used up by some choices
            tables = moved(tables, times, near)
        budget = peak(tables, times)
        exact = reaching(tables, times, last_has_final)
        found = count_reaching(tables, times, last_has_final, steps)
        sizes = [len(row) for row in repeated(tables, times)]
        choices = prod(sizes) - prod([*(size - 1 for size in sizes[:-1]), sizes[-1] - last_has_final])
        assert exact <= found <= choices
        if budget < 0:
            assert found == 0
        if budget >= 0 and (steps + 1) % (budget + 1) == 0:
            assert found == exact
        if 0 <= budget <= 500:
            assert count_reaching(tables, times, last_has_final, 3 * budget + 2) == exact
        assert found == count_reaching(repeated(tables, times), [1] * len(sizes), last_has_final, steps)
        seen["cases"] += 1
        seen["budget 0"] += budget == 0
        seen["too many"] += found > exact
        seen["neither all nor none"] += 0 < exact < choices
        seen["one table"] += len(tables) == 1
        seen["a table used again"] += max(times) > 1 and 0 < exact < choices
        seen["a last table of several entries"] += len(tables[-1]) > 1 and exact > 0

    never()
    print(f"\ncounting: {dict(seen)}")
    assert seen["neither all nor none"] > 0.1 * seen["cases"]
    assert all(seen[rare] > 20 for rare in ("budget 0", "too many", "one table", "a table used again"))
    assert seen["a last table of several entries"] > 20


def each_once(tables: Tables, last_has_final: bool, steps: int) -> int:
    """Every table used once."""
    return count_reaching(tables, [1] * len(tables), last_has_final, steps)


def test_counting_at_the_edges() -> None:
    assert each_once([[0]], True, 5) == 1
    assert each_once([[-1]], True, 5) == 0
    assert each_once([[0]], False, 5) == 0  # no position holds the final entry
    assert each_once([[0, 0, -1]], True, 5) == 0
    assert each_once([[-1, -1, 0]], True, 5) == 1
    assert each_once([[0], [0]], False, 1) == 1
    assert each_once([[5, 0], [-5]], False, 1) == 0
    assert each_once([[5, 0], [-5]], True, 1) == 1
    assert each_once([[5, 0], [-6]], True, 1) == 0
    for tables, times in (([[-3] * 6] * 5, [1] * 5), ([[-3] * 6], [5]), ([[-3] * 6] * 2, [3, 2])):
        assert count_reaching([*tables, [15]], [*times, 1], True, 1) == 6**5
        assert count_reaching([*tables, [14]], [*times, 1], True, 1) == 0
        assert count_reaching([*tables, [15] * 3], [*times, 1], True, 1) == 3 * 6**5 - 2 * 5**5
        assert count_reaching([*tables, [15] * 3], [*times, 1], False, MOST_STEPS) == 3 * 6**5 - 3 * 5**5
    huge = 1 << 70000
    assert each_once([[huge, -huge], [huge, -huge], [0]], True, 1) == 3
    assert count_reaching([[huge, -huge], [0]], [2, 1], False, 3) == 2
    several = [each_once([[0, -6], [0, -2], [7]], True, steps) for steps in (7, 9, 8 * 999, 8 * 999 + 7)]
    assert several == [3, 4, 4, 3]
    assert count_within([], [], 1) == 1
    assert count_within([[]], [1], 1) == 0
    assert count_within([[], [0]], [1, 1], 7) == 0
    assert count_within([[0], []], [3, 2], 7) == 0
    assert count_within([[0] * 64], [19], 1) == 64**19  # a lane holds any number of choices
    assert count_within([[0] * 64, [0] * 3], [18, 2], 1) == 64**18 * 9
    assert count_within([[1, 1], [0, 1, 1], [9]], [1, 1, 1], 1) == 0
    assert count_within([[1, 1], [0, 1, 1], [0]], [1, 1, 1], 1) == 2
    assert count_within([[0, MOST_STEPS, MOST_STEPS + 1, 10**99]], [2], MOST_STEPS) == 3


@quick_and_slow(400)
def test_counting_within_is_its_definition(run: settings) -> None:
    @run
    @given(
        losses=st.lists(st.lists(st.integers(0, 12) | st.integers(0, 10**6), max_size=5), max_size=3),
        times=st.lists(st.integers(1, 2), min_size=3, max_size=3),
        steps=st.integers(1, 30) | st.integers(1, 3000),
    )
    def equal(losses: Tables, times: list[int], steps: int) -> None:
        times = times[: len(losses)]
        assert count_within(losses, times, steps) == within(repeated(losses, times), steps)

    equal()


@quick_and_slow(60)
def test_counting_weakens_with_fewer_steps(run: settings) -> None:
    """Half as many steps, less one, never count less: (N + 1) halves, and so does every loss, rounded down."""

    @run
    @given(case=pooled(), near=st.integers(0, 10**6), half=st.integers(1, 500), last_has_final=st.booleans())
    def weaker(case: tuple[Tables, list[int]], near: int, half: int, last_has_final: bool) -> None:
        tables, times = case
        tables = moved(tables, times, near)
        fine = count_reaching(tables, times, last_has_final, 2 * half + 1)
        assert count_reaching(tables, times, last_has_final, half) >= fine

    weaker()


# Readings of the lemma that look right, and a table for each on which wrong sequences are missed.
def rounded(tables: Tables, scale: Callable[[int, int], int]) -> Tables:
    """The losses, each turned into steps by scale(loss, budget)."""
    budget = sum(map(max, tables))
    return [[scale(max(row) - x, budget) for x in row] for row in tables]


def rounded_down(tables: Tables, steps: int) -> Tables:
    return rounded(tables, lambda loss, budget: loss * (steps + 1) // (budget + 1))


def choices_within(losses: Tables, steps: int) -> int:
    return count_within(losses, [1] * len(losses), steps)


def difference(losses: Tables, last_has_final: bool, steps: int) -> int:
    without = [row[:-1] for row in losses[:-1]] + [losses[-1][:-1] if last_has_final else losses[-1]]
    return choices_within(losses, steps) - choices_within(without, steps)


def losses_rounded_up(tables: Tables, last_has_final: bool, steps: int) -> int:
    losses = rounded(tables, lambda loss, budget: -(-loss * (steps + 1) // (budget + 1)))
    return difference(losses, last_has_final, steps)


def losses_rounded_to_nearest(tables: Tables, last_has_final: bool, steps: int) -> int:
    losses = rounded(tables, lambda loss, budget: (2 * loss * (steps + 1) + budget + 1) // (2 * budget + 2))
    return difference(losses, last_has_final, steps)


def more_steps_than_counted(tables: Tables, last_has_final: bool, steps: int) -> int:
    """Unit budget / (steps + 1): a sum of exactly the budget is no longer within the steps."""
    losses = rounded(tables, lambda loss, budget: loss * (steps + 1) // max(budget, 1))
    return difference(losses, last_has_final, steps)


def a_tie_is_correct(tables: Tables, last_has_final: bool, steps: int) -> int:
    """Sums > 0 in place of >= 0."""
    return each_once([*tables[:-1], [x - 1 for x in tables[-1]]], last_has_final, steps)


def last_step_left_out(tables: Tables, last_has_final: bool, steps: int) -> int:
    return difference(rounded_down(tables, steps), last_has_final, steps - 1)


def without_final_on_its_own_budget(tables: Tables, last_has_final: bool, steps: int) -> int:
    """Two upper bounds subtracted: choices with the final entry, as all less those without, each rounded for itself."""
    without = [row[:-1] for row in tables[:-1]] + [tables[-1][:-1] if last_has_final else tables[-1]]
    return choices_within(rounded_down(tables, steps), steps) - choices_within(rounded_down(without, steps), steps)


def final_entry_at_the_first_place_only(tables: Tables, last_has_final: bool, steps: int) -> int:
    """The final entry asked of the first table in place of any."""
    losses = rounded_down(tables, steps)
    return choices_within(losses, steps) - choices_within([losses[0][:-1], *losses[1:]], steps)


def peaks_over_what_is_not_final(tables: Tables, last_has_final: bool, steps: int) -> int:
    """The largest entries searched among tokens below m; m can be the one that loses least."""
    peaks = [max(row[:-1], default=row[-1]) for row in tables]
    budget = sum(peaks)
    if budget < 0:
        return 0
    losses = [[max(p - x, 0) * (steps + 1) // (budget + 1) for x in row] for p, row in zip(peaks, tables, strict=True)]
    return difference(losses, last_has_final, steps)


def query_never_the_maximum(tables: Tables, last_has_final: bool, steps: int) -> int:
    """The final entry asked of the other positions even where the query may be the maximum."""
    return each_once(tables, False, steps)


# the reading, tables, last_has_final, steps; checked by eye in the comments
MISSED = [
    # losses 0, 1 and budget 2 in 2 steps: 1 * 3 / 3 = 1 each and both fit; with 1 step 2/3 goes to 1, the sum 2 > 1
    (losses_rounded_up, [[1, 0], [1, 0], [0]], True, 1),
    (losses_rounded_to_nearest, [[1, 0], [1, 0], [0]], True, 1),
    (more_steps_than_counted, [[3, 0], [0], [0]], True, 7),  # loss 3 of 3 becomes 8 of 7 steps
    (a_tie_is_correct, [[1, -1], [0, -2], [1]], True, 4),  # 1 - 2 + 1 = 0 is a tie
    (last_step_left_out, [[3, 0], [0], [0]], True, 3),
    # all 9 reach 0 in 2 steps of a budget of 5, and so do, in steps of a budget of 4, all 4 without a final entry
    (without_final_on_its_own_budget, [[3, -1, 0], [-1, 0, 1], [1]], False, 2),
    (final_entry_at_the_first_place_only, [[0, 0], [0, 0], [0]], False, 1),  # (other, final) is one of three
    (peaks_over_what_is_not_final, [[-5, 4], [-5, 4], [0]], False, 8),
    (query_never_the_maximum, [[0, 0], [0, 0], [0]], True, 1),  # q = m: m need not occur again
]


@pytest.mark.parametrize(
    ("reading", "tables", "last_has_final", "steps"), MISSED, ids=[case[0].__name__ for case in MISSED]
)
def test_readings_that_miss_wrong_sequences(
    reading: Callable[..., int], tables: Tables, last_has_final: bool, steps: int
) -> None:
    wrong = reaching(tables, [1] * len(tables), last_has_final)
    assert reading(tables, last_has_final, steps) < wrong <= each_once(tables, last_has_final, steps)
