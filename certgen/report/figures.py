"""The figures of proofs; each function returns one plotly figure.

Text from results passes through `label`, because plotly reads the text of titles, ticks and hovers as markup.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import plotly.graph_objects as go

from certgen.decimals import percent_at_least, percent_at_most
from certgen.report.axes import LostAxis, log_axis, mean
from certgen.report.markup import label, powers, wrapped
from certgen.report.results import Row
from certgen.report.styles import styles

INK, TRUTH = "#222222", "#8a6d00"
PLOT_HEIGHT = 400  # pixels, without title, ticks and legend
ABOVE, BELOW = 64, 62
LEGEND_ROW, LEGEND_WIDTH = 20, 1000
LEAST_DRAWN = Fraction(1, 20)
SIDE_BY_SIDE = 0.012  # of the axis, between classes that would cover each other


@dataclass(frozen=True)
class Point:
    """What one mark stands for: a proof, or the mean of a strategy's proofs about `models` models."""

    strategy: str
    cost_class: str
    lost: Fraction
    length: float | None
    dimension: float | None
    about: str
    models: int = 1
    command: str = ""

    @property
    def told(self) -> str:
        """Hover text in plotly's markup."""
        mean_of = f"mean over {self.models} models" if self.models > 1 else label(self.about)
        lines = [
            f"<b>{label(self.strategy)}</b>",
            mean_of,
            f"proved: at least {percent_at_least(1 - self.lost)}; not proved: at most {percent_at_most(self.lost)}",
        ]
        if self.length:
            lines.append(f"length {math.ceil(self.length):,}")
        if self.dimension:
            lines.append(f"unexplained dimension {self.dimension:,.0f}")
        return "<br>".join(lines + [wrapped(self.command)] * bool(self.command))


@dataclass(frozen=True)
class Truth:
    """A true accuracy as the share answered wrong; limits if it was estimated from a sample."""

    wrong: Fraction
    limits: tuple[float, float] | None = None

    @property
    def marks(self) -> list[Fraction | float]:
        """The shares that an axis should have room for. No wrong answer in a sample is not none at all."""
        return [self.wrong] if self.limits is None else [one for one in (self.wrong, *self.limits) if one > 0]


def points(rows: Iterable[Row], name: str) -> list[Point]:
    """One for each proof about a model called `name`."""
    return [
        Point(
            row.strategy,
            row.cost_class,
            row.lost,
            row.length_ops,
            row.unexplained_dimension,
            about=name,
            command=row.command,
        )
        for row in rows
    ]


def means(rows: Sequence[Row]) -> list[Point]:
    """One for each strategy that was used for all models of these rows: its means."""
    models = len({row.model_sha256 for row in rows})
    groups: dict[str, dict[str, Row]] = {}
    for row in rows:
        groups.setdefault(row.strategy, {})[row.model_sha256] = row
    return [
        Point(
            strategy,
            next(iter(members.values())).cost_class,
            mean([row.lost for row in members.values()]),
            mean_or_none([row.length_ops for row in members.values()]),
            mean_or_none([row.unexplained_dimension for row in members.values()]),
            about=f"{models} models",
            models=models,
        )
        for strategy, members in groups.items()
        if len(members) == models
    ]


def mean_or_none(numbers: Sequence[float | None]) -> float | None:
    known = [number for number in numbers if number is not None]
    return math.fsum(known) / len(known) if len(known) == len(numbers) else None


def truth_of(rows: Sequence[Row]) -> Truth | None:
    """The true accuracy of one model, or the mean of several; None if it, or how far off it may be, is not known."""
    of_model = {row.model_sha256: row for row in rows}
    known = [row.truth for row in of_model.values() if row.truth is not None]
    if not known or len(known) < len(of_model):
        return None
    wrong = 1 - mean(known)
    if all(row.truth_is_counted for row in of_model.values()):
        return Truth(wrong)
    lows, highs = (
        mean_or_none([getattr(row, side) for row in of_model.values()]) for side in ("true_low", "true_high")
    )
    return None if lows is None or highs is None else Truth(wrong, (1 - highs, 1 - lows))


def frontier(drawn: Sequence[Point]) -> list[Point]:
    """The points that no other one beats, by length: as short or shorter, and losing less."""
    chosen: list[Point] = []
    for point in sorted(drawn, key=lambda point: (point.length or math.inf, point.lost)):
        if point.length and (not chosen or point.lost < chosen[-1].lost):
            chosen.append(point)
    return chosen


