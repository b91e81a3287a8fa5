"""What a checkpoint says about the function beside its weights is held against the function of a certificate."""

import json
import math
import sys
from collections import OrderedDict
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from certgen.errors import UserError
from certgen.models.configuration import read_configuration
from certgen.models.importing import import_checkpoint
from tests.certgen.models.test_importing import bare_arrays, buffers, save_npz, save_torch, state_dict

FITTING = {
    "n_layers": 1,
    "n_heads": 1,
    "n_ctx": 4,
    "d_vocab": 5,
    "d_vocab_out": 5,
    "d_model": 3,
    "d_head": 2,
    "normalization_type": None,
    "use_attn_scale": True,
    "attn_scale": math.sqrt(2),
    "attn_only": True,
    "d_mlp": 12,
    "act_fn": "relu",
    "positional_embedding_type": "standard",
    "rotary_dim": None,
    "attn_scores_soft_cap": -1.0,
    "output_logits_soft_cap": -1.0,
    "use_local_attn": False,
    "window_size": None,
    "attention_dir": "causal",
    "n_key_value_heads": None,
    "parallel_attn_mlp": True,
    "use_split_qkv_input": True,
    "learning_rate": 0.001,
}


def notes_of(path: Path, **options: object) -> str:
    return "\n".join(import_checkpoint(path, **options).notes)  # type: ignore[arg-type]


def with_config(tmp_path: Path, config: object, key: str = "config") -> Path:
    return save_torch(tmp_path / "m.pth", {"model": state_dict(), key: config})


def test_a_fitting_configuration_confirms_what_is_else_assumed(tmp_path: Path) -> None:
    notes = notes_of(with_config(tmp_path, FITTING))
    assert "checked in config: n_layers, n_heads, n_ctx" in notes
    assert "learning_rate" not in notes
    assert "assumed: answer at the last position\n" in notes + "\n"


def test_what_nothing_confirms_is_printed_as_assumed(tmp_path: Path) -> None:
    assumed = (
        "assumed: scores / sqrt(d_head), no LayerNorm, answer at the last position, positions added to the residual"
    )
    assert assumed in notes_of(save_torch(tmp_path / "m.pth", state_dict()))
    assert "no local attention" in notes_of(save_torch(tmp_path / "m.pth", state_dict()))
    assert "no local attention" not in notes_of(save_torch(tmp_path / "m.pth", state_dict() | buffers()))


CONTRADICTIONS = [
    ("normalization_type", "LN"),
    ("normalization_type", "RMSPre"),
    ("use_ln", True),
    ("attn_scale", float("nan")),
    ("attn_scale", -2.0),
    ("scale_attn_by_inverse_layer_idx", True),
    ("add_cross_attention", True),
    ("positional_embedding_type", "shortformer"),
    ("positional_embedding_type", "rotary"),
    ("rotary_dim", 2),
    ("attn_scores_soft_cap", 50.0),
    ("output_logits_soft_cap", 30.0),
    ("clip_qkv", 8.0),
    ("use_logn_attn", True),
    ("use_attention_sinks", True),
    ("scale_embedding", True),
    ("use_qk_norm", True),
    ("post_embedding_ln", True),
    ("use_normalization_before_and_after", True),
    ("final_rms", True),
    ("attn_only", False),
    ("d_mlp", 12),
    ("act_fn", "gelu"),
    ("gated_mlp", True),
    ("num_experts", 4),
    ("n_layers", 2),
    ("n_heads", 4),
    ("num_attention_heads", 4),
    ("n_key_value_heads", 2),
    ("n_ctx", 5),
    ("n_ctx", "5"),
    ("n_ctx", [4, 4]),
    ("d_vocab", 6),
    ("vocab_size", 6),
    ("d_vocab_out", 2),
    ("d_model", 32),
    ("d_head", 32),
    ("use_local_attn", True),
    ("window_size", 3),
    ("attn_types", ["local"]),
    ("attention_dir", "sideways"),
    ("pool", "max"),
]


