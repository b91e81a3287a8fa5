"""The model's forward pass in torch, from the definition of the architecture."""

from pathlib import Path

import safetensors.numpy
import torch

torch.set_num_threads(1)


def loaded(path: Path, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    arrays = safetensors.numpy.load_file(path)
    return {name.rpartition(".")[2]: torch.from_numpy(array).to(dtype) for name, array in arrays.items()}


def forward(w: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """Logits at the last position, [batch, d_vocab], from the definition of the architecture."""
    residual = w["W_E"][x] + w["W_pos"]
    query = residual[:, -1] @ w["W_Q"][0] + w["b_Q"][0]
    key = residual @ w["W_K"][0] + w["b_K"][0]
    value = residual @ w["W_V"][0] + w["b_V"][0]
    scores = torch.einsum("bh,bph->bp", query, key) / query.shape[-1] ** 0.5
    mixed = torch.einsum("bp,bph->bh", scores.softmax(-1), value)
    return (residual[:, -1] + mixed @ w["W_O"][0] + w["b_O"]) @ w["W_U"] + w["b_U"]
