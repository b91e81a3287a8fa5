"""Counting by polynomials against counting one by one; and readings that look right and count what is false."""

from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from itertools import product
from math import ceil, floor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checker.budget import Budget
from checker.errors import ResourceLimit
from checker.lemmas.counting import PHASES, count_reaching, count_within, largest_sum, polynomial
from checker.lemmas.groups import Cut
from tests.support.counting import Tables, choices, reaching, repeated
from tests.support.groups import MOST_LANES, Call, fitting, lanes
from tests.support.quick_and_slow import quick_and_slow

BUDGET = Budget(1 << 40)
NUMBERS = st.integers(-20, 20) | st.integers(-(10**6), 10**6) | st.sampled_from([-(1 << 7000), 1 << 7000, 0, -1, 1])
M = 3  # the token that has to occur; a query is M itself, or ~q


def counted(call: Call) -> int:
    return count_reaching(*call, BUDGET)


def within(losses: list[list[int]], uses: list[int], most: int, budget: Budget = BUDGET) -> int:
    return count_within([dict(enumerate(row)) for row in losses], uses, most, [], budget)


def loss(number: int, step: int, phase: int, upper: bool) -> int:
    exact = Fraction(phase, PHASES) - Fraction(number, step)
    return floor(exact) if upper else ceil(exact)


def defined(call: Call) -> int:
    """What is counted, choice by choice, in fractions."""
    step, phases = call.cut.step, call.cut.phases
    losses = [
        {t: loss(x, step, phase, call.upper) for t, x in row.items()}
        for row, phase in zip(call.tables, phases, strict=True)
    ]
    most = floor(sum(Fraction(phase, PHASES) * count for phase, count in zip(phases, call.uses, strict=True)))
    return sum(
        sum(row[t] for row, t in zip(repeated(losses, call.uses), choice, strict=True)) <= most
        and all(t in choice for t in call.needed)
        for choice in product(*repeated(call.tables, call.uses))
    )


@st.composite
def tables_of(draw: st.DrawFn) -> tuple[Tables, list[int]]:
    """Up to four choices from fewer tables, each over tokens up to M; the last table, of the query, is used once."""
    times = draw(st.sampled_from([[], [1], [2], [3], [1, 1], [2, 1], [1, 2], [1, 1, 1]]))
    tokens = [*sorted(draw(st.sets(st.integers(0, M - 1), min_size=1))), M]
    queries = draw(st.lists(st.sampled_from([M, ~0, ~1, ~2]), min_size=1, max_size=3, unique=True))
    return [{t: draw(NUMBERS) for t in row} for row in [*[tokens for _ in times], queries]], [*times, 1]


def moved(tables: Tables, times: list[int], top: int) -> Tables:
    """The last table moved, so that this is the largest sum."""
    by = top - sum(max(row.values()) * count for row, count in zip(tables, times, strict=True))
    return [*tables[:-1], {t: x + by for t, x in tables[-1].items()}]


@st.composite
def cases(draw: st.DrawFn) -> Call:
    """Anything to count with a polynomial that is not too long."""
    tables, times = draw(tables_of())
    near = draw(st.integers(-30, 60) | st.none())
    if near is not None:  # most often 0 is reached exactly by some choices
        tables = moved(tables, times, near)
    needed = draw(st.sampled_from([[M], [M], [M], [M, 0], [M, 1], []]))
    call = Call(tables, times, Cut(0, 1, tuple(0 for _ in times)), draw(st.booleans()), needed)
    step, phases = fitting(draw(st.integers(1, 40) | st.integers(1, 1000)))(call)
    step = draw(st.just(step) | st.sampled_from([1, 2, 7, 10**9]) | st.integers(1, 60))
    any_phase = st.integers(0, PHASES - 1) | st.integers(-(10**7), 10**7) | st.sampled_from([0, 1, -1, PHASES, -PHASES])
    if draw(st.booleans()):
        phases = [draw(any_phase) for _ in phases]
    if lanes(call, step, phases) > MOST_LANES:
        step, phases = fitting(50)(call)
    return call._replace(cut=Cut(0, step, tuple(phases)))


