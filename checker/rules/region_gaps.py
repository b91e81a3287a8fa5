"""Rule region_gaps; proof: docs/rules.md#region_gaps."""

from typing import Any

from checker.errors import located
from checker.facts import RegionGaps, Regions, require_same_length
from checker.lemmas.ahead import Ahead
from checker.lemmas.paths import hinted, require_means, weights_of
from checker.problem import Problem


def region_gaps(problem: Problem, premises: tuple[Regions], args: dict[str, Any]) -> RegionGaps:
    """How far the wrong outputs of each class are ahead of the label, at most, for every input of a region.

    Requires   Regions. args.hints, for each region, for each class of its group: a slope for each neuron, then an upper
               bound on the mean of each head, in units of 2^-bits; the worst path proves each of these.
    Concludes  RegionGaps: the constant of the class plus the sum of these bounds.
    Cost       per region, class and head one addition for each way of the automaton, one product for each position and
               token; with an MLP d_mlp products for each of them and each wrong output.
    """
    (facts,) = premises
    ahead = Ahead(problem, facts.bits)
    neurons, heads = ahead.layer.neurons, ahead.layer.heads
    gaps = []
    hints = hinted(problem, facts.groups, args["hints"], problem.outputs * (neurons + 1) * heads * ahead.layer.words)
    for (at, region, rows), ranges in zip(hints, facts.ranges, strict=True):
        with located(at):
            require_same_length(len(region.group.rivals), len(rows), "")
            row = []
            for number, (rivals, hint) in enumerate(zip(region.group.rivals, rows, strict=True)):
                require_same_length(neurons + heads, len(hint), f"[{number}]")
                slopes, means = hint[:neurons], hint[neurons:]
                row.append(ahead.constant(region, rivals, slopes, ranges) + sum(means))
            weights, classes = weights_of(ahead.layer, region), tuple([hint[:neurons] for hint in rows])
            for head, tables in enumerate(ahead.lanes(region.group.label, region.group.rivals, classes)):
                require_means(region, tables, weights[head], [hint[neurons + head] for hint in rows])
            gaps.append(tuple(row))
    return RegionGaps(facts, tuple(gaps))
