"""Groups of separable_counts as a certificate writes them, with cuts that fit the tables of a model.

args = with_cuts(derivation, scores, {**ARGS, "groups": [group((3, 3), 2)]}, fitting(1000))

A group is made first with cuts that count nothing in particular. `with_cuts` asks the rule itself for the tables that
each of them rounds, and puts others in their place.
"""

import copy
import random
import re
import sys
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import pytest

from checker.errors import Rejected
from checker.lemmas.counting import PHASES
from checker.lemmas.groups import Cut
from tests.support.counting import Tables
from tests.support.derivations import Derivation, mask_of

Args = dict[str, Any]
RULE = "separable_counts"
MOST_LANES = 1 << 12  # of what is counted in tests
MOST_BITS = 8000  # of entries, so that a step can be as large


class Call(NamedTuple):
    """What the rule asks count_reaching for."""

    tables: Tables
    uses: list[int]
    cut: Cut
    upper: bool
    needed: list[int]


Cutter = Callable[[Call], tuple[int, list[int]]]  # a step, and a phase for each table


def group(
    size: tuple[int, int],
    m: int,
    classes: list[int] | None = None,
    blocks: list[int] | None = None,
    pools: list[int] | None = None,
    parts: Iterable[int] = (),
    below: int | None = None,
) -> Args:
    """An entry of args.groups for d_vocab and n_ctx; all apart where nothing is given, in one part. Shared classes,
    without factors, are counted in every part, and from below the token `below`."""
    v, k = size
    sets = [1 << y for y in range(v) if y != m] if classes is None else classes
    pools = [1 << p for p in range(k - 1)] if pools is None else pools
    rest = [1, *[0 for _ in [*pools, 1]]]
    whole = [
        {
            "token": token,
            "above": [[number, *rest] for number in range(len(sets))],
            "below": [] if below is None else [[below, *rest]],
        }
        for token in (*parts, -1)
    ]
    queries = [1 << q for q in range(m + 1)] if blocks is None else blocks
    made = [{"queries": block, "classes": [], "parts": copy.deepcopy(whole)} for block in queries]
    return {"m": m, "pools": pools, "classes": [[tokens] for tokens in sets], "blocks": made}


def with_blocks(wanted: Args, blocks: list[int]) -> Args:
    """The same group with other blocks, all of them like its first."""
    return {**wanted, "blocks": [{**copy.deepcopy(wanted["blocks"][0]), "queries": block} for block in blocks]}


def with_pools(wanted: Args, pools: list[int]) -> Args:
    """The same group with other pools."""
    changed = {**copy.deepcopy(wanted), "pools": pools}
    for row in rows_of([changed]):
        row[2:] = [0 for _ in [*pools, 1]]
    return changed


def with_parts(wanted: Args, tokens: list[int]) -> Args:
    """The same group with parts by these tokens, all of them like the last one of its block."""
    changed = copy.deepcopy(wanted)
    for block in changed["blocks"]:
        block["parts"] = [{**copy.deepcopy(block["parts"][-1]), "token": token} for token in (*tokens, -1)]
    return changed


def rows_of(groups: list[Args]) -> list[list[int]]:
    """What is counted, in the order in which the rule counts it; to be changed."""
    parts = [part for group in groups for block in group["blocks"] for part in block["parts"]]
    return [row for part in parts for row in (*part["above"], *part["below"])]


def calls(derivation: Derivation, scores: int, args: Args) -> list[Call]:
    """What the rule would count."""
    made: list[Call] = []

    def note(*asked: Any) -> int:
        made.append(Call(*asked[:5]))
        return 0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules[f"checker.rules.{RULE}"], "count_reaching", note)
        derivation.derive(RULE, [scores], args)
    return made


def with_cuts(derivation: Derivation, scores: int, args: Args, cutter: Cutter) -> Args:
    """The same arguments with other steps and phases; refused as the rule refuses them."""
    return cut(args, calls(derivation, scores, args), cutter)


def cut(args: Args, asked: list[Call], cutter: Cutter) -> Args:
    """The same arguments, with steps and phases for what the rule asks for."""
    args = copy.deepcopy(args)
    for row, call in zip(rows_of(args["groups"]), asked, strict=True):
        step, phases = cutter(call)
        row[1:] = [step, *phases]
    return args


