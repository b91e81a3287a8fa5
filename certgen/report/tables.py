"""The tables of a report as HTML; everything that comes from data passes through `cell`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from certgen.decimals import at_least, at_most, percent_at_least, percent_at_most
from certgen.report.figures import Point
from certgen.report.markup import powers, scientific, text
from certgen.report.published import TASKS
from certgen.report.results import Failure, Row, Task
from certgen.report.table_one import Line, Summary

if TYPE_CHECKING:  # that module runs the checker, which nothing here needs
    from certgen.measures.error_table import ErrorRow

UNBROKEN = "\u00a0"  # a space at which a narrow column does not break
NOTHING = '<td class="none">–</td>'


def cell(data: object, kind: str = "") -> str:
    """One table cell, with a class of the style sheet."""
    return f'<td class="{kind}">{powers(text(data))}</td>' if kind else f"<td>{powers(text(data))}</td>"


def table(head: str, rows: Iterable[str], caption: str) -> str:
    """A table that scrolls by itself, with keys too, if it is too wide. The caption, HTML, says what it is about."""
    body = "\n".join(rows)
    return (
        f'<p class="caption">{caption}</p>\n<div class="wide" tabindex="0"><table><thead>{head}</thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def header(*names: str) -> str:
    """A head of one row; names that start with < are left-aligned."""
    cells = (
        f'<th class="text">{text(name[1:])}</th>' if name[0] == "<" else f"<th>{text(name)}</th>" for name in names
    )
    return f"<tr>{''.join(cells)}</tr>"


def table_one_html(lines: list[Line], tasks: list[Task], models: dict[Task, int], caption: str) -> str:
    """Ours beside the published values; the published ones only for the paper's tasks."""
    columns = [(task, kind) for task in tasks for kind in ("ours", "published") if kind == "ours" or task in TASKS]
    above = "".join(f'<th colspan="{sum(of == task for of, _ in columns)}">{text(task)}</th>' for task in tasks)
    count = {task: f"ours{UNBROKEN}({models[task]} model{'s' * (models[task] != 1)})" for task in tasks}
    below = "".join(
        f'<th class="value">{text(count[task])}</th>' if kind == "ours" else '<th class="published">published</th>'
        for task, kind in columns
    )
    head = f'<tr><th></th>{above}</tr><tr><th class="text">class</th>{below}</tr>'
    rows = []
    beyond = False
    for line in lines:
        first = not line.published and not beyond
        beyond = not line.published
        kind = f"beyond{' first' * first}" if beyond else "paper"
        values = (
            ours(line.ours.get(task), models[task]) if kind == "ours" else published(line, task)
            for task, kind in columns
        )
        rows.append(f'<tr class="{kind}">{cell(line.name)}{"".join(values)}</tr>')
    return table(head, rows, caption)


def ours(summary: Summary | None, models: int) -> str:
    """Mean ± standard deviation, and for how many models if not for all."""
    if summary is None:
        return NOTHING
    of = "" if summary.models == models else f" ({UNBROKEN.join((str(summary.models), 'of', str(models)))})"
    return cell(f"{told(summary, UNBROKEN)}{of}", "value")


def told(summary: Summary, space: str = " ") -> str:
    """mean ± deviation: the mean rounded down, as the bounds are that it is made of, the deviation up."""
    spread = "" if summary.deviation is None else f" ±{space}{at_most(summary.deviation)}"
    return f"{at_least(summary.mean)}{spread}"


def published(line: Line, task: Task) -> str:
    if task not in line.published:
        return NOTHING.replace("none", "none published")
    return cell(f" ±{UNBROKEN}".join(line.published[task]), "published value")


def strategy_cell(name: str) -> str:
    """A strategy's name, which may break at its slashes."""
    return f'<td class="text breaks"><code>{text(name).replace("/", "/<wbr>")}</code></td>'


def length_cell(length: float | None) -> str:
    return NOTHING if length is None else f"<td>{scientific(length)}</td>"


def claims(rows: Iterable[Row], caption: str) -> str:
    """What was proved about one model, a row for each class."""
    lines = [
        f"<tr>{cell(row.cost_class)}{strategy_cell(row.strategy)}{cell(f'{row.correct:,} of {row.total:,}')}"
        f"{cell(percent_at_least(row.bound))}{cell(percent_at_most(row.lost))}{length_cell(row.length_ops)}</tr>"
        for row in rows
    ]
    names = ("class", "<best strategy", "proved correct", "at least", "not proved, at most", "proof length")
    return table(header(*names), lines, caption)


def frontier(points: Iterable[Point], caption: str) -> str:
    """The strategies that no other one beats, from the shortest proof to the longest."""
    lines = [
        f"<tr>{cell(point.cost_class)}{strategy_cell(point.strategy)}{length_cell(point.length)}"
        f"{cell(percent_at_least(1 - point.lost))}{cell(percent_at_most(point.lost))}</tr>"
        for point in points
    ]
    return table(
        header("class", "<strategy", "proof length", "proved, at least", "not proved, at most"), lines, caption
    )


def errors(rows: Iterable[ErrorRow], caption: str, published: bool) -> str:
    """The error-approximation table; with the published values if they are about a model of the same task."""
    lines = []
    for row in rows:
        paper = cell(f"~{row.paper}", "published") if row.paper else NOTHING.replace("none", "none published")
        rule = cell(row.rule or "exact arithmetic", "text")
        between = paper if published else ""
        lines.append(f"<tr>{cell(row.name)}{cell(at_most(row.bound, 3))}{between}{cell(row.cost, 'text')}{rule}</tr>")
    beside = ["published"] if published else []
    head = header("bound on the spread of a row", "at most", *beside, "<cost", "<derived by").replace(
        "<th>published", '<th class="published">published'
    )
    return table(head, lines, caption)


def failed(failures: Iterable[Failure]) -> str:
    """Proofs that could not be made."""
    return table(
        header("model", "<strategy", "<reason"),
        (
            f"<tr>{cell(one.model)}{strategy_cell(one.strategy)}"
            f'<td class="text breaks reason">{text(one.error)}</td></tr>'
            for one in failures
        ),
        "Every proof that the sweep could not make.",
    )
