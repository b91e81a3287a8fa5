"""Every shipped recipe on a plain PyTorch module: the imported model is the function that the module computes."""

import json
import re
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from certgen.errors import UserError
from certgen.models import recipe as recipes
from certgen.models.comparing import compare
from certgen.models.forward import logits
from certgen.models.importing import Imported, import_checkpoint
from certgen.models.model_file import load_model, save_model
from certgen.models.recipe import find_recipe, shipped
from certgen.models.refusals import refusal
from tests.certgen.models.test_comparing import run
from tests.certgen.models.test_importing import save_npz, save_torch, state_dict
from tests.support import torch_models as models

X = torch.randint(models.V, (20, 4), generator=torch.Generator().manual_seed(3))


def built(build: Callable[[], nn.Module]) -> Any:
    """A module in evaluation, with random weights and biases in double."""
    torch.manual_seed(1)
    module = build().eval().double()
    if isinstance(module, models.Lens):
        module.weights = {
            name: tensor.double() if tensor.is_floating_point() else tensor for name, tensor in module.weights.items()
        }
    for name, parameter in module.named_parameters():
        nn.init.normal_(parameter, 1.0 if re.search(r"(ln|norm)\w*\.weight", name) else 0.0, 0.6)
    return module


def assert_same_function(module: Any, imported: Imported, positions: Sequence[int] = (0, 2, 3)) -> None:
    with torch.no_grad():
        expected = module(X).numpy()
    if imported.architecture.pool != "none":
        assert logits(imported.model, X.numpy()) == pytest.approx(expected, rel=1e-10, abs=1e-10)
        return
    for position in positions:
        found = logits(imported.model, X.numpy(), position)
        assert found == pytest.approx(expected[:, position], rel=1e-10, abs=1e-10), position


