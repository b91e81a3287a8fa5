"""Training max-of-K transformers: many seeds side by side, as one batched computation.

One layer, one head, attention only, learned positions, no LayerNorm, all biases zero.  Every weight has a leading
axis over the seeds; nothing ever sums over it, so the seeds share the arithmetic and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from certgen.errors import MissingTorch, UserError
from certgen.models.model_file import MAX_MODEL_BYTES, TENSOR_SHAPES

if TYPE_CHECKING:
    from torch import Generator, Tensor

SAMPLE_SIZE = 65_536
_SAMPLE_CHUNK = 4_096  # sequences per forward pass: bounds the memory, not the result
_MAX_ACTIVATIONS = 1 << 29  # numbers of 8 bytes


@dataclass(frozen=True)
class Recipe:
    """What is trained, and for how long; one step sees `batch_size` uniformly random sequences of `k` tokens."""

    k: int
    d_vocab: int = 64
    d_model: int = 32
    d_head: int = 32
    steps: int = 3_000
    batch_size: int = 128


@dataclass(frozen=True)
class TrainedModel:
    """One seed's model (`tensors` as `save_model` takes them, float32) and how it does on fresh sequences.

    `loss` is the mean cross entropy in nats and `correct` the number of right answers, both over `sample_size`
    uniformly random sequences; a tie counts as wrong.  A sample is an estimate, not a bound.
    """

    seed: int
    tensors: dict[str, npt.NDArray[np.float32]]
    loss: float
    correct: int
    sample_size: int

    @property
    def accuracy(self) -> float:
        return self.correct / self.sample_size

    @property
    def standard_error(self) -> float:
        return math.sqrt(self.accuracy * (1 - self.accuracy) / self.sample_size)


def train(
    recipe: Recipe,
    seeds: Sequence[int],
    on_step: Callable[[int, float], None] = lambda step, loss: None,
    threads: int = 1,
) -> list[TrainedModel]:
    """Train one model per seed; a seed's model does not depend on the others, up to the order of float32 sums.

    `on_step(step, loss)` is called after each step (from 1) with the loss averaged over batch and seeds.
    PyTorch uses `threads` threads: in models of the default sizes its threads wait for each other longer than they
    compute, so one is fastest by far.  UserError when PyTorch is missing.  Cost: a few seconds per seed at the default
    sizes.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingTorch("training") from error

    _require_sizes(recipe, len(seeds))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return _train(recipe, seeds, on_step)
    finally:
        torch.set_num_threads(before)  # the setting is the whole process's, and this is not its only user


def _require_sizes(recipe: Recipe, seeds: int) -> None:
    """UserError for models that no model file holds, and for steps that no memory holds."""
    v, d, k = recipe.d_vocab, recipe.d_model, recipe.k
    weights = d * (2 * v + k + 4 * recipe.d_head)
    if 4 * weights > MAX_MODEL_BYTES:
        message = f"a model of these sizes has {weights:,} weights, more than a model file holds"
        raise UserError(message, "choose smaller sizes")
    activations = seeds * max(recipe.batch_size, _SAMPLE_CHUNK) * max(v, d, k)
    if activations > _MAX_ACTIVATIONS:
        message = f"a step of training would compute {activations:,} numbers at once"
        raise UserError(message, "choose a smaller vocabulary, length or batch, or fewer seeds at a time")


def _train(recipe: Recipe, seeds: Sequence[int], on_step: Callable[[int, float], None]) -> list[TrainedModel]:
    import torch

    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    weights = _initial_weights(recipe, generators)
    optimizer = torch.optim.AdamW(weights.values(), lr=1e-3, betas=(0.9, 0.999), weight_decay=0.01, fused=True)
    for step in range(1, recipe.steps + 1):
        tokens = _random_sequences(recipe, recipe.batch_size, generators)
        losses = _losses(logits(weights, tokens), tokens)
        optimizer.zero_grad()
        losses.mean(dim=1).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        on_step(step, losses.mean().item())

    loss, correct = _sample(recipe, weights, generators)
    return [
        TrainedModel(seed, _canonical_tensors(recipe, weights, i), loss[i] / SAMPLE_SIZE, correct[i], SAMPLE_SIZE)
        for i, seed in enumerate(seeds)
    ]


