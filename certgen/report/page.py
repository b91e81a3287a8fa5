"""The page: sections of text, tables and figures, in one HTML file that loads nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from certgen.report.figures import as_json
from certgen.report.images import FORMATS
from certgen.report.markup import text

STYLE = Path(__file__).with_name("style.css")
SCRIPT = Path(__file__).with_name("page.js")


@dataclass(frozen=True)
class Figure:
    """A plotly figure; its name is the id on the page and the stem of its files. The caption is HTML."""

    name: str
    caption: str
    plot: go.Figure


@dataclass(frozen=True)
class Part:
    """HTML, then figures, in pairs if they are small, then HTML `after` them. `model` is the digest of the one model it
    is about.
    """

    body: str
    figures: Sequence[Figure] = field(default=())
    paired: bool = False
    model: str | None = None
    after: str = ""


@dataclass(frozen=True)
class Section:
    """A heading with an anchor, and what is under it: for all models together, and for each."""

    anchor: str
    title: str
    parts: Sequence[Part]


@dataclass(frozen=True)
class Choice:
    """The models of a page: (digest, name) by the name of their task, and the one that is shown first."""

    models: Mapping[str, Sequence[tuple[str, str]]]
    first: str


def page(title: str, lead: str, sections: Sequence[Section], choice: Choice, images: str | None) -> str:
    """The whole page. `images` is the directory of the figures' files relative to it, None when there are none.

    Without scripts no figure is drawn, and the tables of all models are shown.
    """
    contents = "\n".join(f'<li><a href="#{one.anchor}">{text(one.title)}</a></li>' for one in sections)
    drawn = plots(sections, choice)
    body = "\n".join(section_html(one, drawn, images) for one in sections)
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
{chooser(choice)}
<main>
{body}
</main>
<script>
{SCRIPT.read_text(encoding="utf-8")}</script>
</body>
</html>
"""


def chooser(choice: Choice) -> str:
    """The list to choose a model from, if there are several."""
    if sum(map(len, choice.models.values())) < 2:
        return ""
    groups = "\n".join(
        f'<optgroup label="{text(task)}">\n{"".join(map(option, models, [choice.first] * len(models)))}</optgroup>'
        for task, models in choice.models.items()
    )
    return f"""<div class="chooser"><label for="model">Model shown where one is looked into:</label>
<select id="model" autocomplete="off">
{groups}
</select></div>"""


def option(model: tuple[str, str], first: str) -> str:
    digest, name = model
    return f'<option value="{text(digest)}"{" selected" * (digest == first)}>{text(name)}</option>\n'


def section_html(section: Section, drawn: Mapping[str, go.Figure], images: str | None) -> str:
    parts = "\n".join(part_html(one, drawn, images) for one in section.parts)
    return f'<section>\n<h2 id="{section.anchor}">{text(section.title)}</h2>\n{parts}\n</section>'


def part_html(part: Part, drawn: Mapping[str, go.Figure], images: str | None) -> str:
    figures = "\n".join(figure_html(one, images if one.name in drawn else None) for one in part.figures)
    if part.paired:
        figures = f'<div class="pair">\n{figures}\n</div>'
    about = "" if part.model is None else f' data-model="{text(part.model)}"'
    return f"<div{about}>\n{part.body}\n{figures}\n{part.after}\n</div>"


def figure_html(figure: Figure, images: str | None) -> str:
    files = ""
    if images is not None:
        links = (f'<a href="{quote(f"{images}/{figure.name}.{kind}")}">{kind.upper()}</a>' for kind in FORMATS)
        files = f' <span class="files">({", ".join(links)})</span>'
    return f"""<figure>
<div class="plot" id="{figure.name}"></div><script type="application/json">{as_json(figure.plot)}</script>
<figcaption>{figure.caption}{files}</figcaption>
</figure>"""


def plots(sections: Sequence[Section], choice: Choice) -> Mapping[str, go.Figure]:
    """The figures that become files, by name: those of all models together, and those of the model shown first."""
    parts = [part for section in sections for part in section.parts if part.model in (None, choice.first)]
    return {figure.name: figure.plot for part in parts for figure in part.figures}
