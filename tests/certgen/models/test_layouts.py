"""Names and axes under which weights are stored: each known layout gives the same model, others are refused."""

from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from certgen.errors import UserError
from certgen.models.importing import Imported, import_checkpoint
from certgen.models.model_file import TENSOR_SHAPES
from tests.certgen.models.test_importing import SIZES, StateDict, bare_arrays, buffers, save_npz, save_torch, state_dict


def bridge(weights: StateDict) -> StateDict:
    """The same model as TransformerLens 4.3 stores it: attention and unembedding out x in, no axis for heads."""
    attention = {}
    for letter in "qkvo":
        attention[f"blocks.0.attn.{letter}.weight"] = weights[f"blocks.0.attn.W_{letter.upper()}"][0].T.contiguous()
        attention[f"blocks.0.attn.{letter}.bias"] = weights[f"blocks.0.attn.b_{letter.upper()}"].reshape(-1)
    return {
        "embed.weight": weights["embed.W_E"],
        "pos_embed.weight": weights["pos_embed.W_pos"],
        **attention,
        "unembed.weight": weights["unembed.W_U"].T.contiguous(),
        "unembed.bias": weights["unembed.b_U"],
    }


def inside_a_module(weights: StateDict) -> StateDict:
    """The names of a TransformerLens 4 model that is a part of another module: each tensor several times."""
    wrapped = {}
    for name, tensor in bridge(weights).items():
        head, _, tail = name.rpartition(".")
        wrapped[f"model.{head}._original_component.{tail}"] = tensor
        if ".attn." in name:
            inner = head.replace("blocks.0.attn.", "blocks.0._original_component.attn._original_component.")
            wrapped[f"model.{inner}._original_component.{tail}"] = tensor
    return wrapped


def with_prefix(prefix: str, weights: StateDict) -> StateDict:
    return {prefix + name: tensor for name, tensor in weights.items()}


def model_properties() -> dict[str, np.ndarray]:
    """Arrays as `model.W_Q` gives them: layers, heads, and then the axes of the matrix."""
    arrays = bare_arrays(head_axis=True)
    stacked = {"W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V", "b_O"}
    return {name: array[np.newaxis] if name in stacked else array for name, array in arrays.items()}


def assert_same_model(imported: Imported) -> None:
    assert list(imported.tensors) != []
    for name, tensor in state_dict().items():
        assert np.array_equal(imported.tensors[name], tensor.numpy()), name


WEIGHTS = state_dict()
COUNTERS = {"n_averaged": torch.tensor(7), "accuracy.correct": torch.tensor(3), "loss_fn.weight": torch.ones(5)}
LAYOUTS: dict[str, object] = {
    "TransformerLens 4": bridge(WEIGHTS),
    "TransformerLens 4 in a module": inside_a_module(WEIGHTS),
    "TransformerLens 4 under a key": {"model": bridge(WEIGHTS), "epoch": 3},
    "TransformerLens 3": WEIGHTS | {"blocks.0.attn.mask": torch.zeros(0, 0).bool()},
    "TransformerLens 2": WEIGHTS | buffers(),
    "compiled": with_prefix("_orig_mod.", WEIGHTS),
    "parallel and compiled": with_prefix("module._orig_mod.", bridge(WEIGHTS)),
    "a block compiled": {name.replace("blocks.0.", "blocks.0._orig_mod."): t for name, t in WEIGHTS.items()},
    "averaged": with_prefix("module.", WEIGHTS) | {"n_averaged": torch.tensor(7)},
    "with metrics": {"state_dict": with_prefix("model.net.", WEIGHTS) | COUNTERS},
    "a counter among the names": WEIGHTS | {"n_averaged": torch.tensor(7)},
    "short names with a prefix": {f"net.{name.rpartition('.')[2]}": tensor for name, tensor in WEIGHTS.items()},
    "under any key": {"net": WEIGHTS},
    "twice the same": {"model": WEIGHTS, "best": {name: tensor.clone() for name, tensor in WEIGHTS.items()}},
    "expanded zeros": WEIGHTS | {"unembed.b_U": WEIGHTS["unembed.b_U"][:1].expand(5)},
    "beside gradients": {"model": WEIGHTS, "grads": {name: tensor + 1 for name, tensor in WEIGHTS.items()}},
}


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "expanded zeros"])
def test_every_layout_gives_the_same_model(tmp_path: Path, layout: str) -> None:
    assert_same_model(import_checkpoint(save_torch(tmp_path / "m.pth", LAYOUTS[layout])))


def test_a_small_expanded_tensor_is_as_good_as_another(tmp_path: Path) -> None:
    imported = import_checkpoint(save_torch(tmp_path / "m.pth", LAYOUTS["expanded zeros"]))
    assert len(set(imported.tensors["unembed.b_U"].tolist())) == 1