@quick_and_slow(600)
def test_counting_is_at_least_and_at_most_the_truth(run: settings) -> None:
    """From above and from below; and exactly what its definition says, however a table is used several times."""
    seen: Counter[str] = Counter()

    @run
    @given(call=cases())
    def between(call: Call) -> None:
        exact, found = reaching(call.tables, call.uses, call.needed), counted(call)
        every = choices(call.tables, call.uses, call.needed)
        assert exact <= found <= every if call.upper else 0 <= found <= exact
        assert found == defined(call)
        phases = [phase for phase, count in zip(call.cut.phases, call.uses, strict=True) for _ in range(count)]
        each = Call(
            repeated(call.tables, call.uses),
            [1 for _ in phases],
            Cut(0, call.cut.step, tuple(phases)),
            call.upper,
            call.needed,
        )
        assert found == counted(each)
        side = "above" if call.upper else "below"
        seen["cases"] += 1
        seen[f"{side}: neither all nor none"] += 0 < exact < every
        seen[f"{side}: not exact"] += found != exact
        seen[f"{side}: neither exact nor none"] += 0 < found < exact if not call.upper else exact < found < every
        seen["two needed"] += len(call.needed) == 2 and exact > 0
        seen["one table"] += len(call.tables) == 1
        seen["a table used again"] += max(call.uses) > 1 and 0 < exact < every
        seen["several queries"] += len(call.tables[-1]) > 1 and exact > 0
        seen["no choice"] += every == 0

    between()
    print(f"\ncounting: {dict(seen)}")
    for side in ("above", "below"):
        assert seen[f"{side}: neither all nor none"] > 0.08 * seen["cases"]
        assert seen[f"{side}: neither exact nor none"] > 0.02 * seen["cases"]
    assert all(seen[rare] > 10 for rare in ("two needed", "one table", "a table used again", "several queries"))
    assert seen["no choice"] > 10


@quick_and_slow(150)
def test_a_step_of_one_unit_rounds_nothing(run: settings) -> None:
    """Phases of whole steps change nothing."""

    @run
    @given(case=tables_of(), top=st.integers(-5, 200), upper=st.booleans(), data=st.data())
    def exact(case: tuple[Tables, list[int]], top: int, upper: bool, data: st.DataObject) -> None:
        tables, times = case
        tables = moved(tables, times, top)
        phases = tuple(PHASES * data.draw(st.integers(-(1 << 80), 1 << 80)) for _ in times)
        for needed in ([M], [M, 0], []):
            call = Call(tables, times, Cut(0, 1, phases), upper, needed)
            if lanes(call, 1, list(phases)) <= MOST_LANES:
                assert counted(call) == reaching(tables, times, needed)

    exact()


@pytest.mark.parametrize("width", [1, 2, 7, 31, 32, 33, 63, 64, 65, 200])
def test_a_polynomial_has_a_lane_for_each_power(width: int) -> None:
    for powers in ([0], [3], [0, 2, 2], [9, 1, 64, 0, 65], [5, 5, 5]):
        if max(powers.count(power) for power in powers) < 1 << width:
            assert polynomial(powers, width) == sum(1 << width * power for power in powers)


@quick_and_slow(150)
def test_half_a_step_counts_no_worse(run: settings) -> None:
    """With twice the phases. And a whole step more or less in a phase changes nothing."""

    @run
    @given(call=cases(), whole=st.integers(-(1 << 40), 1 << 40), at=st.integers(0, 3))
    def no_worse(call: Call, whole: int, at: int) -> None:
        _, step, phases = call.cut
        coarse, fine = (
            counted(call._replace(cut=Cut(0, unit, tuple(times * phase for phase in phases))))
            for unit, times in ((2 * step, 1), (step, 2))
        )
        assert fine <= coarse if call.upper else fine >= coarse
        others = [phase + PHASES * whole * (i == at % len(phases)) for i, phase in enumerate(phases)]
        assert counted(call) == counted(call._replace(cut=Cut(0, step, tuple(others))))

    no_worse()


