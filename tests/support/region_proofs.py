"""Steps of the three rules about regions, with the best hints that a checker accepts, be it the real one or a bent one.

    problem = problem_of(case)
    steps = prove(problem, groups, bits=20, steps=100, rng=rng)
    facts = check(problem, steps)          # Refusal, or the three facts

The rules themselves are asked for the least bound on every mean, so nothing here knows how they read a model.
"""

import json
import random
from collections.abc import Callable
from dataclasses import asdict
from fractions import Fraction
from importlib import import_module
from typing import Any
from unittest.mock import patch

from checker.certificate import Step, decode_step
from checker.errors import Rejected, located
from checker.facts import RegionGaps, Regions
from checker.kernel import stated_by, step_before
from checker.lemmas.ahead import Ahead
from checker.lemmas.paths import Lanes, Table
from checker.model.weights import read_weights
from checker.problem import Problem
from checker.problem.problem_file import decode_problem
from checker.problem.regions import decode_groups, regions_of
from checker.rules import RULES
from tests.support.any_case import Case
from tests.support.any_problem import Json

BUDGET = 1 << 40
Args = dict[str, Any]


def problem_of(case: Case) -> Problem:
    margin = Fraction(case.margin).as_integer_ratio()
    return Problem(read_weights(case.data), decode_problem(case.problem, ""), margin, BUDGET)


def plain(value: Any) -> Any:
    """As in JSON."""
    return json.loads(json.dumps(value, default=asdict))


def fact_json(fact: Any) -> Json:
    """A fact as a certificate states it."""
    if isinstance(fact, RegionGaps):
        return {"regions": fact_json(fact.regions), "gaps": plain(fact.gaps)}
    if isinstance(fact, Regions):
        return plain({"bits": fact.bits, "groups": [g._asdict() for g in fact.groups], "ranges": fact.ranges})
    return plain(fact)


def derive(problem: Problem, rule: str, premises: list[Any], args: Args) -> Any:
    """What a rule concludes from arguments as a certificate states them."""
    problem.budget.restart()
    decoded = {key: decode(args[key], f"args.{key}") for key, decode in RULES[rule].args.items()}
    return RULES[rule].derive(problem, tuple(premises), decoded)


def check(problem: Problem, steps: list[Json]) -> list[Any]:
    """The stated facts, as the kernel accepts them."""
    proved: list[Step] = []
    for index, raw in enumerate(plain(steps)):
        with located(f"steps[{index}]"):
            step = decode_step(raw, "")
            rule = RULES[step.rule]
            earlier = [step_before(proved, index, number, at) for at, number in enumerate(step.premises)]
            premises = [stated_by(one, problem) for one in earlier]
            rule.require_applies(problem, premises)
            problem.budget.restart()
            facts = tuple(premise.fact for premise in premises)
            rule.derive(problem, facts, step.args).require_entails(step.conclusion)
        proved.append(step)
    return [step.conclusion for step in proved]


def step(rule: str, number: int, args: Args, conclusion: Any) -> Json:
    stated = conclusion if isinstance(conclusion, dict) else fact_json(conclusion)
    return plain({"rule": rule, "premises": [number - 1] * (number > 0), "args": args, "conclusion": stated})


def least(accepted: Callable[[int], bool], table: Table) -> int:
    """The least number that is accepted as a mean of these; all above it are, too."""
    entries = [x for row in table for x in row.values()]
    low, high = min(entries) - 1, max(entries)
    reach = 1
    while not accepted(high):
        low, high, reach = high, high + reach, 4 * reach
        if reach > 1 << 5000:
            raise Rejected("no-bound")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if accepted(middle) else (middle, high)
    return high


def means_asked(rule: str, run: Callable[[], object], ends: int = 1) -> list[int]:
    """What the rule needs for each mean that it asks about: by region, table, head, and then end of a range."""
    module = import_module(f"checker.rules.{rule}")
    original = module.require_means
    found: list[tuple[Any, list[list[int]]]] = []  # of each region by head

    def asked(region: Any, lanes: Lanes, weights: Any, bounds: list[int]) -> None:
        def needed(table: Table) -> int:
            def accepted(bound: int) -> bool:
                try:
                    original(region, ((table,), *lanes[1:3], lambda p, t: table[p][t]), weights, [bound])
                except Rejected:
                    return False
                return True

            read = [
                {t: row[t] for ts in layer.tokens.values() for t in ts if t in row}
                for layer, row in zip(region.layers, table, strict=True)
            ]
            return least(accepted, read)

        if not found or found[-1][0] is not region:
            found.append((region, []))
        found[-1][1].append([needed(table) for table in lanes[0]])

    with patch.object(module, "require_means", asked):
        run()
    flat = []
    for _, heads in found:
        size = len(heads[0]) // ends
        flat += [row[size * end + i] for i in range(size) for row in heads for end in range(ends)]
    return flat


