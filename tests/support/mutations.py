"""Changes to a valid certificate, as JSON data: one number, one table, the order of steps, or a consistent lie."""

import copy
from collections.abc import Iterator
from math import comb
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from tests.support.attacks import Draw
from tests.support.derivations import Statement
from tests.support.generators import margins


def choose(draw: Draw, items: list[Any]) -> Any:
    assume(items)
    return items[draw(st.integers(0, len(items) - 1))]


def changed(draw: Draw, number: int) -> int:
    """Another number: near, far, of the other sign, or with one bit flipped."""
    small = st.integers(-3, 3).map(lambda x: number + x)
    bit = st.integers(0, 70).map(lambda x: number ^ 1 << x)
    huge = st.integers(0, 13000).flatmap(lambda x: st.sampled_from([number + (1 << x), number - (1 << x), 1 << x]))
    fixed = st.sampled_from([0, 1, -1, -number, 2 * number, 10**30, -(10**30)])
    return draw(small | small | bit | huge | fixed)


def leaves(value: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key) of every integer inside."""
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(item, dict | list):
            yield from leaves(item)
        elif isinstance(item, int):
            yield value, key


def conclusions(statement: Statement, field: str) -> list[list[Any]]:
    """The tables of one kind in the conclusions: "rows", "masks" or "counts"."""
    return [step["conclusion"][field] for step in statement["predicate"]["steps"] if field in step["conclusion"]]


def regions(statement: Statement) -> list[list[int]]:
    """All [m, queries, ns, correct, wrong]."""
    return [row for table in conclusions(statement, "counts") for row in table if len(row) == 5]


def change_any_integer(draw: Draw, statement: Statement) -> None:
    predicate = statement["predicate"]
    part = choose(
        draw, [predicate["steps"], predicate["steps"], predicate["claim"], predicate["model"], predicate["task"]]
    )
    container, key = choose(draw, list(leaves(part)))
    container[key] = changed(draw, container[key])


def change_arguments(draw: Draw, statement: Statement) -> None:
    """Any precision in range."""
    step = choose(draw, [step for step in statement["predicate"]["steps"] if step["args"]])
    for key, value in step["args"].items():
        if key == "exponent":
            step["args"][key] = draw(st.integers(-40, 40).map(value.__add__) | st.integers(-(1 << 14), 1 << 14))
        elif key == "bits":
            step["args"][key] = draw(st.integers(8, 80) | st.sampled_from([8, 9, 500, 4096]))
        elif isinstance(value, int):
            step["args"][key] = changed(draw, value)
        elif key == "groups" and draw(st.booleans()):
            container, at = choose(draw, list(leaves(value)))
            container[at] = changed(draw, container[at])


def change_margin(draw: Draw, statement: Statement) -> None:
    statement["predicate"]["margin"] = str(draw(margins()))


def change_margin_of_a_step(draw: Draw, statement: Statement) -> None:
    """Another one, or none."""
    step = choose(draw, statement["predicate"]["steps"])
    step["margin"] = str(draw(margins()) * draw(st.sampled_from([1, -1])))
    if draw(st.booleans()):
        del step["margin"]


def permute_premises(draw: Draw, statement: Statement) -> None:
    step = choose(draw, [step for step in statement["predicate"]["steps"] if step["premises"]])
    step["premises"] = draw(
        st.permutations(step["premises"])
        | st.lists(st.integers(-1, len(statement["predicate"]["steps"])), max_size=4)
        | st.sampled_from(step["premises"]).map(lambda extra: [*step["premises"], extra])
        | st.sampled_from(step["premises"]).map(lambda one: [number for number in step["premises"] if number != one])
    )


def edit_steps(draw: Draw, statement: Statement) -> None:
    """Duplicate, remove or move a step, with or without renumbering the premises."""
    steps = statement["predicate"]["steps"]
    assume(steps)  # another change may have removed the only one
    numbers = list(range(len(steps)))
    at = draw(st.integers(0, len(steps) - 1))
    match draw(st.sampled_from(["duplicate", "remove", "move"])):
        case "duplicate":
            numbers.insert(draw(st.integers(0, len(steps))), at)
        case "remove":
            del numbers[at]
        case "move":
            numbers.remove(at)
            numbers.insert(draw(st.integers(0, len(steps) - 1)), at)
    steps[:] = [copy.deepcopy(steps[number]) for number in numbers]
    if draw(st.booleans()):
        new = {number: position for position, number in enumerate(numbers)}
        for step in steps:
            step["premises"] = [new.get(premise, premise) for premise in step["premises"]]


def move_counts(draw: Draw, statement: Statement) -> None:
    """What one region loses another one wins."""
    amount, at = draw(st.integers(1, 4)), st.integers(3, 4)
    choose(draw, regions(statement))[draw(at)] -= amount
    choose(draw, regions(statement))[draw(at)] += amount


def change_region(draw: Draw, statement: Statement) -> None:
    row = choose(draw, regions(statement))
    at = draw(st.integers(0, 2))
    row[at] = changed(draw, row[at])


def move_region(draw: Draw, statement: Statement) -> None:
    """From one tally to another one, or to another place."""
    tables = conclusions(statement, "counts")
    assume(any(tables))
    source = choose(draw, [table for table in tables if table])
    row = source.pop(draw(st.integers(0, len(source) - 1)))
    target = choose(draw, tables)
    target.insert(draw(st.integers(0, len(target))), row)
    if draw(st.booleans()):
        choose(draw, tables).append(list(row))


def raise_counts(draw: Draw, statement: Statement) -> None:
    """Every count of one tally, or of all, at the number of sequences of its region: correct, or wrong."""
    at = draw(st.sampled_from([3, 3, 4]))
    k = statement["predicate"]["task"]["k"]
    one = choose(draw, conclusions(statement, "counts"))
    for row in regions(statement) if draw(st.booleans()) else [row for row in one if len(row) == 5]:
        m, queries, ns = row[:3]
        if 0 <= m < 10 and 0 <= k < 10 and 0 <= ns < 1 << k + 3:
            row[at] = queries.bit_count() * sum(comb(k - 1, n) * m**n for n in range(k) if ns >> n & 1)


def extra_bits(draw: Draw, statement: Statement) -> None:
    """More accepted tokens: one more, all below m, or ones that do not exist."""
    masks = choose(draw, conclusions(statement, "masks"))
    cells = [(m, row, n) for m, rows in enumerate(masks) for row in rows for n in range(len(row))]
    m, row, n = choose(draw, cells)
    extra = st.sampled_from([(1 << m) - 1, 1 << m, 2 << m, -1, (1 << 70) - 1]) | st.integers(0, m + 1).map(
        lambda t: 1 << t
    )
    row[n] |= draw(extra)


def all_bits(draw: Draw, statement: Statement) -> None:
    for m, rows in enumerate(choose(draw, conclusions(statement, "masks"))):
        for row in rows:
            row[:] = [(1 << m) - 1] * len(row)


def tighten_table(draw: Draw, statement: Statement) -> None:
    """Bounds a little or much too strong, or weaker (then accepted)."""
    rows = choose(draw, conclusions(statement, "rows"))
    by = draw(st.sampled_from([-1, 1, 2, -(2**10), 2**10, -(2**35), 2**35]))
    one = choose(draw, rows)
    for row in rows if draw(st.booleans()) else [one]:
        row[:] = [x + by for x in row]


def reshape(draw: Draw, statement: Statement) -> None:
    """An entry more or less somewhere in a conclusion."""

    def lists(value: Any) -> Iterator[list[Any]]:
        if isinstance(value, list):
            yield value
        for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else []:
            yield from lists(item)

    target = choose(draw, [x for step in statement["predicate"]["steps"] for x in lists(step["conclusion"])])
    if target and draw(st.booleans()):
        target.pop(draw(st.integers(0, len(target) - 1)))
    else:
        target.append(copy.deepcopy(target[-1]) if target else 0)


def change_counting(draw: Draw, statement: Statement) -> None:
    """Another part, class, factor or row of what is counted; one more, one less, or the same twice; from below, too."""
    groups = [group for step in statement["predicate"]["steps"] for group in step["args"].get("groups", [])]
    group = choose(draw, [group for group in groups if "pools" in group])
    block = choose(draw, group["blocks"])
    part = choose(draw, block["parts"])
    rows = [row for other in block["parts"] for row in (*other["above"], *other["below"])]
    tokens = st.integers(-1, group["m"] + 1)
    match draw(st.integers(0, 5)):
        case 0:
            part["token"] = draw(tokens)
        case 1:
            block["parts"].insert(
                draw(st.integers(0, len(block["parts"]))), copy.deepcopy({**part, "token": draw(tokens)})
            )
        case 2:
            block["parts"].remove(part)
        case 3:
            listed = draw(st.sampled_from([part["above"], part["below"]]))
            if listed and draw(st.booleans()):
                listed.pop(draw(st.integers(0, len(listed) - 1)))
            else:
                listed.append([draw(tokens), *choose(draw, rows)[1:]])
        case 4:
            listed = draw(st.sampled_from([group["classes"], block["classes"]]))
            listed.append([choose(draw, group["classes"])[0]])
        case 5:
            row = choose(draw, [*group["classes"], *block["classes"]])
            row[1:] = [draw(st.integers(0, 9)) for _ in range(abs(row[0]).bit_count())]


MUTATIONS = [
    *(change_any_integer, change_any_integer, change_arguments, change_arguments, change_margin, permute_premises),
    *(
        change_counting,
        change_margin_of_a_step,
        edit_steps,
        move_counts,
        change_region,
        move_region,
        raise_counts,
        extra_bits,
        all_bits,
        tighten_table,
        reshape,
    ),
]


def follow_through(statement: Statement) -> None:
    """Make the later steps say what the earlier ones now suggest: a consistent lie."""
    steps = statement["predicate"]["steps"]
    k = statement["predicate"]["task"]["k"]
    for step in steps:
        premises = [steps[number] for number in step["premises"] if 0 <= number < len(steps)]
        if step["rule"] == "count_cubic" and premises and "masks" in premises[0]["conclusion"]:
            masks = [row for rows in premises[0]["conclusion"]["masks"] for row in rows if row]
            for count, row in zip(step["conclusion"]["counts"], masks, strict=False):
                cells = enumerate(row, start=1)
                count[3:4] = [sum(abs(mask).bit_count() ** n * comb(k - 1, n) for n, mask in cells if n < k < 10)]
        if step["rule"] == "total":
            counts = [count for premise in premises for count in premise["conclusion"].get("counts", []) if count]
            for at, name in enumerate(("correct", "wrong"), start=3):
                total = sum(count[at] for count in counts if len(count) > at)
                step["conclusion"][name] = statement["predicate"]["claim"][name] = total


def one_more(draw: Draw, statement: Statement) -> None:
    """One sequence too many: in the claim alone, from the total on, or from one region on."""
    predicate = statement["predicate"]
    at, name = draw(st.sampled_from([(3, "correct"), (3, "correct"), (4, "wrong")]))
    predicate["claim"][name] += 1
    start = draw(st.sampled_from(["claim", "total", "region"]))
    for step in predicate["steps"][-1:] if start != "claim" else ():
        if name in step["conclusion"]:  # other changes may have put another step at the end
            step["conclusion"][name] += 1
    if start == "region":
        choose(draw, regions(statement))[at] += 1
