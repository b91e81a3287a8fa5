"""Every way in which a certificate is mutated, and every place of it where that can be done.

    KINDS["number up by one"](subject, random)     yields (place, Mutant) for every such place, in order

A change is made when it is asked for, by calling what is yielded: there are many more places than anybody looks at.
"""

import copy
import hashlib
import json
import random
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from typing import Any, NamedTuple

from tests.mutants.subjects import Subject
from tests.support.any_problem import Json


class Mutant(NamedTuple):
    """What is checked: bytes of a certificate and of a model."""

    data: bytes
    model: bytes


Path = tuple[Any, ...]
Edit = Callable[[Any, Any], None]  # of a container, at a key
Change = Callable[[], Mutant]
Place = tuple[Path | str, Change]
Kind = Callable[[Subject, list[Subject]], Iterator[Place]]  # the others are there to exchange with
PREDICATE = ("predicate",)


def places(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value inside a JSON value with its path, containers first."""
    if path:
        yield path, value
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(item, (*path, key))


def written(place: Path | str) -> str:
    return place if isinstance(place, str) else ".".join(map(str, place))


def at(statement: Any, path: Path) -> Any:
    for key in path:
        statement = statement[key]
    return statement


def changed(subject: Subject, edit: Callable[[Json], None]) -> Change:
    """The certificate after an edit of a copy."""

    def change() -> Mutant:
        statement = copy.deepcopy(subject.statement)
        edit(statement)
        return Mutant(json.dumps(statement).encode(), subject.model)

    return change


def edits(subject: Subject, path: Path, edit: Edit) -> Change:
    """The certificate after an edit at one place."""

    def change(statement: Json) -> None:
        edit(at(statement, path[:-1]), path[-1])

    return changed(subject, change)


def put(value: Any) -> Edit:
    def edit(container: Any, key: Any) -> None:
        container[key] = value

    return edit


def is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def numbers(*by: Callable[[int], int]) -> Kind:
    """Every integer becomes another one, in each of these ways."""

    def kind(subject: Subject, _: list[Subject]) -> Iterator[Place]:
        for path, value in places(subject.statement):
            for move in by if is_number(value) else ():
                if move(value) != value:
                    yield path, edits(subject, path, put(move(value)))

    return kind


def lists(*by: Callable[[list[Any]], list[Any]]) -> Kind:
    """Every list becomes another one, in each of these ways."""

    def kind(subject: Subject, _: list[Subject]) -> Iterator[Place]:
        for path, value in places(subject.statement):
            for move in by if isinstance(value, list) else ():
                if move(value) != value:
                    yield path, edits(subject, path, put(move(value)))

    return kind


def without_each(subject: Subject, _: list[Subject]) -> Iterator[Place]:
    """Every entry of every list is left out."""
    for path, _value in places(subject.statement):
        if isinstance(path[-1], int):
            yield path, edits(subject, path, lambda box, key: box.pop(key))


def doubled_each(subject: Subject, _: list[Subject]) -> Iterator[Place]:
    """Every entry of every list comes twice."""
    for path, _value in places(subject.statement):
        if isinstance(path[-1], int):
            yield path, edits(subject, path, lambda box, key: box.insert(key, copy.deepcopy(box[key])))


def swapped_each(subject: Subject, _: list[Subject]) -> Iterator[Place]:
    """Every entry of every list changes places with the one before it."""

    def swap(box: Any, key: Any) -> None:
        box[key - 1], box[key] = box[key], box[key - 1]

    for path, value in places(subject.statement):
        if isinstance(path[-1], int) and path[-1] and at(subject.statement, path[:-1])[path[-1] - 1] != value:
            yield path, edits(subject, path, swap)


def redirected(subject: Subject, _: list[Subject]) -> Iterator[Place]:
    """Every premise becomes the number of any other step, of none, or of the step itself."""
    for number, step in enumerate(subject.statement["predicate"]["steps"]):
        for place, premise in enumerate(step["premises"]):
            for other in range(-2, len(subject.statement["predicate"]["steps"]) + 2):
                if other != premise:
                    path = (*PREDICATE, "steps", number, "premises", place)
                    yield (*path, other), edits(subject, path, put(other))


def steps_moved(subject: Subject, _: list[Subject]) -> Iterator[Place]:
    """Steps left out, said twice or moved, and the premises of all steps renumbered to mean the same steps."""
    count = len(subject.statement["predicate"]["steps"])
    for number in range(count):
        orders = [("left out", [n for n in range(count) if n != number])]
        for to in range(count + 1):
            rest = [n for n in range(count) if n != number]
            orders.append((f"again at {to}", [*range(to), number, *range(to, count)]))
            orders.append((f"to {to}", [*rest[:to], number, *rest[to:]]))
        for what, order in orders:
            if order != list(range(count)):
                yield (
                    f"step {number} {what}",
                    changed(subject, partial(reorder, order=order)),
                )


def reorder(statement: Json, order: list[int]) -> None:
    """These steps in this order, premises renumbered; a premise that is gone keeps its number."""
    steps = statement["predicate"]["steps"]
    made = [copy.deepcopy(steps[number]) for number in order]
    for step in made:
        step["premises"] = [order.index(one) if one in order else one for one in step["premises"]]
    statement["predicate"]["steps"] = made


def fields_dropped(subject: Subject, _: list[Subject]) -> Iterator[Place]:
    for path, _value in places(subject.statement):
        if isinstance(path[-1], str):
            yield path, edits(subject, path, lambda box, key: box.pop(key))


def fields_added(subject: Subject, _: list[Subject]) -> Iterator[Place]:
    """To every object, a field that it does not have: an unknown one, or one that other objects have."""
    names = sorted({path[-1] for path, _ in places(subject.statement) if isinstance(path[-1], str)})
    for path, value in [((), subject.statement), *places(subject.statement)]:
        for name in ("other", "margin", *names[:: max(len(names) // 5, 1)]) if isinstance(value, dict) else ():
            if name not in value:
                yield (*path, name), edits(subject, (*path, name), put(0))


def keys_doubled(subject: Subject, _: list[Subject]) -> Iterator[Place]:
    """Every field comes twice in the text: with the same value, or first with another one."""

    def change(path: Path, first: str) -> Mutant:
        statement = copy.deepcopy(subject.statement)
        box, (name, value) = at(statement, path[:-1]), (path[-1], at(statement, path))
        items = [[key, item] for key, item in box.items()]
        place = [key for key, _ in items].index(name)
        put("\0here")(*((at(statement, path[:-2]), path[-2]) if len(path) > 1 else ([statement], 0)))
        parts = [f"{json.dumps(key)}: {json.dumps(item)}" for key, item in items]
        parts.insert(place, f"{json.dumps(name)}: {first or json.dumps(value)}")
        whole = json.dumps(statement if len(path) > 1 else "\0here")
        return Mutant(whole.replace(json.dumps("\0here"), "{" + ", ".join(parts) + "}").encode(), subject.model)

    for path, _value in places(subject.statement):
        if isinstance(path[-1], str):
            for first in ("", "0"):
                yield (*path, first), partial(change, path, first)


def retyped(subject: Subject, _: list[Subject]) -> Iterator[Place]:
    """Every value becomes one of another type, most often with the same meaning to a careless reader."""
    for path, value in places(subject.statement):
        others: list[Any] = [None, {}, [value], str(value)]
        if is_number(value):
            others += [float(value) if abs(value) < 1 << 60 else 1e18, value != 0]
        elif isinstance(value, str):
            others = [None, {}, [value], 0, False]
        for other in others:
            yield (*path, type(other).__name__), edits(subject, path, put(other))


CLAIMED = ("correct", "wrong")


def claims_raised(subject: Subject, _: list[Subject]) -> Iterator[Place]:
    """One more in the claim alone; from the last step on; from a count of a region on."""

    def raised(statement: Json, name: str, since: int, row: int, by: int) -> None:
        predicate = statement["predicate"]
        predicate["claim"][name] += by
        for step in predicate["steps"][since:] if since >= 0 else ():
            if name in step["conclusion"]:
                step["conclusion"][name] += by
            elif row >= 0 and step is predicate["steps"][since]:
                step["conclusion"]["counts"][row][3 + CLAIMED.index(name)] += by

    steps = subject.statement["predicate"]["steps"]
    for name in CLAIMED:
        for by in (1, 2, 1000):
            yield f"{name} + {by}", changed(subject, partial(raised, name=name, since=-1, row=-1, by=by))
            for number, step in enumerate(steps):
                rows = range(len(step["conclusion"].get("counts", ())))
                for row in [*rows, -1] if name in step["conclusion"] or rows else ():
                    yield (
                        f"{name} + {by} from step {number}, region {row} on",
                        changed(subject, partial(raised, name=name, since=number, row=row, by=by)),
                    )


def profiles_raised(subject: Subject, _: list[Subject]) -> Iterator[Place]:
    """One more at a margin of a profile, and less loss, in the claim alone or in the last step, too."""
    predicate = subject.statement["predicate"]
    for where in [["claim"], ["claim", "last"]] if "profile" in predicate["claim"] else ():

        def both(statement: Json, edit: Callable[[Json], None], where: list[str] = where) -> None:
            for name in where:
                inner = statement["predicate"]
                edit(inner["claim"] if name == "claim" else inner["steps"][-1]["conclusion"])

        for row in range(len(predicate["claim"]["profile"])):
            for name in CLAIMED:

                def more(facts: Json, row: int = row, name: str = name) -> None:
                    facts["profile"][row][name] += 1

                yield f"{where} profile {row} {name}", changed(subject, partial(both, edit=more))

        def less(facts: Json) -> None:
            above, _, below = facts["mean_loss"].partition("/")
            facts["mean_loss"] = str(max(Fraction(int(above) * 1000 - 1, int(below or 1) * 1000), Fraction(0)))

        yield f"{where} mean_loss", changed(subject, partial(both, edit=less))


def margins_changed(subject: Subject, _: list[Subject]) -> Iterator[Place]:
    """The margin of the claim, of a step, or of a row of a profile."""
    others = ("0", "1/1000", "1/3", "1", "7/2", "1000000", "-1")
    for path, value in places(subject.statement):
        if path[-1] == "margin":
            for other in others:
                if other != value:
                    yield (*path, other), edits(subject, path, put(other))
    for number, step in enumerate(subject.statement["predicate"]["steps"]):
        for other in others if "margin" not in step else ():
            path = (*PREDICATE, "steps", number, "margin")
            yield (*path, other), edits(subject, path, put(other))


def texts_changed(subject: Subject, _: list[Subject]) -> Iterator[Place]:
    """Every string becomes another one, most often one that stands elsewhere: names of rules, labels, fractions."""
    found = sorted({value for path, value in places(subject.statement) if isinstance(value, str)})
    for path, value in places(subject.statement):
        if isinstance(value, str):
            others = [*found[:: max(len(found) // 6, 1)], value.upper(), value + " ", "", value[:-1]]
            for other in {"max", "min", "last", *others} - {value}:
                yield (*path, other), edits(subject, path, put(other))


def subtrees_exchanged(subject: Subject, _: list[Subject]) -> Iterator[Place]:
    """Every value of a step becomes the value of the same name of another step."""
    steps = subject.statement["predicate"]["steps"]
    for number, step in enumerate(steps):
        for other, source in enumerate(steps):
            for name in step if other != number else ():
                if name in source and source[name] != step[name]:
                    path, value = (*PREDICATE, "steps", number, name), source[name]
                    yield (*path, other), edits(subject, path, put(copy.deepcopy(value)))


def spread(count: int) -> range:
    """Places from the first to the last, a few thousand; an odd step, so that all bits of bytes are among them."""
    return range(0, count, count // 3000 | 1)


def bits_of_text(subject: Subject, _: list[Subject]) -> Iterator[Place]:
    """Bits all over the file."""

    def flip(bit: int) -> Mutant:
        data = bytearray(subject.data)
        data[bit // 8] ^= 1 << bit % 8
        return Mutant(bytes(data), subject.model)

    for bit in spread(8 * len(subject.data)):
        yield f"bit {bit}", partial(flip, bit)


def texts_cut(subject: Subject, _: list[Subject]) -> Iterator[Place]:
    """Bytes left out, or everything from them on."""
    data = subject.data

    def cut(start: int, end: int) -> Mutant:
        return Mutant(data[:start] + data[end:], subject.model)

    for place in spread(len(data)):
        yield f"byte {place}", partial(cut, place, place + 1)
        yield f"from byte {place} on", partial(cut, place, len(data))


def bits_of_the_model(subject: Subject, _: list[Subject]) -> Iterator[Place]:
    """The certificate as it is."""

    def flip(place: int) -> Mutant:
        return Mutant(subject.data, flipped(subject.model, place))

    for place in spread(8 * len(subject.model)):
        yield f"bit {place}", partial(flip, place)


def flipped(model: bytes, place: int) -> bytes:
    data = bytearray(model)
    data[place // 8] ^= 1 << place % 8
    return bytes(data)


def bits_of_the_model_and_digests(subject: Subject, _: list[Subject]) -> Iterator[Place]:
    """The certificate is made to be about the other model, which has few inputs, as each has to be evaluated anew."""
    if subject.statement["predicate"]["claim"]["total"] > 200:
        return

    def flip(place: int) -> Mutant:
        return about(subject.statement, flipped(subject.model, place))

    for place in spread(8 * len(subject.model)):
        yield f"bit {place}", partial(flip, place)


def about(statement: Json, model: bytes) -> Mutant:
    """The certificate with the digests and sizes of this model, as far as its header can be read."""
    statement = copy.deepcopy(statement)
    statement["subject"][0]["digest"]["sha256"] = hashlib.sha256(model).hexdigest()
    length = int.from_bytes(model[:8], "little")
    try:
        header = json.loads(model[8 : 8 + length])
        body = model[8 + length :]
        digests = {
            name: hashlib.sha256(body[slice(*entry["data_offsets"])]).hexdigest()
            for name, entry in header.items()
            if name != "__metadata__"
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        digests = statement["predicate"]["model"]["tensors"]
    statement["predicate"]["model"]["tensors"] = digests
    return Mutant(json.dumps(statement).encode(), model)


def models_exchanged(subject: Subject, others: list[Subject]) -> Iterator[Place]:
    """The certificate with another model."""
    for model in {other.model: other for other in others if other.model != subject.model}:
        yield hashlib.sha256(model).hexdigest()[:8], partial(Mutant, subject.data, model)


def models_exchanged_with_digests(subject: Subject, others: list[Subject]) -> Iterator[Place]:
    """Made to be about the other model, whose sizes it states; its own steps, claim and problem."""

    def change(other: Subject) -> Mutant:
        statement = copy.deepcopy(subject.statement)
        statement["subject"] = other.statement["subject"]
        statement["predicate"]["model"] = other.statement["predicate"]["model"]
        return Mutant(json.dumps(statement).encode(), other.model)

    for other in {other.model: other for other in others if other.model != subject.model}.values():
        yield other.name, partial(change, other)


BIG = 1 << 40
KINDS: dict[str, Kind] = {
    "a number up by one": numbers(lambda x: x + 1),
    "a number down by one": numbers(lambda x: x - 1),
    "a number by much": numbers(lambda x: x + BIG, lambda x: x - BIG, lambda x: 2 * x, lambda x: x // 2),
    "a number to 0, 1, -1, or its negative": numbers(lambda x: 0, lambda x: 1, lambda x: -1, lambda x: -x),
    "a list shortened": without_each,
    "a list lengthened": doubled_each,
    "a list emptied, or two lists from one": lists(lambda x: [], lambda x: x + x, lambda x: [x]),
    "a list reordered": swapped_each,
    "a list backwards": lists(lambda x: x[::-1]),
    "a premise redirected": redirected,
    "a step left out, repeated or moved": steps_moved,
    "part of a step from another step": subtrees_exchanged,
    "a field dropped": fields_dropped,
    "a field added": fields_added,
    "a field doubled": keys_doubled,
    "a value of another type": retyped,
    "a claim raised": claims_raised,
    "a claim at other margins raised": profiles_raised,
    "another margin": margins_changed,
    "another text": texts_changed,
    "a bit of the certificate": bits_of_text,
    "the certificate cut": texts_cut,
    "a bit of the model": bits_of_the_model,
    "a bit of the model, digests to match": bits_of_the_model_and_digests,
    "another model": models_exchanged,
    "another model, digests to match": models_exchanged_with_digests,
}


def sample(subject: Subject, others: list[Subject], kind: str, most: int, seed: int) -> list[Place]:
    """So many of the places of a kind, or all if there are fewer; always the same."""
    found = list(KINDS[kind](subject, others))
    if len(found) <= most:
        return found
    return random.Random(f"{subject.name} {kind} {seed}").sample(found, most)
