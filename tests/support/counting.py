"""The definition of what checker.lemmas.counting counts."""

from itertools import product

Tables = list[list[int]]


def repeated(tables: Tables, times: list[int]) -> Tables:
    """Each table as often as it is used."""
    return [row for row, count in zip(tables, times, strict=True) for _ in range(count)]


def reaching(tables: Tables, times: list[int], last_has_final: bool) -> int:
    """The definition: choices of times[i] entries of tables[i] with a sum >= 0, one of them final; the last table may
    have no final entry."""
    places = [[len(row) - 1] * count for row, count in zip(tables, times, strict=True)]
    places[-1] = places[-1] if last_has_final else [-1] * times[-1]
    final = [place for each in places for place in each]
    rows = repeated(tables, times)
    return sum(
        sum(row[i] for row, i in zip(rows, choice, strict=True)) >= 0
        and any(i == place for i, place in zip(choice, final, strict=True))
        for choice in product(*(range(len(row)) for row in rows))
    )