def test_layouts_in_other_formats(tmp_path: Path) -> None:
    safetensors.torch.save_file(bridge(WEIGHTS), tmp_path / "m.safetensors")
    assert_same_model(import_checkpoint(tmp_path / "m.safetensors"))
    assert_same_model(import_checkpoint(save_npz(tmp_path / "m.npz", model_properties())))


def test_what_is_left_out_is_named(tmp_path: Path) -> None:
    notes = import_checkpoint(save_torch(tmp_path / "m.pth", LAYOUTS["with metrics"])).notes
    assert "left out: n_averaged, accuracy.correct, loss_fn.weight [5]" in notes
    notes = import_checkpoint(save_torch(tmp_path / "m.pth", LAYOUTS["a counter among the names"])).notes
    assert "left out: n_averaged" in notes


def test_an_odd_key_that_changes_the_function_is_refused(tmp_path: Path) -> None:
    stored = with_prefix("model.", WEIGHTS) | {"mlp.weight": torch.ones(3, 3)}
    with pytest.raises(UserError, match=r"does not cover mlp.weight: it belongs to an MLP that stands beside"):
        import_checkpoint(save_torch(tmp_path / "m.pth", stored))


def test_heads_in_one_axis_are_an_assumption_unless_the_settings_count_them(tmp_path: Path) -> None:
    path = save_torch(tmp_path / "m.pth", {"model": bridge(WEIGHTS)})
    assert any(note.startswith("assumed: ") and "one head" in note for note in import_checkpoint(path).notes)
    path = save_torch(tmp_path / "m.pth", {"model": bridge(WEIGHTS), "config": {"n_heads": 1}})
    assert not any("one head" in note for note in import_checkpoint(path).notes)
    path = save_torch(tmp_path / "m.pth", {"model": bridge(WEIGHTS), "config": {"n_heads": 2}})
    assert import_checkpoint(path).architecture.heads == 2
    path = save_torch(tmp_path / "m.pth", {"model": bridge(WEIGHTS), "config": {"n_heads": 3}})
    with pytest.raises(UserError, match=r"q.weight has shape \[2, 3\]; 2 is not n_heads x d_head with n_heads = 3"):
        import_checkpoint(path)


def test_a_setting_that_versions_take_differently_is_a_question(tmp_path: Path) -> None:
    config = {"n_heads": 1, "use_attn_scale": False}
    path = save_torch(tmp_path / "m.pth", {"model": bridge(WEIGHTS), "config": config})
    with pytest.raises(UserError, match=r"use_attn_scale is False, which not every version .*\n.*--set attn_scale=1"):
        import_checkpoint(path)
    assert import_checkpoint(path, options=["attn_scale=1"]).architecture.attn_scale_squared == "1"


@pytest.mark.parametrize(("keys"), [("model", "model_state_dict"), ("model", "ema"), ("net", "teacher"), ("a", "b")])
def test_two_different_state_dicts_are_refused_naming_both(tmp_path: Path, keys: tuple[str, str]) -> None:
    other = {name: tensor + 1 for name, tensor in WEIGHTS.items()}
    with pytest.raises(UserError, match=rf"2 different sets of weights: {keys[0]}, {keys[1]}"):
        import_checkpoint(save_torch(tmp_path / "m.pth", {keys[0]: WEIGHTS, keys[1]: other}))


def test_two_different_prefixes_are_refused_naming_both(tmp_path: Path) -> None:
    other = {f"ema.{name}": tensor + 1 for name, tensor in WEIGHTS.items()}
    stored = {"state_dict": with_prefix("model.", WEIGHTS) | other}
    with pytest.raises(UserError, match=r"state_dict.model.\*, state_dict.ema.\*"):
        import_checkpoint(save_torch(tmp_path / "m.pth", stored))


def test_the_same_tensor_twice_with_different_values_is_refused(tmp_path: Path) -> None:
    stored = inside_a_module(WEIGHTS)
    stored["model.blocks.0.attn.q._original_component.weight"] = torch.ones(2, 3)
    with pytest.raises(UserError, match=r"model.blocks.0.*q.*weight is there twice"):
        import_checkpoint(save_torch(tmp_path / "m.pth", stored))


def test_a_model_of_another_program_is_refused_by_what_comes_nearest(tmp_path: Path) -> None:
    tensors = {"tok_embed.weight": torch.ones(5, 3), "layers.0.heads.1.W_Q.weight": torch.ones(2, 3)}
    with pytest.raises(UserError) as refusal:
        import_checkpoint(save_torch(tmp_path / "m.pth", tensors | {"odd.weight": torch.ones(3)}))
    refusal.match(r"no recipe fits .*; nearest is one-module-a-head: .*pos_embed.W_pos is missing.*odd.weight")


