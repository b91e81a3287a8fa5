"""The tables of a report as HTML; everything that comes from data passes through `cell`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from certgen.certificate.explain import percent
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


def table(head: str, rows: Iterable[str]) -> str:
    """A table that scrolls by itself if it is too wide."""
    body = "\n".join(rows)
    return f'<div class="wide"><table><thead>{head}</thead>\n<tbody>\n{body}\n</tbody></table></div>'


def header(*names: str) -> str:
    """A head of one row; names that start with < are left-aligned."""
    cells = (
        f'<th class="text">{text(name[1:])}</th>' if name[0] == "<" else f"<th>{text(name)}</th>" for name in names
    )
    return f"<tr>{''.join(cells)}</tr>"


def table_one_html(lines: list[Line], tasks: list[Task], models: dict[Task, int]) -> str:
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
    return table(head, rows)


def ours(summary: Summary | None, models: int) -> str:
    """Mean ± standard deviation, and for how many models if not for all."""
    if summary is None:
        return NOTHING
    spread = "" if summary.deviation is None else f" ±{UNBROKEN}{summary.deviation:.4f}"
    of = "" if summary.models == models else f" ({UNBROKEN.join((str(summary.models), 'of', str(models)))})"
    return cell(f"{summary.mean:.4f}{spread}{of}", "value")


def published(line: Line, task: Task) -> str:
    if task not in line.published:
        return NOTHING.replace("none", "none published")
    return cell(f" ±{UNBROKEN}".join(line.published[task]), "published value")


def claims(rows: Iterable[Row]) -> str:
    """What was proved about one model, a row for each class."""
    lines = []
    for row in rows:
        length = NOTHING if row.length_ops is None else f"<td>{scientific(row.length_ops)}</td>"
        name = text(row.strategy).replace("/", "/<wbr>")
        lines.append(
            f'<tr>{cell(row.cost_class)}<td class="text" style="white-space:normal"><code>{name}</code></td>'
            f"{cell(f'{row.correct:,} of {row.total:,}')}{cell(percent(row.correct, row.total))}{length}</tr>"
        )
    return table(header("class", "<best strategy", "proved correct", "at least", "proof length"), lines)


def errors(rows: Iterable[ErrorRow]) -> str:
    """The error-approximation table."""
    lines = []
    for row in rows:
        paper = cell(f"~{row.paper}", "published") if row.paper else NOTHING.replace("none", "none published")
        rule = cell(row.rule or "exact arithmetic", "text")
        lines.append(f"<tr>{cell(row.name)}{cell(f'{row.bound:.3f}')}{paper}{cell(row.cost, 'text')}{rule}</tr>")
    head = header("bound on the spread of a row", "this model", "published", "<cost", "<derived by").replace(
        "<th>published", '<th class="published">published'
    )
    return table(head, lines)


def failed(failures: Iterable[Failure]) -> str:
    """Proofs that could not be made."""
    return table(
        header("model", "<strategy", "<reason"),
        (
            f"<tr>{cell(one.model)}{cell(one.strategy, 'text')}"
            f'<td class="text" style="white-space:normal">{text(one.error)}</td></tr>'
            for one in failures
        ),
    )
