"""About how many operations the check of an adaptive proof takes, without checking it.

The unit is that of docs/length.md: operations on 64-bit words, divisions and products by pairs of words. Sizes say how
many there are of each kind: of models, of groups, and of the polynomials that groups are counted by. Where a cost
depends on numbers that are not known before the check, there is a mean over trained models. Gains and attention weights
are kept to PRECISION (polynomials.py), so that each is one word; a product of two weights and a gain is two.
"""

from __future__ import annotations

from math import ceil, log2, pow
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from certgen.counts.branching import Decided
from certgen.counts.groups import Plan
from certgen.models.circuits import Circuits
from certgen.models.dyadic import Dyadic, IntArray

WORD = 64
Lengths = npt.NDArray[np.int64]

# Of the tables that all groups share
OF_ENTRY = 18  # rounding an entry of three tables up and down, and comparing, in long numbers
OF_SUM = 3  # two shifts to one unit, and the addition
OF_SCORE = 36  # writing a score, stating it, and deriving it
OF_EXPONENTIAL = {30: 230, 36: 284}  # by the bits that are kept
# Of a group: per member of a mask; per query, a token and a position; per query, pool and token; a loss in a table
OF_MEMBER, OF_QUERY, OF_TOKEN_WEIGHT, OF_POSITION_WEIGHT = 5, 50, 8, 13
OF_PRODUCT, OF_WEIGHTED_GAIN, OF_LARGEST_GAIN = 2, 3, 1.36
OF_PEAK, OF_LOSS, OF_TERM = 1.3, 11, 6
# Of a branched query: per wrong token, position and token; per position and token, and rival
OF_BRANCHED_ENTRY, OF_BRANCHED_TOKEN, OF_RIVAL = 4.7, 17, 4
LANE = 77  # bits for each rival
SHARED = 0.57  # prefixes that are followed from a position, as a power of how many sequences they lead to


def words(bits: float) -> int:
    """64-bit words of a number of so many bits."""
    return max(ceil(bits / WORD), 1)


def of_tables(circuits: Circuits, branched: bool) -> float:
    """Reading the model, its circuits, scores and exponentials: what a proof takes without any group.

    `branched` says whether queries are branched, for which exponentials are kept to other bits.
    """
    v, k = circuits.v, circuits.k
    weight = circuits.weight
    products = [
        (weight("W_O"), weight("W_U")),
        (weight("W_V"), weight("W_O") @ weight("W_U")),
        (weight("W_E"), circuits.OVU),
        (weight("W_pos"), circuits.OVU),
        (circuits.query_residual, weight("W_U")),
        (circuits.query_residual, weight("W_Q")),
        (circuits.queries, weight("W_K").T),
        (circuits.query_key, weight("W_E").T),
        (circuits.query_key, weight("W_pos").T),
    ]
    numbers = sum(array.size for array in circuits.model.tensors.values())
    h, d = weight("W_O").integers.shape
    sums = OF_SUM * v * (d + h + 2 * v) + 3 * d * (h + v)  # of biases and positions; and what the former give directly
    tables = float(numbers + sums + sum(of_matrices(*pair) for pair in products))
    precisions = (30, 36) if branched else (30,)
    tables += len(precisions) * OF_ENTRY * v * (2 * v + k) + OF_SCORE * v * v
    return tables + sum(OF_EXPONENTIAL[bits] * v * (v + k) for bits in precisions)


def of_matrices(left: Dyadic, right: Dyadic) -> int:
    """Their product: the products of entries, and the additions of these."""
    a, b = bits(left.integers), bits(right.integers)
    multiplications = (limbs(a) @ limbs(b)).sum()
    largest = np.maximum.accumulate(a[:, :, None] + b[None, :, :], axis=1)  # of a sum so far, about
    return int(multiplications + limbs(largest - 1).sum())


def bits(integers: IntArray) -> Lengths:
    """The bit length of each."""
    lengths: Lengths = np.vectorize(int.bit_length, otypes=[np.int64])(integers)
    return lengths


