"""What a problem file says: the tokens of each position and their weights, the label, and where logits are read."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from checker.decode import array, constant, integer, record
from checker.errors import Malformed
from checker.problem.labels import Task, decode_task

MAX_TOKENS = 1 << 22
RANGE = re.compile("(0|[1-9][0-9]{0,8})-(0|[1-9][0-9]{0,8})")


class Position(NamedTuple):
    """The tokens that can stand at a position, and the weight of each (None: all 1)."""

    tokens: Sequence[int]
    weights: tuple[int, ...] | None


class ProblemFile(NamedTuple):
    """A decoded problem. Whether it fits a model is for Problem to say."""

    positions: tuple[Position, ...]
    task: Task
    readout: int | None


Stated = ProblemFile | int  # k, for the task that is named alone


def decode_position(value: object, path: str) -> Position:
    """{"tokens": [t, ...] or "a-b"}, and "weights": [w, ...] if they are not all 1."""
    fields = record(value, path, ("tokens",), ("weights",))
    tokens: Sequence[int]
    if isinstance(fields["tokens"], str):
        match = RANGE.fullmatch(fields["tokens"])
        if not match or int(match[1]) > int(match[2]):
            raise Malformed("bad-range", f"{path}.tokens", 'a range "a-b" with a <= b')
        tokens = range(int(match[1]), int(match[2]) + 1)
    else:
        tokens = array(fields["tokens"], f"{path}.tokens", integer)
    weights = array(fields["weights"], f"{path}.weights", integer) if "weights" in fields else None
    return Position(tokens, weights)


def decode_problem(value: object, path: str) -> Stated:
    """A problem; or k, of the task {"name": "max-of-k", "k": k}."""
    at = f"{path}." if path else ""  # a problem file has no path of its own
    if isinstance(value, dict) and "name" in value:
        fields = record(value, path, ("name", "k"))
        constant(fields["name"], f"{at}name", "max-of-k")
        return integer(fields["k"], f"{at}k")
    fields = record(value, path, ("inputs", "label"), ("readout",))
    positions = array(fields["inputs"], f"{at}inputs", decode_position)
    if sum([len(position.tokens) for position in positions]) > MAX_TOKENS:
        raise Malformed("too-large", f"{at}inputs", f"at most {MAX_TOKENS} tokens at all positions together")
    task = decode_task(fields["label"], f"{at}label")
    readout = integer(fields["readout"], f"{at}readout") if "readout" in fields else None
    return ProblemFile(positions, task, readout)