@pytest.mark.parametrize(("key", "value"), CONTRADICTIONS, ids=str)
def test_a_contradiction_is_refused_by_name(tmp_path: Path, key: str, value: object) -> None:
    with pytest.raises(UserError, match=rf"config\.{key} is .*, and "):
        import_checkpoint(with_config(tmp_path, {key: value}))


HARMLESS = [
    {"normalization_type": "None", "use_attn_scale": "true", "n_ctx": "4"},
    {"attn_scale": float(np.float32(math.sqrt(2)))},
    {"attn_scale": -1.0, "use_attn_scale": True},
    {"attn_only": True, "gated_mlp": True, "num_experts": 4},
    {"positional_embedding_type": "standard", "rotary_dim": 64},
    {"use_local_attn": True, "window_size": 4, "attn_types": ["local"]},
    {"use_local_attn": False, "window_size": 2},
    {"attn_types": ["global"], "window_size": 2},
    {"d_vocab": -1, "d_vocab_out": -1, "n_heads": -1},
    {"attention_dir": "bidirectional"},
    {"n_key_value_heads": 1, "pool": "last", "use_ln": False},
    {"layers": {"comment": "not a number of layers"}},
]


@pytest.mark.parametrize("config", HARMLESS, ids=str)
def test_what_is_the_same_function_is_accepted(tmp_path: Path, config: dict[str, object]) -> None:
    import_checkpoint(with_config(tmp_path, config))


WRONG = {"normalization_type": "RMSPre"}
PLACES: dict[str, dict[str, Any]] = {
    "config": {"config": WRONG},
    "cfg": {"cfg": WRONG},
    "model_config": {"model_config": WRONG},
    "hyper_parameters, nested": {"hyper_parameters": {"trainer": {"model": WRONG}}},
    "beside the model": WRONG,
    "an ordered dict": {"config": OrderedDict(WRONG)},
    "text": {"config": json.dumps(WRONG)},
    "a tensor": {"config": {"n_heads": torch.tensor(2)}},
    "a number of numpy": {"config": {"n_heads": np.int64(2)}},
}


@pytest.mark.parametrize("place", PLACES)
def test_settings_are_found_wherever_they_are(tmp_path: Path, place: str) -> None:
    with pytest.raises(UserError, match=r"(normalization_type is 'RMSPre'|n_heads is 2), and "):
        import_checkpoint(save_torch(tmp_path / "m.pth", {"state_dict": state_dict(), **PLACES[place]}))


