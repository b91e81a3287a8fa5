"""The budget of a check: refused before the work, with what was asked for."""

import pytest

from checker.budget import LEAST, MEMORY, MOST, Budget, Cost, Span, allowed, longest, memory_of, product, span, words
from checker.errors import ResourceLimit


def refused(budget: Budget, costs: list[Cost]) -> tuple[str, str]:
    with pytest.raises(ResourceLimit) as caught:
        budget.charge(costs)
    assert caught.value.code == "over-budget"
    return caught.value.expected, caught.value.got


def test_operations_add_up_over_steps() -> None:
    budget = Budget(10)
    assert budget.charge([Cost("a", 4), Cost("b", 2)]) == Cost("", 6)
    assert budget.charge([Cost("a", 4)]) == Cost("", 4)
    assert refused(budget, [Cost("few", 0), Cost("one more", 1)]) == (
        "at most 10 operations in all (raise --budget)",
        "11, most of them for one more",
    )


def test_what_is_kept_is_made_once() -> None:
    budget = Budget(10)
    table = Cost("table", 7, 100, "key")
    assert budget.charge([table, Cost("own", 1, 30)]) == Cost("", 8, 130)
    assert budget.charge([table, Cost("own", 1, 50)]) == Cost("", 1, 150)
    assert budget.held == 100
    assert refused(budget, [Cost("table", 7, 100, "another")])[1].startswith("16")


def test_memory_is_what_is_kept_and_what_a_step_needs() -> None:
    budget = Budget(10)
    most = budget.memory
    budget.charge([Cost("table", 1, most - 10, "key")])
    budget.charge([Cost("own", 1, 10)])
    budget.charge([Cost("own", 1, 10)])  # it was given back
    assert refused(budget, [Cost("small", 0, 1), Cost("large", 0, 10)]) == (
        f"at most {most} bytes of tables (raise --budget)",
        f"{most + 1}, most of them for large",
    )


def test_what_only_values_tell_is_spent_from_the_same() -> None:
    budget = Budget(10)
    budget.charge([Cost("declared", 4)])
    budget.rule = "a rule"
    budget.step = 0
    budget.spend(2)
    budget.spend(1, "shared")
    budget.step = 1
    budget.spend(2)
    budget.spend(1, "shared")  # all of it, whoever asks
    assert (budget.found, budget.spent) == ({0: 2, "shared": 1, 1: 2}, 5)
    budget.spend(1)
    with pytest.raises(ResourceLimit) as caught:
        budget.spend(1)
    assert (caught.value.code, caught.value.exit_code) == ("over-budget", 5)
    assert caught.value.got == "more for a rule, by its values"


def test_what_is_allowed() -> None:
    assert allowed(0) == LEAST < allowed(1) < allowed(100) < MOST == allowed(1 << 40)
    assert memory_of(1) == MEMORY < memory_of(1 << 40)


def test_sizes_are_bounds() -> None:
    assert [words(bits) for bits in (0, 255, 256, 512)] == [1, 1, 2, 3]
    assert product(8, 8) == 1
    assert product(256 * 7, 256 * 3) == 8 * 8 or product(256 * 7, 256 * 3) >= 8 * 4
    assert product(256 * 999, 0) == 1000
    assert 256**2 > product(256 * 255, 256 * 255) > 256
    assert longest([[0, -5], [], [3]]) == 3
    assert longest([]) == 0
    rows, others = span([[3, -4], [1, 0]], -2), span([[7, 1]], 3)
    assert (rows, others, rows.bits) == (Span(-2, 1), Span(3, 6), 3)
    assert rows.plus(others) == Span(-2, 7)  # 7 * 2^3 + 1 is below 2^7
    assert rows.times(others, 2) == Span(1, 9)
