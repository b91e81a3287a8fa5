"""Training transformers for a task: many seeds side by side, as one batched computation.

Unless more is asked for, they have one layer, one head, attention only, learned positions, no LayerNorm, and all biases
zero.  Others have biases, which are trained too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from certgen.errors import MissingTorch, UserError
from certgen.models import differentiable
from certgen.models.architecture import Activation, Architecture
from certgen.models.exercises import Exercise
from certgen.models.model_file import MAX_MODEL_BYTES

if TYPE_CHECKING:
    from torch import Generator, Tensor

Normalization: TypeAlias = Literal["none", "LN", "LNPre"]

ACTIVATIONS: Mapping[str, Activation] = MappingProxyType(  # by their names in PyTorch
    {"relu": "relu", "silu": "silu", "gelu": "gelu_erf", "gelu_tanh": "gelu_tanh"}
)
NORMALIZATIONS: Mapping[str | None, Normalization] = MappingProxyType({None: "none", "LN": "LN", "LNPre": "LNPre"})

SAMPLE_SIZE = 65_536
_SAMPLE_CHUNK = 4_096  # sequences per forward pass: bounds the memory, not the result
_MAX_ACTIVATIONS = 1 << 29  # numbers of 8 bytes


@dataclass(frozen=True)
class Recipe:
    """What is trained, and for how long; one step sees `batch_size` uniformly random inputs of k tokens.

    `activation` is that of MLPs of width `d_mlp`, if it is not "none"; with a `normalization`, there is one before each
    layer and one at the end.
    """

    exercise: Exercise
    d_model: int = 32
    d_head: int = 32
    steps: int = 3_000
    batch_size: int = 128
    heads: int = 1
    layers: int = 1
    d_mlp: int = 0
    activation: Activation = "none"
    normalization: Normalization = "none"

    @cached_property
    def architecture(self) -> Architecture:
        normalized = self.normalization != "none"
        return Architecture(
            blocks=self.layers,
            heads=self.heads,
            mask="causal",
            attn_scale_squared=str(self.d_head),
            activation=self.activation,
            normalization=self.normalization,
            norms=("pre", "final") if normalized else (),
            eps="1/100000" if normalized else "0",
            pool="none",
            readout_layers=0,
        )

    @property
    def plain(self) -> bool:
        """Is it one layer with one head, and nothing more?"""
        return self.architecture == Architecture.default(self.d_head)

    @property
    def is_default(self) -> bool:
        """Is it a model, and a task, that need no problem file?"""
        return self.plain and self.exercise.is_max_of_k

    @property
    def title(self) -> str:
        """Such as max-of-4-vocab-64 or argmax-of-3-vocab-12-2L2H-relu-LN: for the name of a file."""
        shape = "" if self.plain else f"-{self.architecture.brief}"
        return f"{self.exercise.title}-vocab-{self.exercise.content}{shape}"

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of the tensors of the model file."""
        sizes = {
            "d_vocab": self.exercise.d_vocab,
            "d_vocab_out": self.exercise.outputs,
            "n_ctx": self.exercise.k,
            "d_model": self.d_model,
            "n_heads": self.heads,
            "d_head": self.d_head,
            "d_mlp": self.d_mlp,
        }
        axes = self.architecture.tensor_shapes()
        return {name: tuple(sizes[axis] for axis in axes[name]) for name in axes}


