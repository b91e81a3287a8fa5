"""Importing: every accepted form gives the same tensors, everything else is refused by its name."""

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from certgen.errors import UserError
from certgen.models.importing import import_checkpoint
from certgen.models.model_file import TENSOR_SHAPES, load_model, save_model

SIZES = {"1": 1, "d_vocab": 5, "d_model": 3, "d_head": 2, "n_ctx": 4}
StateDict = dict[str, torch.Tensor]


def state_dict(dtype: torch.dtype = torch.float32) -> StateDict:
    generator = torch.Generator().manual_seed(0)
    return {
        name: torch.randn([SIZES[axis] for axis in axes], generator=generator).to(dtype)
        for name, axes in TENSOR_SHAPES.items()
    }


def buffers() -> StateDict:
    return {
        "blocks.0.attn.mask": torch.tril(torch.ones(4, 4)).bool(),
        "blocks.0.attn.IGNORE": torch.tensor(-torch.inf),
    }


def save_torch(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def save_npz(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    np.savez(path, **dict[str, Any](arrays))
    return path


def bare_arrays(head_axis: bool) -> dict[str, np.ndarray]:
    arrays = {}
    for name, tensor in state_dict().items():
        drop = TENSOR_SHAPES[name][0] == "1" and not head_axis
        arrays[name.rpartition(".")[2]] = (tensor[0] if drop else tensor).numpy()
    return arrays


FORMS: dict[str, Callable[[Path], Path]] = {
    "pth": lambda d: save_torch(d / "m.pth", state_dict()),
    "pt": lambda d: save_torch(d / "m.pt", state_dict()),
    "pth with buffers": lambda d: save_torch(d / "m.pth", state_dict() | buffers()),
    "pth of parameters": lambda d: save_torch(
        d / "m.pth", {name: torch.nn.Parameter(tensor) for name, tensor in state_dict().items()}
    ),
    "under model": lambda d: save_torch(d / "m.pth", {"model": state_dict(), "losses": torch.ones(3), "epoch": 7}),
    "under state_dict": lambda d: save_torch(d / "m.pth", {"state_dict": state_dict(), "optimizer": {"lr": 1.0}}),
    "under model_state_dict": lambda d: save_torch(d / "m.pth", {"model_state_dict": state_dict() | buffers()}),
    "nested twice": lambda d: save_torch(d / "m.pth", {"model": {"state_dict": state_dict()}}),
    "with a prefix": lambda d: save_torch(
        d / "m.ckpt", {"state_dict": {f"model.{name}": t for name, t in (state_dict() | buffers()).items()}}
    ),
    "safetensors": lambda d: d / "m.safetensors",
    "npz with head axis": lambda d: save_npz(d / "m.npz", bare_arrays(head_axis=True)),
    "npz without head axis": lambda d: save_npz(d / "m.npz", bare_arrays(head_axis=False)),
    "npz of long names": lambda d: save_npz(d / "m.npz", {name: t.numpy() for name, t in state_dict().items()}),
    "npz, big-endian": lambda d: save_npz(
        d / "m.npz", {name: array.astype(">f4") for name, array in bare_arrays(head_axis=True).items()}
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_accepted_form_gives_the_same_model(tmp_path: Path, form: str) -> None:
    safetensors.torch.save_file(state_dict() | buffers(), tmp_path / "m.safetensors")
    tensors = import_checkpoint(FORMS[form](tmp_path), k=4).tensors
    assert tensors.keys() == TENSOR_SHAPES.keys()
    for name, tensor in state_dict().items():
        assert tensors[name].dtype == np.float32
        assert np.array_equal(tensors[name], tensor.numpy())
    save_model(tmp_path / "model.safetensors", tensors)
    assert np.array_equal(load_model(tmp_path / "model.safetensors").W_E, state_dict()["embed.W_E"].numpy())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_no_value_changes_in_any_dtype(tmp_path: Path, dtype: torch.dtype, suffix: str) -> None:
    weights = state_dict(dtype)
    path = tmp_path / f"m.{suffix}"
    if suffix == "pth":
        torch.save(weights, path)
    else:
        safetensors.torch.save_file(weights, path)
    save_model(tmp_path / "model.safetensors", import_checkpoint(path).tensors)
    model = load_model(tmp_path / "model.safetensors")
    for name, tensor in weights.items():
        loaded = getattr(model, name.rpartition(".")[2])
        assert np.array_equal(loaded.ravel(), tensor.double().numpy().ravel())


def test_missing_biases_become_zeros_and_present_ones_are_kept(tmp_path: Path) -> None:
    arrays = bare_arrays(head_axis=False)
    for bias in ("b_Q", "b_K", "b_V", "b_O", "b_U"):
        without = {name: array for name, array in arrays.items() if name != bias}
        tensors = import_checkpoint(save_npz(tmp_path / "m.npz", without)).tensors
        for name, tensor in state_dict().items():
            expected = torch.zeros_like(tensor) if name.endswith(bias) else tensor
            assert np.array_equal(tensors[name], expected.numpy())


@pytest.mark.parametrize(
    ("name", "shape", "reason"),
    [
        ("blocks.12.attn.mask", (4, 4), "unknown tensor"),
        ("blocks.0.ln1.w", (3,), "no bias beside it, as in RMSNorm"),
        ("ln_final.w", (3,), "no bias beside it, as in RMSNorm"),
        ("blocks.0.ln1.running_mean", (3,), "BatchNorm"),
        ("embed.ln.w", (3,), "LayerNorm"),
        ("blocks.0.attn.q_norm.w", (2,), "normalisation"),
        ("blocks.0.mlp.W_gate", (3, 12), "gated MLP"),
        ("blocks.0.mlp.experts.0.W_in", (3, 12), "mixture of experts"),
        ("blocks.0.cross_attn.W_Q", (1, 3, 2), "cross attention"),
        ("blocks.0.attn.sinks", (1,), "attention sinks"),
        ("blocks.0.attn.rotary_sin", (4, 2), "rotary"),
        ("blocks.0.attn.rotary_cos", (4, 2), "rotary"),
        ("blocks.0.attn.rel_pos_bias.weight", (32, 1), "relative position"),
        ("blocks.0.attn.alibi", (1, 4, 4), "relative position"),
        ("blocks.0.attn._W_K", (1, 3, 2), "grouped key and value heads"),
        ("blocks.0.attn._b_V", (1, 2), "grouped key and value heads"),
        ("blocks.0.attn.W_Z", (1, 3, 2), "unknown tensor"),
        ("W_E", (5, 3), "twice"),
        ("blocks.0.attn.b_K", (4, 2), "expected [n_heads, d_head] = [1, 2]"),
        ("blocks.0.attn.W_O", (3, 2, 3), "expected [n_heads, d_head, d_model] = [1, 2, 3]"),
        ("blocks.0.attn.W_O", (1, 3, 2), "expected"),
        ("blocks.0.attn.W_K", (), "expected"),
        ("embed.W_E", (3,), "expected"),
        ("pos_embed.W_pos", (4, 4), "expected"),
        ("unembed.W_U", (), "expected"),
        ("unembed.b_U", (6,), "expected"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "model."])
def test_what_the_theory_does_not_cover_is_refused_by_name(
    tmp_path: Path, prefix: str, name: str, shape: tuple[int, ...], reason: str
) -> None:
    stored = {prefix + each: tensor for each, tensor in (state_dict() | {name: torch.ones(shape)}).items()}
    with pytest.raises(UserError) as refusal:
        import_checkpoint(save_torch(tmp_path / "m.pth", stored))
    assert name in refusal.value.message
    assert reason in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "shape", "missing"),
    [
        ("blocks.1.attn.W_Q", (1, 3, 2), "blocks.1.attn.W_K"),
        ("blocks.2.attn.b_O", (3,), "blocks.1.attn.W_Q"),
        ("blocks.0.ln2.b", (3,), "blocks.0.ln1.w"),
        ("ln_final.b", (3,), "ln_final.w"),
        ("blocks.0.mlp.W_in", (3, 12), "blocks.0.mlp.W_out"),
        ("blocks.0.mlp.b_out", (3,), "blocks.0.mlp.W_in"),
    ],
)
def test_what_a_part_of_a_model_lacks_is_named(tmp_path: Path, name: str, shape: tuple[int, ...], missing: str) -> None:
    path = save_torch(tmp_path / "m.pth", state_dict() | {name: torch.ones(shape)})
    with pytest.raises(UserError, match=f"nearest is transformer-lens: .*the tensor {missing} is missing"):
        import_checkpoint(path)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_a_weight_that_is_not_finite_is_refused_by_name(tmp_path: Path, value: float) -> None:
    weights = state_dict()
    weights["blocks.0.attn.W_V"][0, 1, 1] = value
    with pytest.raises(UserError, match=r"blocks.0.attn.W_V is not finite: .* at \[0, 1, 1\]"):
        import_checkpoint(save_torch(tmp_path / "m.pth", weights))


@pytest.mark.parametrize("dtype", [torch.int64, torch.complex64, torch.float8_e4m3fn, torch.bool])
def test_weights_of_another_kind_are_refused_by_name(tmp_path: Path, dtype: torch.dtype) -> None:
    weights = state_dict() | {"unembed.b_U": torch.ones(5).to(dtype)}
    with pytest.raises(UserError, match=r"unembed\.b_U"):
        import_checkpoint(save_torch(tmp_path / "m.pth", weights))


@pytest.mark.parametrize("name", ["embed.W_E", "pos_embed.W_pos", "blocks.0.attn.W_Q", "unembed.W_U"])
def test_a_missing_weight_is_named(tmp_path: Path, name: str) -> None:
    weights = state_dict()
    del weights[name]
    with pytest.raises(UserError, match=f"{name} is missing"):
        import_checkpoint(save_torch(tmp_path / "m.pth", weights))


def test_more_tokens_than_positions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"W_pos has 4 positions, but k = 5"):
        import_checkpoint(save_torch(tmp_path / "m.pth", state_dict()), k=5)


def test_a_mask_of_local_attention_is_refused(tmp_path: Path) -> None:
    local = {"blocks.0.attn.mask": torch.triu(torch.tril(torch.ones(4, 4)), -1).bool()}
    with pytest.raises(UserError, match=r"blocks.0.attn.mask hides"):
        import_checkpoint(save_torch(tmp_path / "m.pth", state_dict() | local))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([1, 2], "holds a list"),
        (torch.ones(2), "holds a Tensor"),
        ({}, "holds no tensors"),
        ({"embed.W_E": 3}, "embed.W_E .* is an int, not a tensor"),
        (Path("x"), "does not load as a torch file of tensors only"),
    ],
)
def test_a_torch_file_of_something_else_is_refused(tmp_path: Path, content: object, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        import_checkpoint(save_torch(tmp_path / "m.pth", content))


def test_a_mapping_that_contains_itself_is_refused(tmp_path: Path) -> None:
    loop: dict[str, object] = {}
    loop["model"] = loop
    with pytest.raises(UserError, match=r"holds no tensors"):
        import_checkpoint(save_torch(tmp_path / "m.pth", loop))


def test_pickled_objects_in_an_npz_are_not_loaded(tmp_path: Path) -> None:
    arrays = bare_arrays(head_axis=True) | {"W_E": np.array([{"a": 1}], dtype=object)}
    with pytest.raises(UserError, match=r"not an \.npz of plain arrays"):
        import_checkpoint(save_npz(tmp_path / "m.npz", arrays))


def test_a_single_array_is_not_an_npz(tmp_path: Path) -> None:
    with open(tmp_path / "m.npz", "wb") as file:
        np.save(file, np.ones((5, 3)))
    with pytest.raises(UserError, match="single array"):
        import_checkpoint(tmp_path / "m.npz")


def test_paths_that_lead_nowhere_are_refused(tmp_path: Path) -> None:
    for name in ("absent.pth", "absent.safetensors", "absent.npz"):
        with pytest.raises(UserError, match=f"cannot read .*{name}"):
            import_checkpoint(tmp_path / name)
    with pytest.raises(UserError, match="no known checkpoint suffix"):
        import_checkpoint(tmp_path / "model.onnx")


def test_without_torch_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_torch(tmp_path / "m.pth", state_dict())
    npz = save_npz(tmp_path / "m.npz", bare_arrays(head_axis=True))
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UserError, match=r"needs PyTorch.*\n.*compact-proofs\[train\]"):
        import_checkpoint(path)
    assert import_checkpoint(npz).tensors.keys() == TENSOR_SHAPES.keys()


