"""The page: sections of text, tables and figures, in one HTML file that loads nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from certgen.report.figures import as_html
from certgen.report.images import FORMATS
from certgen.report.markup import text

STYLE = Path(__file__).with_name("style.css")


@dataclass(frozen=True)
class Figure:
    """A plotly figure; its name is the id on the page and the stem of its files. The caption is HTML."""

    name: str
    caption: str
    plot: go.Figure


@dataclass(frozen=True)
class Section:
    """A heading with an anchor; `body` is HTML, followed by the figures, in pairs if they are small."""

    anchor: str
    title: str
    body: str
    figures: Sequence[Figure] = field(default=())
    paired: bool = False


def page(title: str, lead: str, sections: Sequence[Section], images: str | None) -> str:
    """The whole page. `images` is the directory of the figures' files relative to it, None when there are none."""
    contents = "\n".join(f'<li><a href="#{one.anchor}">{text(one.title)}</a></li>' for one in sections)
    body = "\n".join(section_html(one, images) for one in sections)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{text(title)}</title>
<style>
{STYLE.read_text(encoding="utf-8")}</style>
<script>{get_plotlyjs()}</script>
</head>
<body>
<header>
<h1>{text(title)}</h1>
<p class="lead">{lead}</p>
</header>
<nav aria-label="Contents"><ol>
{contents}
</ol></nav>
<main>
{body}
</main>
</body>
</html>
"""


def section_html(section: Section, images: str | None) -> str:
    figures = "\n".join(figure_html(one, images) for one in section.figures)
    if section.paired:
        figures = f'<div class="pair">\n{figures}\n</div>'
    return f'<section>\n<h2 id="{section.anchor}">{text(section.title)}</h2>\n{section.body}\n{figures}\n</section>'


def figure_html(figure: Figure, images: str | None) -> str:
    files = ""
    if images is not None:
        links = (f'<a href="{quote(f"{images}/{figure.name}.{kind}")}">{kind.upper()}</a>' for kind in FORMATS)
        files = f' <span class="files">({", ".join(links)})</span>'
    return f"<figure>\n{as_html(figure.plot, figure.name)}\n<figcaption>{figure.caption}{files}</figcaption>\n</figure>"


def plots(sections: Sequence[Section]) -> Mapping[str, go.Figure]:
    """All figures of a page by name."""
    return {figure.name: figure.plot for section in sections for figure in section.figures}