CASES: dict[str, tuple[str, Callable[[], nn.Module], list[str], str]] = {
    "TransformerLens, gelu": ("transformer-lens", models.Lens, ["activation=gelu_erf"], "2L2H-gelu_erf-LN"),
    "TransformerLens, full": (
        "transformer-lens",
        lambda: models.Lens(causal=False, act=None),
        ["mask=full"],
        "2L2H-attn-only-LN-full",
    ),
    "TransformerLens, LNPre": (
        "transformer-lens",
        lambda: models.Lens(weighted=False, act=F.relu, eps=1e-3, scale=3.0),
        ["normalization=LNPre", "eps=1e-3", "attn_scale=3"],
        "2L2H-relu-LNPre",
    ),
    "grokking": ("grokking", models.Grokking, [], "1L2H-relu"),
    "nanoGPT": ("nanogpt", lambda: models.GPT(nn.Linear, F.gelu), ["heads=2"], "2L2H-gelu_erf-LN"),
    "GPT-2": (
        "gpt2",
        lambda: models.GPT(models.Conv1D, lambda z: F.gelu(z, approximate="tanh")),
        ["heads=2"],
        "2L2H-gelu_tanh-LN",
    ),
    "encoder": ("torch-encoder", models.Encoder, ["heads=2"], "2L2H-relu-postLN-full"),
    "encoder, all other ways": (
        "torch-encoder",
        lambda: models.Encoder(causal=True, norm_first=True, final=True, act="gelu"),
        ["heads=2", "mask=causal", "norms=pre", "activation=gelu_erf"],
        "2L2H-gelu_erf-LN",
    ),
    "own blocks": (
        "torch-attention",
        models.OwnBlocks,
        ["heads=2", "norms=pre", "activation=silu", "pool=mean"],
        "2L2H-silu-LN-full-mean",
    ),
    "one module a head": ("one-module-a-head", models.ModuleAHead, [], "2L3H-attn-only"),
    "sum over positions": ("verified-circuits", models.SumOverPositions, ["heads=2"], "2L2H-relu-sum"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_imported_model_computes_what_the_module_computes(tmp_path: Path, case: str) -> None:
    name, build, options, brief = CASES[case]
    module = built(build)
    path = save_torch(tmp_path / "m.pt", module.state_dict())
    imported = import_checkpoint(path, options=options)
    assert imported.architecture.brief == brief
    assert imported.notes[0].startswith(f"recipe: {name}, ")
    assert_same_function(module, imported)
    save_model(tmp_path / "m.safetensors", imported.tensors, imported.architecture)
    assert load_model(tmp_path / "m.safetensors").architecture == imported.architecture
    by_name = import_checkpoint(path, recipe=name, options=options)
    assert all(np.array_equal(by_name.tensors[each], tensor) for each, tensor in imported.tensors.items())


def test_every_shipped_recipe_is_tested() -> None:
    elsewhere = {"arrays", "transformer-lens-4"}  # test_layouts
    assert {case[0] for case in CASES.values()} | elsewhere == shipped().keys()
    assert all(recipe.about for recipe in shipped().values())


@pytest.mark.parametrize("wrong", ["mask=full", "activation=relu", "heads=4", "norms=post", "eps=1e-1", "attn_scale=1"])
def test_samples_tell_a_wrong_assumption(tmp_path: Path, wrong: str) -> None:
    module = built(lambda: models.GPT(nn.Linear, F.gelu))
    path = save_torch(tmp_path / "m.pt", module.state_dict())
    options = {"heads": "heads=2"} | {wrong.split("=")[0]: wrong}
    with torch.no_grad():
        samples = {"x": X.numpy(), "logits": module(X).numpy(), "readout": np.array(2)}
    npz = save_npz(tmp_path / "samples.npz", samples)
    compare(import_checkpoint(path, options=["heads=2"]).model, npz)
    with pytest.raises(UserError, match="does not agree"):
        compare(import_checkpoint(path, options=options.values()).model, npz)


@pytest.mark.parametrize(
    ("readout", "pool", "reason"),
    [
        (np.array([1, 2]), "none", "readout in .* is not one integer"),
        (np.array(1.0), "none", "is not one integer"),
        (np.array(9), "none", "there is no position 9"),
        (np.array(1), "sum", "has a readout, and the model pools"),
    ],
)
def test_a_readout_that_is_no_position_is_refused(tmp_path: Path, readout: np.ndarray, pool: str, reason: str) -> None:
    module = built(models.ModuleAHead)
    imported = import_checkpoint(save_torch(tmp_path / "m.pt", module.state_dict()), options=[f"pool={pool}"])
    npz = save_npz(tmp_path / "s.npz", {"x": X.numpy(), "logits": np.zeros((20, models.V)), "readout": readout})
    with pytest.raises(UserError, match=reason):
        compare(imported.model, npz)


def test_settings_beside_the_weights_are_used(tmp_path: Path) -> None:
    module = built(lambda: models.GPT(nn.Linear, F.gelu))
    arguments = {"n_layer": 2, "n_head": 2, "n_embd": 8, "block_size": 5, "bias": True, "vocab_size": 7}
    path = save_torch(tmp_path / "m.pt", {"model": module.state_dict(), "model_args": arguments})
    assert_same_function(module, import_checkpoint(path))
    wrong = save_torch(tmp_path / "m.pt", {"model": module.state_dict(), "model_args": arguments | {"n_layer": 3}})
    with pytest.raises(UserError, match=r"model_args.n_layer is 3, and the tensors have n_layers = 2"):
        import_checkpoint(wrong)


SETTINGS: list[tuple[dict[str, object], dict[str, Any], str]] = [
    ({"act_fn": "gelu"}, {"act": F.gelu}, "2L2H-gelu_erf-LN"),
    ({"act_fn": "gelu_new"}, {"act": lambda z: F.gelu(z, approximate="tanh")}, "2L2H-gelu_tanh-LN"),
    ({"act_fn": "silu"}, {"act": F.silu}, "2L2H-silu-LN"),
    ({"act_fn": "relu", "normalization_type": "LN", "eps": 1e-3}, {"act": F.relu, "eps": 1e-3}, "2L2H-relu-LN"),
    ({"normalization_type": "LNPre"}, {"act": F.relu, "weighted": False}, "2L2H-relu-LNPre"),
    ({"normalization_type": None}, {"act": F.relu, "ln": False}, "2L2H-relu"),
    ({"attention_dir": "bidirectional"}, {"act": F.relu, "causal": False}, "2L2H-relu-LN-full"),
    ({"use_attn_scale": False, "attn_scale": 5.0}, {"act": F.relu, "scale": 1.0}, "2L2H-relu-LN"),
    ({"use_attn_scale": True, "attn_scale": 5.5}, {"act": F.relu, "scale": 5.5}, "2L2H-relu-LN"),
    ({"n_heads": 2, "n_layers": 2, "d_mlp": 12, "d_vocab_out": 6}, {"act": F.relu}, "2L2H-relu-LN"),
]
NAMES = [" ".join(map(str, config)) for config, _, _ in SETTINGS]


@pytest.mark.parametrize(("config", "module", "brief"), SETTINGS, ids=NAMES)
def test_settings_of_transformer_lens_are_honoured(
    tmp_path: Path, config: dict[str, object], module: dict[str, Any], brief: str
) -> None:
    lens = built(lambda: models.Lens(**module))
    imported = import_checkpoint(save_torch(tmp_path / "m.pt", {"model": lens.state_dict(), "cfg": config}))
    assert imported.architecture.brief == brief
    assert_same_function(lens, imported)


@pytest.mark.parametrize(
    "config",
    [
        {"act_fn": "solu_ln"}, {"act_fn": "gelu_fast"}, {"attn_only": True}, {"d_mlp": 13}, {"gated_mlp": True},
        {"num_experts": 4}, {"parallel_attn_mlp": True}, {"normalization_type": "RMS"}, {"normalization_type": None},
        {"normalization_type": "LNPre"}, {"n_heads": 4}, {"n_layers": 1}, {"eps": -1.0}, {"eps": "small"},
        {"n_key_value_heads": 1},
    ],
    ids=str,
)  # fmt: skip
def test_settings_of_another_function_are_refused(tmp_path: Path, config: dict[str, object]) -> None:
    path = save_torch(tmp_path / "m.pt", {"model": built(models.Lens).state_dict(), "cfg": config})
    with pytest.raises(UserError, match=rf"cfg\.{next(iter(config))} is .*, and |eps is 'small'"):
        import_checkpoint(path)


def test_what_is_set_by_hand_overrules_the_settings(tmp_path: Path) -> None:
    lens = built(lambda: models.Lens(causal=False, act=F.relu))
    path = save_torch(tmp_path / "m.pt", {"model": lens.state_dict(), "cfg": {"attention_dir": "causal"}})
    imported = import_checkpoint(path, options=["mask=full"])
    assert_same_function(lens, imported)
    assert imported.notes[-1] == "set by hand: mask=full"


def test_a_mask_that_is_always_used_tells_and_one_of_transformer_lens_does_not(tmp_path: Path) -> None:
    grokking = import_checkpoint(save_torch(tmp_path / "m.pt", built(models.Grokking).state_dict()))
    assert not any("causal mask" in note for note in grokking.notes)
    lens = import_checkpoint(save_torch(tmp_path / "m.pt", built(models.Lens).state_dict()))
    assert any(note.startswith("assumed: ") and "causal mask" in note for note in lens.notes)
    full = built(models.Grokking).state_dict() | {"blocks.0.attn.mask": torch.ones(5, 5)}
    assert import_checkpoint(save_torch(tmp_path / "m.pt", full)).architecture.mask == "full"
    odd = torch.ones(5, 5).tril()
    odd[0, 3] = 1
    with pytest.raises(UserError, match="shows some later positions and hides others"):
        import_checkpoint(save_torch(tmp_path / "m.pt", full | {"blocks.0.attn.mask": odd}))


def test_an_unembedding_that_is_tied_is_found_and_said(tmp_path: Path) -> None:
    module = built(lambda: models.GPT(nn.Linear, F.gelu))
    module.lm_head.weight = module.transformer["wte"].weight
    state = {name: tensor for name, tensor in module.state_dict().items() if name != "lm_head.weight"}
    imported = import_checkpoint(save_torch(tmp_path / "m.pt", state), options=["heads=2"])
    assert_same_function(module, imported)
    assert any("transformer.wte.weight is taken for it (tied)" in note for note in imported.notes)


def test_a_layer_norm_without_bias_must_be_called_one(tmp_path: Path) -> None:
    module = built(lambda: models.GPT(nn.Linear, F.gelu))
    state = {name: tensor for name, tensor in module.state_dict().items() if not re.search(r"ln_\w\.bias", name)}
    path = save_torch(tmp_path / "m.pt", state)
    with pytest.raises(UserError, match=r"transformer.h.0.ln_1.weight has no bias beside it, as in RMSNorm"):
        import_checkpoint(path, options=["heads=2"])
    for block in [*module.transformer["h"], {"ln_1": module.transformer["ln_f"], "ln_2": module.transformer["ln_f"]}]:
        for name in ("ln_1", "ln_2"):
            nn.init.zeros_(block[name].bias)
    assert_same_function(module, import_checkpoint(path, options=["heads=2", "normalization=LN"]))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ([], "tell the number of heads"),
        (["heads=3"], "is not 3 x n_heads x d_head with n_heads = 3"),
        (["heads=0"], "from 1 to 1024"),
        (["heads=two"], "from 1 to 1024"),
        (["heads=2", "heads=2"], "set twice"),
        (["head=2"], "'head=2' sets nothing"),
        (["heads"], "'heads' sets nothing"),
        (["heads=2", "mask=local"], "mask: "),
        (["heads=2", "activation=tanh"], "activation: "),
        (["heads=2", "pool=max"], "pool: "),
        (["heads=2", "eps=little"], "eps is 'little'"),
        (["heads=2", "eps=-1"], "eps is '-1'"),
        (["heads=2", "attn_scale=0"], "attn_scale is '0'"),
        (["heads=2", "attn_scale=sqrt(d_mlp)"], "attn_scale is"),
        (["heads=2", "attn_scale=1e99999"], "too long a number"),
        (["heads=2", "norms=pre,post"], "before or after"),
        (["heads=2", "norms=sometimes"], "norms=sometimes is set"),
        (["heads=2", "normalization=none"], "have weights of LayerNorm"),
    ],
)
def test_what_is_set_wrongly_is_refused(tmp_path: Path, options: list[str], reason: str) -> None:
    path = save_torch(tmp_path / "m.pt", built(lambda: models.GPT(nn.Linear, F.gelu)).state_dict())
    with pytest.raises(UserError, match=re.escape(reason) if reason[0] != "'" else reason):
        import_checkpoint(path, options=options)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["heads=2"], "the tensors have 3"),
        (["activation=relu"], "no MLP"),
        (["eps=1e-5"], "no LayerNorm"),
        (["norms=pre"], "no LayerNorm"),
        (["normalization=LN"], "no weights of LayerNorm"),
    ],
)
def test_what_is_set_for_a_part_that_there_is_not_is_refused(tmp_path: Path, options: list[str], reason: str) -> None:
    path = save_torch(tmp_path / "m.pt", built(models.ModuleAHead).state_dict())
    with pytest.raises(UserError, match=reason):
        import_checkpoint(path, options=options)


