"""The paper's exhibit of compounding error: one residual, bounded in more and more economical ways.

The residual is the product of four factors that is left of the scores (before division by sqrt(d_head)) when the main
directions are peeled off. Each entry bounds how much two of its entries in one row can differ, for the worst row.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from certgen.bounds.attention import score_bound
from certgen.bounds.rounding import row_spreads
from certgen.bounds.scores import ScoreStep, ceil_sqrt, chain, four_factors, singular_step, stated_scores
from certgen.certificate.arguments import PeelArgs
from certgen.certificate.steps import infer
from certgen.models.circuits import Circuits
from certgen.models.dyadic import Dyadic, nearest
from checker.certificate import decode_step
from checker.model.weights import read_weights
from checker.problem import Problem
from checker.rules import RULES

GUARD_BITS = 40


@dataclass(frozen=True)
class ErrorRow:
    """A bound on the largest difference within a row of the residual, the cost of that bound, and the paper's value."""

    name: str
    bound: float
    cost: str
    rule: str | None
    paper: str


def error_table(circuits: Circuits) -> Iterator[ErrorRow]:
    """All rows. Where a rule is named, the checker has derived the bound; the others are exact integer arithmetic."""
    split = four_factors(circuits)
    residual = chain(split.factors)
    problem = Problem(read_weights(circuits.model.file_bytes), circuits.k, (0, 1), 0)

    def by_rule(name: str, step: ScoreStep, cost: str, paper: str = "") -> ErrorRow:
        require_derived(problem, step)
        return ErrorRow(name, scaled_up(max(step.conclusion.error), step.conclusion.exponent), cost, step.rule, paper)

    def by_error(name: str, error: str, cost: str, paper: str = "") -> ErrorRow:
        return by_rule(name, score_bound(circuits, error).step, cost, paper)

    conclusion = stated_scores(split.kept, row_spreads(residual))
    exact = infer("score_residual_spread", conclusion, PeelArgs(peels=split.peels))
    yield by_rule("exact max row diff", exact, "v^2 d", "1.8")
    yield ErrorRow("2 max |entry|", 2 * largest(residual), "v^2 d", None, "2.0")
    yield by_error("max row diff on subproduct", "max-diff-subproduct", "v d^2", "5.7")
    yield by_error("mean + max row diff on subproduct", "mean+max-diff-subproduct", "v d^2")
    yield by_error("recursive max row diff", "max-diff-subproduct-recursive", "v d", "97")
    yield by_error("mean + recursive max row diff", "mean+max-diff-subproduct-recursive", "v d")
    yield by_error("mean-recursive + recursive max row diff", "mean-recursive+max-diff-subproduct-recursive", "v d")
    yield by_rule("sqrt(2) sigma_1", singular_step(circuits, split), "v d^2 + d^3")
    yield ErrorRow("sqrt(2) Frobenius norm", root_two_frobenius(residual), "v d^2", None, "")


def require_derived(problem: Problem, step: ScoreStep) -> None:
    """Let the checker's rule derive the step's conclusion; a Refusal if it does not."""
    decoded = decode_step(step.model_dump(), "step")
    RULES[decoded.rule].derive(problem, (), decoded.args).require_entails(decoded.conclusion)


def scaled_up(number: int, exponent: int) -> float:
    """number * 2^exponent, rounded up."""
    return math.nextafter(nearest(number, exponent), math.inf)


def largest(table: Dyadic) -> float:
    """The largest absolute value, rounded up."""
    return scaled_up(int(abs(table.integers).max()), table.exponent)


def root_two_frobenius(table: Dyadic) -> float:
    """sqrt(2) times the Frobenius norm, rounded up: the square root of an exact sum of squares."""
    total = 2 * int((table.integers**2).sum())
    return scaled_up(ceil_sqrt(total << (2 * GUARD_BITS)), table.exponent - GUARD_BITS)
