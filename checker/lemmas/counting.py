"""Counting sequences whose sum over positions reaches 0, by generating polynomials in big integers."""

from collections import Counter
from itertools import combinations
from math import prod
from operator import mul

from checker.arithmetic.packing import concatenate
from checker.budget import Budget, product, words
from checker.lemmas.groups import Cut

PHASES = 1 << 16  # to a step

Tables = list[dict[int, int]]  # pool -> token -> number


def count_reaching(tables: Tables, uses: list[int], cut: Cut, upper: bool, needed: list[int], budget: Budget) -> int:
    """Of the choices of uses[i] tokens of tables[i], in order, in which every needed one occurs, how many have a sum of
    numbers >= 0: at least as many if `upper`, at most as many if not.

    A number x becomes the loss phase / PHASES - x / step, rounded down or up; a sum of losses may be that of phases.
    """
    losses, most = [], sum(map(mul, cut.phases, uses)) // PHASES
    for row, phase, count in zip(tables, cut.phases, uses, strict=True):
        start = phase * cut.step // PHASES if upper else -(-phase * cut.step // PHASES) + cut.step - 1
        low = (start - max(row.values())) // cut.step
        start -= low * cut.step
        losses.append({t: (start - x) // cut.step for t, x in row.items()})
        most -= low * count
    return count_within(losses, uses, most, needed, budget)


def count_within(losses: Tables, uses: list[int], most: int, needed: list[int], budget: Budget) -> int:
    """How many choices of uses[i] losses of losses[i], in order, have a sum of at most `most`; none is negative."""
    losses = [{t: loss for t, loss in row.items() if loss <= most} for row in losses]
    choices = prod([len(row) ** count for row, count in zip(losses, uses, strict=True)])
    if not choices:
        return 0
    width = choices.bit_length() + 1  # a lane holds any number of them
    budget.require_memory(width * int(most), "lanes of a count")  # some eight numbers as long
    lanes = (1 << (width * (most + 1))) - 1
    budget.spend(sum([24 + 10 * len(row) for row in losses]))
    powers = [polynomial(list(row.values()), width) for row in losses]
    total: int = 0
    for number in range(len(needed) + 1):  # all choices, less those without one of the needed tokens, and so on
        for without in combinations(needed, number):
            found: int = 1
            for row, power, count in zip(losses, powers, uses, strict=True):
                power -= sum([1 << (width * row[t]) for t in without if t in row])
                while count:
                    if count % 2:
                        budget.spend(multiplied(found, power))
                        found = (found * power) & lanes
                    count //= 2
                    if count:
                        budget.spend(multiplied(power, power))
                        power = (power * power) & lanes
            total += (1 - number % 2 * 2) * found
    budget.spend(words(int.bit_length(total)) * words(width))
    return int(total % ((1 << width) - 1))  # the sum of the lanes, as 2^width = 1 here


def multiplied(a: int, b: int) -> int:
    """Operations of their product, and of what is left of it."""
    a, b = int.bit_length(a), int.bit_length(b)
    return 6 + product(a, b) + words(a + b)


def polynomial(powers: list[int], width: int) -> int:
    """The sum of z^power at z = 2^width, over the powers; a word of lanes is summed at a time."""
    few = max(64 // width, 1)
    parts = [0 for _ in range(max(powers) // few + 1)]
    for power, times in Counter(powers).items():
        parts[power // few] += times << (width * (power % few))
    return concatenate(parts, width * few)


def largest_sum(tables: Tables, uses: list[int], needed: list[int]) -> int:
    """No choice of uses[i] numbers of tables[i] in which every needed token occurs has a larger sum."""
    peaks = [max(row.values()) for row in tables]
    total = sum(map(mul, peaks, uses))
    for token in needed:  # different tokens, so at different places
        total += max([row[token] - peak for row, peak in zip(tables, peaks, strict=True) if token in row], default=0)
    return int(total)
