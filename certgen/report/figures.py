"""The figures of a report; each function returns one plotly figure.

Text from results passes through `label`, because plotly reads the text of titles, ticks and hovers as markup.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from certgen.certificate.losses import Share
from certgen.models.circuits import Circuits
from certgen.models.dyadic import FloatArray
from certgen.models.model_file import Model
from certgen.report.markup import label, powers, wrapped
from certgen.report.results import Results, Row, Task, best_of_class
from certgen.report.table_one import class_order

# Okabe and Ito's palette, which is told apart with any colour vision; shape tells classes apart a second time.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#000000")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "star", "hexagon", "cross", "triangle-down")
INK, GRID = "#222222", "#e4e4e0"
PANEL_HEIGHT = 430
MOST_POINTS = 1500  # in one panel; beyond it a browser is slow, and the models drawn are enough to see the shape


def styled(figure: go.Figure, height: int) -> go.Figure:
    """The look that all figures share."""
    figure.update_layout(
        template="plotly_white",
        height=height,
        margin={"l": 70, "r": 20, "t": 50, "b": 60},
        font={"family": "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif", "size": 13, "color": INK},
        hoverlabel={"align": "left", "bgcolor": "white", "font": {"size": 12, "color": INK}},
    )
    return figure


def frontier(points: Iterable[tuple[float, float]]) -> list[int]:
    """Indices of the (length, bound) pairs that no other pair beats, by length: shorter or equal, and proving more."""
    indexed = sorted(enumerate(points), key=lambda item: (item[1][0], -item[1][1]))
    best, chosen = -math.inf, []
    for index, (_, bound) in indexed:
        if bound > best:
            best = bound
            chosen.append(index)
    return chosen


def strategy_means(rows: Iterable[Row]) -> list[tuple[str, float, float, int]]:
    """(strategy, mean length, mean bound, models), over the models for which the strategy has a length."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if row.length_ops:
            groups.setdefault(row.strategy, []).append(row)
    return [
        (
            strategy,
            statistics.fmean(row.length_ops for row in members if row.length_ops),
            statistics.fmean(row.bound for row in members),
            len(members),
        )
        for strategy, members in groups.items()
    ]