def worth_drawing(all_points: Iterable[Point]) -> list[Point]:
    """Without those that prove almost nothing: they would lie along the edge of every figure."""
    return [point for point in all_points if 1 - point.lost >= LEAST_DRAWN]


def styled(figure: go.Figure, title: str, plot_height: int = PLOT_HEIGHT, below: int = BELOW) -> go.Figure:
    """The look that all figures share. The page fits height and lower margin to the legend, from `meta`."""
    names = [trace.name for trace in figure.data if trace.showlegend is not False and trace.name]
    widest = max((len(name) for name in names), default=0) * 7.5 + 45
    legend = LEGEND_ROW * math.ceil(len(names) / max(1, LEGEND_WIDTH // widest)) + 8 if names else 0
    figure.update_layout(
        template="plotly_white",
        title={
            **{"text": title, "font": {"size": 15}, "x": 0, "xref": "container", "y": 1, "yref": "paper"},
            **{"yanchor": "bottom", "pad": {"b": 9}},  # below the buttons
        },
        meta={"plot": plot_height, "below": below},
        height=plot_height + ABOVE + below + legend,
        margin={"l": 60, "r": 20, "t": ABOVE, "b": below + legend},
        legend={
            **{"orientation": "h", "x": 0, "xref": "container", "y": 0, "yref": "container", "yanchor": "bottom"},
            **{"maxheight": 2000, "itemwidth": 30},
        },
        font={"family": "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif", "size": 13, "color": INK},
        hoverlabel={"align": "left", "bgcolor": "white", "font": {"size": 12, "color": INK}},
    )
    return figure


def scatter(figure: go.Figure, marks: Iterable[tuple[Point, float]], order: Sequence[str], axis: LostAxis) -> None:
    """Points at their x, one trace for each class, in this order."""
    of_class: dict[str, list[tuple[Point, float]]] = {}
    for point, x in marks:
        of_class.setdefault(point.cost_class, []).append((point, x))
    look = styles(order)
    for name in (name for name in order if name in of_class):
        members = of_class[name]
        figure.add_trace(
            go.Scatter(
                x=[x for _, x in members],
                y=[axis.place(point.lost) for point, _ in members],
                mode="markers",
                name=powers(label(name)),
                showlegend=True,
                marker={
                    "color": look[name].colour,
                    "symbol": look[name].symbol,
                    "size": 10,
                    "opacity": 0.85,
                    "line": {"width": 0.5, "color": "white"},
                },
                customdata=[point.told for point, _ in members],
                hovertemplate="%{customdata}<extra></extra>",
            )
        )


def draw_truth(figure: go.Figure, truth: Truth | None, axis: LostAxis) -> None:
    """The true accuracy as a line across the figure; an estimate with a band of its limits."""
    if truth is None:
        return
    said = f"true accuracy: {percent_at_most(truth.wrong)} wrong"
    if truth.limits is not None:
        low, high = (axis.place(one) if one > 0 else 10**axis.top for one in truth.limits)
        figure.add_hrect(low, high, fillcolor=TRUTH, opacity=0.12, line_width=0, layer="below")
        said = f"true accuracy, estimated: {percent_at_most(truth.wrong)} wrong"
        if truth.wrong <= 0:
            said = f"no wrong answer in a sample; at most {percent_at_most(truth.limits[1])} wrong"
    where = truth.wrong if truth.limits is None or truth.wrong > 0 else truth.limits[1]
    y = axis.place(where)
    figure.add_hline(y, line={"dash": "dash", "color": TRUTH, "width": 1.5}, layer="below")
    figure.add_annotation(
        **{"text": said, "xref": "x domain", "x": 0.005, "xanchor": "left", "y": math.log10(y), "yanchor": "bottom"},
        **{"showarrow": False, "font": {"size": 11.5, "color": TRUTH}, "yshift": 8},
    )


def bound_against_length(
    drawn: Sequence[Point], truth: Truth | None, axis: LostAxis, order: Sequence[str], title: str
) -> go.Figure:
    """What is not proved against proof length, with the frontier of exactly these points; at least one has a length."""
    figure = go.Figure()
    measured = [(point, point.length) for point in drawn if point.length]
    best = frontier(drawn)
    end = max(length for _, length in measured)
    figure.add_trace(
        go.Scatter(
            x=[*(point.length for point in best), end],
            y=[axis.place(point.lost) for point in (*best, best[-1])],
            mode="lines+markers",
            name="frontier",
            showlegend=True,
            line={"shape": "hv", "color": INK, "width": 1.5},
            marker={"symbol": "circle-open", "size": [17] * len(best) + [0], "color": INK},
            hoverinfo="skip",
        )
    )
    scatter(figure, measured, order, axis)
    draw_truth(figure, truth, axis)
    axis.apply(figure)
    log_axis(figure, [length for _, length in measured], "proof length (operations)")
    return styled(figure, title)


def bound_against_dimension(
    drawn: Sequence[Point], truth: Truth | None, axis: LostAxis, order: Sequence[str], title: str
) -> go.Figure:
    """What is not proved against unexplained dimension (log), classes of one dimension side by side."""
    figure = go.Figure()
    measured = [(point, point.dimension) for point in drawn if point.dimension]
    logs = [(point, math.log10(dimension)) for point, dimension in measured]
    apart = side_by_side(logs, order, SIDE_BY_SIDE, lambda point: point.dimension)
    scatter(figure, [(point, 10**x) for point, x in apart], order, axis)
    draw_truth(figure, truth, axis)
    axis.apply(figure)
    log_axis(figure, [dimension for _, dimension in measured], "unexplained dimension")
    return styled(figure, title)


def side_by_side(
    marks: Sequence[tuple[Point, float]], order: Sequence[str], step: float, place: Callable[[Point], object]
) -> list[tuple[Point, float]]:
    """The marks moved apart by `step` of the x axis where classes have the same place, so that none covers another."""
    xs = [x for _, x in marks]
    width = step * (max(xs, default=0) - min(xs, default=0) or 1)
    there: dict[object, set[str]] = {}
    for point, _ in marks:
        there.setdefault(place(point), set()).add(point.cost_class)
    moved = []
    for point, x in marks:
        names = [name for name in order if name in there[place(point)]]
        moved.append((point, x + width * (names.index(point.cost_class) - (len(names) - 1) / 2)))
    return moved


def bound_against_ratio(
    best: Sequence[tuple[Point, str]],
    ratios: Mapping[str, float],
    truths: Mapping[str, Truth],
    names: Mapping[str, str],
    order: Sequence[str],
    title: str,
) -> go.Figure:
    """What the best proof of each class does not prove against sigma_1 / sigma_2 of EQKE; all by the model's digest.

    A dash at each model is its true accuracy; a dotted line, for the page to show, is where the chosen model is.
    """
    figure = go.Figure()
    known = {digest: truth for digest, truth in truths.items() if truth.wrong > 0 or truth.limits is None}
    axis = LostAxis.of([*(point.lost for point, _ in best), *(truth.wrong for truth in known.values())])
    marks = [(point, ratios[digest]) for point, digest in best]
    scatter(figure, side_by_side(marks, order, SIDE_BY_SIDE / 2, lambda point: (point.about, point.lost)), order, axis)
    if known:
        figure.add_trace(
            go.Scatter(
                x=[ratios[digest] for digest in known],
                y=[axis.place(truth.wrong) for truth in known.values()],
                mode="markers",
                name="true accuracy",
                showlegend=True,
                marker={"symbol": "line-ew", "size": 14, "line": {"width": 2.5, "color": TRUTH}},
                customdata=[f"{label(names[d])}<br>{percent_at_most(t.wrong)} wrong" for d, t in known.items()],
                hovertemplate="true accuracy of %{customdata}<extra></extra>",
            )
        )
    axis.apply(figure)
    ends = [10**value for value in figure.layout.yaxis.range]
    for digest, ratio in ratios.items():
        figure.add_trace(
            go.Scatter(
                x=[ratio, ratio],
                y=ends,
                mode="lines",
                line={"color": INK, "width": 1, "dash": "dot"},
                name=label(names[digest]),
                meta={"model": digest},
                visible=False,
                showlegend=False,
                hoverinfo="skip",
            )
        )
    figure.update_xaxes(title="σ₁ / σ₂ of EQKE", gridcolor="#e4e4e0", zeroline=False)
    return styled(figure, title)


def coincide(drawn: Iterable[Point]) -> bool:
    """Whether classes share an unexplained dimension."""
    pairs = {(point.dimension, point.cost_class) for point in drawn if point.dimension}
    return any(number > 1 for number in Counter(dimension for dimension, _ in pairs).values())


def as_json(figure: Any) -> str:
    """The figure as JSON that can stand in a script element."""
    made: str = figure.to_json()
    return made.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