def limbs(lengths: Lengths) -> Lengths:
    """The 64-bit words of numbers of such lengths."""
    words: Lengths = np.maximum((lengths + WORD - 1) // WORD, 1)
    return words


def of_counts(plan: Plan, v: int, k: int, counting: float) -> float:
    """separable_counts on one group; `counting` is what its polynomials take."""
    tokens, pools, blocks = plan.m + 1, len(plan.pools), len(plan.blocks)
    queries = sum(map(len, plan.blocks))
    wrong = sum(map(len, plan.classes))
    masks = OF_MEMBER * words(v) * (wrong + queries) + 2 * OF_MEMBER * k
    weights = queries * (OF_QUERY + OF_TOKEN_WEIGHT * tokens + OF_POSITION_WEIGHT * k + OF_PRODUCT * pools * tokens)
    gains = wrong * (4 * queries + 2 * k + 2 * (pools * tokens + queries))
    with_factors = sum(len(members) for members in plan.classes if plan.gauged and len(members) > 1)
    gains += with_factors * (OF_MEMBER + queries + pools + 1 + 2 * tokens)
    of_entry = OF_WEIGHTED_GAIN * queries + OF_LARGEST_GAIN * (queries - blocks)
    tables = len(plan.classes) * (pools * tokens * of_entry + OF_WEIGHTED_GAIN * queries)
    peaks = len(plan.classes) * (OF_PEAK * (blocks * pools * tokens + queries) + 6 * blocks * (pools + 1))
    return masks + weights + gains + tables + peaks + counting


class Losses(NamedTuple):
    """Of a table: how many there are, how many differ among those within the steps, the largest of these, and the
    largest of those but the final token's."""

    entries: int
    distinct: int
    largest: int
    others: int


def of_polynomials(losses: list[Losses], uses: list[int], width: int, steps: int) -> float:
    """Counting all choices, and those without the final token, whose loss is often the largest by far; `width` bits are
    a lane."""
    cost = 3.0 * words(width * (steps + 1))
    for entries, distinct, largest, _ in losses:
        cost += OF_LOSS * entries + OF_TERM * distinct + words(width * (largest + 1)) * (log2(distinct + 1) + 3)
    every, others = [row.largest for row in losses], [row.others for row in losses]
    return cost + sum(of_powers(largest, others, uses, width, steps) for largest in (every, others))


def of_powers(largest: list[int], others: list[int], uses: list[int], width: int, steps: int) -> float:
    """The product of the powers of polynomials of these degrees, and the sum of its lanes.

    A coefficient counts the choices so far: of all its bits a lane fills the share of the uses that are multiplied in.
    """
    mask, total = words(width * (steps + 1)), sum(uses)

    def size(degree: int, factors: int) -> int:
        return words(width * (degree + factors / total))

    cost, top, done = 0.0, 0, 0
    for degree, other, count in zip(largest, others, uses, strict=True):
        factors = 1
        while count:
            power = within(degree, other, factors, steps)
            long = size(power, factors)
            if count % 2:
                found = size(top, done)
                cost += found * long + max(found + long, mask)
                top, done = min(top + power, steps), done + factors
            count //= 2
            if count:
                cost += long * long + max(2 * long, mask)
                factors *= 2
    return cost + size(top, done) * words(width)


def within(largest: int, others: int, factors: int, steps: int) -> int:
    """The degree of a power that is cut at `steps`: of its factors some lose the largest loss, the rest the others'."""
    sums = [others * factors + (largest - others) * n for n in range(factors + 1)]
    return max([total for total in sums if total <= steps], default=steps)


def of_branching(q: int, m: int, found: Decided, v: int, k: int) -> float:
    """branch_sequences on one pair: its tables, and the prefixes of the sequences that are not proved correct.

    Rivals that can reach m lie side by side. Sequences have prefixes in common, the more of them the more there are.
    """
    tokens, rivals, left = m + 1, found.rivals, found.wrong + found.undecided
    lanes = words(LANE * rivals)
    tables = tokens * k * (OF_BRANCHED_ENTRY * v + OF_BRANCHED_TOKEN + rivals * (4 + rivals * LANE / WORD))
    product_sets = 1 if q == m else k - 1
    most = product_sets * (k - 1) * tokens * OF_RIVAL * rivals
    prefixes = (k - 1) * tokens * pow(left, SHARED)
    return tables + most + prefixes * (3 * lanes + 6) + 4 * lanes * left
