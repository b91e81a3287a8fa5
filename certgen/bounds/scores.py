"""The score errors of the sub-cubic strategies: kept scores of low rank, and a bound on what they leave out."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from certgen.bounds.rounding import SIGNIFICANT_BITS, product_spreads, row_spreads
from certgen.bounds.splitting import Split, four_factor_split, matrices, product_basis, singular_value, two_factor_split
from certgen.certificate.arguments import Peel, PeelArgs, ProductArgs, RecursiveArgs, SingularArgs
from certgen.certificate.facts import ScoreApproximation
from certgen.certificate.steps import Step, infer
from certgen.models.circuits import Circuits
from certgen.models.dyadic import Dyadic, mean_row

ScoreStep = Step[ScoreApproximation]

two_factors = lru_cache(maxsize=4)(two_factor_split)
four_factors = lru_cache(maxsize=4)(four_factor_split)


def stated_scores(kept: Dyadic, error: Dyadic) -> ScoreApproximation:
    """Kept scores rounded to short numbers; the error takes up what the rounding changed."""
    exponent = max(kept.magnitude(), error.magnitude(), -(1 << 13)) - SIGNIFICANT_BITS
    rows = Dyadic(kept.ceil(exponent), exponent)
    needed = row_spreads(rows - kept) + error
    return ScoreApproximation(
        exponent=exponent,
        kept=[[int(x) for x in row] for row in rows.integers],
        error=[int(x) for x in needed.ceil(exponent)],
    )


def zeros(circuits: Circuits) -> Dyadic:
    return Dyadic(np.zeros(circuits.v, dtype=object), 0)


def exact_EQKE(circuits: Circuits) -> ScoreStep:
    """Every score, no error."""
    conclusion = stated_scores(circuits.token_scores, zeros(circuits))
    return infer("score_exact", conclusion)


def max_diff_exact(circuits: Circuits) -> ScoreStep:
    """Rank 1 kept, the exact spread of the residual."""
    split = two_factors(circuits, flat=True)
    conclusion = stated_scores(split.kept, row_spreads(split.factors[0] @ split.factors[1]))
    return infer("score_residual_spread", conclusion, PeelArgs(peels=split.peels))


def singular_step(circuits: Circuits, split: Split) -> ScoreStep:
    """sqrt(2) times the largest singular value of a split's residual."""
    bound = singular_value(chain(split.factors[:-1]), split.factors[-1])
    error = np.array([ceil_sqrt(2 * bound.sigma**2)] * circuits.v, dtype=object)
    args = SingularArgs(
        peels=split.peels,
        sigma=bound.sigma,
        exponent=bound.exponent,
        ridge=bound.ridge,
        ridge_exponent=bound.ridge_exponent,
        witness=bound.witness,
    )
    conclusion = stated_scores(split.kept, Dyadic(error, bound.exponent))
    return infer("score_singular_value", conclusion, args)


def ceil_sqrt(number: int) -> int:
    """The square root rounded up."""
    return math.isqrt(number - 1) + 1 if number else 0


def product(split: Split, bases: list[Peel], means: int) -> ScoreStep:
    """The residual cut into two factors wherever that is best."""
    bounds = []
    for cut in range(1, len(split.factors)):
        left, right = chain(split.factors[:cut]), chain(split.factors[cut:])
        bounds.append(spread_bounds(left, right, means, bases[cut - 1] if bases else None))
    error = bounds[0]
    for bound in bounds[1:]:
        unit = min(error.exponent, bound.exponent)
        error = Dyadic(np.minimum(error.at(unit), bound.at(unit)), unit)
    args = ProductArgs(peels=split.peels, bases=bases, means=means)
    return infer("score_product_spread", stated_scores(split.kept, error), args)


def spread_bounds(left: Dyadic, right: Dyadic, means: int, basis: Peel | None) -> Dyadic:
    """Bounds on the row spreads of left @ right without the product."""
    total = Dyadic(np.zeros(len(left.integers), dtype=object), 0)
    if means:
        centre = mean_row(left)
        left = left - centre
        total = total + row_spreads(centre @ right)
    if basis is not None:
        onto, along = matrices(basis)
        inner = left @ onto
        total = total + product_spreads(inner, along @ right)
        left = left - inner @ along
    return total + product_spreads(left, right)


def chain(factors: list[Dyadic]) -> Dyadic:
    """The product, from the left."""
    result = factors[0]
    for factor in factors[1:]:
        result = result @ factor
    return result


def recursive(split: Split, means: int) -> ScoreStep:
    """No two factors of the residual multiplied."""
    spreads = row_spreads(split.factors[-1])
    for level in reversed(range(len(split.factors) - 1)):
        factor = split.factors[level]
        base = Dyadic(np.zeros(1, dtype=object), 0)
        if level < means:
            centre = mean_row(factor)
            factor = factor - centre
            base = row_spreads(chain([centre, *split.factors[level + 1 :]]))
        spreads = base + Dyadic(abs(factor.integers), factor.exponent) @ spreads
    args = RecursiveArgs(peels=split.peels, means=means)
    return infer("score_recursive_spread", stated_scores(split.kept, spreads), args)


def max_diff(circuits: Circuits, means: int) -> ScoreStep:
    """Rank 1 kept, the residual bounded in the coordinates of its singular vectors."""
    split = two_factors(circuits, flat=True)
    return product(split, [product_basis(*split.factors)], means)


SCORE_ERRORS: dict[str, Callable[[Circuits], ScoreStep]] = {
    "svd": lambda circuits: singular_step(circuits, two_factors(circuits, flat=False)),
    "max-diff": lambda circuits: max_diff(circuits, 0),
    "mean+max-diff": lambda circuits: max_diff(circuits, 1),
    "max-diff-exact": max_diff_exact,
    "exact-EQKE": exact_EQKE,
    "max-diff-subproduct": lambda circuits: product(four_factors(circuits), [], 0),
    "mean+max-diff-subproduct": lambda circuits: product(four_factors(circuits), [], 1),
    "max-diff-subproduct-recursive": lambda circuits: recursive(four_factors(circuits), 0),
    "mean+max-diff-subproduct-recursive": lambda circuits: recursive(four_factors(circuits), 1),
    "mean-recursive+max-diff-subproduct-recursive": lambda circuits: recursive(four_factors(circuits), 3),
}
