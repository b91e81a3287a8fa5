"""The projectors of the strategies, on a trained model."""

import json
from fractions import Fraction
from pathlib import Path

from certgen.bounds.scores import SCORE_ERRORS
from certgen.models.circuits import Circuits
from certgen.models.model_file import load_model
from tests.support.derivations import Derivation
from tests.support.residuals import assert_like_float64, exact_errors


def test_score_errors_of_a_trained_model(shipped: Path) -> None:
    """Every strategy's own projectors: float64 agrees, and its error is at least the exact spread of its residual."""
    circuits = Circuits(load_model(shipped), Fraction(0))
    proof = Derivation(shipped)
    spreads: dict[str, list[Fraction]] = {}
    largest = {}
    for name, make in SCORE_ERRORS.items():
        step = json.loads(make(circuits).model_dump_json())
        if step["rule"] == "score_exact":
            continue
        key = json.dumps(step["args"]["peels"])
        if key not in spreads:
            spreads[key] = exact_errors(assert_like_float64(proof, step["args"]["peels"]))
        errors = exact_errors(proof.derive(step["rule"], [], step["args"]))
        assert all(spread <= error for spread, error in zip(spreads[key], errors, strict=True)), name
        largest[name] = float(max(errors))
    print(f"\nlargest error of the scores: {largest}")
    assert largest["max-diff-exact"] <= largest["max-diff"] <= largest["max-diff-subproduct-recursive"]
    assert largest["max-diff-subproduct"] < largest["max-diff-subproduct-recursive"]
    assert all(0 < error < 1000 for error in largest.values())
