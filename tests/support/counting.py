"""The definition of what checker.lemmas.counting counts."""

from itertools import product

Tables = list[dict[int, int]]  # table -> token -> number


def repeated(tables: list[dict[int, int]], times: list[int]) -> list[dict[int, int]]:
    """Each table as often as it is used."""
    return [row for row, count in zip(tables, times, strict=True) for _ in range(count)]


def reaching(tables: Tables, times: list[int], needed: list[int]) -> int:
    """The definition: choices of times[i] tokens of tables[i] whose numbers have a sum >= 0, every needed one among
    them."""
    rows = repeated(tables, times)
    return sum(
        sum(row[t] for row, t in zip(rows, choice, strict=True)) >= 0 and all(t in choice for t in needed)
        for choice in product(*rows)
    )


def choices(tables: Tables, times: list[int], needed: list[int]) -> int:
    """All choices with every needed token."""
    return sum(all(t in choice for t in needed) for choice in product(*repeated(tables, times)))
