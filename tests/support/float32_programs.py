"""Programs that people run: one attention layer in float32 by numpy and PyTorch, on many inputs at once."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

Program = Callable[[Mapping[str, np.ndarray], np.ndarray], np.ndarray]  # tensors, inputs [n, k] -> logits [n, outputs]
Weights = Mapping[str, Tensor]


def shorter(tensors: Mapping[str, np.ndarray], dtype: type = np.float32) -> dict[str, np.ndarray]:
    """By the last part of their names."""
    return {name.rpartition(".")[2]: np.asarray(x, dtype) for name, x in tensors.items()}


def in_numpy(tensors: Mapping[str, np.ndarray], inputs: np.ndarray, dtype: type = np.float32) -> np.ndarray:
    """With einsum, heads one by one; the last position is the readout. In float64 this is close to the truth."""
    W = shorter(tensors, dtype)
    x = W["W_E"][inputs] + W["W_pos"][: inputs.shape[1]]
    out = x[:, -1] + W["b_O"]
    for h in range(len(W["W_Q"])):
        q = np.einsum("nd,de->ne", x[:, -1], W["W_Q"][h]) + W["b_Q"][h]
        k = np.einsum("npd,de->npe", x, W["W_K"][h]) + W["b_K"][h]
        v = np.einsum("npd,de->npe", x, W["W_V"][h]) + W["b_V"][h]
        s = np.einsum("ne,npe->np", q, k) / dtype(W["W_Q"].shape[2] ** 0.5)
        w = np.exp(s - s.max(axis=1, keepdims=True))
        z = np.einsum("np,npe->ne", w / w.sum(axis=1, keepdims=True), v)
        out = out + np.einsum("ne,ed->nd", z, W["W_O"][h])
    logits: np.ndarray = np.einsum("nd,dy->ny", out, W["W_U"]) + W["b_U"]
    return logits


def matmuls(tensors: Mapping[str, np.ndarray], inputs: np.ndarray) -> np.ndarray:
    """numpy's products of matrices, the division last, the query scaled first, sums from the other end."""
    W = shorter(tensors)
    x = W["W_pos"][: inputs.shape[1]] + W["W_E"][inputs]
    heads = []
    for h in range(len(W["W_Q"])):
        q = (x[:, -1:] @ W["W_Q"][h] + W["b_Q"][h]) * np.float32(W["W_Q"].shape[2] ** -0.5)
        s = (q @ (x @ W["W_K"][h] + W["b_K"][h]).transpose(0, 2, 1))[:, 0]
        w = np.exp(s - s.max(axis=1, keepdims=True))
        z = (w[:, None, ::-1] @ (x @ W["W_V"][h] + W["b_V"][h])[:, ::-1])[:, 0]
        heads.append(z / w.sum(axis=1, keepdims=True, dtype=np.float32))
    out = np.concatenate(heads, axis=1) @ W["W_O"].reshape(-1, x.shape[2]) + W["b_O"]
    logits: np.ndarray = (x[:, -1] + out) @ W["W_U"] + W["b_U"]
    return logits


def eager(W: Weights, inputs: Tensor) -> Tensor:
    """As TransformerLens writes it, with all queries and a mask."""
    x = W["W_E"][inputs] + W["W_pos"][: inputs.shape[1]]
    q, k, v = (torch.einsum("npd,hde->nphe", x, W[f"W_{name}"]) + W[f"b_{name}"] for name in ("Q", "K", "V"))
    scores = torch.einsum("nqhe,nphe->nhqp", q, k) / W["W_Q"].shape[2] ** 0.5
    mask = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).tril()
    pattern = scores.masked_fill(~mask, -torch.inf).softmax(dim=-1)
    z = torch.einsum("nphe,nhqp->nqhe", v, pattern)
    x = x + torch.einsum("nqhe,hed->nqd", z, W["W_O"]) + W["b_O"]
    return (x @ W["W_U"] + W["b_U"])[:, -1]


def attention(W: Weights, inputs: Tensor) -> Tensor:
    """PyTorch's own attention, whatever kernel it takes, with heads side by side and linear layers."""
    x = W["W_E"][inputs] + W["W_pos"][: inputs.shape[1]]
    heads, d, width = W["W_Q"].shape
    parts = [
        functional.linear(x, W[f"W_{name}"].transpose(1, 2).reshape(-1, d), W[f"b_{name}"].reshape(-1))
        for name in ("Q", "K", "V")
    ]
    q, k, v = (part.unflatten(-1, (heads, width)).transpose(1, 2) for part in parts)
    z = functional.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(-2)
    x = x + functional.linear(z, W["W_O"].reshape(-1, d).T, W["b_O"])
    return functional.linear(x[:, -1], W["W_U"].T, W["b_U"])


def in_torch(model: Callable[[Weights, Tensor], Tensor], batch: int = 1 << 30, threads: int | None = None) -> Program:
    """In batches of this size."""

    def program(tensors: Mapping[str, np.ndarray], inputs: np.ndarray) -> np.ndarray:
        W = {name: torch.from_numpy(x.copy()) for name, x in shorter(tensors).items()}
        with torch.no_grad(), on(threads):
            parts = [model(W, each) for each in torch.from_numpy(inputs).split(batch)]
        logits: np.ndarray = torch.cat(parts).numpy()
        return logits

    return program


@contextmanager
def on(threads: int | None) -> Iterator[None]:
    """With so many threads inside."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


PROGRAMS: dict[str, Program] = {
    "numpy, einsum": in_numpy,
    "numpy, matmul, division last": matmuls,
    "torch eager": in_torch(eager, threads=1),
    "torch eager, 2 threads": in_torch(eager, threads=2),
    "torch eager, batches of 7": in_torch(eager, 7, 1),
    "torch attention": in_torch(attention, threads=1),
    "torch attention, one by one": in_torch(attention, 1, 1),
}


def leads(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """By how much the answer is ahead of every other output, in float64."""
    rows = np.arange(len(labels))
    logits = logits.astype(np.float64)
    right = logits[rows, labels].copy()
    logits[rows, labels] = -np.inf
    ahead: np.ndarray = right - logits.max(axis=1)
    return ahead
