"""score_residual_spread: accepted, refused by reason, attacked."""

import random
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings

from tests.support import sub_cubic_readings
from tests.support.derivations import Derivation, fractions, spread
from tests.support.generators import SEEDS, Sizes, tensors_of
from tests.support.hints import SCORE_RULES, bent_witness, small_peels, smallest_sigma
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
from tests.support.residuals import assert_like_float64, exact_errors, in_float64
from tests.support.sub_cubic_readings import inferences_of
from tests.support.tiny import tiny_model

RULE = "score_residual_spread"


def test_accepted() -> None:
    """Exactly the spread of what the projectors leave."""
    proof = honest(RULE)
    assert said(proof) == ("", "")
    fact, exact = proof.facts[-1], honest("score_residual_spread").facts[-1]
    assert small_model().meaning.is_true(fact)
    residual = small_model().meaning.token_scores - fractions(fact.kept, fact.exponent)
    (errors,) = fractions([fact.error], fact.exponent)
    assert list(errors) == [spread(row) for row in residual]
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
    ("premises", [0], "wrong-premises", "premises"),
]


@refusals(REFUSED)
def test_refused_by_reason(place: str, change: Any, code: str, at: str) -> None:
    assert refusal(honest(RULE), place, change) == (code, at)


def test_attacked() -> None:
    """Whatever the arguments and the premises, what is granted is true."""
    seen = attacked(RULE)
    assert seen["granted"] == 24


@inferences_of(RULE)
def test_the_inference_is_refused(example: sub_cubic_readings.Example, tmp_path: Path) -> None:
    sub_cubic_readings.require_refused(example, tmp_path)


@inferences_of(RULE)
def test_the_right_inference_is_accepted_on_the_same_model(example: sub_cubic_readings.Example, tmp_path: Path) -> None:
    sub_cubic_readings.require_right_accepted(example, tmp_path)


@quick_and_slow(60)
def test_residuals_agree_with_float64_and_bounds_are_above_them(run: settings, workspace: Path) -> None:
    """Same projectors: the same kept part, whatever the rule, and no error below the exact spread of the residual."""
    seen: Counter[str] = Counter()

    @run
    @given(seed=SEEDS)
    def agree(seed: int) -> None:
        rng = random.Random(seed)
        generator = np.random.default_rng(seed)
        sizes = Sizes(*(int(x) for x in generator.integers(1, 6, size=4)))
        proof = Derivation(tiny_model(workspace / "model", tensors_of("normal", sizes, seed)))
        d, h = sizes.d, sizes.h
        four = rng.random() < 0.5
        peels = small_peels(rng, (d, h, d, d) if four else (d,))
        fact = assert_like_float64(proof, peels)
        cuts = (d, h, d) if four else (d,)
        others: list[tuple[str, dict[str, Any]]] = [
            ("score_product_spread", {"bases": [], "means": means}) for means in (0, 1)
        ]
        others.append(("score_product_spread", {"bases": small_peels(rng, cuts), "means": rng.randint(0, 1)}))
        others += [("score_recursive_spread", {"means": means}) for means in range(4)]
        found = smallest_sigma(proof, {"peels": peels} | bent_witness(rng, {}, d))
        if found:
            residual = in_float64(proof.problem, peels)[1]
            largest = np.linalg.svd(residual - residual.mean(axis=1, keepdims=True))[1].max()
            bound = float(found["sigma"] * Fraction(2) ** found["exponent"])
            assert bound >= largest * (1 - 1e-9)
            seen["sigma within a factor of 4"] += bool(largest > bound / 4)
            others.append(("score_singular_value", {key: x for key, x in found.items() if key != "peels"}))
        for rule, args in others:
            bound = proof.derive(rule, [], {"peels": peels} | args)
            assert (fractions(fact.kept, fact.exponent) == fractions(bound.kept, bound.exponent)).all()
            pairs = list(zip(exact_errors(fact), exact_errors(bound), strict=True))
            assert all(spread <= error for spread, error in pairs), rule
            seen[rule] += any(0 < spread < error for spread, error in pairs)

    agree()
    print(f"\nbounds strictly above the spread of the residual: {dict(seen)}")
    assert min(seen[rule] for rule in SCORE_RULES[1:]) > 5
    assert seen["sigma within a factor of 4"] > 0