def test_a_weight_that_is_made_of_others_is_refused_by_name(tmp_path: Path) -> None:
    tensors = {"tok_embed.weight": torch.ones(5, 3), "embed.parametrizations.W_E.original": torch.ones(5, 3)}
    with pytest.raises(UserError, match=r"does not cover embed.parametrizations.W_E.original: .*parametrizes"):
        import_checkpoint(save_torch(tmp_path / "m.pth", tensors))


def test_all_that_is_not_covered_is_named_at_once(tmp_path: Path) -> None:
    stored = WEIGHTS | {"blocks.0.mlp.W_gate": torch.ones(3), "blocks.0.attn.rotary_sin": torch.ones(2, 3, 2)}
    with pytest.raises(UserError, match=r"W_gate: it belongs to a gated MLP; nor blocks.0.attn.rotary_sin: .*rotary"):
        import_checkpoint(save_torch(tmp_path / "m.pth", stored))


def test_several_layers_in_one_array_are_refused(tmp_path: Path) -> None:
    arrays = model_properties()
    for name in ("W_Q", "b_O"):
        stacked = arrays | {name: np.concatenate([arrays[name]] * 2)}
        with pytest.raises(UserError, match=rf"{name} has shape \[2, .*; expected the axes"):
            import_checkpoint(save_npz(tmp_path / "m.npz", stacked))


@pytest.mark.parametrize("name", ["W_E", "W_Q", "W_K", "W_V", "W_O", "W_U"])
def test_a_matrix_that_is_the_wrong_way_round_is_named(tmp_path: Path, name: str) -> None:
    arrays = bare_arrays(head_axis=False)
    with pytest.raises(UserError, match=rf"{name} has its axes the other way round"):
        import_checkpoint(save_npz(tmp_path / "m.npz", arrays | {name: arrays[name].T}))


def test_square_matrices_are_noted(tmp_path: Path) -> None:
    sizes = {**SIZES, "d_head": 3}
    weights = {name: torch.ones([sizes[axis] for axis in axes]) for name, axes in TENSOR_SHAPES.items()}
    notes = import_checkpoint(save_torch(tmp_path / "m.pth", weights)).notes
    assert any(note.startswith("note: W_Q, W_K, W_V, W_O are square") for note in notes)
    notes = import_checkpoint(save_torch(tmp_path / "m.pth", bridge(weights))).notes
    assert not any("square" in note for note in notes)  # these names say which way round they are


def test_a_mask_without_entries_says_nothing(tmp_path: Path) -> None:
    notes = import_checkpoint(save_torch(tmp_path / "m.pth", LAYOUTS["TransformerLens 3"])).notes
    assert any("blocks.0.attn.mask has no entries" in note for note in notes)
    assert any(note.startswith("assumed: ") and "no local attention" in note for note in notes)


@pytest.mark.parametrize("mask", [torch.ones(2, 2), torch.ones(5, 5), torch.ones(4)])
def test_a_mask_of_another_size_is_refused(tmp_path: Path, mask: torch.Tensor) -> None:
    with pytest.raises(UserError, match=r"blocks.0.attn.mask has shape .* expected \[4, 4\]"):
        import_checkpoint(save_torch(tmp_path / "m.pth", WEIGHTS | {"blocks.0.attn.mask": mask}))


def test_fewer_tokens_than_positions_cut_the_positions(tmp_path: Path) -> None:
    imported = import_checkpoint(save_torch(tmp_path / "m.pth", WEIGHTS | buffers()), k=3)
    assert np.array_equal(imported.tensors["pos_embed.W_pos"], WEIGHTS["pos_embed.W_pos"][:3].numpy())
    assert imported.model.n_ctx == 3
    assert any(note.startswith("cut: pos_embed.W_pos from 4 to 3") and "exact" in note for note in imported.notes)


def test_under_a_full_mask_a_cut_model_is_one_without_padding(tmp_path: Path) -> None:
    for extra in ({}, {"blocks.0.attn.mask": torch.ones(4, 4)}, {"attention_dir": "bidirectional"}):
        notes = import_checkpoint(save_torch(tmp_path / "m.pth", WEIGHTS | extra), k=3).notes
        assert any("run on 3 tokens alone, without padding" in note for note in notes)


def test_a_local_mask_may_reach_far_enough_for_fewer_tokens(tmp_path: Path) -> None:
    mask = torch.triu(torch.tril(torch.ones(4, 4)), -2).bool()  # each position sees three
    path = save_torch(tmp_path / "m.pth", WEIGHTS | {"blocks.0.attn.mask": mask})
    assert import_checkpoint(path, k=3).model.n_ctx == 3
    with pytest.raises(UserError, match="local attention"):
        import_checkpoint(path)
