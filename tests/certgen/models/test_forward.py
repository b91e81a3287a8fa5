"""The model as a function: every architecture against its definition, and the radius against rounded evaluations."""

from itertools import product
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from certgen.errors import UserError
from certgen.models import forward
from certgen.models.forward import evaluate, logits
from tests.support.random_models import plain_logits, random_model


def all_inputs(k: int, v: int = 3) -> np.ndarray:
    return np.array(list(product(range(v), repeat=k)))


def read_at(model: Any, k: int, seed: int) -> int | None:
    return None if model.architecture.pool != "none" else seed % k


@pytest.mark.parametrize("seed", range(40))
def test_every_architecture_is_the_function_of_its_definition(seed: int) -> None:
    model = random_model(np.random.default_rng(seed), size=0.6)
    x = all_inputs(3)
    readout = read_at(model, 3, seed)
    expected = np.array([plain_logits(model, row, readout) for row in x.tolist()])
    found = evaluate(model, x, readout)
    assert found.logits == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert (np.abs(found.logits - expected).max(axis=1) <= found.noise).all()
    shuffled = np.random.default_rng(0).permutation(x)
    assert logits(model, shuffled, readout)[np.lexsort(shuffled.T[::-1])] == pytest.approx(found.logits, abs=1e-9)


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("bits", [14, 24])
def test_no_rounding_of_the_weights_moves_a_logit_beyond_the_radius(seed: int, bits: int) -> None:
    """The checker rounds more than the weights, but never less."""
    model = random_model(np.random.default_rng(seed), size=0.7)
    rounded = {name: np.round(array * 2.0**bits) / 2.0**bits for name, array in model.tensors.items()}
    near: Any = SimpleNamespace(tensors=rounded, architecture=model.architecture, is_default=False)
    x = all_inputs(3)
    readout = read_at(model, 3, seed)
    found = evaluate(model, x, readout, bits)
    moved = np.abs(found.logits - logits(near, x, readout)).max(axis=1)
    assert (moved <= found.radius * 2.0**-bits).all()
    assert (found.radius <= evaluate(model, x, readout, bits - 4).radius).all()


def test_many_bits_do_not_underflow() -> None:
    model = random_model(np.random.default_rng(1), blocks=2, heads=2, activation="gelu_tanh", normalization="LN")
    x = all_inputs(2)
    few, many = (evaluate(model, x, None, bits).radius for bits in (60, 4096))
    assert many == pytest.approx(few, rel=1e-3)


def test_what_float64_cannot_follow_has_no_radius_that_decides() -> None:
    model = random_model(np.random.default_rng(1), blocks=1, normalization="none", pool="none")
    model.tensors["embed.W_E"] = model.tensors["embed.W_E"] * 1e200
    found = evaluate(model, all_inputs(2))
    assert np.isinf(found.radius).all() and np.isinf(found.noise).all()
    with pytest.raises(UserError, match="overflow"):
        logits(model, all_inputs(2))


def test_an_input_without_variance_has_no_radius_that_decides() -> None:
    """Its LayerNorm divides 0 by 0 if eps is 0."""
    model = random_model(np.random.default_rng(2), blocks=0, normalization="LNPre", norms=("final",), eps="0")
    model.tensors["embed.W_E"][0] = 0
    model.tensors["pos_embed.W_pos"][:] = 0
    found = evaluate(model, [[0, 0], [1, 1]])
    assert np.isinf(found.radius).tolist() == [True, False]


@pytest.mark.parametrize(("mask", "pool"), [("causal", "none"), ("full", "sum")])
def test_many_sequences_are_taken_in_turn(mask: str, pool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_model(np.random.default_rng(3), blocks=2, mask=mask, pool=pool)
    x = all_inputs(4)
    whole = evaluate(model, x)
    monkeypatch.setattr(forward, "MOST_FLOATS", 1000)
    parts = evaluate(model, x)
    assert parts.logits == pytest.approx(whole.logits, rel=1e-12)
    assert parts.radius == pytest.approx(whole.radius, rel=1e-12)


def test_prefixes_are_evaluated_once_under_a_causal_mask() -> None:
    at = forward.prefixes(all_inputs(3), 3, causal=True)
    assert len(at.tokens) == 3 + 9 + 27
    assert len(forward.prefixes(all_inputs(3), 3, causal=False).tokens) == 3 * 27


def test_sequences_may_be_shorter_than_the_context_but_not_longer() -> None:
    model = random_model(np.random.default_rng(4), n_ctx=4, pool="none")
    assert logits(model, [[0, 1]]).shape[0] == 1
    assert logits(model, np.zeros((0, 3), int)).shape == (0, len(model.tensors["unembed.b_U"]))
    with pytest.raises(UserError, match="5 tokens given, and the model takes sequences of 1 to 4"):
        logits(model, [[0] * 5])
    with pytest.raises(UserError, match="no position 2"):
        logits(model, [[0, 1]], 2)
