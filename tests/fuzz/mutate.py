"""Random changes of bytes that keep most of what they are: of the JSON in them, or of single bytes."""

import copy
import json
import random
from typing import Any

from tests.mutants.changes import at, is_number, places

NUMBERS = (0, 1, -1, 2, 7, 8, 64, 255, 4096, 4097, 1 << 14, 1 << 31, 1 << 63, 1 << 64, 10**30, -(10**30), 10**999)
STRANGE: tuple[Any, ...] = (None, True, 0.5, "", "0", [], {}, [[]], "0-3", "1/3", "max", "\ud800", [0] * 40)


def mutated(data: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    """One to four changes. What comes before the first brace, and after the last one, is kept by those of the JSON."""
    start, end = data.find(b"{"), data.rfind(b"}") + 1
    if start >= 0 and rng.random() < 0.8:
        for last in (end, start + int.from_bytes(data[:8], "little")):
            try:
                value = json.loads(data[start:last])
            except (ValueError, RecursionError):
                continue
            for _ in range(rng.randint(1, 4)):
                edit(value, rng)
            text = json.dumps(value).encode()
            head = len(text).to_bytes(8, "little") if start == 8 else data[:start]
            return head + text + data[last:]
    return bytes_mutated(data, rng, others)


def edit(value: Any, rng: random.Random) -> None:
    """One change at a random place."""
    found = list(places(value))
    if not found:
        return
    path, item = rng.choice(found)
    box, key = at(value, path[:-1]), path[-1]
    match rng.randrange(7):
        case 0 | 1 if is_number(item):
            small, bit = item + rng.randint(-3, 3), item ^ 1 << rng.randrange(40)
            box[key] = rng.choice([small, small, bit, -item, rng.choice(NUMBERS)])
        case 2:
            box[key] = copy.deepcopy(rng.choice(found)[1])
        case 3 if isinstance(box, list):
            box.insert(key, copy.deepcopy(item))
        case 4:
            del box[key]
        case 5 if isinstance(item, list):
            rng.shuffle(item)
        case _:
            box[key] = copy.deepcopy(rng.choice(STRANGE)) if rng.random() < 0.3 else copy.deepcopy(rng.choice(found)[1])


def bytes_mutated(data: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    """Bits, bytes, and pieces of other inputs."""
    made = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(made) + 1)
        match rng.randrange(5):
            case 0 if place < len(made):
                made[place] ^= 1 << rng.randrange(8)
            case 1:
                made[place:place] = bytes(rng.choices(b'0123456789-{}[],:"\\ue.+\x00\xff', k=rng.randint(1, 4)))
            case 2:
                del made[place : place + rng.choice([1, 2, 8, 100])]
            case 3:
                other = rng.choice(others)
                start = rng.randrange(len(other) + 1)
                made[place:place] = other[start : start + rng.randrange(64)]
            case 4:
                made = made[:place] + made[place // 2 :]
    return bytes(made[: 1 << 16])
