"""Rule region_counts; proof: docs/rules.md#region_counts."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from checker.arithmetic.packing import members
from checker.errors import located
from checker.facts import Count, RegionGaps, Tally, require_same_length
from checker.lemmas.ahead import Ahead
from checker.lemmas.groups import STEPS
from checker.lemmas.paths import hinted, labels_of, weight_of, weights_of
from checker.lemmas.reaching import joint, reaching
from checker.problem import Problem
from checker.problem.cells import any_cell
from checker.problem.regions import Group


def region_counts(problem: Problem, premises: tuple[RegionGaps], args: dict[str, Any]) -> Tally:
    """The inputs of a query and label, less those in which some wrong output is not known to stay behind.

    Requires   RegionGaps. args.hints, for each region, for each class: [] if its gap is negative; else steps, a slope
               for each neuron, a mean for each head.
    Concludes  Tally: for each query and label whose groups watch every wrong output all inputs, less for each group
               those that no part of it holds, and those of its regions counted as reaching the label in some class.
    Cost       a product for each way of the automaton; per class counted, head, position and token a product and a
               division, and for each way a product of `steps` lanes; per query its tokens times the label's states.
    """
    (facts,) = premises
    ahead = Ahead(problem, facts.regions.bits)
    neurons, heads = ahead.layer.neurons, ahead.layer.heads
    left: dict[tuple[int, int], int] = {}  # by the number of a group and query, what it holds and does not lose
    work = problem.outputs * (neurons + 1) * heads * ahead.layer.words
    hints = hinted(problem, facts.regions.groups, args["hints"], work)
    for (at, region, rows), ranges, gaps in zip(hints, facts.regions.ranges, facts.gaps, strict=True):
        with located(at):
            require_same_length(len(gaps), len(rows), "")
            weight, key, counted = weight_of(problem, region), (region.number, region.query), 0
            weights = weights_of(ahead.layer, region) if max(gaps, default=-1) >= 0 else []
            for number, (rivals, gap, hint) in enumerate(zip(region.group.rivals, gaps, rows, strict=True)):
                require_same_length(0 if gap < 0 else 1 + neurons + heads, len(hint), f"[{number}]")
                if gap >= 0:
                    steps, slopes, means = STEPS(hint[0], f"[{number}][0]"), hint[1 : 1 + neurons], hint[1 + neurons :]
                    gains = ahead.gains(region.group.label, rivals, slopes)
                    table = joint(region, ahead.constant(region, rivals, slopes, ranges), gains, weights, means)
                    counted += reaching(problem, region, table, weight, steps)
            left[key] = left.get(key, 0) + max(weight - counted, 0)
    return Tally(tuple(correct_of_pairs(problem, facts.regions.groups, left)))


def correct_of_pairs(problem: Problem, groups: tuple[Group, ...], left: dict[tuple[int, int], int]) -> Iterator[Count]:
    """For each label and query what all its groups leave."""
    totals = cache(lambda query: labels_of(problem, Group(0, 1 << query, (), (0,) * problem.v, ((0,),), ()))[0])
    pairs: dict[tuple[int, int], list[int]] = {}  # the outputs watched, the weight left
    for number, group in enumerate(groups):
        for query in members(group.queries):
            total = totals(query).get(group.label, 0)
            pair = pairs.setdefault((group.label, query), [1 << group.label, total])
            for rivals in group.rivals:
                pair[0] |= rivals
            pair[1] -= total - left.get((number, query), 0)
    for (label, query), (watched, correct) in pairs.items():
        whole = watched == (1 << problem.outputs) - 1
        yield Count(label, 1 << query, any_cell(problem), max(correct, 0) if whole else 0)
