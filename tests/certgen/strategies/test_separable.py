"""The strategies of separable_counts and branch_sequences: accepted, true, and `exact` exact."""

from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.checking import prove, verdict
from tests.support.generators import (
    GOOD_KINDS,
    KINDS,
    SEEDS,
    Sizes,
    TinyModel,
    margins,
    models,
    tensors_of,
    trained_looking,
)
from tests.support.oracle import Oracle
from tests.support.quick_and_slow import quick_and_slow
from tests.support.tiny import full_name, near_correct, random_tensors, tiny_model, zero_tensors

STRATEGY_NAMES = ("separable-by-max", "separable-relaxed", "separable-exact", "exact")


@quick_and_slow(40, 1200)
def test_the_strategies_are_accepted_and_true(run: settings, workspace: Path) -> None:
    """Accepted, at most the truth. `exact` and `brute-force` say the true number, and so the same, when no correct
    sequence is nearly a tie: precisely, when all correct sequences are clear in the sense of `Oracle.is_clear`. Exact
    ties are wrong and disturb neither. `exact` then says everything about the model, unless a wrong sequence is nearly
    a tie without being one."""
    seen: Counter[str] = Counter()

    @run
    @example(model=TinyModel("lattice", "F64", zero_tensors(3, 3, 1, 1)), margin=Fraction(0))  # nothing but ties
    @given(model=models(KINDS) | SEEDS.map(trained_looking), margin=margins())
    def true(model: TinyModel, margin: Fraction) -> None:
        path = model.write(workspace / "model")
        truth = Oracle(path).truth(margin)
        found = {}
        for name in (*STRATEGY_NAMES, "brute-force"):
            statement = prove(path, name, margin)
            found[name] = result = verdict(path, statement)
            claim = statement["predicate"]["claim"]
            assert result.correct == claim["correct"] <= truth.correct, name
            assert result.wrong == claim["wrong"] <= truth.total - truth.correct, name
        exact, brute, relaxed = (found[name] for name in ("exact", "brute-force", "separable-relaxed"))
        assert truth.clear <= exact.correct
        assert truth.clear <= brute.correct
        if truth.clear == truth.correct:
            assert exact.correct == brute.correct == truth.correct
        complete = exact.correct + exact.wrong == truth.total
        seen["cases"] += 1
        seen["all clear"] += truth.clear == truth.correct
        seen["all clear, with ties"] += truth.clear == truth.correct and truth.ties > 0
        seen["0 < exact < all"] += 0 < exact.correct < truth.total
        seen["exact: everything"] += complete
        seen["exact: everything, with ties"] += complete and truth.ties > 0
        seen[f"exact: not everything, {model.kind}"] += not complete
        seen["0 < relaxed < truth"] += 0 < relaxed.correct < truth.correct
        seen["relaxed < separable-exact"] += relaxed.correct < found["separable-exact"].correct
        seen["relaxed > separable-exact"] += relaxed.correct > found["separable-exact"].correct
        seen["by max < relaxed"] += found["separable-by-max"].correct < relaxed.correct
        seen["v = 1"] += len(model.tensors["embed.W_E"]) == 1
        seen["k = 1"] += len(model.tensors["pos_embed.W_pos"]) == 1

    true()
    print(f"\nstrategies: {dict(seen)}")
    assert seen["all clear"] > 0.6 * seen["cases"]
    assert seen["exact: everything"] > 0.6 * seen["cases"]
    assert not any(seen[f"exact: not everything, {kind}"] for kind in GOOD_KINDS)
    for rare in (
        "exact: everything, with ties",
        "relaxed < separable-exact",
        "0 < relaxed < truth",
        "by max < relaxed",
    ):
        assert seen[rare], rare
    assert all(seen[rare] for rare in ("all clear, with ties", "v = 1", "k = 1"))


@quick_and_slow(60)
def test_exact_says_everything_about_models_full_of_ties(run: settings, workspace: Path) -> None:
    """Weights -1, 0, 1: correct and wrong sequences add up to all, and both numbers are the oracle's."""
    seen: Counter[str] = Counter()

    @run
    @given(seed=SEEDS, margin=st.sampled_from([0, 1, 2]))
    def everything(seed: int, margin: int) -> None:
        v, k = (int(n) for n in np.random.default_rng(seed).integers(1, 5, size=2))
        tensors = {
            name: np.sign(x) * (abs(x) > 0.5) for name, x in tensors_of("lattice", Sizes(v, k, 3, 2), seed).items()
        }
        path = tiny_model(workspace / "model", tensors)
        truth = Oracle(path).truth(margin)
        result = verdict(path, prove(path, "exact", Fraction(margin)))
        assert (result.correct, result.wrong) == (truth.correct, truth.total - truth.correct)
        seen["ties"] += truth.ties > 0
        seen["ties and others"] += 0 < truth.ties < truth.total - truth.correct
        seen["some correct, some ties"] += 0 < truth.correct < truth.correct + truth.ties

    everything()
    print(f"\nexact on ties: {dict(seen)}")
    assert seen["ties"] > 10
    assert seen["some correct, some ties"] > 2
    assert seen["ties and others"]


def test_exact_ties_are_wrong_for_every_rule(workspace: Path) -> None:
    """All weights zero: every sequence of two tokens or more is a tie. And one bias decides them all."""

    def found(path: Path, margin: int) -> list[tuple[int, int]]:
        results = [verdict(path, prove(path, name, Fraction(margin))) for name in STRATEGY_NAMES]
        return [(result.correct, result.wrong) for result in results]

    path = tiny_model(workspace / "ties", zero_tensors(3, 3, 1, 1))
    assert found(path, 0) == [(0, 0)] * 3 + [(0, 27)]
    path = tiny_model(workspace / "bias", zero_tensors(3, 3, 1, 1, b_U=[0, 0, 1]))
    assert found(path, 0) == [(19, 0)] * 3 + [(19, 8)]
    assert found(path, 1) == [(0, 0)] * 3 + [(0, 27)]
    just_below = Fraction(10**12 - 1, 10**12)
    assert verdict(path, prove(path, "brute-force", just_below)).correct <= Oracle(path).truth(just_below).correct == 19


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("strategy", ["separable-by-max", "separable-by-max/max-diff", "two-sided"])
def test_no_warning_about_scores_beyond_float64(strategy: str, tmp_path: Path) -> None:
    """Stated scores of 1e360 and more: nobody knows where attention goes, and nothing is said of float64."""
    tensors = random_tensors(np.random.default_rng(1), 4, 3, 4, 4)
    for name in (full_name("W_Q"), full_name("W_K"), full_name("W_E")):
        tensors[name] = tensors[name] * 2.0**300
    prove(tiny_model(tmp_path / "model.safetensors", tensors), strategy, Fraction(0))


def test_factors_and_blocks_prove_more(tmp_path: Path) -> None:
    """One table for all queries and wrong tokens proves least."""
    tensors = near_correct(np.random.default_rng(16), 12, 4, sharpness=3.0, noise=0.05)
    path = tiny_model(tmp_path / "model.safetensors", tensors, "F32")
    names = ("separable-by-max", "separable-by-max/8-blocks", "separable-by-max/gauged")
    one, blocks, gauged = (verdict(path, prove(path, name, Fraction(0))).correct for name in names)
    assert one < blocks < gauged
