"""Certificates about any model and problem with something else somewhere: refused in order, or true."""

import copy
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from checker.kernel import Verdict
from tests.support.any_case import Case, Sizes, any_case, certificate, derived
from tests.support.any_problem import max_of_k
from tests.support.checking import outcome
from tests.support.one_rule import longer, shorter

Place = tuple[Any, ...]
VALUES: list[Any] = [None, True, False, 0, -1, 1, 2, 1 << 64, 10**999, "", "0-1", "max", "1/2", [], [0], [[0]], {}]


def places(value: Any, place: Place = ()) -> Iterator[Place]:
    """Where the parts of a JSON value are."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        yield (*place, key)
        yield from places(part, (*place, key))


def mutate(rng: random.Random, statement: Any) -> None:
    """Something of the problem or the steps, most often: gone, of another type, longer, turned round, or by one off."""
    chosen = [place for place in places(statement) if rng.random() < 0.2 or {"task", "steps"} & set(place)]
    *outer, last = rng.choice(chosen)
    for key in outer:
        statement = statement[key]
    value = statement[last]
    changes: list[Callable[[], Any]] = [lambda: copy.deepcopy(rng.choice(VALUES)), lambda: [value]]
    if isinstance(value, list) and value:
        changes += [lambda: shorter(value), lambda: longer(value), lambda: value[::-1]]
    if type(value) is int:
        changes += [lambda: value + 1, lambda: value - 1, lambda: -value]
    if rng.random() < 0.15:
        del statement[last]
    else:
        statement[last] = rng.choice(changes)()


def require_true(case: Case, problem: Any, verdict: Verdict) -> None:
    """What is verified is true of the problem that the certificate states."""
    if "name" in problem:
        problem = max_of_k(verdict.d_vocab, problem["k"])
    truth = case.oracle.regions(problem, case.margin)
    assert verdict.correct <= sum(region.correct for region in truth)
    assert verdict.wrong <= sum(region.wrong + region.open for region in truth)
    assert verdict.total == sum(sum(region[2:]) for region in truth)


@pytest.mark.parametrize("seeds", [range(60), pytest.param(range(1000, 2000), marks=pytest.mark.slow)], ids=str)
def test_refused_or_true(seeds: range, workspace: Path) -> None:
    seen: Counter[str] = Counter()
    for seed in seeds:
        rng, case = random.Random(seed), any_case(seed, Sizes(blocks=2, k=3, inputs=8))
        path, whole = case.write(workspace / "model.safetensors"), certificate(case, [12], derived(case, [12]))
        for _ in range(6):
            statement = copy.deepcopy(whole)
            mutate(rng, statement["predicate"])
            result = outcome(path, statement)
            if isinstance(result, Verdict):
                require_true(case, statement["predicate"]["task"], result)
            seen["verified" if isinstance(result, Verdict) else result.code] += 1
    assert len(seen) > 15 and 0.1 < seen["verified"] / seen.total() < 0.6, seen