def test_the_nearest_recipe_is_named_with_what_it_lacks(tmp_path: Path) -> None:
    state = built(models.SumOverPositions).state_dict()
    del state["pos"]
    path = save_torch(tmp_path / "m.pt", state | {"extra": torch.ones(2, 2)})
    with pytest.raises(UserError) as refusal:
        import_checkpoint(path, options=["heads=2"])
    nearest = "nearest is verified-circuits: the tensor pos_embed.W_pos is missing, unknown tensor extra"
    refusal.match(rf"no recipe fits .*m.pt; {re.escape(nearest)}")
    with pytest.raises(UserError, match=r"the recipe gpt2 does not fit"):
        import_checkpoint(path, recipe="gpt2", options=["heads=2"])


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (lambda: nn.TransformerDecoderLayer(models.D, 2, 12), "multihead_attn.*: it belongs to cross attention"),
        (lambda: nn.MultiheadAttention(models.D, 2, add_bias_kv=True), r"bias_k: it is a key or a value beside"),
        (lambda: nn.MultiheadAttention(models.D, 2, kdim=4), r"q_proj_weight: keys or values have another width"),
        (lambda: nn.BatchNorm1d(models.D), "running_mean: it belongs to BatchNorm"),
        (lambda: nn.Conv1d(2, 2, 1), None),
    ],
)
def test_what_pytorch_has_and_the_theory_does_not_is_refused_by_name(
    tmp_path: Path, module: Callable[[], nn.Module], reason: str | None
) -> None:
    encoder = built(models.Encoder)
    encoder.extra = module()
    path = save_torch(tmp_path / "m.pt", encoder.state_dict())
    with pytest.raises(UserError, match=reason or r"torch-encoder: unknown tensors extra.weight, extra.bias"):
        import_checkpoint(path, options=["heads=2"])


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("model.layers.0.self_attn.rotary_emb.inv_freq", "rotary"),
        ("encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", "relative position"),
        ("bert.embeddings.token_type_embeddings.weight", "second embedding"),
        ("bert.embeddings.LayerNorm.weight", "LayerNorm of the embedding"),
        ("blocks.0.ln1_post.w", "second LayerNorm"),
        ("model.layers.0.mlp.gate_proj.weight", "gated MLP"),
        ("model.layers.0.block_sparse_moe.experts.0.w1.weight", "mixture of experts"),
        ("layers.0.self_attn.sinks", "attention sinks"),
        ("h.0.attn.q_norm.weight", "queries or keys"),
        ("layers.0.rmsnorm.weight", "RMSNorm"),
        ("layers.0.attn.lora_A.weight", "low-rank update"),
        ("blocks.0.mlp.ln.w", "LayerNorm inside the MLP"),
        ("net.conv1.weight", "convolution"),
        ("blocks.0.attn.W_Q", ""),
        ("transformer.h.0.mlp.c_fc.weight", ""),
        ("pos_embed.weight", ""),
    ],
)
def test_names_tell_what_is_not_covered(name: str, reason: str) -> None:
    assert reason in refusal(name) and bool(refusal(name)) is bool(reason)