def prove(
    problem: Problem, groups: list[Json], bits: int, steps: int, rng: random.Random, shares: tuple[int, ...] = ()
) -> list[Json]:
    """Three steps with hints that are the best, for lines that are not always. The means of a count are lower than
    these bounds, together by the gap, or each by so many times the gap."""
    layer = problem.one_layer(bits)
    heads, neurons = layer.heads, layer.neurons
    try:  # groups that are none are refused before the number of hints is
        derive(problem, "regions", [], {"bits": bits, "groups": groups, "hints": []})
    except Rejected as refused:
        if refused.code != "wrong-shape":
            raise
    regions = list(regions_of(problem, decode_groups(plain(groups), "args.groups")))

    def ranges_of(flat: list[int]) -> list[Any]:
        entries = iter(flat)
        hints = []
        for _ in regions:
            rows = []
            for _ in range(neurons):
                pairs = [(next(entries), next(entries)) for _ in range(heads)]
                rows.append([-low for _, low in pairs] + [high for high, _ in pairs])
            hints.append(rows)
        return hints

    args: Args = {"bits": bits, "groups": groups, "hints": ranges_of([0] * (2 * len(regions) * neurons * heads))}
    args["hints"] = ranges_of(means_asked("regions", lambda: derive(problem, "regions", [], args), 2))
    first = derive(problem, "regions", [], args)
    made = [step("regions", 0, args, first)]

    ahead = Ahead(problem, bits)
    slopes = [
        [slopes_of(ahead, region.group.label, rivals, ranges, rng) for rivals in region.group.rivals]
        for region, ranges in zip(regions, first.ranges, strict=True)
    ]

    def gaps_of(flat: list[int]) -> list[Any]:
        entries = iter(flat)
        return [[[*lines, *[next(entries) for _ in range(heads)]] for lines in rows] for rows in slopes]

    classes = sum(len(rows) for rows in slopes)
    args = {"hints": gaps_of([0] * (classes * heads))}
    args["hints"] = gaps_of(means_asked("region_gaps", lambda: derive(problem, "region_gaps", [first], args)))
    second = derive(problem, "region_gaps", [first], args)
    made.append(step("region_gaps", 1, args, second))

    counts = []
    for hints, gaps in zip(args["hints"], second.gaps, strict=True):
        counts.append(
            [
                [] if gap < 0 else [steps, *shifted(hint, neurons, gap, shares)]
                for hint, gap in zip(hints, gaps, strict=True)
            ]
        )
    args = {"hints": counts}
    made.append(step("region_counts", 2, args, derive(problem, "region_counts", [second], args)))
    return made


def shifted(hint: list[int], neurons: int, gap: int, shares: tuple[int, ...]) -> list[int]:
    """The same slopes, and means that are lower: if by the gap, they and the constant add up to 0."""
    means = hint[neurons:]
    less = [share * gap for share in shares] if shares else [gap // len(means)] * len(means)
    return [*hint[:neurons], *[mean - part for mean, part in zip(means, less, strict=True)]]


def slopes_of(ahead: Ahead, c: int, rivals: int, ranges: tuple[int, ...], rng: random.Random) -> list[int]:
    """A line for each neuron: mostly near the best one."""
    y = (rivals & -rivals).bit_length() - 1
    favours, one = ahead.favours(y, c), 1 << ahead.bits
    lines = []
    for favour, low, high in zip(favours, ranges[::2], ranges[1::2], strict=True):
        chord = one * max(high, 0) // max(high - min(low, 0), 1)
        best = one if low >= 0 else 0 if high <= 0 else chord if favour >= 0 or 2 * chord > one else 0
        if ahead.layer.act.name != "relu":
            best = chord
        others = [0, one, rng.randint(-2 * one, 3 * one), rng.randint(0, one), best + rng.randint(-2, 2)]
        lines.append(best if rng.random() < 0.75 else rng.choice(others))
    return lines
