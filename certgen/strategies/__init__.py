"""Strategies compose rules into proofs. `STRATEGIES` is the table, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from certgen.bounds.scores import SCORE_ERRORS
from certgen.certificate.statement import Certificate
from certgen.counts.evaluation import Question
from certgen.models.circuits import Circuits
from certgen.progress import Track
from certgen.strategies.adaptive import adaptive
from certgen.strategies.brute_force import brute_force
from certgen.strategies.by_regions import by_counting, by_settling
from certgen.strategies.cubic import cubic
from certgen.strategies.separable import exact, separable_by_max, separable_exact, separable_relaxed
from certgen.strategies.sub_cubic import cost_class, family, sub_cubic
from certgen.strategies.two_sided import two_sided


@dataclass(frozen=True)
class Strategy:
    """A way to prove: the class of its cost (the paper's names), and what it is in one line.

    One that is `general` is for any task and any model with one attention layer; the others, but for adaptive and
    brute-force, are for max-of-k by one layer with one head.
    """

    prove: Callable[[Question, Track], Certificate]
    cost_class: str
    summary: str
    general: bool = False


def one_head(prove: Callable[[Circuits, Track], Certificate]) -> Callable[[Question, Track], Certificate]:
    """A strategy that works on the circuits of the one head."""
    return lambda question, track: prove(Circuits(question.model, question.margin), track)


COSTS = {
    "adaptive": "v^3 k and more, up to the length you allow; of other models as separable, and more for each split",
    "brute-force": "v^k v; of other models a forward pass of each position, once per prefix or per input",
    "exact": "v^3 k per class of wrong tokens, v^2 k per pair with a wrong sequence, a few per prefix of one",
    "separable, v^4": "v^3 k per class of wrong tokens, and a count per pair and wrong token that reaches m",
    "separable, v^3": "v^3 k v, and a count per pair",
    "separable by max": "v^3 k, and a count per maximum",
    "two-sided": "v^3 k, and several counts per pair in which much is wrong",
    "cubic": "v^3 k",
    "regions": "v^3 k per head and region of a query and label; with an MLP d_mlp per neuron, too",
    "separable": "as regions, and a count per region and wrong output that is not behind in it",
    "sub-cubic": "v^2 d",
    "low-rank QK": "v^2 (d + k) (EVOU, EUPU), v d^2 (scores)",
    "low-rank EU": "v^2 d (EVOU, scores), v d (EUPU)",
    "low-rank QK and EU": "v^2 d (EVOU), v d^2 (scores), v d (EUPU)",
    "quadratic QK": "v^2 d (EVOU, EUPU), v d (scores)",
    "quadratic QK and EU": "v^2 d (EVOU), v d (scores, EUPU)",
}

BY_MAX: list[tuple[str, dict[str, Any], str]] = [
    *((f"{n}-blocks", {"blocks": n}, "the same for neighbouring queries at a time") for n in (2, 4, 8)),
    ("gauged", {"blocks": 32, "gauged": True}, "the same, with factors that make wrong tokens alike"),
    *((error, {"error": error}, "the same with approximate scores") for error in SCORE_ERRORS if error != "exact-EQKE"),
]

STRATEGIES = {
    "adaptive": Strategy(
        one_head(adaptive), "adaptive", "start coarse, refine where it proves most, up to a length or a target"
    ),
    "regions": Strategy(by_settling, "regions", "any task, heads, an MLP: all inputs of an answer at once", True),
    "separable": Strategy(by_counting, "separable", "the same, and counting where a wrong output is not behind", True),
    "brute-force": Strategy(one_head(brute_force), "brute-force", "evaluate every input, of any model and problem"),
    "exact": Strategy(one_head(exact), "exact", "bundles of sequences settled at once; the bound is the truth"),
    "separable-exact": Strategy(
        one_head(separable_exact), "separable, v^4", "each wrong token by itself, its sequences counted"
    ),
    "two-sided": Strategy(
        one_head(two_sided), "two-sided", "bounds from both sides: the worst pairs in parts, each counted twice"
    ),
    "separable-relaxed": Strategy(
        one_head(separable_relaxed), "separable, v^3", "the worst wrong token of each position, counted"
    ),
    "separable-by-max": Strategy(
        one_head(separable_by_max), "separable by max", "the worst query and wrong token of each position"
    ),
    **{
        f"separable-by-max/{variant}": Strategy(
            one_head(partial(separable_by_max, **options)), "separable by max", summary
        )
        for variant, options, summary in BY_MAX
    },
    "cubic": Strategy(one_head(cubic), "cubic", "group sequences by how many positions do not hold the maximum"),
} | {
    f"sub-cubic/{direct}/{attention}/{error}": Strategy(
        one_head(partial(sub_cubic, direct=direct, attention=attention, error=error)),
        cost_class(direct, error),
        "bound everything at least a gap below the maximum at once",
    )
    for direct, attention, error in family()
}