OWN = """
about = "of my own"
[tensors]
"embed.W_E" = { from = "tok.weight", axes = "d_vocab d_model" }
"pos_embed.W_pos" = { from = "pos", axes = "n_ctx d_model" }
"blocks.{i}.attn.W_Q" = { from = "blocks.{i}.Wq.weight", axes = "(n_heads d_head) d_model" }
"blocks.{i}.attn.W_K" = { from = "blocks.{i}.Wk.weight", axes = "(n_heads d_head) d_model" }
"blocks.{i}.attn.W_V" = { from = "blocks.{i}.Wv.weight", axes = "(n_heads d_head) d_model" }
"blocks.{i}.attn.W_O" = { from = "blocks.{i}.Wo.weight", axes = "d_model (n_heads d_head)" }
"blocks.{i}.mlp.W_in" = { from = "blocks.{i}.mlp1.weight", axes = "d_mlp d_model" }
"blocks.{i}.mlp.b_in" = { from = "blocks.{i}.mlp1.bias", axes = "d_mlp" }
"blocks.{i}.mlp.W_out" = { from = "blocks.{i}.mlp2.weight", axes = "d_model d_mlp" }
"blocks.{i}.mlp.b_out" = { from = "blocks.{i}.mlp2.bias", axes = "d_model" }
"readout.0.W" = { from = "h1.weight", axes = "d_readout_0 d_model" }
"readout.0.b" = { from = "h1.bias", axes = "d_readout_0" }
"unembed.W_U" = { from = "h2.weight", axes = "d_vocab_out d_readout_0" }
"unembed.b_U" = { from = "h2.bias", axes = "d_vocab_out" }
"""
FUNCTION = """
[architecture]
heads = 2
mask = "causal"
attn_scale = "sqrt(d_head)"
activation = "relu"
pool = "sum"
"""


