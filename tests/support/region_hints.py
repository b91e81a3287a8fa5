"""Steps of the three rules about regions for tiny models, with the best hints: every input of a region is looked at.

    steps = region_steps(model_bytes, problem_json, groups, bits=40)   # regions, region_gaps, region_counts

A step is a dict as a certificate writes it. `groups` are JSON objects as in args.groups of `regions`. Hints are taken
from the checker's own tables, and conclusions are what its rules derive, so that whatever a rule refuses is raised here
as Refusal (wrong-label, over-budget, too-coarse, ...).

Keyword arguments:

    margin   a fraction, 0 if not given
    steps    of the hints of region_counts, in every region and class
    slack    units added to every bound on a mean: hints that are right, but not the best
    slopes   (act, low, high) -> slope of the line for a neuron that ranges from low to high; the chord if not given
    count    False: regions and region_gaps only
    first    the number that the first of the steps will have in the certificate
    budget   of the check
"""

import dataclasses
import json
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import product
from typing import Any

from checker.arithmetic.activations import Activation
from checker.arithmetic.balls import Ball
from checker.arithmetic.enclosures import Enclosure, largest_product
from checker.facts import Profile, RegionGaps, Regions
from checker.lemmas.ahead import Ahead
from checker.lemmas.paths import weights_of
from checker.model.one_layer import OneLayer
from checker.model.weights import Weights, read_weights
from checker.problem import Problem
from checker.problem.problem_file import decode_problem
from checker.problem.regions import Group, Region, decode_groups, regions_of
from checker.rules import RULES
from checker.rules.regions import entering

Json = dict[str, Any]
Tokens = tuple[int, ...]
Table = list[dict[int, int]]  # position -> token -> number, as in the checker
Weighing = list[dict[int, Enclosure]]  # position -> token -> weight
Slopes = Callable[[Activation, int, int], int]


def region_steps(
    model: bytes | Weights,
    problem: Json,
    groups: list[Json],
    bits: int = 40,
    *,
    margin: Fraction | int = 0,
    steps: int = 64,
    slack: int = 0,
    slopes: Slopes | None = None,
    count: bool = True,
    first: int = 0,
    budget: int = 1 << 32,
) -> list[Json]:
    """The steps, see above."""
    weights = model if isinstance(model, Weights) else read_weights(model)
    asked = Problem(weights, decode_problem(problem, ""), Fraction(margin).as_integer_ratio(), budget)
    slopes = slopes or chord
    args: Json = {"bits": bits, "groups": groups, "hints": neuron_hints(asked, groups, bits, slack)}
    regions, made = step_of(asked, "regions", [], [], args)
    gaps, more = step_of(asked, "region_gaps", [first], [regions], {"hints": gap_hints(asked, regions, slack, slopes)})
    made += more
    if count:
        hints = count_hints(asked, gaps, steps, slopes)
        made += step_of(asked, "region_counts", [first + 1], [gaps], {"hints": hints})[1]
    return made


def step_of(problem: Problem, rule: str, numbers: list[int], premises: list[Any], args: Json) -> tuple[Any, list[Json]]:
    """What a rule concludes, and the step that says so."""
    decoded = {key: decode(args[key], key) for key, decode in RULES[rule].args.items()}
    fact = RULES[rule].derive(problem, tuple(premises), decoded)
    return fact, [{"rule": rule, "premises": numbers, "args": args, "conclusion": fact_json(fact)}]


def fact_json(fact: Any) -> Json:
    """A fact as a certificate writes it."""
    if isinstance(fact, Regions):
        groups = [group._asdict() for group in fact.groups]
        return jsonable({"bits": fact.bits, "groups": groups, "ranges": fact.ranges})
    if isinstance(fact, RegionGaps):
        return jsonable({"regions": fact_json(fact.regions), "gaps": fact.gaps})
    data = jsonable(dataclasses.asdict(fact))
    if isinstance(fact, Profile):
        rows = [{**row, "margin": str(Fraction(*row["margin"]))} for row in data["profile"]]
        data |= {"profile": rows, "mean_loss": str(Fraction(*fact.mean_loss))}
    return data


def jsonable(value: Any) -> Any:
    """Tuples become lists."""
    return json.loads(json.dumps(value))


# The regions, one input after another.


def inputs_of_regions(problem: Problem, groups: tuple[Group, ...]) -> Iterator[tuple[Region, list[Tokens]]]:
    """Every region that has an input, in the order of the hints, and all its inputs."""
    found: list[list[Tokens]] = []
    for group in groups:
        reaching: dict[tuple[int, int], list[Tokens]] = {}
        for tokens in product(*problem.choices):
            query = tokens[problem.readout or 0]
            part = part_of(group, tokens)
            if group.queries >> query & 1 and part != -1:
                reaching.setdefault((query, part), []).append(tokens)
        found += [inputs for _, inputs in sorted(reaching.items())]
    yield from zip(regions_of(problem, groups), found, strict=True)


def part_of(group: Group, tokens: Tokens) -> int:
    """The part that an input ends in, or -1."""
    state = 0
    for t in tokens:
        state = group.next[state][group.symbols[t]]
        if state < 0:
            return -1
    return group.parts[state]