def logits(weights: dict[str, Tensor], tokens: Tensor) -> Tensor:
    """The logits at the last position, [seeds, batch, d_vocab], of `tokens` [seeds, batch, k].

    `weights` holds W_E, W_pos, W_Q, W_K, W_V, W_O and W_U with a leading seed axis.  Only the last position is
    read, and its query attends to all k, so this is the one row of attention that is computed; tokens enter
    through products with whole tables, which are faster here than gathering rows (and so are their gradients).
    """
    import torch

    W_E, W_pos = weights["W_E"], weights["W_pos"]
    d_vocab, d_head = W_E.shape[1], weights["W_Q"].shape[2]
    query = torch.nn.functional.one_hot(tokens[:, :, -1], d_vocab).to(W_E.dtype) @ W_E + W_pos[:, -1:]
    score_direction = query @ weights["W_Q"] @ weights["W_K"].mT / math.sqrt(d_head)
    scores = (score_direction @ W_E.mT).gather(2, tokens) + score_direction @ W_pos.mT
    attention = scores.softmax(dim=2)
    no_attention = attention.new_zeros(*attention.shape[:2], d_vocab)
    attention_per_token = no_attention.scatter_add(2, tokens, attention)
    attended = attention_per_token @ W_E + attention @ W_pos
    return (query + attended @ weights["W_V"] @ weights["W_O"]) @ weights["W_U"]


def _initial_weights(recipe: Recipe, generators: Sequence[Generator]) -> dict[str, Tensor]:
    import torch

    sizes = {"d_vocab": recipe.d_vocab, "d_model": recipe.d_model, "d_head": recipe.d_head, "n_ctx": recipe.k}
    std = 0.8 / math.sqrt(recipe.d_model)
    weights = {}
    for name, axes in TENSOR_SHAPES.items():
        matrix = name.rpartition(".")[2]
        if matrix.startswith("W_"):
            shape = [sizes[axis] for axis in axes if axis != "1"]
            stack = torch.stack([std * torch.randn(shape, generator=generator) for generator in generators])
            weights[matrix] = stack.requires_grad_()
    return weights


def _random_sequences(recipe: Recipe, count: int, generators: Sequence[Generator]) -> Tensor:
    import torch

    shape = (count, recipe.k)
    return torch.stack([torch.randint(recipe.d_vocab, shape, generator=generator) for generator in generators])


def _losses(logits: Tensor, tokens: Tensor) -> Tensor:
    """Cross entropy in nats per sequence, [seeds, batch].

    float64, because float32 rounds log-probabilities near zero so coarsely that a good model stops learning.
    """
    label = tokens.amax(dim=2, keepdim=True)
    return -logits.double().log_softmax(dim=2).gather(2, label).squeeze(2)


def _sample(
    recipe: Recipe, weights: dict[str, Tensor], generators: Sequence[Generator]
) -> tuple[list[float], list[int]]:
    """The summed loss and the number of right answers, per seed, over SAMPLE_SIZE fresh sequences."""
    import torch

    exact_weights = {name: weight.detach().double() for name, weight in weights.items()}
    loss = torch.zeros(len(generators), dtype=torch.float64)
    correct = torch.zeros(len(generators), dtype=torch.int64)
    for start in range(0, SAMPLE_SIZE, _SAMPLE_CHUNK):
        tokens = _random_sequences(recipe, min(_SAMPLE_CHUNK, SAMPLE_SIZE - start), generators)
        outputs = logits(exact_weights, tokens)
        loss += _losses(outputs, tokens).sum(dim=1)
        label = tokens.amax(dim=2, keepdim=True)
        best_wrong = outputs.scatter(2, label, -math.inf).amax(dim=2)
        correct += (outputs.gather(2, label).squeeze(2) > best_wrong).sum(dim=1)
    return loss.tolist(), correct.tolist()


def _canonical_tensors(recipe: Recipe, weights: dict[str, Tensor], index: int) -> dict[str, npt.NDArray[np.float32]]:
    sizes = {"d_vocab": recipe.d_vocab, "d_model": recipe.d_model, "d_head": recipe.d_head, "n_ctx": recipe.k, "1": 1}
    tensors = {}
    for name, axes in TENSOR_SHAPES.items():
        tensor = np.zeros([sizes[axis] for axis in axes], dtype=np.float32)
        matrix = name.rpartition(".")[2]
        if matrix in weights:
            tensor[...] = weights[matrix][index].detach().numpy()
        tensors[name] = tensor
    return tensors