def fitting(steps: int) -> Cutter:
    """A sum that reaches 0 loses at most `steps`, and the largest entries lose nothing."""

    def fit(call: Call) -> tuple[int, list[int]]:
        peaks = [max(row.values()) for row in call.tables]
        most = max(sum(peak * count for peak, count in zip(peaks, call.uses, strict=True)), 0)
        # phases that are rounded up allow for another 65536th at each position
        step = max(-(-most * PHASES // ((steps + 1) * PHASES - sum(call.uses) - 1)), 1)
        phases = [-(-peak * PHASES // step) if call.upper else peak * PHASES // step for peak in peaks]
        return step, [phase % PHASES for phase in phases]

    return fit


def lanes(call: Call, step: int, phases: list[int]) -> int:
    """How many the polynomials of a count have, more or less."""
    most = sum(phase * count for phase, count in zip(phases, call.uses, strict=True)) // PHASES
    lows = [phase // PHASES - max(row.values()) // step - 1 for phase, row in zip(phases, call.tables, strict=True)]
    return most - sum(low * count for low, count in zip(lows, call.uses, strict=True))


def any_cut(rng: random.Random) -> Cutter:
    """Any steps, as far as the polynomials stay small, and phases of any size."""

    def fit(call: Call) -> tuple[int, list[int]]:
        step, phases = fitting(rng.choice([1, 7, 100, 1000]))(call)
        if rng.random() < 0.5:
            step = max(rng.choice([1, step // 3, step * 2, step + 1, step << rng.randrange(300)]), 1)
        match rng.randrange(4):
            case 0:
                phases = [rng.randrange(PHASES) for _ in phases]
            case 1:
                phases = [phase + rng.choice([-1, 1, PHASES, -3 * PHASES]) for phase in phases]
            case 2:
                size = 1 << rng.randrange(40)
                phases = [rng.choice([0, rng.randint(-size, size)]) for _ in phases]
                phases[-1] -= sum(phase * count for phase, count in zip(phases, call.uses, strict=True))
        return (step, phases) if lanes(call, step, phases) <= MOST_LANES else fitting(100)(call)

    return fit


def partition(rng: random.Random, members: list[int], most: int = 3) -> list[int]:
    """These members, each in exactly one set."""
    owner = [rng.randrange(most) for _ in members]
    parts = [mask_of(x for x, other in zip(members, owner, strict=True) if other == number) for number in set(owner)]
    return rng.sample(parts, len(parts))


def cover(rng: random.Random, tokens: list[int]) -> list[int]:
    """Sets that together hold these tokens: apart, all together, anything between; some tokens more than once."""
    classes = partition(rng, tokens, max(len(tokens), 1) if rng.random() < 0.5 else rng.choice([1, 2]))
    if tokens and rng.random() < 0.3:
        classes += [mask_of(rng.sample(tokens, rng.randint(1, len(tokens)))) for _ in range(rng.choice([1, 2]))]
    return rng.sample(classes, len(classes))


def with_factors(rng: random.Random, tokens: int) -> list[int]:
    """A class of these tokens: none, small or huge factors."""
    size = rng.choice([0, 0, 1, 9, 1 << 16, 1 << 200])
    return [tokens, *[rng.randint(1, size) for _ in range(tokens.bit_count()) if size]]


def any_group(rng: random.Random, v: int, k: int, m: int, queries: list[int]) -> Args:
    """All of these queries, in blocks of any size; some classes shared, some not, some not counted everywhere."""
    pools = partition(rng, list(range(k - 1)))
    rest = [1, *[0 for _ in [*pools, 1]]]
    others = [y for y in range(v) if y != m]
    shared = [y for y in others if rng.random() < 0.6]
    classes = [with_factors(rng, tokens) for tokens in cover(rng, shared)]
    blocks = []
    for block in partition(rng, queries, rng.choice([1, 3, len(queries)])):
        left = [y for y in others if y not in shared or rng.random() < 0.1]
        own = [with_factors(rng, tokens) for tokens in cover(rng, left)]
        parts = []
        for token in [*rng.sample(range(m), rng.choice([0, 0, min(m, 1), min(m, 3)])), -1]:
            numbers = [n for n in range(len(classes) + len(own)) if rng.random() < 0.9]
            above = [[number, *rest] for number in rng.sample(numbers, len(numbers))]
            from_below = others and block.bit_count() == 1 and rng.random() < 0.7
            below = [[rng.choice(others), *rest]] if from_below else []
            parts.append({"token": token, "above": above, "below": below})
        blocks.append({"queries": block, "classes": own, "parts": parts})
    return {"m": m, "pools": pools, "classes": classes, "blocks": blocks}


def any_groups(rng: random.Random, derivation: Derivation, scores: int, args: Args, queries: list[int]) -> Args:
    """The same arguments with groups that count every query of these masks, one mask per maximum, exactly once. A class
    that may reach its maximum is counted, or each of its tokens in another one."""
    v, k = derivation.problem.v, derivation.problem.k
    groups = []
    for m, wanted in enumerate(queries):
        left = [q for q in range(m + 1) if wanted >> q & 1]
        for mask in partition(rng, left, 2):
            groups.append(any_group(rng, v, k, m, [q for q in left if mask >> q & 1]))
    args = {**args, "bits": min(args["bits"], 600), "groups": rng.sample(groups, len(groups))}
    while True:
        try:
            asked = calls(derivation, scores, args)
            entries = [x for call in asked for row in call.tables for x in row.values()]
            if (excess := max([x.bit_length() for x in entries], default=0) - MOST_BITS) <= 0:
                return cut(args, asked, any_cut(rng))
            args["exponent"] += excess
        except Rejected as refused:
            if refused.code != "wrong-token-left-out":
                raise
            count_more(rng, args, refused)


def count_more(rng: random.Random, args: Args, refused: Rejected) -> None:
    """One more class in the part that was refused."""
    at, block, part = map(int, re.findall(r"\d+", refused.path))
    group = args["groups"][at]
    blocks, above = group["blocks"][block], group["blocks"][block]["parts"][part]["above"]
    numbers = range(len(group["classes"]) + len(blocks["classes"]))
    number = rng.choice([number for number in numbers if number not in [row[0] for row in above]])
    above.append([number, 1, *[0 for _ in [*group["pools"], 1]]])
