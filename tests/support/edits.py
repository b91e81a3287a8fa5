"""Changed copies of a certificate, as JSON data, and the bytes of its file.

edited(statement, put("predicate", "margin", value="1/8"), drop("predicate", "steps", 0))
"""

import copy
import json
from collections.abc import Callable
from typing import Any

Statement = dict[str, Any]
Edit = Callable[[Statement], object]


def to_bytes(statement: Statement) -> bytes:
    """One step a line."""
    if not isinstance(statement["predicate"].get("steps"), list):
        return json.dumps(statement, indent=1).encode()
    head = {**statement, "predicate": {**statement["predicate"], "steps": []}}
    steps = ",\n".join(json.dumps(step, separators=(",", ":")) for step in statement["predicate"]["steps"])
    before, after = json.dumps(head, indent=1).rsplit("[]", 1)
    return f"{before}[\n{steps}\n  ]{after}\n".encode()


def edited(base: Statement, *edits: Edit) -> Statement:
    """A changed copy."""
    statement = copy.deepcopy(base)
    for edit in edits:
        edit(statement)
    return statement


def put(*path: str | int, value: object) -> Edit:
    """Replaces (or adds) what is at the path."""

    def edit(statement: Any) -> None:
        for key in path[:-1]:
            statement = statement[key]
        statement[path[-1]] = value

    return edit


def change(*path: str | int, by: int) -> Edit:
    """Adds to the number at the path."""

    def edit(statement: Any) -> None:
        for key in path[:-1]:
            statement = statement[key]
        statement[path[-1]] += by

    return edit


def drop(*path: str | int) -> Edit:
    """Deletes what is at the path."""

    def edit(statement: Any) -> None:
        for key in path[:-1]:
            statement = statement[key]
        del statement[path[-1]]

    return edit


def step_of(statement: Statement, rule: str) -> int:
    """The number of the only step with this rule."""
    (index,) = [i for i, step in enumerate(statement["predicate"]["steps"]) if step["rule"] == rule]
    return index


def at(statement: Statement, rule: str, *path: str | int) -> tuple[str | int, ...]:
    """The path of a field of the step with this rule."""
    return ("predicate", "steps", step_of(statement, rule), *path)
