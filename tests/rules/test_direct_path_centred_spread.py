"""direct_path_centred_spread: accepted, refused by reason, attacked."""

from fractions import Fraction
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from checker.errors import Refusal
from tests.support.checking import outcome
from tests.support.cubic_readings import BITS, summing_all
from tests.support.derivations import fractions, spread, step
from tests.support.one_rule import (
    Refused,
    attacked,
    honest,
    less,
    longer,
    more,
    refusal,
    refusals,
    said,
    shorter,
    small_model,
)
from tests.support.oracle import Oracle
from tests.support.tiny import tiny_model, zero_tensors

RULE = "direct_path_centred_spread"


def test_accepted() -> None:
    """The distances to the centre, each times the spread of a row of W_U; true, and at least the exact spread."""
    proof, meaning = honest(RULE), small_model().meaning
    assert said(proof) == ("", "")
    fact = proof.facts[-1]
    (spreads,) = fractions(fact.spread.rows, fact.spread.exponent)
    distances = abs(meaning.residual - Fraction(1, 2))
    assert list(spreads) == list(distances @ np.array([spread(row) for row in meaning.W["W_U"]], dtype=object))
    assert meaning.is_true(fact)


REFUSED: list[Refused] = [
    ("conclusion.spread.rows[0][1]", less, "bound-too-small", "conclusion.spread.rows[0][1]"),
    ("conclusion.spread.rows[0]", shorter, "wrong-shape", "conclusion.spread.rows[0]"),
    ("conclusion.spread.rows", longer, "wrong-shape", "conclusion.spread.rows"),
    ("conclusion.centre.exponent", more, "other-centre", "conclusion.centre"),
    ("conclusion.centre.rows[0][0]", more, "other-centre", "conclusion.centre"),
    ("args.centre.rows[0]", shorter, "wrong-shape", ""),
    ("args.centre.rows", longer, "wrong-shape", ""),
    ("args.centre.rows", [], "wrong-shape", ""),
    ("args.centre.exponent", 1 << 15, "out-of-range", "args.centre.exponent"),
    ("premises", [0], "wrong-premises", "premises"),
]


@refusals(REFUSED)
def test_refused_by_reason(place: str, change: Any, code: str, at: str) -> None:
    assert refusal(honest(RULE), place, change) == (code, at)


def test_attacked() -> None:
    """Whatever the arguments and the premises, what is granted is true."""
    seen = attacked(RULE)
    assert seen["granted"] == 24


# A fact is about one centre for all queries. With a centre per query and d_vocab = n_ctx, centres added to positions
# would have been worth more than the truth: here 19 of 27 instead of 15.
def centred_certificate(path: Path, centre: list[list[int]]) -> dict[str, Any]:
    """The spread of the direct path around `centre`, and everything that follows if it were one."""
    gaps = [[[0, 0, 0]], [[1, 1], [0, 1, 1]], [[1, 1], [1, 1], [0, 1, 1]]]
    full = 1 << BITS
    ranges = [[[[g, 0, full] if g else [] for g in row] for row in rows] for rows in gaps]
    table = {"exponent": 0, "rows": centre}
    spread = {"exponent": 0, "rows": [[0, 0, 0]]}
    lines = {"exponent": 0, "rows": [[0, 0], [0, 100], [0, -9]]}
    counts = [[0, 1, 1, 0, 0], [0, 1, 2, 0, 0], [0, 1, 4, 0, 0]]
    counts += [[1, 1 << q, 1 << n, 0, 0] for q in range(2) for n in range(2 + q)]
    counts += [[2, 1 << q, 1 << n, 2**n * comb(2, n), 0] for q in range(3) for n in range(2 + (q == 2))]
    weights = {"bits": BITS, "gaps": gaps}
    scores = {"exponent": 0, "kept": [[0] * 3] * 3, "error": [0] * 3}
    steps = [
        step("direct_path_centred_spread", [], {"centre": table}, {"centre": table, "spread": spread}),
        step("max_token_drop", [0], {}, {"spread": spread, "lines": lines}),
        step("score_exact", [], {}, scores),
        step("attention_ranges", [2], weights, {"bits": BITS, "ranges": ranges}),
        step("value_path_spread", [], {}, spread),
        step("gap_cells", [3, 1, 4], {}, {"counts": counts}),
    ]
    return summing_all(path, Fraction(0), steps)


@pytest.mark.parametrize(
    ("centre", "code"),
    [
        ([[1, 1], [-10, 1], [-10, 1]], "wrong-shape"),  # r(q, k - 1) for each q: no spread is left
        ([], "wrong-shape"),
        ([[1, 1], [-10]], "wrong-shape"),
        ([[]], "wrong-shape"),
    ],
    ids=["a row per query", "no row", "ragged", "an empty row"],
)
def test_a_centre_is_one_row(centre: list[list[int]], code: str, tmp_path: Path) -> None:
    tensors = zero_tensors(
        *(3, 3, 2, 1),
        W_E=[[1, 0], [-10, 0], [-10, 0]],
        W_pos=[[0, -10], [0, -10], [0, 1]],
        W_V=[[0], [1]],
        W_O=[[1, 0]],
        W_U=[[1, 0, 0], [0, 0, 0]],
        W_K=[[0], [1]],
        b_Q=[10],
        b_U=[0, -100, 0],
    )
    path = tiny_model(tmp_path / "model", tensors)
    certificate = centred_certificate(path, centre)
    assert certificate["predicate"]["claim"]["correct"] > Oracle(path).truth(0).correct
    refused = outcome(path, certificate)
    assert isinstance(refused, Refusal)
    assert (refused.code, refused.exit_code) == (code, 1)
    assert refused.path.startswith("predicate.steps[0]")
