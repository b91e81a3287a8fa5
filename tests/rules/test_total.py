"""total: accepted, refused by reason, attacked."""

from collections import Counter
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from checker.errors import Rejected
from checker.facts import Accuracy, Count, Tally
from checker.model.weights import read_weights
from checker.problem import Problem
from checker.problem.problem_file import decode_problem
from checker.rules.total import total
from tests.support.any_case import Case
from tests.support.any_model import architecture, zeros
from tests.support.derivations import Derivation
from tests.support.one_rule import (
    Known,
    Refused,
    all_cells,
    drawn,
    holds,
    honest,
    longer,
    more,
    refusal,
    refusals,
    said,
    shorter,
    small_model,
    true_tally,
)

RULE = "total"


def test_accepted() -> None:
    """The sum of all counts, correct and wrong."""
    proof = honest(RULE)
    assert said(proof) == ("", "")
    counts = [count for number in proof.steps[-1]["premises"] for count in proof.facts[number].counts]
    assert proof.facts[-1] == Accuracy(sum(count.correct for count in counts), 0)
    assert 3 < proof.facts[-1].correct <= len(small_model().correct)


def sum_of(model: Known, *tallies: Tally) -> tuple[str, str] | Accuracy:
    """What the rule makes of these facts: a refusal's code and place, or the sum."""
    proof = Derivation(model.path, model.meaning.margin)
    proof.facts += tallies
    try:
        fact = proof.derive(RULE, list(range(len(tallies))), {})
    except Rejected as refused:
        return refused.code, refused.path
    assert isinstance(fact, Accuracy)
    return fact


def test_all_that_is_true_of_every_cell_is_all_that_is_true() -> None:
    model = small_model()
    cells = all_cells(3, 3)
    expected = Accuracy(len(model.correct), 27 - len(model.correct))
    assert sum_of(model, true_tally(model, cells)) == expected
    assert sum_of(model, true_tally(model, cells[:5]), true_tally(model, []), true_tally(model, cells[5:])) == expected
    assert sum_of(model, true_tally(model, [(m, (2 << m) - 1, 7) for m in range(3)])) == expected


@pytest.mark.parametrize("order", [(1, 2, 1), (1, 2, 2), (3, 4, 1), (1, 6, 4), (1, 2, 5)])
def test_cells_counted_twice_are_seen_though_others_came_between(order: tuple[int, ...]) -> None:
    """The first two tallies share no cell, the third counts one of theirs again."""
    tallies = [Tally((Count(1, 1, ns, 0),)) for ns in order]
    assert sum_of(small_model(), *tallies[:2]) == Accuracy(0, 0)
    assert sum_of(small_model(), *tallies) == ("region-covered-twice", "premises[2].counts[0]")


REFUSED: list[Refused] = [
    ("conclusion.correct", more, "count-too-large", "conclusion.correct"),
    ("conclusion.wrong", more, "count-too-large", "conclusion.wrong"),
    ("conclusion.correct", True, "wrong-type", "conclusion.correct"),
    ("premises", [], "wrong-premises", "premises"),
    ("premises[0]", 0, "wrong-premises", "premises"),
    ("premises", lambda both: [*both, 0], "wrong-premises", "premises"),
    ("premises[0]", 9, "bad-premise", "premises[0]"),
    ("premises", shorter, "count-too-large", "conclusion.correct"),
    ("premises", lambda both: both[1:], "count-too-large", "conclusion.correct"),
    ("premises", longer, "region-covered-twice", "premises[2].counts[0]"),
]


@refusals(REFUSED)
def test_refused_by_reason(place: str, change: Any, code: str, at: str) -> None:
    assert refusal(honest(RULE), place, change) == (code, at)


@pytest.mark.parametrize(
    "count",
    [
        *(Count(m, 1, 1, 0, 0) for m in (-1, 3, 1 << 3000)),
        *(Count(1, queries, 1, 0, 0) for queries in (0, -1, 8, 9, 1 << 3000)),
        *(Count(1, 1, ns, 0, 0) for ns in (0, -1, -8, 8, 9, 1 << 3000)),
        *(Count(1, 1, 1, *counts) for counts in ((-1, 0), (0, -1), (-(1 << 3000), 0))),
    ],
)
def test_a_region_that_does_not_exist_is_refused(count: Count) -> None:
    cells = true_tally(small_model(), all_cells(3, 3))
    assert sum_of(small_model(), Tally((count,)), cells) == ("no-such-region", "premises[0].counts[0]")
    assert sum_of(small_model(), cells, Tally((*cells.counts[:1], count))) == (
        "region-covered-twice",
        "premises[1].counts[0]",
    )