@pytest.mark.parametrize("suffix", ["pth", "safetensors", "npz"])
def test_damaged_files_never_raise_anything_but_a_user_error(tmp_path: Path, suffix: str) -> None:
    safetensors.torch.save_file(state_dict(), tmp_path / "m.safetensors")
    whole = {
        "pth": lambda: save_torch(tmp_path / "m.pth", state_dict()),
        "safetensors": lambda: tmp_path / "m.safetensors",
        "npz": lambda: save_npz(tmp_path / "m.npz", bare_arrays(head_axis=True)),
    }[suffix]().read_bytes()
    path = tmp_path / f"damaged.{suffix}"
    for length in range(0, len(whole), len(whole) // 30):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError):
            import_checkpoint(path)

    rng = np.random.default_rng(0)
    refusals = 0
    for _ in range(150):
        damaged = bytearray(whole)
        damaged[rng.integers(len(whole))] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            import_checkpoint(path)
        except UserError:
            refusals += 1  # other changes hit a weight or padding and leave a readable file
    assert refusals > 10


def test_a_suffix_does_not_hide_another_kind_of_file(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, **dict[str, Any](bare_arrays(head_axis=True)))
    for suffix in ("pth", "safetensors"):
        (tmp_path / f"m.{suffix}").write_bytes(buffer.getvalue())
        with pytest.raises(UserError, match=f"m.{suffix}"):
            import_checkpoint(tmp_path / f"m.{suffix}")