def test_a_recipe_of_ones_own(tmp_path: Path) -> None:
    module = built(models.SumOverPositions)
    path = save_torch(tmp_path / "m.pt", module.state_dict())
    own = tmp_path / "own.toml"
    own.write_text(OWN + FUNCTION, encoding="utf-8")
    imported = import_checkpoint(path, recipe=str(own))
    assert_same_function(module, imported)
    assert any("2 heads" in note for note in imported.notes if note.startswith("assumed: "))
    own.write_text(OWN, encoding="utf-8")
    said: list[str] = []
    for name, value in [
        ("heads", "2"), ("attn_scale", "sqrt(d_head)"), ("activation", "relu"), ("mask", "causal"), ("pool", "sum"),
    ]:  # fmt: skip
        with pytest.raises(UserError, match=f"say it: --set '?{name}="):
            import_checkpoint(path, recipe=str(own), options=said)
        said.append(f"{name}={value}")
    assert_same_function(module, import_checkpoint(path, recipe=str(own), options=said))


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("d_vocab d_model", "d_vocab d_modle", "embed.W_E: the axes 'd_vocab d_modle' must be d_model, d_vocab"),
        ("d_vocab d_model", "d_vocab", "must be d_model, d_vocab"),
        ("d_vocab d_model", "d_vocab (d_model", "is not a list of axes"),
        ('"embed.W_E"', '"embed.W_F"', "there is no tensor embed.W_F"),
        ('"embed.W_E" =', '"embed.W_E" = 3 #', "embed.W_E"),
        ('"unembed.W_U" =', "#", "the tensor unembed.W_U is missing"),
        ('mask = "causal"', 'mask = "local"', "architecture.mask"),
        ('mask = "causal"', 'masque = "causal"', "architecture.masque"),
        ("[tensors]", "[tensors", "Expected"),
        ('axes = "d_model (n_heads d_head)"', 'axes = "d_model (3 n_heads d_head)", part = 3', "no part 3 of 3"),
        ('axes = "d_model (n_heads d_head)"', 'axes = "d_model (3 n_heads d_head)"', "W_O: the axes"),
    ],
)
def test_a_recipe_with_a_mistake_is_refused_by_its_place(tmp_path: Path, old: str, new: str, reason: str) -> None:
    assert old in OWN + FUNCTION
    own = tmp_path / "own.toml"
    own.write_text((OWN + FUNCTION).replace(old, new, 1), encoding="utf-8")
    with pytest.raises(UserError, match=f"own.toml is not a recipe: .*{re.escape(reason)}"):
        find_recipe(str(own))