# Means: the bound that the checker accepts, and no smaller one.


def by_token(layer: OneLayer, region: Region) -> list[Weighing]:
    """The checker's weights of each head, by position and token."""
    return [
        [
            {
                t: Enclosure(low, high)
                for symbol, (lows, highs) in row.items()
                for t, low, high in zip(layer_.tokens[symbol], lows, highs, strict=True)
            }
            for layer_, row in zip(region.layers, weights, strict=True)
        ]
        for weights in weights_of(layer, region)
    ]


def least_bound(inputs: list[Tokens], gains: Table, weights: Weighing) -> int:
    """The smallest bound on the mean of the gains that no input of these refutes, by Newton's method from below."""
    bound = max(mean_at(tokens, gains, weights) for tokens in inputs)
    while True:
        terms = [
            [(gains[p][t] - bound, weights[p][t]) for p, t in enumerate(tokens) if weights[p]] for tokens in inputs
        ]
        above, worst = max((sum(largest_product(*term) for term in of_one), of_one) for of_one in terms)
        if above <= 0:
            return bound
        bound -= -above // sum(w.high if z >= 0 else w.low for z, w in worst)


def mean_at(tokens: Tokens, gains: Table, weights: Weighing) -> int:
    """The mean of the gains for one input, about: rounded down, with weights that may be a little too large."""
    seen = [(gains[p][t], weights[p][t].high) for p, t in enumerate(tokens) if weights[p]]
    return sum(gain * weight for gain, weight in seen) // sum(weight for _, weight in seen)


def neuron_hints(problem: Problem, groups: list[Json], bits: int, slack: int) -> list[list[list[int]]]:
    """hints[region][neuron] = [lower bound of each head, upper bound of each head]."""
    layer = problem.one_layer(bits)
    highest, lowest = ([entering(layer, neuron, sign) for neuron in range(layer.neurons)] for sign in (1, -1))
    hints = []
    for region, inputs in inputs_of_regions(problem, decode_groups(groups, "groups")):
        weights = by_token(layer, region)
        of_region = []
        for up, down in zip(highest, lowest, strict=True):
            above, below = (
                [least_bound(inputs, table, w) + slack for table, w in zip(tables, weights, strict=True)]
                for tables in (up, down)
            )
            of_region.append([-bound for bound in below] + above)
        hints.append(of_region)
    return hints


def chord(act: Activation, low: int, high: int) -> int:
    """The slope between the ends of a range; 0 if they are one."""
    (at_low, at_high), *_ = act(Ball([low, high], 0))
    return ((at_high - at_low) << act.bits) // (high - low) if high > low else 0


def slopes_of(ahead: Ahead, ranges: tuple[int, ...], slopes: Slopes) -> list[int]:
    """One for each neuron."""
    return [slopes(ahead.layer.act, low, high) for low, high in zip(ranges[::2], ranges[1::2], strict=True)]


def gap_hints(problem: Problem, regions: Regions, slack: int, slopes: Slopes) -> list[list[list[int]]]:
    """hints[region][class] = [slope of each neuron, upper bound on the mean of each head]."""
    ahead = Ahead(problem, regions.bits)
    hints = []
    for (region, inputs), ranges in zip(inputs_of_regions(problem, regions.groups), regions.ranges, strict=True):
        weights, lines = by_token(ahead.layer, region), slopes_of(ahead, ranges, slopes)
        of_region = []
        for rivals in region.group.rivals:
            gains = ahead.gains(region.group.label, rivals, tuple(lines))
            means = [least_bound(inputs, table, w) + slack for table, w in zip(gains, weights, strict=True)]
            of_region.append([*lines, *means])
        hints.append(of_region)
    return hints


def count_hints(problem: Problem, gaps: RegionGaps, steps: int, slopes: Slopes) -> list[list[list[int]]]:
    """hints[region][class] = [] or [steps, slope of each neuron, mean of each head]: the means at the worst input,
    moved together so that they and the constant add up to about 0."""
    ahead = Ahead(problem, gaps.regions.bits)
    hints = []
    regions = zip(inputs_of_regions(problem, gaps.regions.groups), gaps.regions.ranges, gaps.gaps, strict=True)
    for (region, inputs), ranges, row in regions:
        weights, lines = by_token(ahead.layer, region), slopes_of(ahead, ranges, slopes)
        of_region: list[list[int]] = []
        for rivals, gap in zip(region.group.rivals, row, strict=True):
            if gap < 0:
                of_region.append([])
                continue
            gains = ahead.gains(region.group.label, rivals, tuple(lines))
            best = sum(least_bound(inputs, table, w) for table, w in zip(gains, weights, strict=True))
            means = max(
                ([mean_at(tokens, table, w) for table, w in zip(gains, weights, strict=True)] for tokens in inputs),
                key=sum,
            )
            ahead_by = gap - best + sum(means)  # the constant and these means
            of_region.append([steps, *lines, *[mean - ahead_by // len(means) for mean in means]])
        hints.append(of_region)
    return hints