def test_settings_among_the_tensors_are_found(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^normalization_type is 'RMSPre'"):
        import_checkpoint(save_torch(tmp_path / "m.pth", state_dict() | WRONG))


def test_settings_in_safetensors_and_npz_are_found(tmp_path: Path) -> None:
    safetensors.torch.save_file(state_dict(), tmp_path / "m.safetensors", metadata={"config": json.dumps(WRONG)})
    with pytest.raises(UserError, match=r"config\.normalization_type is 'RMSPre'"):
        import_checkpoint(tmp_path / "m.safetensors")
    for wrong in ({"normalization_type": np.array("RMSPre")}, {"attn_scale": np.array(-2.0)}):
        with pytest.raises(UserError, match=r"(normalization_type is 'RMSPre'|attn_scale is -2.0), and"):
            import_checkpoint(save_npz(tmp_path / "m.npz", bare_arrays(head_axis=True) | wrong))


def test_what_an_optimizer_says_is_not_about_the_model(tmp_path: Path) -> None:
    states = {"optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}, "n_heads": 8}, "lr_scheduler": {"n_layers": 9}}
    import_checkpoint(save_torch(tmp_path / "m.pth", {"model": state_dict(), **states}))


def test_an_object_that_the_safe_loader_allows_is_read(tmp_path: Path) -> None:
    path = with_config(tmp_path, SimpleNamespace(normalization_type="LN"))
    with pytest.raises(UserError, match=r"objects of types.SimpleNamespace"):
        import_checkpoint(path)
    with (
        torch.serialization.safe_globals([SimpleNamespace]),
        pytest.raises(UserError, match=r"config.normalization_ty"),
    ):
        import_checkpoint(path)


class HookedTransformerConfig:
    """Pickles like that of TransformerLens 2, which is not installed here, with numpy's number in it."""

    def __init__(self, **fields: object) -> None:
        vars(self).update(fields)


HookedTransformerConfig.__module__ = "transformer_lens.HookedTransformerConfig"


def test_the_configuration_of_transformer_lens_is_read_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("transformer_lens", "transformer_lens.HookedTransformerConfig"):
        module = ModuleType(name)
        module.HookedTransformerConfig = HookedTransformerConfig  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, name, module)
    fields = FITTING | {"attn_scale": np.sqrt(2), "dtype": torch.float32}
    right = with_config(tmp_path, HookedTransformerConfig(**fields))
    wrong = save_torch(
        tmp_path / "wrong.pth",
        {"model": state_dict(), "cfg": HookedTransformerConfig(attn_scale=np.float64(-1.5), normalization_type="LN")},
    )
    monkeypatch.undo()
    assert "attn_scale" in notes_of(right)
    with pytest.raises(UserError, match=r"cfg\.attn_scale is -1\.5, .*cfg\.normalization_type is 'LN'"):
        import_checkpoint(wrong)


def test_a_beginning_of_sequence_token_is_worth_a_note(tmp_path: Path) -> None:
    assert "config.default_prepend_bos is True" in notes_of(with_config(tmp_path, {"default_prepend_bos": True}))


def test_settings_that_disagree_are_refused_naming_both(tmp_path: Path) -> None:
    path = save_torch(
        tmp_path / "m.pth",
        {"model": state_dict(), "config": {"attention_dir": "causal"}, "cfg": {"attention_dir": "bidirectional"}},
    )
    with pytest.raises(UserError, match=r"config.attention_dir is 'causal', but cfg.attention_dir is 'bidirectional'"):
        import_checkpoint(path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.json", '{"model": {"normalization_type": "LN"}}'),
        ("c.yaml", "model:\n  normalization_type: LN\n"),
        ("c.yml", "normalization_type: LN"),
    ],
)
def test_a_configuration_given_by_hand_is_checked(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    path = save_torch(tmp_path / "m.pth", state_dict())
    with pytest.raises(UserError, match=rf"{name}: (model\.)?normalization_type is 'LN', and "):
        import_checkpoint(path, config=tmp_path / name)
    (tmp_path / name).write_text(text.replace('"LN"', "null").replace("LN", "null"), encoding="utf-8")
    assert f"checked in {name}" in notes_of(path, config=tmp_path / name)
    with pytest.raises(UserError, match=rf"config.normalization_type is 'LN', but {name}: "):
        import_checkpoint(with_config(tmp_path, {"normalization_type": "LN"}), config=tmp_path / name)


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("c.json", "{", "can be read"),
        ("c.json", '{"n_ctx": 4, "n_ctx": 5}', "twice"),
        ("c.json", "[1]", "holds a list"),
        ("c.json", '{"lr": 1}', "no key that is known"),
        ("c.json", "[" * 100_000, "can be read"),
        ("c.yaml", "a: [", "can be read"),
        ("c.yaml", "!!python/object/apply:os.getcwd []", "can be read"),
    ],
)
def test_a_configuration_that_says_nothing_is_refused(tmp_path: Path, name: str, text: str, reason: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=reason):
        read_configuration(tmp_path / name)


def test_without_pyyaml_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "c.yaml").write_text("n_ctx: 4", encoding="utf-8")
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(UserError, match=r"PyYAML.*\n.*compact-proofs\[yaml\]"):
        read_configuration(tmp_path / "c.yaml")


def test_containers_that_share_their_contents_cost_nothing(tmp_path: Path) -> None:
    shared: dict[str, object] = {"n_ctx": 4}
    for _ in range(60):  # 2^60 paths lead to n_ctx
        shared = {"a": shared, "b": shared}
    import_checkpoint(with_config(tmp_path, shared))
