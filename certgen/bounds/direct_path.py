"""The direct path EUPU of the sub-cubic strategies: a part M kept for all queries, and how far the rest can spread."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from certgen.bounds.rounding import product_spreads, row_spreads, upper_table
from certgen.certificate.arguments import CentreArgs
from certgen.certificate.facts import DirectPathSpread, UpperTable
from certgen.certificate.steps import Step, infer
from certgen.models.circuits import Circuits
from certgen.models.dyadic import Dyadic, FloatArray

DirectStep = Step[DirectPathSpread]
CENTRE_BITS = 24


def max_diff_exact(circuits: Circuits) -> DirectStep:
    """Nothing kept: the exact spread of each query's row of EUPU."""
    spread = upper_table([row_spreads(circuits.EUPU)])
    return exact_step(spread)


def global_max_diff_exact(circuits: Circuits) -> DirectStep:
    """The same, with the largest of all queries stated for each."""
    spread = upper_table([row_spreads(circuits.EUPU)])
    return exact_step(UpperTable(exponent=spread.exponent, rows=[[max(spread.rows[0])] * circuits.v]))


def exact_step(spread: UpperTable) -> DirectStep:
    conclusion = DirectPathSpread(centre=UpperTable(exponent=0, rows=[]), spread=spread)
    return infer("direct_path_spread", conclusion)


def max_diff(circuits: Circuits) -> DirectStep:
    """Only the constant row is kept."""
    return centred_step(circuits, np.zeros(circuits.model.d_model))


def mean_query(circuits: Circuits) -> DirectStep:
    """The mean query's direct path is kept."""
    return centred_step(circuits, query_rows(circuits).mean(axis=0))


def svd_query(circuits: Circuits) -> DirectStep:
    """The first singular direction of the queries is kept, as long as it is in their mean."""
    rows = query_rows(circuits)
    direction = np.linalg.svd(rows)[2][0]
    return centred_step(circuits, float((rows @ direction).mean()) * direction)


def query_rows(circuits: Circuits) -> FloatArray:
    """r(q, k-1) in float64, in units of 2^magnitude: the sum of two weights can be beyond float64."""
    return circuits.query_residual.floats(circuits.query_residual.magnitude())


def centred_step(circuits: Circuits, centre: FloatArray) -> DirectStep:
    """Keep (centre W_U + c), the centre (in the unit of `query_rows`) rounded; the rest is bounded factor by factor."""
    exponent = circuits.query_residual.magnitude() - CENTRE_BITS
    row = [round(x) for x in np.ldexp(centre, CENTRE_BITS).tolist()]
    rest = circuits.query_residual - Dyadic(np.array([row], dtype=object), exponent)
    table = UpperTable(exponent=exponent, rows=[row])
    spread = upper_table([product_spreads(rest, circuits.weight("W_U"))])
    conclusion = DirectPathSpread(centre=table, spread=spread)
    return infer("direct_path_centred_spread", conclusion, CentreArgs(centre=table))


DIRECT_PATHS: dict[str, Callable[[Circuits], DirectStep]] = {
    "mean-query+max-diff": mean_query,
    "svd-query+max-diff": svd_query,
    "max-diff": max_diff,
    "max-diff-exact": max_diff_exact,
    "global-max-diff-exact": global_max_diff_exact,
}
