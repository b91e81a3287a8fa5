"""Transformers that others have published, imported without being told the recipe, against forward passes by hand.

They are not part of this repository; the tests run where their folder is beside it.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from certgen.models.forward import logits
from certgen.models.importing import import_checkpoint
from tests.conftest import ROOT
from tests.support.torch_models import attend

FOLDER = ROOT.parent / "shared" / "public"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the public models are not beside the repository")
Weights = dict[str, Tensor]


def april(w: Weights, tokens: Tensor) -> Tensor:
    x = w["tok_embed.weight"][tokens] + w["pos_embed.weight"][: tokens.shape[1]]
    heads = []
    for h in range(4):
        q, k, v = (x @ w[f"layers.0.heads.{h}.W_{each}.weight"].T for each in "QKV")
        heads.append(attend(q, k, v))
    x = x + torch.cat(heads, -1) @ w["layers.0.W_O.weight"].T
    return x @ w["unembed.weight"].T


def dyck(w: Weights, tokens: Tensor) -> Tensor:
    x = w["tok.weight"][tokens] + w["pos"]
    for i in range(2):
        q, k, v = ((x @ w[f"blocks.{i}.W{each}.weight"].T).unflatten(2, (2, -1)).transpose(1, 2) for each in "qkv")
        x = x + attend(q, k, v).transpose(1, 2).flatten(2) @ w[f"blocks.{i}.Wo.weight"].T
        z = F.relu(x @ w[f"blocks.{i}.mlp1.weight"].T + w[f"blocks.{i}.mlp1.bias"])
        x = x + z @ w[f"blocks.{i}.mlp2.weight"].T + w[f"blocks.{i}.mlp2.bias"]
    z = F.relu(x.sum(1) @ w["h1.weight"].T + w["h1.bias"])
    return z @ w["h2.weight"].T + w["h2.bias"]


def addition(w: Weights, tokens: Tensor) -> Tensor:
    a, m = "blocks.0.attn", "blocks.0.mlp"
    x = w["embed.W_E"].T[tokens] + w["pos_embed.W_pos"]
    q, k, v = (torch.einsum("ihd,bpd->biph", w[f"{a}.W_{each}"], x) for each in "QKV")
    x = x + attend(q, k, v).transpose(1, 2).flatten(2) @ w[f"{a}.W_O"].T
    z = F.relu(x @ w[f"{m}.W_in"].T + w[f"{m}.b_in"])
    return (x + z @ w[f"{m}.W_out"].T + w[f"{m}.b_out"]) @ w["unembed.W_U"]


def lens(causal: bool = True) -> Callable[[Weights, Tensor], Tensor]:
    def forward(w: Weights, tokens: Tensor) -> Tensor:
        def norm(name: str, x: Tensor) -> Tensor:
            return F.layer_norm(x, x.shape[-1:], w[f"{name}.w"], w[f"{name}.b"], 1e-5) if f"{name}.w" in w else x

        x = w["embed.W_E"][tokens] + w["pos_embed.W_pos"][: tokens.shape[1]]
        for i in range(2 if "blocks.1.attn.W_Q" in w else 1):
            a, m = f"blocks.{i}.attn", f"blocks.{i}.mlp"
            y = norm(f"blocks.{i}.ln1", x)[:, None]
            q, k, v = (y @ w[f"{a}.W_{each}"] + w[f"{a}.b_{each}"][:, None] for each in "QKV")
            x = x + (attend(q, k, v, causal) @ w[f"{a}.W_O"]).sum(1) + w[f"{a}.b_O"]
            if f"{m}.W_in" in w:
                x = x + F.relu(x @ w[f"{m}.W_in"] + w[f"{m}.b_in"]) @ w[f"{m}.W_out"] + w[f"{m}.b_out"]
        return norm("ln_final", x) @ w["unembed.W_U"] + w["unembed.b_U"]

    return forward


CASES: dict[str, tuple[str, list[str], str, Callable[[Weights, Tensor], Tensor]]] = {
    "april-2026-max-of-list-seed42": ("one-module-a-head", [], "1L4H-attn-only", april),
    "dyck10_exact_seed0": ("verified-circuits", [], "2L2H-relu-sum", dyck),
    "modular-addition-113-baseline": ("grokking", [], "1L4H-relu", addition),
    "cumsum_model": ("transformer-lens", [], "1L1H-relu", lens()),
    "sorted_list_model": ("transformer-lens", [], "1L2H-attn-only-LN", lens()),
    "palindrome_classifier": ("transformer-lens", ["mask=full"], "2L2H-attn-only-LN-full", lens(causal=False)),
}


def state(path: Path) -> Weights:
    loaded: Any = torch.load(path, map_location="cpu", weights_only=True)
    found = loaded.get("state_dict", loaded)
    return {name: tensor.double() for name, tensor in found.items() if not name.endswith(("mask", "IGNORE"))}


@pytest.mark.parametrize("name", CASES)
def test_a_public_model_is_imported_as_the_function_that_it_is(name: str) -> None:
    recipe, options, brief, forward = CASES[name]
    imported = import_checkpoint(FOLDER / f"{name}.pt", options=options)
    assert imported.notes[0].startswith(f"recipe: {recipe}, ")
    assert imported.architecture.brief == brief
    assert imported.architecture.attn_scale_squared == str(imported.model.d_head)
    model = imported.model
    tokens = np.random.default_rng(0).integers(model.d_vocab, size=(12, model.n_ctx))
    expected = forward(state(FOLDER / f"{name}.pt"), torch.from_numpy(tokens)).numpy()
    assert math.isfinite(expected.sum())
    if imported.architecture.pool != "none":
        assert logits(model, tokens) == pytest.approx(expected, rel=1e-10, abs=1e-10)
    else:
        for position in (0, model.n_ctx // 2, model.n_ctx - 1):
            assert logits(model, tokens, position) == pytest.approx(expected[:, position], rel=1e-10, abs=1e-10)
