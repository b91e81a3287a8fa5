"""sum, max, min and map as the checker calls them, on many counting integers at once.

They return and count the same as the built-in functions, which pass every single operation through Python. The checker
does not know of them: while a length is measured its modules find them where they would find the built-in ones.
"""

from __future__ import annotations

import builtins
import operator
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import accumulate
from typing import Any, TypeAlias

from certgen.counting_integers import LIMB, CountingType, limbs

LONGEST = 1 << 12
LIMBS = [limbs(1 << length >> 1) for length in range(LONGEST + 1)]  # by bit length; of longer numbers calculated
PLAIN = operator.attrgetter("real")
SEQUENCES = {list, tuple, builtins.map}


@contextmanager
def bulk_builtins(kind: CountingType) -> Iterator[None]:
    """In the modules of the checker as long as the context lasts, for counting integers of one type."""
    bulk = Bulk(kind)
    replaced = {"sum": bulk.sum, "max": bulk.max, "min": bulk.min, "map": bulk.map}
    rooms = [vars(module) for name, module in sys.modules.items() if name.partition(".")[0] == "checker"]
    rooms = [room for room in rooms if not replaced.keys() & room]
    for room in rooms:
        room.update(replaced)
    try:
        yield
    finally:
        for room in rooms:
            for name in replaced:
                del room[name]


class Mapped:
    """map(operation, left, right) for add, sub or mul, before anybody asks for its items; one side may be another."""

    def __init__(self, operation: Callable[[int, int], int], left: Side, right: Side) -> None:
        self.operation, self.left, self.right = operation, left, right

    def __iter__(self) -> Iterator[int]:
        return builtins.map(self.operation, self.left, self.right)

    def __len__(self) -> int:
        return min(len(self.left), len(self.right))


Side: TypeAlias = "list[int] | Mapped"


class Bulk:
    """Where some number does not count, all is left to the built-in functions."""

    def __init__(self, kind: CountingType) -> None:
        self.kind, self.all_count = kind, {kind.integer}

    def map(self, function: Any, *items: Any) -> Any:
        """Lazy as ever, but sum, max and min see what it is made of."""
        if function in (operator.add, operator.sub, operator.mul):
            sides = [list(item) if type(item) in SEQUENCES else item for item in items]
            kinds = [type(side) for side in sides]
            if kinds in ([list, list], [list, Mapped], [Mapped, list]):
                return Mapped(function, *sides)
            return builtins.map(function, *sides)
        return builtins.map(function, *items)

    def sum(self, items: Any, /, start: Any = 0) -> Any:
        """Each addition costs the limbs of the longer one: of the sum so far, and of the item."""
        if terms := self.plain(items):
            *before, total = accumulate(terms, initial=start.real)
            self.kind.spend(linear(before, terms))
            return self.kind.integer(total)
        return builtins.sum(items, start)

    def max(self, *items: Any, **options: Any) -> Any:
        """Each item after the first is compared with the largest so far."""
        return self.extreme(builtins.max, items, options)

    def min(self, *items: Any, **options: Any) -> Any:
        """And here with the smallest."""
        return self.extreme(builtins.min, items, options)

    def extreme(self, better: Any, items: tuple[Any, ...], options: dict[str, Any]) -> Any:
        if len(items) == 1 and "key" not in options and (terms := self.plain(items[0])):
            *before, best = accumulate(terms, better)
            self.kind.spend(linear(before, terms[1:]))
            return self.kind.integer(best)
        return better(*items, **options)

    def plain(self, items: Any) -> list[int] | None:
        """The plain integers, if every one counts. What it takes to make them of pairs is counted."""
        if type(items) is Mapped:
            return self.of_pairs(items)
        counts = type(items) in (list, tuple) and set(builtins.map(type, items)) == self.all_count
        return list(builtins.map(PLAIN, items)) if counts else None

    def of_pairs(self, items: Mapped) -> list[int] | None:
        """A result counts if one of its operands does."""
        if len(items.left) != len(items.right):
            return None
        counting, sides = False, []
        for side in (items.left, items.right):
            if type(side) is Mapped:
                if (inner := self.of_pairs(side)) is None:
                    return None
                counting, numbers = True, inner
            else:
                counting = counting or set(builtins.map(type, side)) == self.all_count
                numbers = list(builtins.map(PLAIN, side))
            sides.append(numbers)
        if not counting:
            return None
        left, right = sides
        if items.operation is not operator.mul:
            self.kind.spend(linear(left, right))
        elif in_range(left, LIMB) and in_range(right, LIMB):
            self.kind.spend(len(left))
        else:
            self.kind.spend(sum(builtins.map(operator.mul, all_limbs(left), all_limbs(right))))
        return list(builtins.map(items.operation, left, right))


def in_range(numbers: list[int], most: int) -> bool:
    """All of them below 2^most in size."""
    return not numbers or (max(numbers) < 1 << most and min(numbers) > -1 << most)


def linear(left: list[int], right: list[int]) -> int:
    """The limbs of the longer one of each pair."""
    if in_range(left, LIMB) and in_range(right, LIMB):
        return len(left)
    return sum(builtins.map(max, all_limbs(left), all_limbs(right)))


def all_limbs(numbers: list[int]) -> Iterable[int]:
    """Of each number."""
    if in_range(numbers, LONGEST):
        return builtins.map(LIMBS.__getitem__, builtins.map(int.bit_length, numbers))
    return builtins.map(limbs, numbers)
