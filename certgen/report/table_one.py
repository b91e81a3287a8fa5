"""Our results in the shape of the paper's Table 1."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from certgen.report.axes import mean
from certgen.report.published import PUBLISHED, TASKS, TRUE_ACCURACY
from certgen.report.results import Results, Row, Task, best_of_class
from certgen.strategies import COSTS


@dataclass(frozen=True)
class Summary:
    """Mean over models and sample standard deviation, None for a single model."""

    mean: Fraction
    deviation: float | None
    models: int


@dataclass(frozen=True)
class Line:
    """One class: our summaries and the published (mean, standard deviation), by task."""

    name: str
    ours: dict[Task, Summary]
    published: dict[Task, tuple[str, str]]


def table_one(results: Results) -> list[Line]:
    """True accuracy, the paper's classes in its order, then classes beyond it; no line without a number.

    A class counts for a model with the best bound of its strategies, divided by the model's true accuracy. Published
    values are given for the paper's tasks among those of the results.
    """
    shown = [task for task in results.tasks if task in TASKS]
    lines = {
        name: Line(name, {}, {task: PUBLISHED[name][task] for task in shown} if name in PUBLISHED else {})
        for name in [TRUE_ACCURACY, *class_order(results.rows, complete=bool(shown))]
    }
    for task in results.tasks:
        rows = results.of(task)
        accuracies = {row.model_sha256: row.truth for row in rows if row.truth is not None}
        best = best_of_class(row for row in rows if row.of_truth is not None)
        for name, line in lines.items():
            bounds = [row.of_truth for (of, _), row in best.items() if of == name and row.of_truth is not None]
            values = list(accuracies.values()) if name == TRUE_ACCURACY else bounds
            if values:
                line.ours[task] = summary(values)
    return [line for line in lines.values() if line.ours or line.published]


def summary(values: list[Fraction]) -> Summary:
    """Of at least one value."""
    middle = mean(values)
    squares = sum((value - middle) ** 2 for value in values)
    deviation = math.sqrt(squares / (len(values) - 1)) if len(values) > 1 else None
    return Summary(middle, deviation, len(values))


def class_order(rows: Iterable[Row], complete: bool = False) -> list[str]:
    """The paper's classes, then those beyond it, from the most costly known class to unknown ones.

    Only classes that the rows have, or, if it should be `complete`, all of the paper's.
    """
    present = {row.cost_class for row in rows}
    paper = [name for name in PUBLISHED if name != TRUE_ACCURACY]
    ours = [name for name in COSTS if name not in paper]
    known = [*(name for name in paper if complete or name in present), *(name for name in ours if name in present)]
    return [*known, *sorted(present - set(known))]
