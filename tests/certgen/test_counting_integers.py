"""Counting integers, and the built-in functions on many of them, against the definition that counts one by one."""

import builtins
import operator
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import checker.lemmas.gains
from certgen.bulk_builtins import Bulk, bulk_builtins
from certgen.counting_integers import limbs
from certgen.length import Meter, length_of
from tests.support import slow_length
from tests.support.corpus import FILES, content, model_of
from tests.support.quick_and_slow import quick_and_slow
from tests.support.slow_length import slow_length as slow_length_of

ACCEPTED = [path for path in FILES if path.parent.name == "accept"]
QUICK = [
    "adaptive",
    "cubic",
    "exact",
    "regions",
    "regions-of-two-groups",
    "separable-exact",
    "sub-cubic--svd-query+max-diff--mean-query+diff--svd",
]
BINARY = ["add", "sub", "mul", "floordiv", "mod", "and_", "or_", "xor", "lt", "le", "eq", "ne", "gt", "ge"]
UNARY: list[Callable[[int], Any]] = [
    operator.neg,
    abs,
    operator.invert,
    lambda x: x.bit_length(),
    lambda x: x.bit_count(),
]
EDGES = [
    sign * (1 << bits) + step for bits in (0, 31, 62, 63, 64, 127, 128, 5000) for sign in (1, -1) for step in (-1, 0, 1)
]
numbers = st.sampled_from(EDGES) | st.integers(-(1 << 200), 1 << 200)
meters = (Meter, slow_length.Meter)


def both(work: Callable[[Any], Any]) -> None:
    """What the work returns, whether that counts, and how much was counted, are the same by the definition."""
    found = []
    for kind in meters:
        meter = kind()
        results = work(meter)
        found.append([(int(x), type(x) is meter.integer) for x in results] + [meter.length])
    assert found[0] == found[1]


@quick_and_slow(60)
def test_operations(run: settings) -> None:
    @run
    @given(a=numbers, b=numbers, which=st.sampled_from([(True, True), (True, False), (False, True)]))
    def same(a: int, b: int, which: tuple[bool, bool]) -> None:
        def work(meter: Any) -> list[Any]:
            x, y = (meter.integer(n) if counts else n for n, counts in zip((a, b), which, strict=True))
            names = [name for name in BINARY if y or name not in ("floordiv", "mod")]
            small = meter.integer(abs(b) % 200) if which[1] else abs(b) % 200
            shifts = [operation(x, small) for operation in (operator.lshift, operator.rshift)]
            ones = [operation(meter.integer(a)) for operation in UNARY]
            return [getattr(operator, name)(x, y) for name in names] + shifts + ones + [x ** (small % 20)]

        both(work)

    same()


def test_what_is_no_integer() -> None:
    x: Any = Meter().integer(2)
    assert x * [1] == [1] * x == [1, 1]
    assert x != "2"
    assert x is not None
    for operation in (operator.add, operator.lt):
        for operands in ((x, "2"), ("2", x)):
            with pytest.raises(TypeError):
                operation(*operands)


@quick_and_slow(100)
def test_many_at_once(run: settings) -> None:
    """Lists that count, that do not, and of both kinds; also pairs of unequal length, and none at all."""
    counts = st.sampled_from([(1,), (0,), (0, 1)])
    lists = st.lists(numbers, max_size=6)

    @run
    @given(left=lists, right=lists, equal=st.booleans(), marks=st.tuples(counts, counts, st.booleans()), start=numbers)
    def same(left: list[int], right: list[int], equal: bool, marks: Any, start: int) -> None:
        if equal:
            right = (right + left)[: len(left)]

        def work(meter: Any) -> list[Any]:
            if isinstance(meter, Meter):
                bulk: Any = Bulk(meter.kind)
            else:
                bulk = builtins
            xs, ys = (
                [meter.integer(n) if mark[i % len(mark)] else n for i, n in enumerate(row)]
                for row, mark in zip((left, right), marks[:2], strict=True)
            )
            first = meter.integer(start) if marks[2] else start
            results = [bulk.sum(xs), bulk.sum(tuple(xs), first), bulk.sum(x for x in xs)]
            for operation in (operator.add, operator.sub, operator.mul):
                results += [bulk.sum(bulk.map(operation, xs, ys)), bulk.sum(bulk.map(operation, xs, ys), first)]
                results += [*bulk.map(operation, xs, ys), bulk.max(bulk.map(operation, xs, ys), default=7)]
                for outer in (operator.sub, operator.mul):  # one within another, on either side
                    results.append(bulk.max(bulk.map(outer, xs, bulk.map(operation, xs, ys)), default=7))
                    results.append(bulk.sum(bulk.map(outer, bulk.map(operation, ys, xs), ys)))
                if len(xs) == len(ys):
                    results.append(bulk.sum(bulk.map(operation, bulk.map(abs, xs), ys)))
            for best in (bulk.max, bulk.min):
                results += [best(xs, default=5), best(first, *xs, 1), best(xs, key=abs, default=6)]
            return results

        both(work)

    same()


def test_the_checker_has_its_own_functions_again() -> None:
    room = vars(checker.lemmas.gains)
    with pytest.raises(KeyError), bulk_builtins(Meter().kind):
        assert {"sum", "max", "min", "map"} <= room.keys()
        raise KeyError
    assert not {"sum", "max", "min", "map"} & room.keys()


def pick(name: str) -> Sequence[Any]:
    """The quick ones by default, all when slow."""
    quick = name.removeprefix("tiny--").removesuffix(".cert.json") in QUICK
    return () if quick else (pytest.mark.slow,)


@pytest.mark.parametrize("path", [pytest.param(path, id=path.name, marks=pick(path.name)) for path in ACCEPTED])
def test_lengths_of_certificates(path: Path) -> None:
    model = model_of(path).read_bytes()
    assert length_of(model, content(path)) == slow_length_of(model, content(path))


def test_limbs() -> None:
    assert [limbs(x) for x in (0, 1, -1, 2**64 - 1, 2**64, -(2**128))] == [1, 1, 1, 1, 2, 3]
    assert limbs(Meter().integer(2**64)) == 2
