"""What a check may cost, in operations and in bytes; looked at before the work is done.

An operation is a step of the interpreter with numbers of up to 256 bits, 50 to 100 ns. Of longer ones a sum takes one
for each word of 256 bits, a product one for each pair of words, or what Karatsuba's method leaves of these. For 64
operations that are allowed a byte is allowed, and MEMORY bytes in any case: of these a quarter for the model, half for
a text that is read, three quarters for tables.
"""

from collections.abc import Hashable, Iterable
from typing import NamedTuple

from checker.errors import ResourceLimit, show

MEMORY = 400_000_000
LEAST, PART, MOST = 1 << 26, 20, 1 << 34  # operations: in any case, this part of bytes squared besides, at most


def allowed(size: int) -> int:
    """The operations for files of so many bytes, unless --budget says another number."""
    return min(LEAST + size * size // PART, MOST)


def memory_of(operations: int) -> int:
    """The bytes that go with so many operations."""
    return max(MEMORY, operations // 64)


def words(bits: int) -> int:
    """Words of 256 bits in a number."""
    return 1 + bits // 256


def product(a: int, b: int) -> int:
    """Operations of a product of numbers of a and b bits: each word by each, of long numbers by three halves."""
    short, long = sorted((words(a), words(b)))
    pieces, most = -(-long // short), short * short
    if short > 8:
        most = 3 * product(short * 128, short * 128)
    return pieces * most


def number(bits: int) -> int:
    """Bytes of a number in a list."""
    return 44 + bits // 7


def longest(rows: Iterable[Iterable[int]]) -> int:
    """Bits of the longest number in rows of numbers."""
    return max([max(map(int.bit_length, row), default=0) for row in rows], default=0)


class Span(NamedTuple):
    """Multiples of 2^low below 2^top in size."""

    low: int
    top: int

    @property
    def bits(self) -> int:
        """How long they are in units of 2^low."""
        return max(self.top - self.low, 1)

    def times(self, other: "Span", terms: int = 1) -> "Span":
        """Sums of so many products."""
        return Span(self.low + other.low, self.top + other.top + terms.bit_length())

    def plus(self, other: "Span") -> "Span":
        """Sums of two."""
        return Span(min(self.low, other.low), max(self.top, other.top) + 1)


def span(rows: Iterable[Iterable[int]], exponent: int) -> Span:
    """Of a matrix."""
    return Span(int(exponent), int(exponent) + longest(rows))


class Cost(NamedTuple):
    """What something takes. With a key it is made once and kept; without, it is done each time, and its memory given
    back."""

    what: str
    operations: int
    memory: int = 0
    key: Hashable = None


class Budget:
    """Of one check: what its sizes tell, `declared` before any step is looked at; what only values tell, `found` piece
    by piece, by step, and for what several steps share by its name."""

    def __init__(self, operations: int) -> None:
        self.operations, self.memory = operations, memory_of(operations) * 3 // 4
        self.declared, self.held, self.kept = 0, 0, set[Hashable]()
        self.rule, self.step = "", 0
        self.restart()

    def restart(self) -> None:
        """Nothing is found yet."""
        self.found, self.spent = dict[Hashable, int](), 0

    def charge(self, costs: list[Cost]) -> Cost:
        """What a step declares, less what was made before; ResourceLimit if it is too much."""
        new = [cost for cost in costs if cost.key is None or cost.key not in self.kept]
        kept = [cost for cost in new if cost.key is not None]
        self.kept.update([cost.key for cost in kept])
        here = sum([cost.operations for cost in new])
        self.declared += here
        self.held += sum([cost.memory for cost in kept])
        memory = self.held + sum([cost.memory for cost in new if cost.key is None])
        if self.declared > self.operations:
            raise self.too_much(f"{show(self.declared)}, most of them for {max(new, key=lambda c: c.operations).what}")
        self.require_memory(memory, max(new, key=lambda cost: cost.memory).what)
        return Cost("", here, memory)

    def require_memory(self, memory: int, what: str) -> None:
        """ResourceLimit for more bytes than there are for tables."""
        if memory > self.memory:
            expected = f"at most {self.memory} bytes of tables (raise --budget)"
            raise ResourceLimit("over-budget", "", expected, f"{show(memory)}, most of them for {what}")

    def spend(self, operations: int, shared: str = "") -> None:
        """The next piece of work whose size only values tell; of what is shared, all of it, whoever asks."""
        key = shared or self.step
        before = self.found.get(key, 0)
        after = operations if shared else before + operations
        self.found[key] = after
        self.spent += after - before
        if self.declared + self.spent > self.operations:
            raise self.too_much(f"more for {self.rule}, by its values")

    def too_much(self, got: str) -> ResourceLimit:
        """The refusal."""
        return ResourceLimit("over-budget", "", f"at most {self.operations} operations in all (raise --budget)", got)
