"""Telling a proof about regions: how far wrong outputs stay behind, what heads and neurons do, what is left open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from functools import reduce
from itertools import islice
from operator import or_
from typing import NamedTuple

from rich.table import Table

from certgen.certificate.region_facts import Region, RegionFacts, Rival, members
from certgen.certificate.words import MOST_ROWS, Paragraph, counted, in_brief, scaled_down, scaled_up, written
from certgen.decimals import percent_at_most

MOST_HEADS = 4  # that have a column, or three and one for the others
MOST_LABELS = 3  # for which it is told what neurons do
MOST_OUTPUTS = 4  # of a set that are named


class Nearest(NamedTuple):
    """A region, and the class of wrong outputs that is least behind in it."""

    region: Region
    rival: Rival


def tell_regions(facts: RegionFacts, noun: str) -> Iterator[Paragraph | Table]:
    """What is proved and how; the noun is what is counted: an input, a sequence, or a unit of weight."""
    what = "weight" if noun == "unit" else f"{noun}s"
    yield Paragraph(f"The regions of step {facts.step}", style="bold")
    yield Paragraph(summary_of(facts, noun))
    yield gaps_by_label(facts, what)
    drawn = nearest_of_each_label(facts)
    if drawn:
        yield Paragraph(held_back(facts))
        yield heads(facts, drawn)
    if facts.neurons:
        yield Paragraph(cases_of_neurons(facts))
        yield neurons(facts)
    if any(proved.left for proved in facts.pairs.values()):
        yield losses(facts, what)


def summary_of(facts: RegionFacts, noun: str) -> str:
    """The proof in a few sentences; the noun is what is counted."""
    return " ".join(sentences(facts, noun))


def sentences(facts: RegionFacts, noun: str) -> Iterator[str]:
    yield shape(facts)
    settled = [region for region in facts.regions if region.settled]
    nearest, number = nearest_of(settled), len(facts.regions)
    if nearest:
        region, rival = nearest
        where = "it" if number == 1 else "each of them" if len(settled) == number else f"{len(settled):,} of them"
        every = all(watched(region).bit_count() == facts.outputs - 1 for region in settled)
        query = f" and the query is {region.query}" if len(facts.queries) > 1 else ""
        yield (
            f"In {where} every wrong output {'' if every else 'that is watched there '}stays behind, by at least"
            f" {scaled_down(-rival.gap, facts.bits)} logits: nearest is {named(rival.outputs)}, where {region.label} is"
            f" right{query}."
        )
    doubtful = number - len(settled)
    if doubtful:
        yield f"In {counted(doubtful, 'region')} some wrong output may get ahead."
    left, total = (sum(getattr(proved, name) for proved in facts.pairs.values()) for name in ("left", "total"))
    if left:
        amount = f"a weight of {written(left)}" if noun == "unit" else counted(left, noun)
        yield f"Left open: {amount} ({percent_at_most(Fraction(left, total))})."


def shape(facts: RegionFacts) -> str:
    """How many regions, and how they cut the inputs."""
    sizes = Counter((region.label, region.query) for region in facts.regions)
    whole = {
        (region.label, region.query)
        for region in facts.regions
        if region.weight == facts.pairs.get((region.label, region.query), (0,))[0]
    }
    number, one_query = counted(len(facts.regions), "region"), len(facts.queries) == 1
    if len(whole) == len(sizes) == len(facts.regions):
        return f"{number}, each of all inputs with one answer{'' if one_query else ' and one query'}."
    about = counted(len(sizes), "answer" if one_query else "pair") + ("" if one_query else " of answer and query")
    those = "all" if len(whole) == len(sizes) else f"{len(whole):,}"
    return f"{number}, about {about}; for {those} of them one region has all inputs."


def watched(region: Region) -> int:
    """The wrong outputs that a region is about, as a bit mask."""
    return reduce(or_, [rival.outputs for rival in region.rivals], 0)


def nearest_of(regions: Iterable[Region]) -> Nearest | None:
    """Where some wrong output is nearest to the label; None if no region watches any."""
    found = [Nearest(region, region.nearest) for region in regions if region.nearest]
    return max(found, key=lambda one: one.rival.gap, default=None)


def nearest_of_each_label(facts: RegionFacts) -> list[Nearest]:
    """The labels with the nearest wrong outputs, in the order of labels."""
    found = [nearest for regions in facts.by_label.values() if (nearest := nearest_of(regions))]
    chosen = sorted(found, key=lambda one: -one.rival.gap)[:MOST_ROWS]
    return sorted(chosen, key=lambda one: one.region.label)


def named(outputs: int, most: int = MOST_OUTPUTS) -> str:
    """A set of outputs, the first of them if there are many."""
    first = list(islice(members(outputs), most + 1))
    return ", ".join(map(str, first[:most])) + (", ..." if len(first) > most else "")


def gaps_by_label(facts: RegionFacts, what: str) -> Table:
    """For each answer, or those where wrong outputs are nearest; negative where one may be ahead."""
    open_too = any(proved.left for proved in facts.pairs.values())
    columns = ["answer", "regions", what, "nearest wrong", "behind by", *["left open"] * open_too]
    table = Table(*columns, title="How far wrong outputs stay behind at least (logits)")
    rows = [(label, len(own), facts.of_label(label), nearest_of(own)) for label, own in facts.by_label.items()]
    if len(rows) > MOST_ROWS:  # those without a region first, then where some wrong output is nearest
        rows.sort(key=lambda row: (row[3] is None, row[3].rival.gap if row[3] else 0), reverse=True)
    shown, others = sorted(rows[:MOST_ROWS], key=lambda row: row[0]), rows[MOST_ROWS:]
    for label, number, proved, nearest in shown:
        outputs = named(nearest.rival.outputs) if nearest else ""
        gap = scaled_down(-nearest.rival.gap, facts.bits) if nearest else ""
        table.add_row(
            str(label), written(number), written(proved.total), outputs, gap, *[written(proved.left)] * open_too
        )
    if others:
        number, total, left = (
            sum(column) for column in zip(*((n, p.total, p.left) for _, n, p, _ in others), strict=True)
        )
        gap = scaled_down(-max(nearest.rival.gap for *_, nearest in others if nearest), facts.bits)
        table.add_row("others", written(number), written(total), "", gap, *[written(left)] * open_too)
    return table


class Neuron(NamedTuple):
    """In how many regions what enters it is never negative, never positive, or either; and its range over all."""

    number: int
    on: int
    off: int
    bent: int
    low: int
    high: int

    @property
    def told(self) -> str:
        """In a word or a few."""
        cases = [(n, word) for n, word in ((self.on, "on"), (self.off, "off"), (self.bent, "bent")) if n]
        return cases[0][1] if len(cases) == 1 else ", ".join(f"{n:,} {word}" for n, word in cases)


def neurons_of(regions: Sequence[Region], neurons: int) -> list[Neuron]:
    """All neurons over these regions; there is at least one."""
    found = []
    for number in range(neurons):
        lows, highs = zip(*(region.ranges[number] for region in regions), strict=True)
        on = sum(low >= 0 for low in lows)
        off = sum(low < 0 >= high for low, high in zip(lows, highs, strict=True))
        found.append(Neuron(number, on, off, len(lows) - on - off, min(lows), max(highs)))
    return found


def cases_of_neurons(facts: RegionFacts) -> str:
    """All neurons together, in a sentence."""
    found = neurons_of(facts.regions, facts.neurons)
    on, off, bent = (sum(getattr(one, name) for one in found) for name in ("on", "off", "bent"))
    both = f"{counted(facts.neurons, 'neuron')} in {counted(len(facts.regions), 'region')}"
    lines = ", where lines bound the activation" if bent else ""
    return f"{both}: on for every input in {on:,} cases, off in {off:,}, bent in {bent:,}{lines}."


def neurons(facts: RegionFacts) -> Table:
    """Each neuron, or those that are bent most often; for each answer, too, if there are few."""
    labels = sorted({region.label for region in facts.regions})
    by_label = labels if len(labels) <= MOST_LABELS else []
    columns = ("neuron", "on", "off", "bent", "lowest", "highest", *(f"if {label}" for label in by_label))
    table = Table(*columns, title="What enters each neuron, by number of regions")
    often = sorted(neurons_of(facts.regions, facts.neurons), key=lambda one: -one.bent)
    of_label = [neurons_of(facts.by_label[label], facts.neurons) for label in by_label]
    for one in sorted(often[:MOST_ROWS]):
        ends = (scaled_down(one.low, facts.bits), scaled_up(one.high, facts.bits))
        kinds = (own[one.number].told for own in of_label)
        table.add_row(str(one.number), *map(written, (one.on, one.off, one.bent)), *ends, *kinds)
    rest = often[MOST_ROWS:]
    if rest:
        sums = [sum(getattr(one, name) for one in rest) for name in ("on", "off", "bent")]
        low, high = min(one.low for one in rest), max(one.high for one in rest)
        ends = (scaled_down(low, facts.bits), scaled_up(high, facts.bits))
        table.add_row(f"{len(rest):,} others", *map(written, sums), *ends)
    return table


def held_back(facts: RegionFacts) -> str:
    """Which heads hold the nearest wrong output of a region back, whatever the input."""
    rivals = [region.nearest for region in facts.regions if region.nearest]
    often = [sum(rival.means[head] < 0 for rival in rivals) for head in range(facts.heads)]
    order = sorted(range(facts.heads), key=lambda head: -often[head])[:MOST_ROWS]
    first = f"by head {order[0]} in {often[order[0]]:,} of {counted(len(rivals), 'region')}"
    told = ", ".join([first, *(f"by head {head} in {often[head]:,}" for head in order[1:])])
    return f"The nearest wrong output is held back, whatever the input, {told}."


def heads(facts: RegionFacts, drawn: Sequence[Nearest]) -> Table:
    """What each head adds at most to the nearest wrong output less the answer, where it is nearest."""
    order = sorted(range(facts.heads), key=lambda head: sum(rival.means[head] for _, rival in drawn))
    own = sorted(order if facts.heads <= MOST_HEADS else order[: MOST_HEADS - 1])
    query = ["query"] * (len(facts.queries) > 1)
    rest = ["others"] * (facts.heads > len(own))
    columns = ("answer", *query, "wrong", *(f"head {head}" for head in own), *rest, "direct", "sum")
    table = Table(*columns, title="Added to the nearest wrong output at most")
    for region, rival in drawn:
        means = [rival.means[head] for head in own]
        numbers = [*means, *[sum(rival.means) - sum(means)] * len(rest), rival.gap - sum(rival.means), rival.gap]
        table.add_row(
            *(str(region.label), *[str(region.query)] * len(query), named(rival.outputs, 1)),
            *(in_brief(number, facts.bits) for number in numbers),
        )
    return table


def losses(facts: RegionFacts, what: str) -> Table:
    """The answers and queries with most inputs left open, and the wrong outputs that may get ahead there."""
    columns = ("answer", "query", what, "left open", "wrong outputs that may get ahead")
    table = Table(*columns, title="Where the bound is lost, by answer and query")
    ahead: dict[tuple[int, int], int] = {}
    for region in facts.regions:
        outputs = reduce(or_, [rival.outputs for rival in region.rivals if rival.gap >= 0], 0)
        pair = region.label, region.query
        ahead[pair] = ahead.get(pair, 0) | outputs
    largest = sorted(((proved.left, pair) for pair, proved in facts.pairs.items() if proved.left), reverse=True)
    for left, pair in largest[:MOST_ROWS]:
        total = facts.pairs[pair].total
        why = named(ahead[pair]) if ahead.get(pair) else "in part without a region" if pair in ahead else "no region"
        there = f"{written(left)} ({percent_at_most(Fraction(left, total))})"
        table.add_row(*map(str, pair), written(total), there, why)
    rest = largest[MOST_ROWS:]
    if rest:
        total = sum(facts.pairs[pair].total for _, pair in rest)
        table.add_row("others", "", written(total), written(sum(left for left, _ in rest)), "")
    return table
