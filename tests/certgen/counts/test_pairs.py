"""Pairs of a trained model: in each part every wrong token is counted, or stays behind."""

from fractions import Fraction

import numpy as np
import pytest

from certgen.bounds.scores import SCORE_ERRORS
from certgen.counts.cells import queries_of
from certgen.counts.gains import Maximum, SeparableSearch
from certgen.counts.pairs import Pair
from certgen.counts.sums import largest_sums
from certgen.counts.together import together
from certgen.demo import SHIPPED
from certgen.models.circuits import Circuits
from certgen.models.model_file import load_model
from certgen.strategies.two_sided import PRECISION


@pytest.fixture(scope="module")
def maximum() -> Maximum:
    """37 in the model of the demo: a maximum at which many wrong tokens come near."""
    circuits = Circuits(load_model(SHIPPED), Fraction(0))
    return Maximum(SeparableSearch(circuits, SCORE_ERRORS["exact-EQKE"](circuits).conclusion, PRECISION), 37)


@pytest.mark.parametrize("q", [37, 36, 20])
@pytest.mark.parametrize("first", [None, 34, 33, 5])
def test_each_wrong_token_is_counted_or_stays_behind(q: int, first: int | None, maximum: Maximum) -> None:
    """Where a token begins the part, it has to occur too: a larger class may have a smaller sum."""
    pools = tuple((p,) for p in range(3))
    factors = np.delete(maximum.gauge, 37)
    pair = Pair(maximum, q, pools, together(maximum, queries_of(4, 37), pools, factors).of(q))
    tokens = [] if first is None else [first]
    parts = pair.parts(tokens, 32, own=True)
    assert [part.token for part in parts] == [*tokens, -1]
    classes = pair.classes_of_all(parts)
    for part in parts:
        counted = [one.wrong for one in part.above]
        behind = [one for one in classes if largest_sums(pair.largest(one), pair.uses, part.where)[0] < 0]
        held = {int(y) for one in (*counted, *behind) for y in one.tokens}
        assert held == set(range(64)) - {37}
    assert any(part.above for part in parts)
