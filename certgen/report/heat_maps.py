"""Tables of one model or proof as heat maps."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import plotly.graph_objects as go

from certgen.certificate.losses import Share
from certgen.decimals import percent_at_most
from certgen.models.circuits import Circuits
from certgen.models.dyadic import FloatArray
from certgen.report.axes import percent
from certgen.report.figures import styled
from certgen.report.markup import label, powers
from certgen.report.scores import EQKE, centred

# From what a page looks like to nearly black: nothing lost is nothing seen.
LOSSES = [(0, "#ffffff"), (0.15, "#e4ebf5"), (0.4, "#a3bfdd"), (0.65, "#4f86bd"), (0.85, "#1d4f91"), (1, "#08214a")]
FAINTEST = 0.15  # of the colour scale, for the smallest loss that is not 0
SMALLEST = 1e-6  # losses below it share its colour
UNKNOWN = "#d9d3c7"
# White at zero, orange above and blue below.
DIVERGING = [(0, "#08306b"), (0.25, "#0072B2"), (0.5, "#ffffff"), (0.75, "#E69F00"), (1, "#7f3000")]


def heat_map(table: FloatArray, x: str, y: str, unit: str, title: str) -> go.Figure:
    """A table [y, x], white at zero, orange above and blue below."""
    reach = float(np.abs(table).max()) or 1.0
    figure = go.Figure(
        go.Heatmap(
            z=np.asarray(table, dtype=np.float32),  # enough for the eye, and half the page
            zmin=-reach,
            zmax=reach,
            colorscale=DIVERGING,
            colorbar={"title": unit, "thickness": 12},
            hovertemplate=f"{y} %{{y}}, {x} %{{x}}: %{{z:.4g}} {unit}<extra></extra>",
        )
    )
    figure.update_xaxes(title=x, showgrid=False)
    figure.update_yaxes(title=y, autorange="reversed", showgrid=False)
    return styled(figure, title, 330)


def mechanism(circuits: Circuits, title: str) -> dict[str, go.Figure]:
    """The four tables that the model's answers depend on, by name; EVOU and EUPU in logits, scores in nats."""
    model = circuits.model
    positions = circuits.position_scores.floats() / math.sqrt(model.d_head)
    tables = {
        "EQKE": (centred(EQKE(model)), "key token", "query token", "nats"),
        "EVOU": (circuits.EVOU.floats(), "output token", "attended token", "logits"),
        "EUPU": (circuits.EUPU.floats(), "output token", "query token", "logits"),
        "position-scores": (centred(positions), "position", "query token", "nats"),
    }
    return {key: heat_map(*table, f"{key.replace('-', ' ')}: {title}") for key, table in tables.items()}


def loss_map(losses: dict[str, tuple[str, list[Share]]], x: str, title: str) -> go.Figure:
    """By class (a row; hovering tells its strategy) and x: the share of the sequences that the proof does not cover.

    Colours are by the logarithm of the share, so that what strong proofs lose is seen too; white is nothing.
    """
    rows = [row for _, row in losses.values()]
    shares = [[share.lost / share.sequences if share.sequences else None for share in row] for row in rows]
    least = max(SMALLEST, min((share for row in shares for share in row if share), default=0.1))
    lowest = math.floor(math.log10(least)) if least < 1 else -1

    def shade(share: float) -> float:
        """Of 1."""
        return FAINTEST + (1 - FAINTEST) * (1 - math.log10(share) / lowest) if share > 0 else 0.0

    powers_of_ten = [10.0**power for power in range(lowest, 1)]
    figure = go.Figure(
        go.Heatmap(
            z=[[None if share is None else max(0.0, shade(share)) for share in row] for row in shares],
            y=[powers(label(name)) for name in losses],
            customdata=[[told(strategy, share) for share in row] for strategy, row in losses.values()],
            zmin=0,
            zmax=1,
            colorscale=LOSSES,
            colorbar={
                "title": "not proved",
                "thickness": 12,
                "tickvals": [0, *map(shade, powers_of_ten)],
                "ticktext": ["nothing", *map(percent, powers_of_ten)],
                "outlinewidth": 1,
                "outlinecolor": "#bbbbbb",
            },
            hovertemplate=f"<b>%{{customdata[0]}}</b><br>{x} = %{{x}}: %{{customdata[1]}}<extra></extra>",
            ygap=3,
        )
    )
    figure.update_xaxes(title=x, showgrid=False, dtick=1 if len(rows[0]) <= 24 else None, zeroline=False)
    figure.update_yaxes(type="category", autorange="reversed", automargin=True, showgrid=False)
    styled(figure, title, max(34 * len(losses), 150))
    return figure.update_layout(plot_bgcolor=UNKNOWN)


def told(strategy: str, share: Share) -> list[str]:
    """What hovering says."""
    if not share.sequences:
        return [label(strategy), "no sequences, or none counted by themselves"]
    part = percent_at_most(Fraction(share.lost, share.sequences))
    return [label(strategy), f"{share.lost:,} of {share.sequences:,} not proved ({part})"]
