"""Models of the real TransformerLens are imported as the functions they are. Runs in an environment of its own.

`make test-transformer-lens` creates it, with version 4.3.0; the file also runs with versions 2 and 3.  The layouts
that the other tests build by hand are compared with what the package writes.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from certgen.errors import UserError
from certgen.models import comparing
from certgen.models.importing import import_checkpoint
from tests.certgen.models.test_importing import save_npz, save_torch
from tests.certgen.models.test_layouts import WEIGHTS, bridge

lens = pytest.importorskip("transformer_lens", reason="TransformerLens is not installed: make test-transformer-lens")

VERSION_4 = "HookedTransformer" in getattr(lens, "_REMOVED_IN_4_0", ())
SIZES = {"n_layers": 1, "n_heads": 1, "d_model": 3, "d_head": 2, "n_ctx": 4, "d_vocab": 5, "d_vocab_out": 5}


def build(**settings: object) -> Any:
    """A model with random weights and biases."""
    fields: dict[str, Any] = {**SIZES, "attn_only": True, "normalization_type": None, "device": "cpu", "seed": 0}
    if VERSION_4:
        model = lens.TransformerBridge.boot_native(lens.TransformerBridgeConfig(**fields | settings))
    else:
        model = lens.HookedTransformer(lens.HookedTransformerConfig(**fields | settings))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for tensor in model.state_dict().values():
            if tensor.is_floating_point() and tensor.ndim:
                tensor.copy_(torch.randn(tensor.shape, generator=generator))
    return model


def samples(model: Any, path: Path, k: int = 4) -> Path:
    x = torch.randint(5, (64, k), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        return save_npz(path, {"x": x.numpy(), "logits": model(x)[:, -1].numpy()})


def test_the_layouts_of_the_other_tests_are_those_of_the_package() -> None:
    expected = {name: tuple(tensor.shape) for name, tensor in (bridge(WEIGHTS) if VERSION_4 else WEIGHTS).items()}
    actual = {name: tuple(tensor.shape) for name, tensor in build().state_dict().items()}
    buffers = {name for name in actual if name.endswith((".mask", ".IGNORE"))}
    assert {name: shape for name, shape in actual.items() if name not in buffers} == expected


@pytest.mark.parametrize("k", [4, 3])
@pytest.mark.parametrize("form", ["pth", "safetensors", "with its configuration", "in another module", "compiled"])
def test_the_imported_model_computes_what_the_package_computes(tmp_path: Path, form: str, k: int) -> None:
    model = build()
    path = tmp_path / "m.pth"
    if form == "pth":
        torch.save(model.state_dict(), path)
    elif form == "safetensors":
        path = tmp_path / "m.safetensors"
        safetensors.torch.save_file({name: t.contiguous() for name, t in model.state_dict().items()}, path)
    elif form == "with its configuration":
        torch.save({"model": model.state_dict(), "config": model.cfg}, path)
    elif form == "in another module":
        torch.save({"state_dict": torch.nn.ModuleDict({"net": model}).state_dict()}, path)
    else:
        torch.save({f"_orig_mod.{name}": tensor for name, tensor in model.state_dict().items()}, path)
    imported = import_checkpoint(path, k=k)
    agreement = comparing.compare(imported.model, samples(model, tmp_path / "samples.npz", k))
    assert agreement.largest < agreement.tolerance / 5


def test_the_properties_of_a_model_are_imported(tmp_path: Path) -> None:
    model = build()
    names = ("W_E", "W_pos", "W_Q", "W_K", "W_V", "W_O", "W_U", "b_Q", "b_K", "b_V", "b_O", "b_U")
    arrays = {name: np.asarray(getattr(model, name).detach()) for name in names}
    imported = import_checkpoint(save_npz(tmp_path / "m.npz", arrays))
    comparing.compare(imported.model, samples(model, tmp_path / "samples.npz"))


def test_its_configuration_leaves_only_where_the_answer_is_read(tmp_path: Path) -> None:
    model = build()
    notes = import_checkpoint(save_torch(tmp_path / "m.pth", {"m": model.state_dict(), "cfg": model.cfg})).notes
    assert "assumed: answer at the last position" in notes


@pytest.mark.parametrize(
    "settings",
    [
        {"normalization_type": "LN"},
        {"normalization_type": "LNPre", "eps": 1e-3},
        {"attn_only": False, "d_mlp": 8, "act_fn": "relu"},
        {"attn_only": False, "d_mlp": 8, "act_fn": "gelu", "normalization_type": "LN", "n_layers": 2},
        {"attn_only": False, "d_mlp": 8, "act_fn": "gelu_new"},
        {"attn_only": False, "d_mlp": 8, "act_fn": "silu"},
        {"n_layers": 2, "n_heads": 2, "d_head": 2, "d_model": 4},
        {"n_heads": 2, "d_head": 2, "d_model": 4, "d_vocab_out": 3, "attention_dir": "bidirectional"},
        {"attn_scale": 1.5},
        *([] if VERSION_4 else [{"use_attn_scale": False}]),
    ],
    ids=str,
)
def test_every_architecture_that_is_covered_is_imported(tmp_path: Path, settings: dict[str, object]) -> None:
    model = build(**settings)
    imported = import_checkpoint(save_torch(tmp_path / "m.pth", {"model": model.state_dict(), "cfg": model.cfg}))
    agreement = comparing.compare(imported.model, samples(model, tmp_path / "samples.npz"))
    assert agreement.largest < agreement.tolerance / 5


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"normalization_type": "RMS"}, "RMSNorm|normalization_type is 'RMS'"),
        ({"attn_only": False, "d_mlp": 8, "act_fn": "solu_ln"}, r"cfg.act_fn is 'solu_ln'|LayerNorm inside the MLP"),
        ({"attn_only": False, "d_mlp": 8, "act_fn": "relu", "gated_mlp": True}, "gated MLP"),
        ({"positional_embedding_type": "rotary", "rotary_dim": 2}, r"rotary|W_pos is missing"),
        ({"attn_scores_soft_cap": 2.0}, r"cfg.attn_scores_soft_cap is 2.0"),
    ],
    ids=str,
)
def test_what_is_another_function_is_refused(tmp_path: Path, settings: dict[str, object], reason: str) -> None:
    model = build(**settings)
    with pytest.raises(UserError, match=reason):
        import_checkpoint(save_torch(tmp_path / "m.pth", {"model": model.state_dict(), "cfg": model.cfg}))


def test_a_whole_model_is_refused_by_its_class(tmp_path: Path) -> None:
    if VERSION_4:
        pytest.skip("a bridge cannot be pickled whole")
    with pytest.raises(UserError, match=r"objects of .*transformer_lens"):
        import_checkpoint(save_torch(tmp_path / "m.pth", build()))
