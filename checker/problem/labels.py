"""The right answer to an input: what a deterministic automaton says after reading its tokens from left to right.

A named task is such an automaton in one line. State and output are those after the last position that it reads.
"""

from collections import Counter
from collections.abc import Callable
from itertools import chain
from typing import Any, NamedTuple

from checker.budget import Budget
from checker.decode import array, bounded, integer, mapping, record, text
from checker.errors import Malformed, Rejected, show

NATURAL = bounded(0, 1 << 64)
POSITIVE = bounded(1, 1 << 64)


class Label(NamedTuple):
    """The state before the first token, step(state, position, token), and output(state)."""

    start: Any
    step: Callable[[Any, int, int], Any]
    output: Callable[[Any], int]


def identity(state: int) -> int:
    """The state is the answer."""
    return state


def automaton(args: dict[str, Any], tokens: int) -> Label:
    """Any automaton: next[state][token], output[state]."""
    states, start, rows, output = args["states"], args["start"], args["next"], args["output"]
    if not (start < states and len(rows) == len(output) == states and all(len(row) == tokens for row in rows)):
        raise Rejected("bad-automaton", "", f"{show(states)} states, a next one for each token, an output for each")
    if not all(0 <= state < states for row in rows for state in row):
        raise Rejected("bad-automaton", "next", f"states from 0 to {show(states - 1)}")
    return Label(start, lambda state, p, t: rows[state][t], lambda state: int(output[state]))


def most_frequent(seen: tuple[int, ...]) -> int:
    """The token that occurs most often, the smallest of several."""
    times = Counter(seen)
    return max(times, key=lambda t: (times[t], -t))


# Name -> its parameters, and the automaton from these and the number of tokens. `of` is never empty.
NAMED: dict[str, tuple[dict[str, Any], Callable[[dict[str, Any], int], Label]]] = {
    "max": ({}, lambda _, v: Label(0, lambda s, p, t: max(s, t), identity)),
    "min": ({}, lambda _, v: Label(v, lambda s, p, t: min(s, t), identity)),
    "nth-largest": (
        {"n": POSITIVE},
        lambda args, v: Label((), lambda s, p, t: tuple(sorted((*s, t))[-args["n"] :]), lambda s: int(s[0])),
    ),
    "argmax": ({}, lambda _, v: Label((-1, 0), lambda s, p, t: (t, p) if t > s[0] else s, lambda s: int(s[1]))),
    "sum-mod": ({"modulus": POSITIVE}, lambda args, v: Label(0, lambda s, p, t: (s + t) % args["modulus"], identity)),
    "contains": ({"token": NATURAL}, lambda args, v: Label(0, lambda s, p, t: s | (t == args["token"]), int)),
    "first": ({}, lambda _, v: Label(-1, lambda s, p, t: t if s < 0 else s, identity)),
    "last": ({}, lambda _, v: Label(-1, lambda s, p, t: t, identity)),
    "majority": ({}, lambda _, v: Label((), lambda s, p, t: (*s, t), most_frequent)),
    "automaton": (
        {
            "states": POSITIVE,
            "start": NATURAL,
            "next": lambda value, path: array(value, path, lambda row, at: array(row, at, integer)),
            "output": lambda value, path: array(value, path, integer),
        },
        automaton,
    ),
}


class Task(NamedTuple):
    """A label as a problem states it: its name, its parameters, and the positions that it reads (None: all)."""

    name: str
    args: dict[str, Any]
    of: tuple[int, ...] | None


def decode_task(value: object, path: str) -> Task:
    """{"name": name, its parameters, and if not all are read "of": [positions]}"""
    name = text(mapping(value, path).get("name"), f"{path}.name")
    if name not in NAMED:
        raise Malformed("unsupported", f"{path}.name", f"one of {', '.join(NAMED)}")
    decoders = NAMED[name][0]
    fields = record(value, path, ("name", *decoders), ("of",))
    args = {key: decode(fields[key], f"{path}.{key}") for key, decode in decoders.items()}
    return Task(name, args, array(fields["of"], f"{path}.of", integer) if "of" in fields else None)


def label_of(task: Task, of: tuple[int, ...], tokens: int) -> Label:
    """The automaton, which stays in its state at positions that it does not read."""
    if task.name == "nth-largest" and task.args["n"] > len(of):
        raise Rejected("wrong-task", "n", f"at most {len(of)}", show(task.args["n"]))
    start, step, output = NAMED[task.name][1](task.args, tokens)
    read = frozenset(of)
    return Label(start, lambda state, p, t: step(state, p, t) if p in read else state, output)


Tables = list[dict[int, tuple[int, ...]]]


def tables_of(label: Label, choices: list[dict[int, int]], budget: Budget) -> tuple[Tables, int]:
    """[p][t][state]: the state that follows. States are numbers; 0 is the first, and the last ones are the labels.

    States before a position are one if the same states follow on every token. Cost tokens times states, which is
    returned, too.
    """
    level, steps, cost = {label.start}, [], 0
    for p, row in enumerate(choices):
        cost += len(level) * len(row) * (12 + p // 4)
        budget.spend(cost, "states")
        budget.require_memory(cost * 8, "states of the label")
        steps.append({state: [label.step(state, p, t) for t in row] for state in level})
        level = set(chain(*steps[-1].values()))
    numbers, tables = {state: label.output(state) for state in level}, []
    for row, rows in zip(choices[::-1], steps[::-1], strict=True):
        numbered = {state: tuple([numbers[s] for s in following]) for state, following in rows.items()}
        distinct = {following: number for number, following in enumerate(dict.fromkeys(numbered.values()))}
        numbers = {state: distinct[following] for state, following in numbered.items()}
        tables.append(dict(zip(row, zip(*distinct, strict=True), strict=True)))
    return tables[::-1], cost
