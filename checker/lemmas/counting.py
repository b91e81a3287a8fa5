"""Counting sequences whose sum over positions reaches a threshold, by generating polynomials in big integers."""

from math import prod
from operator import mul

from checker.arithmetic.packing import concatenate


def count_reaching(tables: list[list[int]], uses: list[int], last_has_final: bool, steps: int) -> int:
    """At least as many as there are choices with a sum >= 0 of uses[i] entries of tables[i], a final one among them.

    The final entry of a table is its last one; the last table has none unless `last_has_final`. A sum reaches 0 if what
    it loses against the largest entries is within the allowance, the sum of these; losses are rounded down to multiples
    of (allowance + 1) / (steps + 1), and `steps` of these are allowed.
    """
    peaks = [max(table) for table in tables]
    allowance = sum(map(mul, peaks, uses))
    finals = [table[-1] - peak for table, peak in zip(tables[:-1], peaks[:-1], strict=True)]
    if allowance + (0 if last_has_final else max(finals, default=0)) < 0:
        return 0
    losses = [
        [(peak - x) * (steps + 1) // (allowance + 1) for x in table] for peak, table in zip(peaks, tables, strict=True)
    ]
    without = [row[:-1] for row in losses[:-1]] + [losses[-1][:-1] if last_has_final else losses[-1]]
    return count_within(losses, uses, steps) - count_within(without, uses, steps)


def count_within(losses: list[list[int]], uses: list[int], steps: int) -> int:
    """How many choices of uses[i] losses of losses[i], in order, have a sum of at most `steps`."""
    choices = prod([len(row) ** count for row, count in zip(losses, uses, strict=True)])
    width = choices.bit_length() + 1  # a lane holds any number of them
    lanes = (1 << (width * (steps + 1))) - 1
    product: int = 1
    for row, count in zip(losses, uses, strict=True):
        factor = polynomial([(loss, 1) for loss in row if loss <= steps], width, steps)
        for _ in range(count):
            product = (product * factor) & lanes
    return int(product % ((1 << width) - 1))  # the sum of the lanes, as 2^width = 1 here


def polynomial(terms: list[tuple[int, int]], width: int, most: int) -> int:
    """The sum of weight z^power at z = 2^width, over terms (power, weight); a word of lanes is summed at a time."""
    few = max(64 // width, 1)
    parts = [0 for _ in range(most // few + 1)]
    for power, weight in terms:
        parts[power // few] += weight << (width * (power % few))
    return concatenate(parts, width * few)