def test_a_recipe_that_there_is_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no recipe nano-gpt\n.*gpt2, grokking.*\.toml"):
        find_recipe("nano-gpt")
    with pytest.raises(UserError, match="cannot read"):
        find_recipe(str(tmp_path / "absent.toml"))
    (tmp_path / "bytes.toml").write_bytes(b"\xff")
    with pytest.raises(UserError, match="is not a recipe"):
        find_recipe(str(tmp_path / "bytes.toml"))


def test_two_recipes_that_fit_are_a_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    twin = find_recipe("grokking").model_copy(update={"name": "twin"})
    monkeypatch.setattr("certgen.models.importing.shipped", lambda: {**recipes.shipped(), "twin": twin})
    path = save_torch(tmp_path / "m.pt", built(models.Grokking).state_dict())
    with pytest.raises(UserError, match=r"the recipes grokking and twin all fit .*\n.*--recipe"):
        import_checkpoint(path)


def test_a_model_without_positions_is_said_to_be_one(tmp_path: Path) -> None:
    module = built(models.SumOverPositions)
    state = {name: tensor for name, tensor in module.state_dict().items() if name != "pos"}
    nn.init.zeros_(module.pos)
    path = save_torch(tmp_path / "m.pt", state)
    with pytest.raises(UserError, match=r"nearest is verified-circuits: the tensor pos_embed.W_pos is missing"):
        import_checkpoint(path, options=["heads=2"], k=4)
    imported = import_checkpoint(path, options=["heads=2", "positions=none"], k=4)
    assert imported.model.n_ctx == 4
    assert_same_function(module, imported)
    assert not any("positions added" in note for note in imported.notes)
    with pytest.raises(UserError, match=r"nothing tells the number of positions\n.*--k"):
        import_checkpoint(path, options=["heads=2", "positions=none"])
    with pytest.raises(UserError, match="positions=learned is set"):
        import_checkpoint(path, options=["positions=learned"])
    none, rotary = ({"cfg": {"positional_embedding_type": kind}, "model": state} for kind in ("none", "rotary"))
    options = ["heads=2", "positions=none"]
    assert_same_function(module, import_checkpoint(save_torch(tmp_path / "m.pt", none), options=options, k=4))
    with pytest.raises(UserError, match="positional_embedding_type is 'rotary', and"):
        import_checkpoint(save_torch(tmp_path / "m.pt", rotary), options=options, k=4)
    whole = save_torch(tmp_path / "m.pt", module.state_dict())
    with pytest.raises(UserError, match="positions=none is set, and pos holds positions"):
        import_checkpoint(whole, options=["heads=2", "positions=none"], k=4)


def test_a_model_file_is_imported_as_it_is(tmp_path: Path) -> None:
    module = built(models.SumOverPositions)
    first = import_checkpoint(save_torch(tmp_path / "m.pt", module.state_dict()), options=["heads=2"])
    save_model(tmp_path / "m.safetensors", first.tensors, first.architecture)
    again = import_checkpoint(tmp_path / "m.safetensors")
    assert again.architecture == first.architecture
    assert_same_function(module, again)
    assert import_checkpoint(tmp_path / "m.safetensors", k=4).model.n_ctx == 4
    with pytest.raises(UserError, match="is a model file, which says what it computes"):
        import_checkpoint(tmp_path / "m.safetensors", options=["mask=full"])


