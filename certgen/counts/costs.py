"""About how many operations the check of a part of an adaptive proof takes, without checking it.

The unit is that of docs/length.md: operations on 64-bit words, divisions and products by pairs of words. Gains and
attention weights are kept to PRECISION (polynomials.py), so that each is one word; a product of two weights and a gain
is two. The search compares these estimates with each other; what a proof really takes is measured.
"""

from __future__ import annotations

from math import ceil, log2

from certgen.counts.branching import Decided
from certgen.counts.groups import Plan

WORD = 64

# Per query: a token's weight is shifted twice, decremented, incremented and compared; a position's is divided as well.
OF_TOKEN_WEIGHT, OF_POSITION_WEIGHT = 9, 12
OF_PRODUCT = 2  # the two ends of an enclosure of a token's weight times a position's
OF_DIRECT_GAIN = 3  # per query and wrong token: two subtractions and a comparison
OF_VALUE_GAIN = 2  # per pool, token and wrong token: an addition and a comparison
# Per query, pool and token: an addition, a comparison and a product; and the largest of a block, if it has several.
OF_WEIGHTED_GAIN, OF_LARGEST_GAIN = 5, 2
OF_LOSS = 9  # per entry of a table: two subtractions or comparisons, a product, a division, a shift and an addition
COUNTS = 2  # all choices, and those without the maximum

OF_BRANCHED_ENTRY = 6  # per wrong token, position and token: two additions, a subtraction, a product, two comparisons
OF_PREFIX = 60  # an addition and a comparison for each wrong token that can reach the maximum: a few words


def of_counts(plan: Plan, v: int, k: int, polynomials: int) -> float:
    """separable_counts on one group, without the v^2 exponentials that all groups share.

    `polynomials` says how many classes in how many blocks have to be counted by polynomials, as they reach m.
    """
    tokens, pools, blocks = plan.m + 1, len(plan.pools), len(plan.blocks)
    queries = sum(map(len, plan.blocks))
    entries = pools * tokens + queries / blocks
    weights = queries * (OF_TOKEN_WEIGHT * tokens + OF_POSITION_WEIGHT * k + OF_PRODUCT * pools * tokens)
    gains = OF_DIRECT_GAIN * queries * v + OF_VALUE_GAIN * (pools + 1) * tokens * v
    of_entry = OF_WEIGHTED_GAIN + (OF_LARGEST_GAIN if queries > blocks else 0)
    tables = len(plan.classes) * queries * (pools * tokens + 1) * of_entry
    # a lane holds the number of all choices; a product of polynomials is quadratic in its words
    lane = log2(tokens) * (k - 1) + log2(queries / blocks) + 2
    words = ceil(lane * (plan.steps + 1) / WORD)
    products = (max(k - 2, 1) + 0.2) * words**2
    joining = 2 * words * log2(plan.steps + 2)
    count = products + entries * OF_LOSS + (pools + 1) * (joining + 4 * words)
    return weights + gains + tables + COUNTS * polynomials * count


def of_branching(m: int, found: Decided, v: int, k: int) -> float:
    """branch_sequences on one pair: its tables, and the prefixes of the sequences that are not proved correct."""
    return (OF_BRANCHED_ENTRY * v * k + OF_PREFIX * (found.wrong + found.undecided)) * (m + 1)
