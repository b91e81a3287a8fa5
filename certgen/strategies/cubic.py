"""cubic: wrong tokens pessimised together, sequences grouped by how many of their positions do not hold the maximum."""

from __future__ import annotations

from math import comb

import numpy as np

from certgen.bounds.rounding import direct_path_upper, value_path_upper
from certgen.certificate.arguments import ExponentArgs, WeightArgs
from certgen.certificate.facts import CubicTokens, Tally, UpperTable
from certgen.certificate.proof import Proof
from certgen.certificate.statement import Certificate
from certgen.certificate.steps import infer
from certgen.counts.branching import pure_correct
from certgen.counts.cells import ns_of_pair, pairs_of
from certgen.counts.numerators import DEFAULT_PRECISION, Precision, full_precision, lane_args
from certgen.models.circuits import RELATIVE_SLACK, Circuits
from certgen.models.dyadic import FloatArray
from certgen.progress import Track

WEIGHT_BITS = 36


def cubic(circuits: Circuits, track: Track) -> Certificate:
    """The paper's cubic proof (arXiv 2406.11779, section 4.2), its attention bounded by the separation lemma.

    Cost v^3 k multiplications, in numpy.
    """
    proof = Proof(circuits.model, circuits.margin)
    direct, value = direct_path_upper(circuits), value_path_upper(circuits)
    u = proof.add(infer("direct_path_upper", direct, ExponentArgs(exponent=direct.exponent)))
    c = proof.add(infer("value_path_upper", value))
    masks = [accepted_tokens(circuits, direct, value, m) for m in track(range(circuits.v), "cubic")]
    precision, pure = pure_counts(circuits)
    tokens = proof.add(infer("cubic_tokens", CubicTokens(masks=masks), WeightArgs(bits=WEIGHT_BITS), [u, c]))
    alone = proof.add(infer("pure_sequences", Tally(counts=pure), lane_args(circuits, precision)))
    count = proof.add(infer("count_cubic", cubic_counts(circuits.k, masks), premises=[tokens]))
    return proof.certificate("cubic", [alone, count])


def largest_product(factor: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
    """Upper bound of factor * weight for a weight in [low, high]."""
    return factor * np.where(factor >= 0, high, low)


def accepted_tokens(circuits: Circuits, direct: UpperTable, value: UpperTable, m: int) -> list[list[int]]:
    """Masks [q][n-1] of tokens t < m with which n non-query positions may be filled, for one maximum m."""
    unit = max(direct.exponent, value.exponent)
    u = np.ldexp(np.array(direct.rows[m], dtype=float), direct.exponent - unit)
    c = np.ldexp(np.array(value.rows[m], dtype=float), value.exponent - unit)
    low, high = circuits.token_weights(m, WEIGHT_BITS)
    slopes = largest_product(u[:, None] + c[None, :], low, high)  # [q, t]

    p_low, p_high = (weights[: m + 1] for weights in circuits.position_weights(WEIGHT_BITS))
    query = largest_product(np.diagonal(slopes), p_low[:, -1], p_high[:, -1])[:, None]
    sums = [np.sort(weights[:, :-1], axis=1) for weights in (p_low, p_high)]
    light = [prefix_sums(weights) for weights in sums]
    heavy = [prefix_sums(weights[:, ::-1]) for weights in sums]
    accepted = np.ones((m + 1, circuits.k - 1, m), dtype=bool)  # [q, n - 1, t]
    for inside, outside in ((light, heavy), (heavy, light)):
        rest = [weights[:, -2::-1] for weights in outside]  # k - 1 - n positions for n = 1, 2, ...
        of_m = largest_product(slopes[:, m : m + 1], *rest)
        of_t = largest_product(slopes[:, None, :m], *(weights[:, 1:, None] for weights in inside))
        size = np.abs(of_m) + np.abs(query)
        accepted &= (of_m + query)[:, :, None] + of_t < -RELATIVE_SLACK * (size[:, :, None] + np.abs(of_t))
    packed = np.packbits(accepted, axis=2, bitorder="little")
    return [
        [int.from_bytes(packed[q, n - 1].tobytes(), "little") for n in ns_of_pair(circuits.k, q, m)[1:]]
        for q in range(m + 1)
    ]


def prefix_sums(weights: FloatArray) -> FloatArray:
    """Entry n of a row is the sum of its first n weights."""
    return np.pad(np.cumsum(weights, axis=1), ((0, 0), (1, 0)))


def pure_counts(circuits: Circuits) -> tuple[Precision, list[list[int]]]:
    """The cells n = 0, one sequence each, with more precision if that proves more of them."""
    found = []
    for precision in (DEFAULT_PRECISION, full_precision(circuits)):
        correct = [pure_correct(circuits, m, precision) for m in range(circuits.v)]
        pairs = pairs_of(circuits.v, circuits.k)
        found.append((precision, [[m, 1 << q, 1, int(correct[m][q]), 0] for q, m in pairs]))
    usual, full = found
    return usual if usual[1] == full[1] else full


def cubic_counts(k: int, masks: list[list[list[int]]]) -> Tally:
    """Per pair, the sequences of the cells n >= 1 made of accepted tokens."""
    counts = []
    for m, rows in enumerate(masks):
        for q, row in enumerate(rows):
            correct = sum(mask.bit_count() ** n * comb(k - 1, n) for n, mask in enumerate(row, start=1))
            if row:
                counts.append([m, 1 << q, (1 << (len(row) + 1)) - 2, correct, 0])
    return Tally(counts=counts)
