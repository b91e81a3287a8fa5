"""All wrong tokens of a sequence at once: one big integer whose lane y holds an upper bound on the numerator of y.

A term is the integer sum over y of (upper bound of F_p(t) + offset) * 2^(width y). The offset makes every lane
non-negative and the width leaves room for n_ctx terms, so lanes never touch and adding integers adds all lanes.
"""

from collections.abc import Sequence
from functools import cached_property

from checker.arithmetic.packing import blocks_with_bits, concatenate, repeat
from checker.lemmas.separation import Numerators
from checker.problem import Problem


class Lanes(Numerators):
    """Numerators of all wrong tokens side by side."""

    def __init__(self, problem: Problem, exponent: int, bits: int) -> None:
        super().__init__(problem, exponent, bits)
        self.offset = self.bound << bits
        self.width = (2 * problem.k * self.offset).bit_length() + 1
        self.packed = [[sum(x << (self.width * y) for y, x in enumerate(row)) for row in table] for table in self.upper]

    @property
    def span(self) -> int:
        """Bits of one sequence's lanes."""
        return self.width * self.problem.v

    @cached_property
    def ones(self) -> int:
        """1 in every lane."""
        return sum(1 << (self.width * y) for y in range(self.problem.v))

    @cached_property
    def start(self) -> int:
        """Added once to the k terms of a sequence: moves a numerator of zero to the top bit of its lane."""
        return ((1 << (self.width - 1)) - self.problem.k * self.offset) * self.ones

    def wrong(self, m: int) -> int:
        """The top bits of the lanes of all y != m: none of them set means that the sequence is correct."""
        return (self.ones ^ (1 << (self.width * m))) << (self.width - 1)

    def terms(self, q: int, m: int, tokens: Sequence[int]) -> list[list[int]]:
        """terms[p][i] for position p and token tokens[i] <= m. Cost one product of a number by d_vocab lanes each."""
        EUPU, EVOU, PVOU = self.packed
        table = []
        for p, weights in enumerate(self.weights(q, m, tokens)):
            row = []
            for t, (low, high) in zip(tokens, weights, strict=True):
                # weight * value <= low * value + (high - low) * bound on |value|
                slack = self.offset + (high - low) * self.bound - low * self.of_maximum(q, m, p, t)
                row.append(low * (EUPU[q] + EVOU[t] + PVOU[p]) + slack * self.ones)
            table.append(row)
        return table


def count_correct(lanes: Lanes, m: int, query: int, choices: list[list[int]]) -> int:
    """How many sequences of a product set are proved correct.

    `query` is the term of the last position, choices[p] the terms of the tokens allowed at position p. Every
    sequence is evaluated: prefixes one by one, the position with most choices in one integer.
    """
    if not all(choices):
        return 0
    start = query + lanes.start + sum([terms[0] for terms in choices if len(terms) == 1])
    *outer, last = sorted([terms for terms in choices if len(terms) > 1], key=len) or [[0]]
    span, count = lanes.span, len(last)
    fail = repeat(lanes.wrong(m), count, span)
    total = concatenate([term + start for term in last], span)
    wide = [[repeat(term, count, span) for term in terms] for terms in outer]

    sequences = count
    for terms in outer:
        sequences *= len(terms)
    return sequences - failing(total, wide, fail, (count, span))


def failing(prefix: int, wide: list[list[int]], fail: int, blocks: tuple[int, int]) -> int:
    """How many sequences are not proved correct, after a prefix in each of its blocks; `wide` is what may follow."""
    if not wide:
        return blocks_with_bits(prefix & fail, *blocks)
    return sum([failing(prefix + term, wide[1:], fail, blocks) for term in wide[0]])
