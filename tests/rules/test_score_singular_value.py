"""score_singular_value: accepted, refused by reason, attacked."""

from pathlib import Path
from typing import Any

import pytest

from checker.errors import Rejected
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

RULE = "score_singular_value"


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
    ("args.sigma", lambda sigma: sigma // 8, "not-dominant", "args.witness[3]"),
    ("args.sigma", 0, "not-dominant", "args.witness[0]"),
    ("args.witness", shorter, "wrong-shape", "args.witness"),
    ("args.witness", lambda rows: [row[:-1] for row in rows], "wrong-shape", "args.witness"),
    ("args.witness", lambda rows: [[0] * len(row) for row in rows], "not-dominant", "args.witness[0]"),
    ("args.witness[0]", longer, "not-a-matrix", "args.witness"),
    ("args.sigma", -1, "out-of-range", "args.sigma"),
    ("args.ridge", -1, "out-of-range", "args.ridge"),
    ("args.exponent", 1 << 15, "out-of-range", "args.exponent"),
    ("args.ridge_exponent", 1 << 15, "out-of-range", "args.ridge_exponent"),
    ("premises", [0], "wrong-premises", "premises"),
]


@refusals(REFUSED)
def test_refused_by_reason(place: str, change: Any, code: str, at: str) -> None:
    assert refusal(honest(RULE), place, change) == (code, at)


@pytest.mark.parametrize("peels", [1, 4])
def test_all_factors_are_in_the_residual(peels: int, workspace: Path) -> None:
    """With projectors that take nothing away the score 16 of (1, 1) is all left, whatever the number of factors."""
    proof = Derivation(tiny_model(workspace / "scores", zero_tensors(2, 2, 1, 1, W_E=[0, 1], W_Q=4, W_K=4)))
    nothing = {"onto": [[0]], "along": [[0]], "exponent": 0}
    args = {"peels": [nothing] * peels, "exponent": 0, "ridge": 0, "ridge_exponent": 0, "witness": [[1]]}
    fact = proof.derive(RULE, [], {**args, "sigma": 12})
    assert not fractions(fact.kept, fact.exponent).any()
    assert fractions([fact.error], fact.exponent).tolist() == [[17, 17]]  # above 12 sqrt(2)
    with pytest.raises(Rejected, match="not-dominant"):
        proof.derive(RULE, [], {**args, "sigma": 11})


def test_attacked() -> None:
    """Whatever the arguments and the premises, what is granted is true."""
    seen = attacked(RULE, range(12))
    assert seen["granted"] + seen["not-dominant"] == 12
    assert seen["granted"] > 0
