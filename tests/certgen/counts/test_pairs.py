"""Pairs of a trained model: in each part every wrong token is counted, or stays behind."""

from collections.abc import Sequence
from fractions import Fraction

import pytest

from certgen.bounds.scores import SCORE_ERRORS
from certgen.counts.cells import queries_of
from certgen.counts.gains import Maximum, SeparableSearch
from certgen.counts.pairs import Pair, WrongTokens
from certgen.counts.sums import largest_sums
from certgen.counts.together import all_wrong, staying_behind, together
from certgen.demo import SHIPPED
from certgen.models.circuits import Circuits
from certgen.models.model_file import load_model
from certgen.strategies.two_sided import PRECISION


@pytest.fixture(scope="module")
def search() -> SeparableSearch:
    """The model of the demo."""
    circuits = Circuits(load_model(SHIPPED), Fraction(0))
    return SeparableSearch(circuits, SCORE_ERRORS["exact-EQKE"](circuits).conclusion, PRECISION)


@pytest.fixture(scope="module")
def maximum(search: SeparableSearch) -> Maximum:
    """One at which many wrong tokens come near."""
    return Maximum(search, 37)


@pytest.mark.parametrize("q", [37, 36, 20])
@pytest.mark.parametrize("first", [None, 34, 33, 5])
def test_each_wrong_token_is_counted_or_stays_behind(q: int, first: int | None, maximum: Maximum) -> None:
    """Where a token begins the part, it has to occur too: a larger class may have a smaller sum."""
    pools = tuple((p,) for p in range(3))
    pair = Pair(maximum, q, pools, together(maximum, queries_of(4, 37), pools, all_wrong(maximum)).of(q))
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


def test_what_stays_behind_for_many_queries_does_so_for_each_of_them(search: SeparableSearch) -> None:
    """Token by token, by bounds that are closer; and no pair needs classes of its own for it."""
    maximum, pools, queries = Maximum(search, 38), tuple((p,) for p in range(3)), queries_of(4, 38)
    shared = together(maximum, queries, pools, all_wrong(maximum))
    classes = staying_behind(maximum, queries, pools)
    assert len(classes) > 1
    assert all(len(one.queries) > 30 for one in classes)
    for q in queries:
        pair = Pair(maximum, q, pools, shared.of(q))
        held = [one.wrong for one in classes if q in one.queries]
        for one in held:
            assert (pair.reach(one.tokens, pair.everything) < 0).all()
        parts = pair.parts([], 32, own=True)
        own, counted = pair.classes_of_all(parts, held), [one.wrong for part in parts for one in part.above]
        assert not tokens_of(own) & tokens_of(held) - tokens_of(counted)


def tokens_of(classes: Sequence[WrongTokens]) -> set[int]:
    return {int(y) for one in classes for y in one.tokens}
