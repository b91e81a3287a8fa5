"""score_exact: accepted, refused by reason, attacked."""

from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import given, settings

from tests.support.derivations import fractions
from tests.support.gap_proofs import gap_proof
from tests.support.generators import SEEDS
from tests.support.hints import any_peel
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
from tests.support.quick_and_slow import quick_and_slow

RULE = "score_exact"


def test_accepted() -> None:
    """The very scores, without error."""
    proof = honest(RULE)
    assert said(proof) == ("", "")
    fact = proof.facts[-1]
    assert (fractions(fact.kept, fact.exponent) == small_model().meaning.token_scores).all()
    assert fact.error == (0, 0, 0)


REFUSED: list[Refused] = [
    ("conclusion.error[1]", less, "error-too-small", "conclusion.error[1]"),
    ("conclusion.kept[1][0]", less, "error-too-small", "conclusion.error[1]"),
    ("conclusion.kept[1][0]", more, "error-too-small", "conclusion.error[1]"),
    ("conclusion.error", shorter, "wrong-shape", "conclusion.error"),
    ("conclusion.kept[1]", shorter, "wrong-shape", "conclusion.kept[1]"),
    ("conclusion.kept", longer, "wrong-shape", "conclusion.kept"),
    ("conclusion.exponent", 1 << 15, "out-of-range", "conclusion.exponent"),
    ("premises", [0], "wrong-premises", "premises"),
]


@refusals(REFUSED)
def test_refused_by_reason(place: str, change: Any, code: str, at: str) -> None:
    assert refusal(honest(RULE), place, change) == (code, at)


def test_attacked() -> None:
    """Whatever the arguments and the premises, what is granted is true."""
    seen = attacked(RULE)
    assert seen["granted"] == 24


@quick_and_slow(120)
def test_exact_scores_are_never_worse(run: settings, workspace: Path) -> None:
    """Their attention is within the attention from any approximation, but for the rounding of the last bit."""
    seen: Counter[str] = Counter()

    @run
    @given(seed=SEEDS)
    def narrower(seed: int) -> None:
        proof, rng, gaps, precision = gap_proof(seed, workspace)
        d, h = (proof.weights.sizes[name] for name in ("d_model", "d_head"))
        peels = [any_peel(rng, size) for size in rng.choice([(d,), (d, h, d, d)])]
        exact = proof.step("score_exact", [], {})
        rule = rng.choice(["score_residual_spread", "score_recursive_spread"])
        rough = proof.step(rule, [], {"peels": peels} | ({"means": 0} if "recursive" in rule else {}))
        args = {**precision, "gaps": gaps}
        narrow, wide = (proof.derive("attention_ranges", [scores], args) for scores in (exact, rough))
        for ours, theirs in zip(cells(narrow), cells(wide), strict=True):
            assert bool(ours) == bool(theirs)
            if ours:
                assert theirs[1] - 1 <= ours[1] <= ours[2] <= theirs[2] + 1
                seen["cells"] += 1
                seen["strictly narrower"] += theirs[1] + 1 < ours[1] and ours[2] < theirs[2] - 1
                seen["not everything"] += theirs[1] > 1 or theirs[2] < (1 << narrow.bits) - 1

    narrower()
    print(f"\nexact scores: {dict(seen)}")
    assert min(seen["strictly narrower"], seen["not everything"]) > 0.1 * seen["cells"] > 10


def cells(fact: Any) -> list[tuple[int, ...]]:
    return [cell for rows in fact.ranges for row in rows for cell in row]