def test_a_default_model_keeps_every_strategy_and_one_with_a_full_mask_does_not(tmp_path: Path) -> None:
    path = save_torch(tmp_path / "m.pt", state_dict())
    assert import_checkpoint(path).model.is_default
    full = import_checkpoint(path, options=["mask=full"])
    assert full.architecture.brief == "1L1H-attn-only-full"
    assert any("--set mask=causal" in note for note in full.notes)


def test_the_command_takes_a_recipe_and_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = built(models.SumOverPositions)
    source, output = save_torch(tmp_path / "m.pt", module.state_dict()), tmp_path / "m.safetensors"
    own = tmp_path / "own.toml"
    own.write_text(OWN + FUNCTION, encoding="utf-8")
    options = ("--recipe", own, "--set", "mask=full", "--set", "heads=4")
    assert run(monkeypatch, "import", source, "-o", output, *options) == 0
    first, *notes = capsys.readouterr().out.splitlines()
    sizes = "d_vocab=7, d_model=8, d_head=2, n_ctx=5, n_heads=4, d_mlp=12, d_readout_0=9, d_vocab_out=6"
    assert first.startswith(f"{output}: 2L4H-relu-full-sum, {sizes}, sha256:")
    assert notes[0] == "recipe: own.toml, of my own" and notes[-1] == "set by hand: mask=full, heads=4"
    before = own.read_bytes()
    assert run(monkeypatch, "import", source, "-o", own, "--recipe", own) == 2
    assert own.read_bytes() == before


def test_the_command_prints_logits_at_a_position(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for build, options, pooled in ((models.ModuleAHead, [], False), (models.SumOverPositions, ["heads=2"], True)):
        module = built(build)
        imported = import_checkpoint(save_torch(tmp_path / "m.pt", module.state_dict()), options=options)
        save_model(path := tmp_path / "m.safetensors", imported.tensors, imported.architecture)
        with torch.no_grad():
            expected = module(torch.tensor([[3, 1, 6]])).numpy()[0]
        assert run(monkeypatch, "logits", path, 3, 1, 6, "--json") == 0
        last = json.loads(capsys.readouterr().out)["logits"]
        assert last == pytest.approx((expected if pooled else expected[-1]).tolist())
        assert run(monkeypatch, "logits", path, 3, 1, 6, "--position", 1, "--json") == (2 if pooled else 0)
        printed = capsys.readouterr()
        if pooled:
            assert "pools over positions" in printed.err
        else:
            assert json.loads(printed.out)["logits"] == pytest.approx(expected[1].tolist())
        assert run(monkeypatch, "logits", path, 3, 1, 6) == 0
        assert "the largest token" not in capsys.readouterr().out


BUILT = {case: built(build).state_dict() for case, (_, build, _, _) in CASES.items()}


@settings(max_examples=40, derandomize=True, database=None, deadline=None)
@given(data=st.data(), case=st.sampled_from(sorted(CASES)))
def test_a_checkpoint_with_a_mistake_is_never_a_crash(data: st.DataObject, case: str) -> None:
    """Tensors renamed, left out, reshaped or of other sizes: a UserError, or a model of the sizes that it says."""
    state = dict(BUILT[case])
    names = sorted(state)
    for _ in range(data.draw(st.integers(1, 3))):
        name = data.draw(st.sampled_from(names))
        if name not in state:
            continue
        match data.draw(st.sampled_from(["drop", "rename", "transpose", "flatten", "shape", "swap"])):
            case "drop":
                del state[name]
            case "rename":
                state[data.draw(st.sampled_from([name.replace("0", "1"), name + "s", "W_E"]))] = state.pop(name)
            case "transpose":
                state[name] = state[name].T if state[name].ndim == 2 else state[name]
            case "flatten":
                state[name] = state[name].flatten()
            case "shape":
                state[name] = torch.ones(data.draw(st.lists(st.integers(0, 8), max_size=4)))
            case _:
                other = data.draw(st.sampled_from(sorted(state)))
                state[name], state[other] = state[other], state[name]
    options = data.draw(st.lists(st.sampled_from(["heads=2", "mask=full", "norms=pre", "pool=sum"]), unique=True))
    with tempfile.TemporaryDirectory() as folder:
        path = save_torch(Path(folder) / "m.pt", state)
        with suppress(UserError):
            imported = import_checkpoint(path, options=options)
            assert imported.model.architecture == imported.architecture