def panels(results: Results, height: int = PANEL_HEIGHT) -> tuple[go.Figure, dict[Task, dict[str, int]]]:
    """One panel for each task, two in a row; the place of each."""
    tasks = results.tasks
    columns = min(2, len(tasks))
    rows = math.ceil(len(tasks) / columns)
    figure = make_subplots(
        rows=rows,
        cols=columns,
        subplot_titles=[str(task) for task in tasks],
        horizontal_spacing=0.09,
        vertical_spacing=110 / (height * rows),  # room for ticks, axis title, and the next panel's title
    )
    places = {task: {"row": i // columns + 1, "col": i % columns + 1} for i, task in enumerate(tasks)}
    styled(figure, height * rows + 110)
    figure.update_layout(legend={"orientation": "h", "y": -70 / (height * rows), "yanchor": "top", "x": 0})
    figure.update_xaxes(gridcolor=GRID, zeroline=False)
    figure.update_yaxes(gridcolor=GRID, zeroline=False)
    return figure, places


def drawn(rows: Sequence[Row]) -> list[Row]:
    """All rows, or, when they are too many for one panel, those of the first models."""
    kept: list[Row] = []
    of_model: dict[str, list[Row]] = {}
    for row in rows:
        of_model.setdefault(row.model_sha256, []).append(row)
    for members in of_model.values():
        if kept and len(kept) + len(members) > MOST_POINTS:
            break
        kept += members
    return kept


def scatter(figure: go.Figure, place: dict[str, int], points: list[tuple[Row, float, float]], of: list[str]) -> None:
    """Points (row, x, y), one trace for each class; hovering tells model, strategy and how to repeat the proof."""
    named = {trace.legendgroup for trace in figure.data}
    for index, name in enumerate(of):
        members = [point for point in points if point[0].cost_class == name]
        if not members:
            continue
        figure.add_trace(
            go.Scatter(
                x=[x for _, x, _ in members],
                y=[y for _, _, y in members],
                mode="markers",
                name=powers(label(name)),
                legendgroup=name,
                showlegend=name not in named,
                marker={
                    "color": COLOURS[index % len(COLOURS)],
                    "symbol": SYMBOLS[index % len(SYMBOLS)],
                    "size": 8,
                    "opacity": 0.75,
                    "line": {"width": 0.5, "color": "white"},
                },
                customdata=[[label(row.strategy), label(row.model), wrapped(row.command)] for row, _, _ in members],
                hovertemplate="<b>%{customdata[0]}</b><br>%{customdata[1]}<br>%{y:.5f} at %{x:,.6~g}"
                "<br>%{customdata[2]}<extra></extra>",
            ),
            **place,
        )


def reach(bounds: Iterable[float]) -> list[float]:
    """A range of accuracies with a little room, the same for all panels so that they can be compared."""
    return [max(min(bounds, default=0.0) - 0.05, -0.02), 1.03]


def log_axis(figure: go.Figure, place: dict[str, int], values: list[float]) -> None:
    """A logarithmic x axis with powers of ten, and between them if there are few; `values` are positive."""
    if not values:
        return
    low, high = math.log10(min(values)), math.log10(max(values))
    steps = (1,) if high - low > 2.5 else (1, 2, 5)
    ticks = [(step, power) for power in range(math.floor(low) - 1, math.ceil(high) + 1) for step in steps]
    pad = 0.04 * (high - low) + 0.06
    figure.update_xaxes(
        type="log",
        range=[low - pad, high + pad],
        tickvals=[step * 10.0**power for step, power in ticks],
        ticktext=[f"10<sup>{power}</sup>" if step == 1 else f"{step}·10<sup>{power}</sup>" for step, power in ticks],
        **place,
    )


def with_truth(figure: go.Figure, place: dict[str, int], rows: list[Row]) -> None:
    """A dotted line at the mean true accuracy, which no bound can pass on average."""
    truths = {row.model_sha256: row.true_accuracy for row in rows if row.true_accuracy is not None}
    if truths:
        mean = statistics.fmean(truths.values())
        figure.add_hline(mean, line={"dash": "dot", "color": "#777777", "width": 1.5}, **place)


def bound_against_length(results: Results) -> go.Figure:
    """Bound against proof length (log), a step line along the frontier of the strategies' means; tasks with lengths."""
    measured = replace(results, rows=[row for row in results.rows if row.length_ops])
    figure, places = panels(measured)
    order = class_order(results.rows)
    for task, place in places.items():
        rows = results.of(task)
        points = [(row, row.length_ops, row.bound) for row in drawn(rows) if row.length_ops]
        scatter(figure, place, points, order)
        means = strategy_means(rows)
        best = [means[i] for i in frontier((length, bound) for _, length, bound, _ in means)]
        figure.add_trace(
            go.Scatter(
                x=[length for _, length, _, _ in best],
                y=[bound for _, _, bound, _ in best],
                mode="lines+markers",
                name="frontier",
                legendgroup="frontier",
                showlegend=task == measured.tasks[0],
                line={"shape": "hv", "color": INK, "width": 1.5},
                marker={"symbol": "circle-open", "size": 14, "color": INK},
                customdata=[[label(strategy), models] for strategy, _, _, models in best],
                hovertemplate="on the frontier: <b>%{customdata[0]}</b><br>mean over %{customdata[1]} model(s): "
                "%{y:.5f} at %{x:,.4~g} operations<extra></extra>",
            ),
            **place,
        )
        with_truth(figure, place, rows)
        log_axis(figure, place, [x for _, x, _ in points])
    figure.update_xaxes(title="proof length: operations that checking takes")
    figure.update_yaxes(title="accuracy proved", range=reach(row.bound for row in results.rows))
    return figure


def bound_against_dimension(results: Results) -> go.Figure:
    """Bound against unexplained dimension (log)."""
    figure, places = panels(results)
    order = class_order(results.rows)
    for task, place in places.items():
        rows = results.of(task)
        points = [(row, row.unexplained_dimension, row.bound) for row in drawn(rows) if row.unexplained_dimension]
        scatter(figure, place, points, order)
        with_truth(figure, place, rows)
        log_axis(figure, place, [x for _, x, _ in points])
    figure.update_xaxes(title="unexplained dimension: table entries the proof reads")
    figure.update_yaxes(title="accuracy proved", range=reach(row.bound for row in results.rows))
    return figure


def bound_against_ratio(results: Results, ratios: dict[str, float]) -> go.Figure:
    """Best normalised bound of each class against sigma_1 / sigma_2 of EQKE; `ratios` is by the model's digest."""
    figure, places = panels(results)
    order = class_order(results.rows)
    for task, place in places.items():
        best = best_of_class(row for row in results.of(task) if row.normalised is not None)
        points = [
            (row, ratios[row.model_sha256], row.normalised)
            for row in drawn(list(best.values()))
            if row.normalised is not None and row.model_sha256 in ratios
        ]
        scatter(figure, place, points, order)
    figure.update_xaxes(title="σ₁ / σ₂ of EQKE")
    bounds = (row.normalised for row in results.rows if row.normalised is not None)
    figure.update_yaxes(title="accuracy proved / true accuracy", range=reach(bounds))
    return figure


def singular_ratio(model: Model) -> float:
    """sigma_1 / sigma_2 of EQKE, the paper's measure of how far scores are of rank 1; infinite if they are.

    EQKE is v by v: query tokens with the last position, key tokens with the mean position. Cost v^3, in float64.
    """
    values = np.linalg.svd(EQKE(model), compute_uv=False)
    return float(values[0] / values[1]) if len(values) > 1 and values[1] > 0 else math.inf


def EQKE(model: Model) -> FloatArray:
    """Scores of the last position for key tokens at the mean position [v, v], in nats; a constant per query is free."""
    queries = (model.W_E + model.W_pos[-1]) @ model.W_Q + model.b_Q
    keys = (model.W_E + model.W_pos.mean(axis=0)) @ model.W_K
    return np.asarray(queries @ keys.T / math.sqrt(model.d_head))


def centred(scores: FloatArray) -> FloatArray:
    """Each query's scores relative to their mean, which is all that a softmax sees."""
    return np.asarray(scores - scores.mean(axis=1, keepdims=True))


def heat_map(table: FloatArray, x: str, y: str, unit: str) -> go.Figure:
    """A table [y, x], white at zero, orange above and blue below."""
    reach = float(np.abs(table).max()) or 1.0
    figure = go.Figure(
        go.Heatmap(
            z=table,
            zmin=-reach,
            zmax=reach,
            colorscale=[(0, "#08306b"), (0.25, "#0072B2"), (0.5, "#ffffff"), (0.75, "#E69F00"), (1, "#7f3000")],
            colorbar={"title": unit, "thickness": 12},
            hovertemplate=f"{y} %{{y}}, {x} %{{x}}: %{{z:.4g}} {unit}<extra></extra>",
        )
    )
    styled(figure, 440)
    figure.update_xaxes(title=x, showgrid=False)
    figure.update_yaxes(title=y, autorange="reversed", showgrid=False)
    return figure


def mechanism(circuits: Circuits) -> dict[str, go.Figure]:
    """The four tables that the model's answers depend on, by name; EVOU and EUPU in logits, scores in nats."""
    model = circuits.model
    positions = circuits.position_scores.floats() / math.sqrt(model.d_head)
    return {
        "EQKE": heat_map(centred(EQKE(model)), "key token", "query token", "nats"),
        "EVOU": heat_map(circuits.EVOU.floats(), "output token", "attended token", "logits"),
        "EUPU": heat_map(circuits.EUPU.floats(), "output token", "query token", "logits"),
        "position-scores": heat_map(centred(positions), "position", "query token", "nats"),
    }


def loss_map(losses: dict[str, tuple[str, list[Share]]], x: str) -> go.Figure:
    """By class (a row; hovering tells its strategy) and x: the share of the sequences that the proof does not cover."""
    rows = [row for _, row in losses.values()]
    figure = go.Figure(
        go.Heatmap(
            z=[[share.lost / share.sequences if share.sequences else None for share in row] for row in rows],
            y=[powers(label(name)) for name in losses],
            customdata=[
                [[label(strategy), f"{share.lost:,} of {share.sequences:,}"] for share in row]
                for strategy, row in losses.values()
            ],
            zmin=0,
            zmax=1,
            colorscale="Cividis_r",
            colorbar={"title": "not proved", "tickformat": ".0%", "thickness": 12},
            hovertemplate=f"<b>%{{customdata[0]}}</b><br>{x} = %{{x}}: %{{customdata[1]}} not proved (%{{z:.3%}})"
            "<extra></extra>",
            ygap=3,
        )
    )
    styled(figure, 140 + 34 * len(losses))
    figure.update_xaxes(title=x, showgrid=False, dtick=1 if len(rows[0]) <= 24 else None)
    figure.update_yaxes(type="category", autorange="reversed", automargin=True, showgrid=False)
    return figure


def as_html(figure: Any, name: str) -> str:
    """A div with the id `name`, for a page that has plotly.js."""
    buttons = ["zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]
    config = {"responsive": True, "displaylogo": False, "modeBarButtons": [buttons]}
    text: str = figure.to_html(full_html=False, include_plotlyjs=False, div_id=name, config=config)
    return text
