"""The strategies as a reader wants to see them: families once, with what their names are made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from certgen.bounds.scores import SCORE_ERRORS
from certgen.strategies import COSTS, STRATEGIES
from certgen.strategies.sub_cubic import cost_class, family

# What the parts of the name sub-cubic/EUPU/ATTENTION/ERROR can be.
EUPU: Mapping[str, str] = MappingProxyType(
    {
        "mean-query+max-diff": "the mean query's row kept, the rest bounded through its factors",
        "svd-query+max-diff": "the first singular direction kept, the rest through its factors",
        "max-diff": "nothing kept, all bounded through its factors",
        "max-diff-exact": "multiplied out: the exact spread for each query",
        "global-max-diff-exact": "multiplied out: the largest spread of all queries",
    }
)
ATTENTION: Mapping[str, str] = MappingProxyType(
    {
        "mean-query+diff": "two lines that meet at a centre",
        "drop-average-query-per-output-logit-reasoning": "one line",
        "upper-envelope": "as many lines as are needed",
    }
)
ERROR: Mapping[str, str] = MappingProxyType(
    {
        "svd": "largest singular value of the residual",
        "max-diff": "spread of the residual, from two factors",
        "mean+max-diff": "the same, the mean row apart",
        "max-diff-exact": "exact spread of the residual",
        "exact-EQKE": "all scores, no error",
        "max-diff-subproduct": "spread from four factors, cut in two",
        "mean+max-diff-subproduct": "the same, the mean row apart",
        "max-diff-subproduct-recursive": "spread factor by factor",
        "mean+max-diff-subproduct-recursive": "the same, one mean row apart",
        "mean-recursive+max-diff-subproduct-recursive": "the same, three mean rows apart",
    }
)


def listing() -> Iterator[RenderableType]:
    """Tables that fit into 80 columns, with no name cut or broken."""
    table = columns("strategy", "class", "idea")
    for name, strategy in STRATEGIES.items():
        if not name.startswith("sub-cubic/") and name.removeprefix("separable-by-max/") not in SCORE_ERRORS:
            table.add_row(name, strategy.cost_class, strategy.summary)
        if name == "separable-by-max":
            table.add_row(f"{name}/ERROR", strategy.cost_class, "the same with approximate scores, see ERROR")
    yield table
    yield Text(f"\n sub-cubic/EUPU/ATTENTION/ERROR: {len(family())} strategies, which bound everything")
    yield Text(" at least a gap below the maximum at once. Class: sub-cubic, or as named here")
    yield axis("EUPU, the direct path", EUPU, {name: cost_class(name, "exact-EQKE") for name in EUPU})
    yield axis("ATTENTION, wrong logits as functions of the attention on m", ATTENTION, {})
    yield axis("ERROR, the scores", ERROR, {name: cost_class("max-diff-exact", name) for name in ERROR})
    costs = columns("class", "cost of checking (v is d_vocab, d is d_model)")
    for name, cost in COSTS.items():
        costs.add_row(name, cost)
    yield Text()
    yield costs


def axis(title: str, choices: Mapping[str, str], classes: Mapping[str, str]) -> RenderableType:
    """The choices for one part of a name; where they decide about the class, it is named."""
    table = columns("", "", title=f"\n {title}", show_header=False)
    for name, meaning in choices.items():
        found = classes.get(name, "sub-cubic")
        table.add_row(name, meaning if found == "sub-cubic" else f"{meaning} ({found})")
    return table


def columns(*headers: str, title: str | None = None, show_header: bool = True) -> Table:
    """A table without lines, which has room for long names."""
    table = Table(title=title, title_justify="left", title_style="bold", show_header=show_header, box=None)
    for number, header in enumerate(headers):
        table.add_column(header, no_wrap=number == 0)
    return table
