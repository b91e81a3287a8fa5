"""Our results in the shape of the paper's Table 1."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from certgen.report.published import PUBLISHED, TRUE_ACCURACY
from certgen.report.results import Results, Row, Task, best_of_class
from certgen.strategies import COSTS


@dataclass(frozen=True)
class Summary:
    """Mean over models and sample standard deviation, None for a single model."""

    mean: float
    deviation: float | None
    models: int


@dataclass(frozen=True)
class Line:
    """One class: our summaries and the published (mean, standard deviation), by task."""

    name: str
    ours: dict[Task, Summary]
    published: dict[Task, tuple[str, str]]


def table_one(results: Results) -> list[Line]:
    """True accuracy, the paper's classes in its order, then classes beyond it.

    A class counts for a model with the best bound of its strategies, divided by the model's true accuracy.
    """
    lines = {name: Line(name, {}, PUBLISHED.get(name, {})) for name in [TRUE_ACCURACY, *class_order(results.rows)]}
    for task in results.tasks:
        rows = results.of(task)
        accuracies = {row.model_sha256: row.true_accuracy for row in rows if row.true_accuracy is not None}
        best = best_of_class(row for row in rows if row.normalised is not None)
        for name, line in lines.items():
            bounds = [row.normalised for (of, _), row in best.items() if of == name and row.normalised is not None]
            values = list(accuracies.values()) if name == TRUE_ACCURACY else bounds
            if values:
                line.ours[task] = summary(values)
    return list(lines.values())


def summary(values: list[float]) -> Summary:
    """Of at least one value."""
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return Summary(statistics.fmean(values), deviation, len(values))


def class_order(rows: Iterable[Row]) -> list[str]:
    """The paper's classes, then those of the rows beyond it, from the most costly known class to unknown ones."""
    present = {row.cost_class for row in rows}
    paper = [name for name in PUBLISHED if name != TRUE_ACCURACY]
    ours = [name for name in COSTS if name not in paper]
    return [*paper, *(name for name in ours if name in present), *sorted(present - set(paper) - set(ours))]
