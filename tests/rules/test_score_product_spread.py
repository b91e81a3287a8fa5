"""score_product_spread: accepted, refused by reason, attacked."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tests.support.derivations import Derivation, fractions, spread
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
from tests.support.tiny import tiny_model, zero_tensors

RULE = "score_product_spread"


def test_accepted() -> None:
    """The kept part of the same projectors; true, and above the spread of the residual."""
    proof = honest(RULE)
    assert said(proof) == ("", "")
    fact, exact = proof.facts[-1], honest("score_residual_spread").facts[-1]
    assert small_model().meaning.is_true(fact)
    residual = small_model().meaning.token_scores - fractions(fact.kept, fact.exponent)
    (errors,) = fractions([fact.error], fact.exponent)
    assert all(error > spread(row) > 0 for error, row in zip(errors, residual, strict=True))
    assert (fractions(exact.kept, exact.exponent) == fractions(fact.kept, fact.exponent)).all()


REFUSED: list[Refused] = [
    ("conclusion.error[1]", less, "error-too-small", "conclusion.error[1]"),
    ("conclusion.kept[1][0]", less, "error-too-small", "conclusion.error[1]"),
    ("conclusion.kept[1][0]", more, "error-too-small", "conclusion.error[1]"),
    ("conclusion.error", shorter, "wrong-shape", "conclusion.error"),
    ("conclusion.kept[1]", shorter, "wrong-shape", "conclusion.kept[1]"),
    ("conclusion.kept", longer, "wrong-shape", "conclusion.kept"),
    ("conclusion.exponent", 1 << 15, "out-of-range", "conclusion.exponent"),
    ("args.peels", [], "wrong-shape", "args.peels"),
    ("args.peels", lambda peels: 2 * peels, "wrong-shape", "args.peels"),
    ("args.peels[0].onto", shorter, "wrong-shape", ""),
    ("args.peels[0].along", longer, "wrong-shape", ""),
    ("args.peels[0].along[0]", longer, "wrong-shape", ""),
    ("args.peels[0].onto[0]", longer, "not-a-matrix", "args.peels[0].onto"),
    ("args.peels[0].exponent", 1 << 15, "out-of-range", "args.peels[0].exponent"),
    ("args.bases", lambda _: 2 * [{"onto": [[1]] * 4, "along": [[1] * 4], "exponent": 0}], "wrong-shape", "args.bases"),
    ("args.bases", [{"onto": [[1]], "along": [[1]], "exponent": 0}], "wrong-shape", ""),
    ("args.means", 2, "out-of-range", "args.means"),
    ("args.means", -1, "out-of-range", "args.means"),
    ("args.means", True, "wrong-type", "args.means"),
    ("premises", [0], "wrong-premises", "premises"),
]


@refusals(REFUSED)
def test_refused_by_reason(place: str, change: Any, code: str, at: str) -> None:
    assert refusal(honest(RULE), place, change) == (code, at)


@pytest.mark.parametrize("exponent", [-2, -1, 0, 1, 2])
def test_what_a_basis_takes_from_one_factor_is_bounded_apart(exponent: int, workspace: Path) -> None:
    """Of the score 8 of (1, 1), 16 times 1/2: in any unit of the projector, which is a number here."""
    proof = Derivation(tiny_model(workspace / "scores", zero_tensors(2, 2, 1, 1, W_E=[0, 0.5], W_Q=4, W_K=8)))
    nothing, one = ({"onto": [[x]], "along": [[1]], "exponent": exponent} for x in (0, 1))
    taken = Fraction(4) ** exponent
    for peels, bases in ([nothing], [one]), ([nothing] * 4, [one] * 3):
        fact = proof.derive(RULE, [], {"peels": peels, "bases": bases, "means": 0})
        assert not fractions(fact.kept, fact.exponent).any()
        assert fractions([fact.error], fact.exponent).tolist() == [[0, 8 * (taken + abs(1 - taken))]]


def test_attacked() -> None:
    """Whatever the arguments and the premises, what is granted is true."""
    seen = attacked(RULE)
    assert seen["granted"] == 24
