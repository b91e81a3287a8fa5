"""What is trained is the function that a certificate is about, for every architecture that can be trained."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from certgen.models import differentiable, forward, training
from certgen.models.exercises import exercise, max_of_k
from certgen.models.model_file import model_bytes, parse_model
from certgen.models.training import Recipe, train

MLP = {"d_mlp": 5}


@pytest.mark.parametrize(
    "options",
    [
        {"heads": 3},
        {"layers": 2},
        MLP | {"activation": "relu"},
        MLP | {"activation": "silu"},
        MLP | {"activation": "gelu_tanh"},
        MLP | {"activation": "gelu_erf"},
        {"normalization": "LN"},
        {"normalization": "LNPre"},
        MLP | {"layers": 2, "heads": 2, "activation": "relu", "normalization": "LN"},
        MLP | {"layers": 3, "heads": 2, "activation": "silu", "normalization": "LNPre"},
    ],
    ids=lambda options: "-".join(str(option) for option in options.values()),
)
def test_the_logits_are_those_of_the_model_file(options: dict[str, Any]) -> None:
    recipe = Recipe(exercise("sum-mod", 4, None, "n SEP n", {"modulus": 3}), d_model=6, d_head=2, **options)
    rng = np.random.default_rng(0)
    stacked = {name: rng.normal(size=(2, *shape)) for name, shape in recipe.shapes.items()}
    tokens = torch.stack([recipe.exercise.random_inputs(9, torch.Generator().manual_seed(seed)) for seed in range(2)])
    weights = {name: torch.from_numpy(stack) for name, stack in stacked.items()}
    found = differentiable.logits(weights, recipe.architecture, tokens)
    for seed in range(2):
        tensors = {name: stack[seed] for name, stack in stacked.items()}
        model = parse_model(model_bytes(tensors, recipe.architecture), "random.safetensors")
        assert model.architecture == recipe.architecture
        np.testing.assert_allclose(
            found[seed].numpy(), forward.logits(model, tokens[seed].numpy()), rtol=1e-9, atol=1e-9
        )


def test_every_tensor_is_trained_and_the_seeds_do_not_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "SAMPLE_SIZE", 4)
    recipe = Recipe(max_of_k(3, 4), 6, 2, 2, 16, heads=2, layers=2, d_mlp=5, activation="relu", normalization="LN")
    (start,) = train(replace(recipe, steps=0), [4])
    (first, second), (alone,) = train(recipe, [3, 4]), train(recipe, [4])
    for name, tensor in alone.tensors.items():
        assert tensor.dtype == np.float32 and tensor.shape == recipe.shapes[name]
        assert tensor == pytest.approx(second.tensors[name], abs=1e-5), name
        assert not np.array_equal(tensor, start.tensors[name]), name
    assert not np.allclose(first.tensors["embed.W_E"], second.tensors["embed.W_E"], atol=0.01)
    assert (start.tensors["blocks.1.ln2.w"] == 1).all() and not start.tensors["blocks.0.mlp.b_in"].any()


def test_a_model_of_many_parts_learns() -> None:
    losses: list[float] = []
    recipe = Recipe(
        exercise("min", 4, None, "BOS n n", {}), 16, 8, 80, 64, heads=2, d_mlp=8, activation="relu", normalization="LN"
    )
    (model,) = train(recipe, [0], lambda step, loss: losses.append(loss))
    assert model.loss < 0.3 * losses[0] and model.accuracy > 0.9
