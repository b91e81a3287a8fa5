"""Checkpoints as people have them: settings in many spellings and places, several models, damaged and odd files."""

import json
import math
from pathlib import Path

import pytest
import safetensors.torch
import torch

from certgen.errors import UserError
from certgen.models.configuration import read_configuration
from certgen.models.importing import import_checkpoint
from certgen.models.model_file import TENSOR_SHAPES

SIZES = {"1": 1, "d_vocab": 5, "d_model": 3, "d_head": 2, "n_ctx": 4}


def state_dict() -> dict[str, torch.Tensor]:
    return {
        name: torch.arange(1.0, 1 + math.prod(shape)).reshape(shape)
        for name, axes in TENSOR_SHAPES.items()
        if (shape := [SIZES[axis] for axis in axes])
    }


def save_torch(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def with_config(tmp_path: Path, config: object) -> Path:
    return save_torch(tmp_path / "m.pth", {"model": state_dict(), "config": config})


@pytest.mark.parametrize(
    "config",
    [
        {"normalization-type": "LN"},
        {"normalizationType": "LN"},
        {"NORMALIZATION_TYPE": "LN"},
        {"model.normalization_type": "LN"},
        {"model/normalization_type": "LN"},
        {"normalization_type": {"value": "LN", "desc": None}},
        {"normalization_type": {"type": "LN"}},
        [{"normalization_type": "LN"}],
        ({"seed": 1}, {"normalization_type": "LN"}),
        "{'normalization_type': 'LN', 'n_heads': 1}",
        "seed: 1\nnormalization_type: LN  # pre\nn_heads: 1\n",
        "Config(n_heads=1, normalization_type='LN')",
    ],
)
def test_a_setting_is_read_in_every_spelling_and_place(tmp_path: Path, config: object) -> None:
    with pytest.raises(UserError, match="is 'LN'"):
        import_checkpoint(with_config(tmp_path, config))


@pytest.mark.parametrize(
    "config",
    [
        {"use_attn_scale": [True, False]},
        {"use_attn_scale": "sometimes"},
        {"attn_only": "no"},
        {"nhead": 2},
        {"n_heads": torch.tensor([2])},
        {"use_rope": True},
        {"alibi": "yes"},
    ],
)
def test_a_value_of_another_kind_is_no_yes(tmp_path: Path, config: object) -> None:
    with pytest.raises(UserError, match=r"config\.\w+ is "):
        import_checkpoint(with_config(tmp_path, config))


@pytest.mark.parametrize(
    "config",
    [
        {"use_layer_norm": 0, "use_attn_scale": "yes", "attention_dir": "BIDIRECTIONAL", "use_rope": "off"},
        {"use_ln": torch.tensor(0), "n_heads": torch.tensor([1])},
        {"normalization_type": "Identity"},
        {"normalization": {"value": None}},
        "n_heads: int = 1\nnormalization_type: Optional[str] = None\nattn_only: bool\n",
    ],
)
def test_off_is_off_however_it_is_written(tmp_path: Path, config: object) -> None:
    import_checkpoint(with_config(tmp_path, config))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("n_heads: 2\nn_heads: 1\n", "a key is there twice"),
        ("n-heads:\n  value: 2\n", "n-heads is 2"),
        ("", "is empty"),
    ],
)
def test_yaml_is_read_as_strictly_as_json(tmp_path: Path, text: str, reason: str) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(text)
    with pytest.raises(UserError, match=reason):
        import_checkpoint(save_torch(tmp_path / "m.pth", state_dict()), config=config)


def test_the_name_of_a_configuration_says_how_it_is_written(tmp_path: Path) -> None:
    config = tmp_path / "c.txt"
    config.write_text("n_heads: 1")
    with pytest.raises(UserError, match=r"ends in \.yaml or \.yml"):
        read_configuration(config)


def test_state_dicts_in_lists_are_found(tmp_path: Path) -> None:
    other = {name: tensor + 1 for name, tensor in state_dict().items()}
    with pytest.raises(UserError, match=r"2 different sets of weights: model, history\.1"):
        import_checkpoint(save_torch(tmp_path / "m.pth", {"model": state_dict(), "history": [state_dict(), other]}))
    import_checkpoint(save_torch(tmp_path / "m.pth", (state_dict(), {"n_heads": 1})))


@pytest.mark.parametrize("entry", [float("nan"), float("-inf"), 0.5])
def test_a_mask_of_other_entries_is_not_interpreted(tmp_path: Path, entry: float) -> None:
    mask = torch.ones(4, 4)
    mask[0, 1] = entry
    with pytest.raises(UserError, match="entries other than 0 and 1"):
        import_checkpoint(save_torch(tmp_path / "m.pth", state_dict() | {"blocks.0.attn.mask": mask}))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.bool])
def test_masks_and_settings_of_integers_in_safetensors_are_read(tmp_path: Path, dtype: torch.dtype) -> None:
    path = tmp_path / "m.safetensors"
    tensors = state_dict() | {"blocks.0.attn.mask": torch.tril(torch.ones(4, 4)).to(dtype), "n_ctx": torch.tensor(4)}
    safetensors.torch.save_file(tensors, path, {"config": json.dumps({"n_heads": 1})})
    assert "no local attention" not in "\n".join(import_checkpoint(path).notes)


def test_lazy_views_are_values(tmp_path: Path) -> None:
    tensors = state_dict()
    plain = import_checkpoint(save_torch(tmp_path / "m.pth", tensors)).tensors["unembed.b_U"]
    view = torch._neg_view(-tensors["unembed.b_U"])
    lazy = import_checkpoint(save_torch(tmp_path / "m.pth", tensors | {"unembed.b_U": view})).tensors["unembed.b_U"]
    assert plain.tolist() == lazy.tolist()


@pytest.mark.parametrize(
    ("tensor", "reason"),
    [
        (torch.ones(5).to_sparse(), "unembed.b_U is a sparse tensor"),
        (torch.ones(5, device="meta"), "unembed.b_U has no values"),
    ],
)
def test_a_tensor_without_plain_values_is_called_what_it_is(tmp_path: Path, tensor: torch.Tensor, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        import_checkpoint(save_torch(tmp_path / "m.pth", state_dict() | {"unembed.b_U": tensor}))


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".npz"])
@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "is empty"), (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "pointer of Git LFS")],
)
def test_a_file_that_was_never_fetched_is_called_so(tmp_path: Path, suffix: str, content: bytes, reason: str) -> None:
    path = tmp_path / f"m{suffix}"
    path.write_bytes(content)
    with pytest.raises(UserError, match=reason):
        import_checkpoint(path)


@pytest.mark.parametrize("content", [b"hello", b"\x80\x02.", b"<html></html>", b"\x80\x02" + bytes(50)])
def test_a_damaged_torch_file_is_called_so_in_words(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.pth"
    path.write_bytes(content)
    with pytest.raises(UserError, match="it is damaged, or of another kind"):
        import_checkpoint(path)
