"""The tables of one layer say what the model says; and which models have such tables."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from certgen.counts.evaluation import Question
from certgen.errors import UserError
from certgen.models.architecture import Architecture
from certgen.models.forward import evaluate
from certgen.regions.tables import OneLayer, divisor, require_one_layer, why_not
from tests.support.any_model import architecture
from tests.support.layer_cases import architectures, layer_case
from tests.support.layers import ahead_of, all_inputs, gaps_of


def words(given: dict[str, Any]) -> str:
    return " ".join(str(value) for value in given.values())


@pytest.mark.parametrize("given", [one for one in architectures() if "final" not in one.get("norms", [])], ids=words)
def test_tables_make_the_logits_of_the_model(given: dict[str, Any]) -> None:
    gaps = gaps_of(layer_case(2, **given))
    layer = gaps.layer
    inputs = all_inputs(layer.question.task)
    logits = evaluate(layer.question.model, inputs, 1, 20).logits
    for query in (0, 2):
        own = inputs[:, 1] == query
        for label in range(3):
            ahead = ahead_of(gaps.layer, label, query, inputs[own])
            assert np.allclose(ahead, logits[own] - logits[own][:, [label]], atol=1e-11)


def test_a_final_layer_norm_is_a_range_of_its_divisor() -> None:
    """Logits times some number of the range: the same order, and within it the true divisor."""
    gaps = gaps_of(layer_case(3, normalization="LNPre", norms=["final"], eps="1/4", heads=2))
    layer = gaps.layer
    low, high = layer.scale
    inputs = all_inputs(layer.question.task)
    logits = evaluate(layer.question.model, inputs, 1, 20).logits - layer.bias
    for query in (0, 2):
        own = inputs[:, 1] == query
        linear = ahead_of(gaps.layer, 0, query, inputs[own]) - (layer.bias - layer.bias[0]) * np.mean(layer.scale)
        ratio = linear[:, 1:] / (logits[own] - logits[own][:, [0]])[:, 1:]
        assert np.allclose(ratio, ratio[:, :1])
        assert (ratio >= low - 1e-9).all() and (ratio <= high + 1e-9).all()
    assert low < high


def test_the_divisor_is_that_of_any_mean_of_rows() -> None:
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=(5, 6)), rng.normal(size=(3, 6))]
    low, high = divisor(0.25, parts)
    for _ in range(200):
        x = sum(rng.dirichlet([0.3] * len(part)) @ part for part in parts)
        assert low <= 6 * np.sqrt(np.var(x) + 0.25) <= high


POST = {"normalization": "LN", "norms": ["post"], "eps": "1/4"}
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"blocks": 2}, "it has 2 blocks"),
    ({"blocks": 0}, "it has 0 blocks"),
    ({"pool": "mean"}, "pooled over positions"),
    ({"readout_layers": 1}, "layers between the readout and the logits"),
    (POST, "a LayerNorm after attention"),
    (POST | {"norms": ["pre"], "activation": "relu"}, "an MLP and LayerNorm"),
    (POST | {"norms": ["final"], "activation": "relu"}, "an MLP and LayerNorm"),
]


@pytest.mark.parametrize(("given", "reason"), REFUSED)
def test_other_models_are_refused_with_the_reason(given: dict[str, Any], reason: str) -> None:
    form = architecture(**given)
    model: Any = SimpleNamespace(architecture=Architecture(**form))
    task: Any = SimpleNamespace(readout=None if form["pool"] != "none" else 1)
    question = Question(model, task, margin=0)  # type: ignore[arg-type]
    assert reason in str(why_not(question))
    with pytest.raises(UserError, match=reason) as refused:
        require_one_layer(question, "adaptive")
    assert refused.value.message.startswith("the strategy adaptive is for one attention layer")
    assert "brute-force" in refused.value.hint
    with pytest.raises(UserError):
        OneLayer(question, 48)
