"""Shares of the attention: enclosed, for any enclosed weights."""

from fractions import Fraction
from itertools import product

from flint import arb
from hypothesis import example, given
from hypothesis import strategies as st

from checker.arithmetic.enclosures import Enclosure
from checker.lemmas.shares import Ratio, exponential, share
from tests.support.derivations import ball
from tests.support.oracle import precision
from tests.support.problems import problem_of
from tests.support.tiny import model_bytes, zero_tensors

WEIGHTS = st.tuples(st.integers(1, 1 << 40), st.integers(0, 1 << 10)).map(lambda x: Enclosure(x[0], sum(x)))


@given(st.integers(-(1 << 20), 1 << 20), st.integers(-20, 4), st.sampled_from([8, 16, 64]))
@example(-1, 0, 8)
@example(0, 0, 8)
@example(1, 0, 8)
def test_exponentials_of_differences_of_both_signs(difference: int, exponent: int, bits: int) -> None:
    above, below = exponential(problem_of(model_bytes(zero_tensors(1, 1, 1, 2))), difference, exponent, bits)
    with precision(300):
        value = (ball(difference * Fraction(2) ** exponent) / arb(2).sqrt()).exp()
        # one of the two is 1, and neither is far above it
        assert arb(above.low) <= value * arb(below.high)
        assert value * arb(below.low) <= arb(above.high)
    assert max(above.high, below.high) == 1 << bits


@given(WEIGHTS, WEIGHTS, WEIGHTS, WEIGHTS, st.sampled_from([8, 40]))
def test_a_share_is_enclosed(x: Enclosure, y: Enclosure, own: Enclosure, others: Enclosure, bits: int) -> None:
    """At the ends of what it is made of, and so between them: it rises and falls with each."""
    found = share(Ratio(x, y), own, others, bits)
    least = Fraction(own.low * x.low, own.low * x.low + others.high * y.high) * 2**bits
    most = Fraction(own.high * x.high, own.high * x.high + others.low * y.low) * 2**bits
    assert found.low <= least < found.low + 1
    assert found.high - 1 < most <= found.high


def test_a_share_is_rounded_by_less_than_a_unit() -> None:
    """Whatever a division leaves."""
    one, few = Enclosure(1, 1), range(1, 6)
    for x, y, own in product(few, few, few):
        found = share(Ratio(Enclosure(x, x), Enclosure(y, y)), Enclosure(own, own), one, 3)
        exact = Fraction(8 * own * x, own * x + y)
        assert found == (exact // 1, -(-exact // 1))
