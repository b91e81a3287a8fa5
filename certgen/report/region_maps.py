"""Proofs about regions as heat maps: how far wrong outputs stay behind, head by head, and what neurons do."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import plotly.graph_objects as go

from certgen.certificate.explain_regions import named
from certgen.certificate.region_facts import RegionFacts, Rival, members
from certgen.certificate.words import scaled_down, scaled_up, written
from certgen.report.axes import TINT
from certgen.report.figures import styled
from certgen.report.heat_maps import DIVERGING, UNKNOWN

MOST_CELLS = 20_000  # of a map of neurons: beyond, nobody sees anything and the page is slow
MOST_TICKS = 40
ON, OFF, BENT = "#E69F00", "#56B4E9", "#222222"
Cell = tuple[int, int]  # label; query or wrong output


class Worst(NamedTuple):
    """The class of wrong outputs that is nearest in a cell, and which region that is in."""

    rival: Rival
    query: int


class Grid(NamedTuple):
    """What is drawn: by label and query, or by label and wrong output. `open` are cells about which nothing is proved,
    and why not."""

    x: str
    columns: list[int]
    worst: dict[Cell, Worst]
    open: dict[Cell, str]


def by_query(facts: RegionFacts) -> Grid:
    """The nearest wrong output for each label and query, whatever part an input is in."""
    worst: dict[Cell, Worst] = {}
    for region in facts.regions:
        if region.nearest:
            nearer(worst, (region.label, region.query), Worst(region.nearest, region.query))
    without = {
        pair: f"no region; {written(proved.left)} of {written(proved.total)} not proved"
        for pair, proved in facts.pairs.items()
        if pair not in worst
    }
    return Grid("query", facts.queries, worst, without)


def by_wrong_output(facts: RegionFacts) -> Grid:
    """The worst for each label and wrong output, whatever the query."""
    worst: dict[Cell, Worst] = {}
    for region in facts.regions:
        for rival in region.rivals:
            for output in members(rival.outputs):
                nearer(worst, (region.label, output), Worst(rival, region.query))
    outputs = sorted({output for _, output in worst})
    without = {
        (label, output): "not watched in any region"
        for label in facts.by_label
        for output in outputs
        if output != label and (label, output) not in worst
    }
    return Grid("wrong output", outputs, worst, without)


def nearer(worst: dict[Cell, Worst], cell: Cell, one: Worst) -> None:
    """Keep it if it is nearer than what is known."""
    if cell not in worst or one.rival.gap > worst[cell].rival.gap:
        worst[cell] = one


def gap_map(facts: RegionFacts, grid: Grid, title: str) -> go.Figure:
    """How far the nearest wrong output is ahead at most: blue behind, orange perhaps ahead, grey not proved."""

    def told(cell: Cell, worst: Worst) -> str:
        rival = worst.rival
        size = scaled_down(abs(rival.gap), facts.bits) if rival.gap < 0 else scaled_up(rival.gap, facts.bits)
        where = f"wrong output {named(rival.outputs)}, query {worst.query}"
        how = f"behind by at least {size}" if rival.gap < 0 else f"ahead by at most {size}"
        proved = facts.pairs.get(cell) if grid.x == "query" else None
        left = f"<br>{written(proved.left)} of {written(proved.total)} not proved" if proved and proved.left else ""
        return f"{where}: {how} logits{left}"

    values = {cell: logits(worst.rival.gap, facts.bits) for cell, worst in grid.worst.items()}
    return cell_map(facts, grid, title, values, told, reach(values.values()))


def head_map(facts: RegionFacts, grid: Grid, head: int, title: str) -> go.Figure:
    """What a head adds at most to the same wrong outputs less the right one; one scale for all heads."""

    def told(cell: Cell, worst: Worst) -> str:
        bound = scaled_up(worst.rival.means[head], facts.bits)
        return f"to wrong output {named(worst.rival.outputs)}, query {worst.query}: at most {bound} logits"

    values = {cell: logits(worst.rival.means[head], facts.bits) for cell, worst in grid.worst.items()}
    all_heads = [logits(mean, facts.bits) for worst in grid.worst.values() for mean in worst.rival.means]
    return cell_map(facts, grid, title, values, told, reach(all_heads))


def reach(values: Iterable[float]) -> float:
    """The end of a colour scale."""
    return max(map(abs, values), default=0.0) or 1.0


def cell_map(
    facts: RegionFacts,
    grid: Grid,
    title: str,
    values: Mapping[Cell, float],
    told: Callable[[Cell, Worst], str],
    end: float,
) -> go.Figure:
    """Labels by columns; there is no cell where there is no input."""
    labels = list(facts.by_label)
    texts = {cell: told(cell, worst) for cell, worst in grid.worst.items()}
    figure = go.Figure()
    figure.add_trace(
        heat(
            labels,
            grid,
            dict.fromkeys(grid.open, 0.0),
            grid.open,
            colorscale=[(0, UNKNOWN), (1, UNKNOWN)],
            showscale=False,
        )
    )
    bar = {"title": "logits", "thickness": 12}
    figure.add_trace(heat(labels, grid, values, texts, zmin=-end, zmax=end, colorscale=DIVERGING, colorbar=bar))
    for axis, shown in ((figure.update_xaxes, grid.columns), (figure.update_yaxes, labels)):
        every = math.ceil(len(shown) / MOST_TICKS) or 1
        axis(type="category", tickvals=[str(one) for one in shown[::every]], showgrid=False)
    figure.update_xaxes(title=grid.x)
    figure.update_yaxes(title="answer", autorange="reversed")
    styled(figure, title, min(max(18 * len(labels), 150), 420))
    return figure.update_layout(plot_bgcolor=TINT)


def heat(
    labels: Sequence[int], grid: Grid, values: Mapping[Cell, float], texts: Mapping[Cell, str], **look: Any
) -> go.Heatmap:
    """One layer of a map: these cells, the others blank."""
    cells = [[(label, column) for column in grid.columns] for label in labels]
    return go.Heatmap(
        z=[[values.get(cell) for cell in row] for row in cells],
        x=list(map(str, grid.columns)),
        y=list(map(str, labels)),
        customdata=[[texts.get(cell, "") for cell in row] for row in cells],
        hovertemplate=f"answer %{{y}}, {grid.x} %{{x}}<br>%{{customdata}}<extra></extra>",
        hoverongaps=False,
        **look,
    )


def neuron_map(facts: RegionFacts, title: str) -> go.Figure | None:
    """Which neurons are on, off or bent in which region, in the order of answers; None if there are too many."""
    if facts.neurons * len(facts.regions) > MOST_CELLS:
        return None
    regions = sorted(facts.regions, key=lambda region: (region.label, region.query))
    kinds, texts = [], []
    for neuron in range(facts.neurons):
        ends = [region.ranges[neuron] for region in regions]
        kinds.append([1 if low >= 0 else -1 if high <= 0 else 0 for low, high in ends])
        texts.append(
            [
                f"answer {region.label}, query {region.query}: from {scaled_down(low, facts.bits)} to"
                f" {scaled_up(high, facts.bits)}"
                for region, (low, high) in zip(regions, ends, strict=True)
            ]
        )
    thirds = [(0, OFF), (1 / 3, OFF), (1 / 3, BENT), (2 / 3, BENT), (2 / 3, ON), (1, ON)]
    figure = go.Figure(
        go.Heatmap(
            z=kinds,
            customdata=texts,
            zmin=-1,
            zmax=1,
            colorscale=thirds,
            colorbar={"thickness": 12, "tickvals": [-2 / 3, 0, 2 / 3], "ticktext": ["off", "bent", "on"]},
            hovertemplate="neuron %{y}<br>%{customdata}<extra></extra>",
            ygap=2,
        )
    )
    first = {region.label: place for place, region in reversed(list(enumerate(regions)))}
    names = sorted(first)[:: math.ceil(len(first) / MOST_TICKS) or 1]
    figure.update_xaxes(
        title="regions, by answer", tickvals=[first[name] for name in names], ticktext=list(map(str, names))
    )
    figure.update_xaxes(showgrid=False, zeroline=False)
    figure.update_yaxes(title="neuron", autorange="reversed", showgrid=False, zeroline=False)
    if facts.neurons <= MOST_TICKS:
        figure.update_yaxes(dtick=1)
    return styled(figure, title, min(max(18 * facts.neurons, 150), 420))


def logits(number: int, bits: int) -> float:
    """number * 2^-bits for the eye; a number that no float holds is as large as one can be."""
    try:
        return float(Fraction(number, 1 << bits))
    except OverflowError:
        return 1e300 if number > 0 else -1e300
