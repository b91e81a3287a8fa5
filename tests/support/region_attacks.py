"""Changed steps of the rules about regions: whatever of them is accepted has to be true."""

import copy
import random
from typing import Any

from checker.budget import Budget
from checker.problem import Problem
from tests.support.any_problem import Json
from tests.support.region_proofs import check, derive, step

Path = list[Any]


def leaves(value: Any, lists: bool = False) -> list[Path]:
    """The paths to all integers, or to all lists of two entries or more."""
    found: list[Path] = [[]] if lists and isinstance(value, list) and len(value) > 1 else []
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in entries:
        found += [[key, *path] for path in leaves(entry, lists)]
    return found if entries or lists or not isinstance(value, int) else [[]]


def at(value: Any, path: Path) -> Any:
    for key in path:
        value = value[key]
    return value


def changed(rng: random.Random, value: Any) -> Any:
    """A copy in which one integer is another one, or two entries of a list have changed places, or one is left out."""
    value = copy.deepcopy(value)
    if rng.random() < 0.8 and (paths := leaves(value)):
        *outer, last = rng.choice(paths)
        old = at(value, outer)[last]
        size = 1 << rng.choice([1, 4, 8, 16, 30])
        at(value, outer)[last] = old + rng.choice([-1, 1, -1, 1, -old, -2 * old, rng.randint(-size, size)])
    elif paths := leaves(value, lists=True):
        entries = at(value, rng.choice(paths))
        i, j = rng.sample(range(len(entries)), 2)
        match rng.randrange(4):
            case 0 | 1:
                entries[i], entries[j] = entries[j], entries[i]
            case 2:
                entries[i] = copy.deepcopy(entries[j])
            case 3:
                del entries[i]
    return value


def thrifty(problem: Problem) -> None:
    """No more work than proofs of tiny cases take; what has been made of the model stays."""
    problem.budget = Budget(1 << 24)


def rederived(problem: Problem, steps: list[Json]) -> list[Any]:
    """The facts that the rules conclude from the arguments of these steps."""
    facts: list[Any] = []
    for one in steps:
        facts.append(derive(problem, one["rule"], facts[-1:], one["args"]))
    return facts


def loosened(rng: random.Random, problem: Problem, steps: list[Json]) -> list[Json]:
    """The same with hints and conclusions that are right and less than the best."""
    layer = problem.one_layer(steps[0]["args"]["bits"])
    slack, made, facts = 1 << rng.choice([0, 3, 8]), copy.deepcopy(steps), []
    for rows in made[0]["args"]["hints"]:
        for row in rows:
            for i in range(2 * layer.heads):
                row[i] += rng.randint(0, slack) * (-1 if i < layer.heads else 1)
    facts.append(derive(problem, "regions", [], made[0]["args"]))
    made[0] = step("regions", 0, made[0]["args"], facts[0])
    for ends in made[0]["conclusion"]["ranges"]:
        for i in range(len(ends)):
            ends[i] += rng.randint(0, slack) * (1 if i % 2 else -1)
    facts = check(problem, made[:1])
    for rows in made[1]["args"]["hints"]:
        for row in rows:
            for i in range(layer.neurons, len(row)):
                row[i] += rng.randint(0, slack)
    made[1] = step("region_gaps", 1, made[1]["args"], derive(problem, "region_gaps", facts, made[1]["args"]))
    for row in made[1]["conclusion"]["gaps"]:
        for i in range(len(row)):
            row[i] += rng.randint(0, slack)
    facts = check(problem, made[:2])
    hints = made[2]["args"]["hints"]
    for number, (row, gaps) in enumerate(zip(hints, facts[1].gaps, strict=True)):
        for j, gap in enumerate(gaps):
            if gap < 0:
                row[j] = []
            elif not row[j]:
                row[j] = [rng.randint(1, 50), *made[1]["args"]["hints"][number][j]]
    made[2] = step("region_counts", 2, made[2]["args"], derive(problem, "region_counts", facts[1:], made[2]["args"]))
    return made


def arbitrary_hints(rng: random.Random, steps: list[Json]) -> list[Json]:
    """Any slopes, means and steps, far off or near; the lengths are right."""
    made = copy.deepcopy(steps)
    for one in made:
        for rows in one["args"]["hints"]:
            for row in rows:
                for i, x in enumerate(row):
                    if rng.random() < 0.3:
                        size = 1 << rng.choice([2, 6, 12, 20, 30])
                        row[i] = rng.choice([x, x + rng.randint(-size, size), rng.randint(-size, size), 0])
    return made