def test_labels_are_outputs_and_queries_are_tokens() -> None:
    """Of a model with two tokens and three outputs; a query above the label is a region like any other."""
    given = architecture(blocks=0)
    tensors = zeros(given, {"d_vocab": 2, "d_model": 1, "n_ctx": 2, "d_vocab_out": 3})
    inputs = [{"tokens": "0-1", "weights": [1 << 99, 1]}] * 2
    case = Case(tensors, given, {"inputs": inputs, "label": {"name": "sum-mod", "modulus": 3}})
    problem = Problem(read_weights(case.data), decode_problem(case.problem, ""), (0, 1), 0)
    assert total(problem, (Tally((Count(2, 2, 3, 1 << 99, 5), Count(0, 3, 1, 1, 0))),), {}) == Accuracy(
        (1 << 99) + 1, 5
    )
    for count in (Count(3, 1, 3, 0), Count(2, 4, 3, 0), Count(2, 1, 4, 0)):
        with pytest.raises(Rejected) as refused:
            total(problem, (Tally((count,)),), {})
        assert (refused.value.code, refused.value.path) == ("no-such-region", "premises[0].counts[0]")


def test_many_queries_are_one_entry() -> None:
    """Of one entry each, a set of ten thousand queries is counted at once, and once."""
    problem = cast(Problem, SimpleNamespace(v=10_000, k=2, outputs=2))
    every = Tally((Count(1, (1 << 10_000) - 1, 1, 7, 3), Count(1, (1 << 10_000) - 1, 2, 7, 3), Count(0, 1, 3, 1, 0)))
    assert total(problem, (every,), {}) == Accuracy(15, 6)
    with pytest.raises(Rejected) as refused:
        total(problem, (every, Tally((Count(1, 1 << 9_999, 2, 0),))), {})
    assert (refused.value.code, refused.value.path) == ("region-covered-twice", "premises[1].counts[0]")


def test_what_no_count_covers_is_unproved_and_what_two_cover_is_refused() -> None:
    """Each cell in turn."""
    model, cells = small_model(), all_cells(3, 3)
    for number, (m, queries, ns) in enumerate(cells):
        without = [*cells[:number], *cells[number + 1 :]]
        left = true_tally(model, without)
        expected = Accuracy(sum(count.correct for count in left.counts), sum(count.wrong for count in left.counts))
        assert sum_of(model, left) == expected
        again = true_tally(model, [(m, queries, ns)])
        assert sum_of(model, true_tally(model, cells), again) == ("region-covered-twice", "premises[1].counts[0]")
        wide = true_tally(model, [*cells, (m, (2 << m) - 1, ns)])
        assert sum_of(model, wide) == ("region-covered-twice", f"premises[0].counts[{len(cells)}]")
    assert sum_of(model, true_tally(model, [])) == Accuracy(0, 0)


def test_attacked() -> None:
    """True counts of any regions, some of them missing: at most the truth. Some of them overlapping: refused."""
    seen: Counter[str] = Counter()
    for seed in range(24):
        model, rng = drawn(seed), np.random.default_rng(seed)
        v, k = model.meaning.v, model.meaning.k
        for _ in range(10):
            regions = all_cells(v, k)
            rng.shuffle(regions)
            for _ in range(min(int(rng.integers(0, 3)), len(regions) - 1)):
                at = int(rng.integers(len(regions)))
                m, queries, ns = (int(x) for x in regions.pop(at))
                match rng.integers(5):
                    case 0:
                        regions.append((m, queries, ns | 1 << int(rng.integers(k))))
                    case 1:
                        regions.append((m, queries | 1 << int(rng.integers(m + 1)), ns))
                    case 2:
                        regions += [(m, queries, ns)] * 2
                    case 3:
                        regions.append((m, queries, ns))
            plain = [(int(m), int(queries), int(ns)) for m, queries, ns in regions]
            tallies = [true_tally(model, plain[i::2]) for i in range(2)]
            result = sum_of(model, *tallies)
            if isinstance(result, Accuracy):
                assert holds(result, model), seed
                seen["less than all"] += result.correct + result.wrong < v**k
            seen["granted" if isinstance(result, Accuracy) else result[0]] += 1
    assert min(seen[kind] for kind in ("granted", "region-covered-twice", "less than all")) > 10
