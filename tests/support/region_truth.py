"""Whether facts about regions are true, input by input, from the definition of the function."""

from fractions import Fraction
from functools import cache
from typing import Any, NamedTuple

from flint import arb

from checker.facts import RegionGaps, Regions, Tally
from tests.support.any_case import Case
from tests.support.any_oracle import Vector, plus, precision, rational
from tests.support.any_problem import Inputs, Json, Tokens

PRECISION = 512


class Part(NamedTuple):
    """One region: the number of its group, the group, the query, its inputs."""

    number: int
    group: Json
    query: int
    inputs: list[Tokens]


class RegionTruth:
    """Everything about the inputs of one case."""

    def __init__(self, case: Case) -> None:
        self.case, self.oracle, self.readout = case, case.oracle, case.problem["readout"]
        self.inputs = {tokens: (weight, label) for tokens, weight, label in Inputs(case.problem)}
        self.logits, self.entering = cache(self.find_logits), cache(self.find_entering)
        self.correct = cache(self.find_correct)

    def find_logits(self, tokens: Tokens) -> Vector:
        with precision(PRECISION):
            return self.oracle.balls(PRECISION).logits(tokens, self.readout)

    def find_entering(self, tokens: Tokens) -> Vector:
        """What enters each neuron."""
        with precision(PRECISION):
            model = self.oracle.balls(PRECISION)
            t = model.tensors
            xs = [plus(t["embed.W_E"][token], t["pos_embed.W_pos"][p]) for p, token in enumerate(tokens)]
            x = plus(xs[self.readout], model.attention(xs, 0)[self.readout])
            return model.linear(x, t["blocks.0.mlp.W_in"], t["blocks.0.mlp.b_in"])

    def find_correct(self, tokens: Tokens) -> bool:
        label = self.inputs[tokens][1]
        return self.oracle.sign(tokens, self.readout, label, self.case.margin, 1024) == -1

    def weight(self, inputs: list[Tokens]) -> int:
        """Of the correct ones."""
        return sum(self.inputs[tokens][0] for tokens in inputs if self.correct(tokens))

    @property
    def bound(self) -> tuple[int, int]:
        """The weight of all correct inputs, and of all."""
        return self.weight(list(self.inputs)), sum(weight for weight, _ in self.inputs.values())

    def parts(self, groups: list[Json]) -> list[Part]:
        """The regions in the order of the rules."""
        found = []
        for number, group in enumerate(groups):
            reached: dict[tuple[int, int], list[Tokens]] = {}
            for tokens in self.inputs:
                part, query = end_of(group, tokens), tokens[self.readout]
                if part != -1 and group["queries"] >> query & 1:
                    reached.setdefault((query, part), []).append(tokens)
            found += [Part(number, group, query, inputs) for (query, _), inputs in sorted(reached.items())]
        return found

    def lies(self, facts: list[Any]) -> str:
        """What is false in the facts of three steps; nothing if all are true."""
        for fact in facts:
            with precision(PRECISION):
                if isinstance(fact, Regions):
                    lie = self.lies_of_regions(fact)
                elif isinstance(fact, RegionGaps):
                    lie = self.lies_of_regions(fact.regions) or self.lies_of_gaps(fact)
                else:
                    lie = self.lies_of_tally(fact)
            if lie:
                return f"{type(fact).__name__}: {lie}"
        return ""

    def lies_of_regions(self, fact: Regions) -> str:
        parts = self.parts([group._asdict() for group in fact.groups])
        for number, (part, ranges) in enumerate(zip(parts, fact.ranges, strict=True)):
            for tokens in part.inputs:
                if self.inputs[tokens][1] != part.group["label"]:
                    return f"label of {tokens}"
                neurons = self.entering(tokens) if ranges else []
                for j, z in enumerate(neurons):
                    low, high = (in_units(end, fact.bits) for end in ranges[2 * j : 2 * j + 2])
                    if z < low or z > high:
                        return f"ranges[{number}][{2 * j}]"
        return ""

    def lies_of_gaps(self, fact: RegionGaps) -> str:
        margin = arb(rational(self.case.margin))
        parts = self.parts([group._asdict() for group in fact.regions.groups])
        for number, (part, gaps) in enumerate(zip(parts, fact.gaps, strict=True)):
            for mask, gap in zip(part.group["rivals"], gaps, strict=True):
                for tokens in part.inputs:
                    logits, c = self.logits(tokens), part.group["label"]
                    ahead = [logit - logits[c] + margin for y, logit in enumerate(logits) if mask >> y & 1]
                    if "final" in self.case.architecture["norms"]:  # the bound is in another unit, 0 is 0
                        ahead = [lead for lead in ahead if gap < 0 < lead]
                        if ahead:
                            return f"gaps[{number}]"
                    elif any(lead > in_units(gap, fact.regions.bits) for lead in ahead):
                        return f"gaps[{number}]"
        return ""

    def lies_of_tally(self, tally: Tally) -> str:
        """Each count is of all inputs of a label and query, once."""
        pairs = {(count.label, count.queries) for count in tally.counts}
        if len(pairs) < len(tally.counts) or any(count.wrong > 0 for count in tally.counts):
            return "counts"
        for count in tally.counts:
            inputs = [
                tokens
                for tokens, (_, label) in self.inputs.items()
                if (label, 1 << tokens[self.readout]) == (count.label, count.queries)
            ]
            if count.correct > self.weight(inputs):
                return f"{count.correct} of {self.weight(inputs)} correct, queries {count.queries}, label {count.label}"
        return ""


def claimed(tally: Tally) -> int:
    """All that is said to be correct."""
    return sum(count.correct for count in tally.counts)


def end_of(group: Json, tokens: Tokens) -> int:
    """The part that an input ends in, or -1."""
    state = 0
    for t in tokens:
        state = group["next"][state][group["symbols"][t]]
        if state == -1:
            return -1
    return group["parts"][state]


def in_units(number: int, bits: int) -> arb:
    return arb(rational(Fraction(number, 1 << bits)))
