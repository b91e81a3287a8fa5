"""The numbers of docs/study: python tools/study_page.py RESULTS REPORT_FIGURES.

Writes docs/study/results.csv, one row per proof, copies the figures of the report that docs/study/index.md shows, and
puts the tables into that page, between the comments that name them.
"""

import csv
import re
import shutil
import statistics
import sys
from pathlib import Path

import numpy as np

from certgen.decimals import at_least, at_most
from certgen.report.axes import mean
from certgen.report.results import Results, Row, find_model, load_results, read_parquet
from certgen.report.scores import singular_ratio
from certgen.report.table_one import summary, table_one
from certgen.report.tables import told

HERE = Path(__file__).resolve().parent.parent / "docs" / "study"
COLUMNS = (
    *("model", "model_sha256", "k", "d_vocab", "seed", "strategy", "cost_class", "bound", "true_accuracy"),
    *("normalised", "length_ops", "bytes", "unexplained_dimension", "error"),
)
NAMED = (
    "sub-cubic/max-diff-exact/mean-query+diff/exact-EQKE",
    "sub-cubic/mean-query+max-diff/mean-query+diff/max-diff",
)
PICTURE = re.compile(r"!\[[^\]]*\]\(([\w-]+\.(?:svg|png))\)")


def classes(results: Results) -> list[str]:
    """Our means over the published ones, class by class."""
    tasks = results.tasks
    rows = ["| class | " + " | ".join(map(str, tasks)) + " |", "|---|" + "---|" * len(tasks)]
    models = {task: len({row.model_sha256 for row in results.of(task)}) for task in tasks}
    for line in table_one(results):
        cells = []
        for task in tasks:
            ours, published = line.ours.get(task), line.published.get(task)
            parts = [told(ours) + (f" ({ours.models})" if ours.models < models[task] else "")] if ours else []
            cells.append("<br>".join(parts + ([f"*{' ± '.join(published)}*"] if published else [])) or "–")
        rows.append(f"| {line.name} | " + " | ".join(cells) + " |")
    return rows


def strategies(results: Results) -> list[str]:
    """Bounds as they are, and lengths where they were measured; of the sub-cubic family only two."""
    rows = [
        "| task | strategy | models | bound: mean ± deviation | worst | million operations |",
        "|---|---|---|---|---|---|",
    ]
    for task in results.tasks:
        groups: dict[str, list[Row]] = {}
        for row in results.of(task):
            if row.strategy.startswith("sub-cubic/") and row.strategy not in NAMED:
                continue
            groups.setdefault(row.strategy, []).append(row)
        for name, members in sorted(groups.items(), key=lambda item: -mean([r.bound for r in item[1]])):
            bounds = [row.bound for row in members]
            lengths = [row.length_ops for row in members if row.length_ops]
            length = f"{at_most(statistics.fmean(lengths) / 1e6, 1)} ({len(lengths)})" if lengths else ""
            worst = at_least(min(bounds), 5)
            rows.append(f"| {task} | `{name}` | {len(bounds)} | {told(summary(bounds))} | {worst} | {length} |")
    return rows


def faithfulness(results: Results) -> list[str]:
    """How the bound of a strategy follows the ratio of the first two singular values of EQKE, by rank, task by task."""
    tasks = [task for task in results.tasks if len({row.model_sha256 for row in results.of(task)}) >= 10]
    ratios: dict[str, float] = {}
    for row in results.rows:
        if row.task in tasks and row.model_sha256 not in ratios and (model := find_model(results, row)):
            ratios[row.model_sha256] = singular_ratio(model)
    rows = ["| strategy | " + " | ".join(map(str, tasks)) + " |", "|---|" + "---|" * len(tasks)]
    for error in ("exact-EQKE", "svd", "max-diff", "max-diff-subproduct-recursive"):
        name, cells = f"sub-cubic/max-diff-exact/mean-query+diff/{error}", []
        for task in tasks:
            chosen = [row for row in results.of(task) if row.strategy == name and row.of_truth is not None]
            by_ratio, by_bound = (
                np.argsort(np.argsort(values))
                for values in (
                    [ratios[row.model_sha256] for row in chosen],
                    [float(row.of_truth or 0) for row in chosen],
                )
            )
            cells.append(f"{np.corrcoef(by_ratio, by_bound)[0, 1]:.2f}")
        rows.append(f"| `{name}` | " + " | ".join(cells) + " |")
    return rows


def write(page: str, name: str, lines: list[str]) -> str:
    """The page with these lines between its two comments of that name."""
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
    if not pattern.search(page):
        raise SystemExit(f"docs/study/index.md has no place for {name}")
    return pattern.sub(lambda match: match[1] + "\n".join(["", *lines, ""]) + match[2], page)


def main() -> None:
    source, figures = Path(sys.argv[1]), Path(sys.argv[2])
    results = load_results(source)
    records = read_parquet(source / "results.parquet")
    records.sort(key=lambda r: (r["k"], r["d_vocab"], r["seed"], r["strategy"]))
    for record in records:
        record["model_sha256"] = record["model_sha256"][:16]
    with (HERE / "results.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, extrasaction="ignore", lineterminator="\n")
        table.writeheader()
        table.writerows(records)
    index = HERE / "index.md"
    page = index.read_text(encoding="utf-8")
    for name in PICTURE.findall(page):
        shutil.copy(figures / name, HERE / name)
    page = write(page, "classes", classes(results))
    page = write(page, "faithfulness", faithfulness(results))
    index.write_text(write(page, "strategies", strategies(results)), encoding="utf-8")


if __name__ == "__main__":
    main()
