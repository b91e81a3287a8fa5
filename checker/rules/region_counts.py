"""Rule region_counts; proof: docs/rules.md#region_counts."""

from typing import Any

from checker.errors import located
from checker.facts import Count, RegionGaps, Tally, require_same_length
from checker.lemmas.ahead import Ahead
from checker.lemmas.groups import STEPS
from checker.lemmas.paths import hinted, weight_of
from checker.lemmas.reaching import joint, reaching
from checker.problem import Problem
from checker.problem.cells import any_cell


def region_counts(problem: Problem, premises: tuple[RegionGaps], args: dict[str, Any]) -> Tally:
    """The inputs of each region, less those in which a class that is not behind in all of them can reach the label.

    Requires   RegionGaps. args.hints, for each region, for each class: [] if its gap is negative; else steps, a slope
               for each neuron, a mean for each head.
    Concludes  Tally: for each query and label the inputs of their regions, less those counted.
    Cost       a product for each way of the automaton; per class counted, head, position and token a product and a
               division, and for each way a product of `steps` lanes.
    """
    (facts,) = premises
    ahead = Ahead(problem, facts.regions.bits)
    neurons, heads = ahead.layer.neurons, ahead.layer.heads
    found: dict[tuple[int, int, int], int] = {}
    hints = hinted(problem, facts.regions.groups, args["hints"], problem.outputs * (neurons + 1) * heads)
    for (at, region, rows), ranges, gaps in zip(hints, facts.regions.ranges, facts.gaps, strict=True):
        with located(at):
            require_same_length(len(gaps), len(rows), "")
            left = weight = weight_of(problem, region)
            for number, (rivals, gap, hint) in enumerate(zip(region.group.rivals, gaps, rows, strict=True)):
                require_same_length(0 if gap < 0 else 1 + neurons + heads, len(hint), f"[{number}]")
                if gap >= 0:
                    slopes, means = hint[1 : 1 + neurons], hint[1 + neurons :]
                    constant = ahead.constant(region, rivals, slopes, ranges)
                    gains, weights = ahead.gains(region.group.label, rivals, slopes), ahead.layer.weights(region.query)
                    table = joint(region, constant, gains, weights, means)
                    steps = STEPS(hint[0], f"[{number}][0]")
                    left -= reaching(problem, region, table, weight, steps)
        key = region.number, region.group.label, region.query  # groups that overlap must not become one count
        found[key] = found.get(key, 0) + max(left, 0)
    counts = [Count(label, 1 << q, any_cell(problem), correct) for (_, label, q), correct in found.items()]
    return Tally(tuple(counts))