def by_hand(
    rows: list[list[int]], last: dict[int, int], step: int, needed: list[int], upper: bool = True, phase: int = 0
) -> int:
    """Tables by token, each used once, the same phase for all."""
    tables = [*[dict(enumerate(row)) for row in rows], last]
    return counted(Call(tables, [1] * len(tables), Cut(0, step, (phase,) * len(tables)), upper, needed))


def test_counting_at_the_edges() -> None:
    for upper in (True, False):
        assert by_hand([], {0: 0}, 1, [0], upper) == 1
        assert by_hand([], {0: -1}, 1, [0], upper) == 0  # not even the least loss is allowed
        assert by_hand([], {~0: 0}, 5, [0], upper) == 0  # a query is no token
        assert by_hand([], {~0: 0}, 5, [], upper) == 1
        assert by_hand([[0], [0]], {~0: 0}, 1, [0], upper) == 1
        assert by_hand([[5, 0]], {~0: -5}, 1, [1], upper) == 0
        assert by_hand([[5, 0]], {1: -5}, 1, [1], upper) == 1
        assert by_hand([[5, 0]], {1: -6}, 1, [1], upper) == 0
        assert by_hand([[5, 0], [5, 0]], {~0: 0}, 1, [0, 1], upper) == 2
        assert by_hand([[5, 0]], {~0: 0}, 1, [0, 1], upper) == 0  # one position for two tokens
    assert by_hand([[0, -6], [0, -2]], {~0: 7}, 1, [], True) == 3
    assert by_hand([[0, -6], [0, -2]], {~0: 7}, 2, [], False) == 3  # 7 / 2 - 1 - 2 is half a step, that of -7 / 2
    assert by_hand([[0, -6], [0, -3]], {~0: 7}, 2, [], False) == 3
    # of 4: losses of 1/2 and 3/4 become 1, and -5/4 becomes -1; with phases of 1/2 even those of 0 become 1
    assert by_hand([[-2, 0], [-3, 0]], {~0: 5}, 4, [], False) == 3
    assert by_hand([[-2, 0], [-3, 0]], {~0: 5}, 4, [], False, PHASES // 2) == 0
    huge = 1 << 7000
    assert by_hand([[huge, -huge], [huge, -huge]], {~0: 0}, huge, []) == 3
    assert by_hand([[huge, -huge], [huge, -huge]], {~0: -1}, huge, [], False) == 1
    many = dict.fromkeys(range(6), -3)
    for tables, uses in (([many] * 5, [1] * 5), ([many], [5]), ([many] * 2, [3, 2])):
        for last, found in (({5: 15}, 6**5), ({5: 14}, 0), ({5: 15, ~1: 15, ~2: 15}, 3 * 6**5 - 2 * 5**5)):
            cut = Cut(0, 1, (0,) * (len(tables) + 1))
            assert counted(Call([*tables, last], [*uses, 1], cut, True, [5])) == found
    assert within([], [], 1) == 1
    assert within([[]], [1], 1) == 0
    assert within([[], [0]], [1, 1], 7) == 0
    assert within([[0], []], [3, 2], 7) == 0
    assert within([[0], [0]], [3, 2], -1) == 0
    assert within([[0] * 64], [19], 1) == 64**19  # a lane holds any number of choices
    assert within([[0] * 64, [0] * 3], [18, 2], 1) == 64**18 * 9
    assert within([[1, 1], [0, 1, 1], [9]], [1, 1, 1], 1) == 0
    assert within([[1, 1], [0, 1, 1], [0]], [1, 1, 1], 1) == 2
    assert within([[0, 1 << 16, (1 << 16) + 1, 10**99]], [2], 1 << 16) == 3


def test_counting_has_a_budget() -> None:
    """The bytes of all lanes, looked at before anything is multiplied; each product by itself."""
    losses, most, enough = [[0, 1], [5, 10**9]], 1 << 20, Budget(1 << 40)
    assert within(losses, [7, 1], most, enough) == 2**7
    assert within(losses, [7, 1], most, Budget(enough.spent)) == 2**7
    with pytest.raises(ResourceLimit, match="over-budget") as caught:
        within(losses, [7, 1], most, Budget(enough.spent - 1))
    assert "operations" in caught.value.expected
    width = (2**7 * 1).bit_length() + 1  # the second table has one entry that is not too large
    memory = Budget(1 << 20).memory
    assert within(losses, [7, 1], memory // width, Budget(1 << 26)) == 2**7
    with pytest.raises(ResourceLimit, match="over-budget") as caught:
        within(losses, [7, 1], memory // width + 1, Budget(1 << 26))
    assert "bytes" in caught.value.expected
    with pytest.raises(ResourceLimit):
        by_hand([], {0: 1 << 9999, ~0: 0}, 1, [])


@quick_and_slow(200)
def test_counting_within_is_its_definition(run: settings) -> None:
    @run
    @given(
        losses=st.lists(st.lists(st.integers(0, 12) | st.integers(0, 10**6), max_size=5), min_size=1, max_size=3),
        times=st.lists(st.integers(1, 5), min_size=3, max_size=3),
        most=st.integers(-2, 30) | st.integers(1, 3000),
    )
    def equal(losses: list[list[int]], times: list[int], most: int) -> None:
        times = times[: len(losses)]
        if sum(times) > 6:
            times = [1 for _ in times]
        rows = [row for row, count in zip(losses, times, strict=True) for _ in range(count)]
        expected = sum(sum(choice) <= most for choice in product(*rows))
        assert within(losses, times, most) == expected

    equal()


@quick_and_slow(150)
def test_no_choice_with_the_needed_tokens_has_a_larger_sum(run: settings) -> None:
    """With one of them it is the sum of a choice. Where there is no such choice, at least the largest of all."""
    seen: Counter[str] = Counter()

    @run
    @given(case=tables_of(), data=st.data())
    def largest(case: tuple[Tables, list[int]], data: st.DataObject) -> None:
        tables, times = case
        rows = repeated(tables, times)
        needed = data.draw(st.lists(st.sampled_from([M, *sorted(set().union(*tables))]), unique=True, max_size=2))
        sums = {choice: sum(row[t] for row, t in zip(rows, choice, strict=True)) for choice in product(*rows)}
        of_needed = [total for choice, total in sums.items() if set(needed) <= set(choice)]
        found = largest_sum(tables, times, needed)
        if len(needed) < 2:
            assert found == max(of_needed or sums.values())
        else:
            assert found >= max(of_needed, default=found)
            seen["two"] += 1
            seen["two, exact"] += bool(of_needed) and found == max(of_needed)
        seen["none"] += not of_needed
        seen["less than without them"] += found < max(sums.values())

    largest()
    assert seen["none"] and seen["less than without them"] > 5 and seen["two, exact"]
    print(f"\nlargest sums: {dict(seen)}")


# Readings of the lemma that look right, and for each a case in which it counts too few from above, or too many from
# below.
Reading = Callable[[Call], int]


def with_losses(call: Call, losses: Tables, most: int, needed: list[int] | None = None) -> int:
    """Choices by their losses."""
    wanted = call.needed if needed is None else needed
    return sum(
        sum(row[t] for row, t in zip(repeated(losses, call.uses), choice, strict=True)) <= most
        and all(t in choice for t in wanted)
        for choice in product(*repeated(losses, call.uses))
    )


def losses_of(call: Call, rounded: Callable[[Fraction], int] | None = None, phases: int = 1) -> Tables:
    rounded = rounded or (floor if call.upper else ceil)
    return [
        {t: rounded(Fraction(phase * phases, PHASES) - Fraction(x, call.cut.step)) for t, x in row.items()}
        for row, phase in zip(call.tables, call.cut.phases, strict=True)
    ]


def allowed(call: Call) -> Fraction:
    return sum(
        (Fraction(phase, PHASES) * count for phase, count in zip(call.cut.phases, call.uses, strict=True)), Fraction(0)
    )


def right(call: Call) -> int:
    return with_losses(call, losses_of(call), floor(allowed(call)))


def rounded_the_other_way(call: Call) -> int:
    return with_losses(call, losses_of(call, ceil if call.upper else floor), floor(allowed(call)))


def rounded_to_nearest(call: Call) -> int:
    return with_losses(call, losses_of(call, lambda exact: floor(exact + Fraction(1, 2))), floor(allowed(call)))


def more_allowed(call: Call) -> int:
    """What is allowed rounded up."""
    return with_losses(call, losses_of(call), ceil(allowed(call)))


def one_less_allowed(call: Call) -> int:
    return with_losses(call, losses_of(call), floor(allowed(call)) - 1)


def phases_counted_once(call: Call) -> int:
    """Not as often as the table is used."""
    return with_losses(call, losses_of(call), sum(call.cut.phases) // PHASES)


def phases_not_allowed(call: Call) -> int:
    return with_losses(call, losses_of(call), 0)


def phases_not_lost(call: Call) -> int:
    return with_losses(call, losses_of(call, phases=0), floor(allowed(call)))


def phases_added_to_the_numbers(call: Call) -> int:
    """As if they were gained."""
    return with_losses(call, losses_of(call, phases=-1), floor(allowed(call)))


def phases_rounded_one_by_one(call: Call) -> int:
    """The whole steps of each, in place of those of their sum."""
    return with_losses(
        call,
        losses_of(call),
        sum(ceil(Fraction(phase, PHASES)) * count for phase, count in zip(call.cut.phases, call.uses, strict=True)),
    )


def a_tie_is_correct(call: Call) -> int:
    """Sums > 0 in place of >= 0."""
    return right(call._replace(tables=[*call.tables[:-1], {t: x - 1 for t, x in call.tables[-1].items()}]))


def needed_at_the_first_place_only(call: Call) -> int:
    most = floor(allowed(call))
    losses = losses_of(call)
    first, *rest = repeated(losses, call.uses)
    rows = [{t: x for t, x in first.items() if t in call.needed}, *rest]
    return sum(sum(row[t] for row, t in zip(rows, choice, strict=True)) <= most for choice in product(*rows))


def nothing_needed(call: Call) -> int:
    return right(call._replace(needed=[]))


def only_the_first_needed(call: Call) -> int:
    return right(call._replace(needed=call.needed[:1]))


def one_of_them_needed(call: Call) -> int:
    """Any of the needed tokens in place of each."""
    without = [{t: x for t, x in row.items() if t not in call.needed} for row in call.tables]
    return right(call._replace(needed=[])) - right(call._replace(tables=without, needed=[]))


def both_missing_not_added_back(call: Call) -> int:
    """All, less those without one, less those without the other."""
    total = right(call._replace(needed=[]))
    for token in call.needed:
        total -= right(
            call._replace(tables=[{t: x for t, x in row.items() if t != token} for row in call.tables], needed=[])
        )
    return total


def a_query_is_its_token(call: Call) -> int:
    """What is needed may be the query."""
    last = {(t if t >= 0 else ~t): x for t, x in call.tables[-1].items()}
    return right(call._replace(tables=[*call.tables[:-1], last]))


def all_less_those_without_each_rounded_for_itself(call: Call) -> int:
    """Choices with the needed token as a difference of two bounds of their own: phases of what is left."""
    without = call._replace(
        tables=[{t: x for t, x in row.items() if t not in call.needed} for row in call.tables], needed=[]
    )
    step, phases = fitting(1)(without)
    return right(call._replace(needed=[])) - right(without._replace(cut=Cut(0, step, tuple(phases))))


HALF = PHASES // 2
# the reading; tables before the query, that of the query, uses, step, phases, from above?, needed
FALSE: list[tuple[Reading, list[list[int]], dict[int, int], list[int], int, list[int], bool, list[int]]] = [
    # above, 3 - 3 = 0: losses of a quarter more or less are floored to 0 and -1, not to 1
    (rounded_the_other_way, [[3, 1], [-3, 0]], {~0: 0}, [1, 1, 1], 4, [0, 0, 0], True, []),
    (rounded_the_other_way, [[-1, -9]], {~0: 0}, [1, 1], 4, [HALF, 0], False, []),
    (rounded_to_nearest, [[1, -9], [1, -9], [-2, -9]], {~0: 0}, [1, 1, 1, 1], 4, [0, 0, 0, 0], True, []),
    (rounded_to_nearest, [[-1, -9]], {~0: 0}, [1, 1], 4, [0, 0], False, []),
    (more_allowed, [[-1, -9]], {~0: 0}, [1, 1], 4, [HALF, 0], False, []),
    (one_less_allowed, [[0, -9]], {~0: 0}, [1, 1], 4, [0, 0], True, []),
    (phases_counted_once, [[0, -9]], {~0: 0}, [3, 1], 1, [PHASES, 0], True, []),
    (phases_counted_once, [[-1, -9]], {~0: 0}, [3, 1], 1, [-2 * PHASES, 0], False, []),
    (phases_not_allowed, [[0, -9]], {~0: 0}, [1, 1], 1, [PHASES, 0], True, []),
    (phases_not_allowed, [[-1, -9]], {~0: 0}, [1, 1], 1, [-PHASES, 0], False, []),
    (phases_not_lost, [[-1, -9]], {~0: 0}, [1, 1], 1, [PHASES, 0], False, []),
    (phases_not_lost, [[0, -9]], {~0: 0}, [1, 1], 1, [-PHASES, 0], True, []),
    (phases_added_to_the_numbers, [[-1, -9]], {~0: 0}, [1, 1], 1, [PHASES, 0], False, []),
    (phases_rounded_one_by_one, [[-2, -9], [-2, -9]], {~0: 0}, [1, 1, 1], 4, [HALF, HALF, 0], False, []),
    (a_tie_is_correct, [[1, -1], [0, -2]], {~0: 1}, [1, 1, 1], 1, [0, 0, 0], True, []),  # 1 - 2 + 1 = 0 is a tie
    (needed_at_the_first_place_only, [[0, 0], [0, 0]], {~0: 0}, [1, 1, 1], 1, [0, 0, 0], True, [1]),
    (nothing_needed, [[0, 0], [0, 0]], {~0: 0}, [1, 1, 1], 1, [0, 0, 0], False, [1]),
    (only_the_first_needed, [[0, 0], [0, 0]], {~0: 0}, [1, 1, 1], 1, [0, 0, 0], False, [1, 0]),
    (one_of_them_needed, [[0, 0], [0, 0]], {~0: 0}, [1, 1, 1], 1, [0, 0, 0], False, [1, 0]),
    (both_missing_not_added_back, [[0, 0, 0], [0, 0, 0]], {~0: 0}, [1, 1, 1], 1, [0, 0, 0], True, [1, 0]),
    (a_query_is_its_token, [[0, 0]], {~0: 0}, [1, 1], 1, [0, 0], False, [0]),
    # all 9 reach 0 in steps of 2, and so do, in steps of their own, all 4 without token 2
    (
        all_less_those_without_each_rounded_for_itself,
        [[3, -1, 0], [-1, 0, 1]],
        {~0: 1},
        [1, 1, 1],
        2,
        [HALF] * 3,
        True,
        [2],
    ),
]


@pytest.mark.parametrize(
    ("reading", "rows", "last", "uses", "step", "phases", "upper", "needed"),
    FALSE,
    ids=[f"{case[0].__name__}-{'above' if case[6] else 'below'}" for case in FALSE],
)
def test_readings_that_count_what_is_false(
    reading: Reading,
    rows: list[list[int]],
    last: dict[int, int],
    uses: list[int],
    step: int,
    phases: list[int],
    upper: bool,
    needed: list[int],
) -> None:
    tables = [*[dict(enumerate(row)) for row in rows], last]
    call = Call(tables, uses, Cut(0, step, tuple(phases)), upper, needed)
    truth = reaching(tables, uses, needed)
    assert counted(call) == right(call)
    if upper:
        assert reading(call) < truth <= counted(call)
    else:
        assert counted(call) <= truth < reading(call)