@dataclass(frozen=True)
class TrainedModel:
    """One seed's model (`tensors` as `save_model` takes them, float32) and how it does on fresh inputs.

    `loss` is the mean cross entropy in nats and `correct` the number of right answers, both over `sample_size`
    uniformly random inputs; a tie counts as wrong.  A sample is an estimate, not a bound.
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
    weights = sum(math.prod(shape) for name, shape in recipe.shapes.items() if _is_trained(recipe, name))
    if 4 * weights > MAX_MODEL_BYTES:
        message = f"a model of these sizes has {weights:,} weights, more than a model file holds"
        raise UserError(message, "choose smaller sizes")
    v, d, k = recipe.exercise.d_vocab, recipe.d_model, recipe.exercise.k
    at_once = max(v, d, k) if recipe.plain else k * max(v, d, recipe.d_mlp, recipe.heads * max(k, recipe.d_head))
    activations = seeds * max(recipe.batch_size, _SAMPLE_CHUNK) * at_once
    if activations > _MAX_ACTIVATIONS:
        message = f"a step of training would compute {activations:,} numbers at once"
        raise UserError(message, "choose a smaller vocabulary, length or batch, or fewer seeds at a time")


def _train(recipe: Recipe, seeds: Sequence[int], on_step: Callable[[int, float], None]) -> list[TrainedModel]:
    import torch

    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    weights = _initial_weights(recipe, generators)
    optimizer = torch.optim.AdamW(weights.values(), lr=1e-3, betas=(0.9, 0.999), weight_decay=0.01, fused=True)
    for step in range(1, recipe.steps + 1):
        tokens = _random_inputs(recipe, recipe.batch_size, generators)
        losses = _losses(_logits(recipe, weights, tokens), recipe.exercise.labels(tokens))
        optimizer.zero_grad()
        losses.mean(dim=1).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        on_step(step, losses.mean().item())

    loss, correct = _sample(recipe, weights, generators)
    return [
        TrainedModel(seed, _canonical_tensors(recipe, weights, i), loss[i] / SAMPLE_SIZE, correct[i], SAMPLE_SIZE)
        for i, seed in enumerate(seeds)
    ]


def _logits(recipe: Recipe, weights: dict[str, Tensor], tokens: Tensor) -> Tensor:
    if not recipe.plain:
        return differentiable.logits(weights, recipe.architecture, tokens)
    without_head = {
        name.rpartition(".")[2]: weight.squeeze(1) if ".attn." in name else weight for name, weight in weights.items()
    }
    return differentiable.one_head_logits(without_head, tokens)


def _is_trained(recipe: Recipe, name: str) -> bool:
    """Is it no bias of a plain model? These are 0."""
    return not recipe.plain or ".b_" not in name


def _initial_weights(recipe: Recipe, generators: Sequence[Generator]) -> dict[str, Tensor]:
    """By their names in the file: matrices are normal, gains of LayerNorm 1, biases 0."""
    import torch

    std = 0.8 / math.sqrt(recipe.d_model)

    def initial(name: str, generator: Generator) -> Tensor:
        last, shape = name.rpartition(".")[2], recipe.shapes[name]
        if last.startswith("W_"):
            return std * torch.randn(shape, generator=generator)
        return torch.ones(shape) if last == "w" else torch.zeros(shape)

    return {
        name: torch.stack([initial(name, generator) for generator in generators]).requires_grad_()
        for name in recipe.shapes
        if _is_trained(recipe, name)
    }


def _random_inputs(recipe: Recipe, count: int, generators: Sequence[Generator]) -> Tensor:
    import torch

    return torch.stack([recipe.exercise.random_inputs(count, generator) for generator in generators])


def _losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy in nats per input, [seeds, batch].

    float64, because float32 rounds log-probabilities near zero so coarsely that a good model stops learning.
    """
    return -logits.double().log_softmax(dim=2).gather(2, labels[:, :, None]).squeeze(2)


def _sample(
    recipe: Recipe, weights: dict[str, Tensor], generators: Sequence[Generator]
) -> tuple[list[float], list[int]]:
    """The summed loss and the number of right answers, per seed, over SAMPLE_SIZE fresh inputs."""
    import torch

    exact_weights = {name: weight.detach().double() for name, weight in weights.items()}
    loss = torch.zeros(len(generators), dtype=torch.float64)
    correct = torch.zeros(len(generators), dtype=torch.int64)
    for start in range(0, SAMPLE_SIZE, _SAMPLE_CHUNK):
        tokens = _random_inputs(recipe, min(_SAMPLE_CHUNK, SAMPLE_SIZE - start), generators)
        outputs, labels = _logits(recipe, exact_weights, tokens), recipe.exercise.labels(tokens)
        loss += _losses(outputs, labels).sum(dim=1)
        best_wrong = outputs.scatter(2, labels[:, :, None], -math.inf).amax(dim=2)
        correct += (outputs.gather(2, labels[:, :, None]).squeeze(2) > best_wrong).sum(dim=1)
    return loss.tolist(), correct.tolist()


def _canonical_tensors(recipe: Recipe, weights: dict[str, Tensor], index: int) -> dict[str, npt.NDArray[np.float32]]:
    return {
        name: weights[name][index].detach().numpy() if name in weights else np.zeros(shape, np.float32)
        for name, shape in recipe.shapes.items()
    }
