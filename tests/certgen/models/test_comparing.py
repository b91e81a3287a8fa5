"""The function that a certificate is about, in float64: its logits, and whether an owner's samples are its."""

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from certgen.cli import main
from certgen.errors import UserError
from certgen.models import comparing
from certgen.models.forward import logits
from certgen.models.importing import import_checkpoint
from certgen.models.model_file import Model, load_model
from tests.certgen.models.test_importing import save_npz, save_torch, state_dict
from tests.support.tiny import random_tensors, tiny_model


def one_by_one(model: Model, tokens: list[int], dtype: type = np.float64) -> np.ndarray:
    """One sequence's logits by the definition, position by position, all of it in `dtype`."""
    w = {name: getattr(model, name).astype(dtype) for name in ["W_E", "W_pos", "W_Q", "W_K", "W_V", "W_O", "W_U"]}
    b = {name: getattr(model, name).astype(dtype) for name in ("b_Q", "b_K", "b_V", "b_O", "b_U")}
    residual = [w["W_E"][token] + w["W_pos"][position] for position, token in enumerate(tokens)]
    query = residual[-1] @ w["W_Q"] + b["b_Q"]
    scores = [query @ (row @ w["W_K"] + b["b_K"]) / dtype(math.sqrt(model.d_head)) for row in residual]
    weights = [np.exp(score - max(scores)) for score in scores]
    attended = sum(x / sum(weights) * (row @ w["W_V"] + b["b_V"]) for x, row in zip(weights, residual, strict=True))
    return np.asarray((residual[-1] + attended @ w["W_O"] + b["b_O"]) @ w["W_U"] + b["b_U"])


@pytest.fixture
def model(tmp_path: Path) -> Model:
    tensors = random_tensors(np.random.default_rng(1), v=6, k=3, d=4, h=3)
    return load_model(tiny_model(tmp_path / "model.safetensors", tensors))


def samples(model: Model, count: int = 40, dtype: type = np.float32) -> dict[str, np.ndarray]:
    x = np.random.default_rng(2).integers(model.d_vocab, size=(count, model.n_ctx))
    return {"x": x, "logits": np.array([one_by_one(model, row, dtype) for row in x.tolist()])}


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["certgen", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


def test_the_logits_are_those_of_the_definition(model: Model) -> None:
    given = samples(model, dtype=np.float64)
    assert logits(model, given["x"]) == pytest.approx(given["logits"], rel=1e-12, abs=1e-12)


def test_more_sequences_than_fit_at_once_are_taken_in_turn(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    x = samples(model)["x"]
    whole = logits(model, x)
    monkeypatch.setattr("certgen.models.forward.MOST_FLOATS", 7 * 3 * 3 * 6)
    assert logits(model, x) == pytest.approx(whole, rel=1e-14)


@pytest.mark.parametrize(
    ("sequence", "reason"),
    [
        ([1, 2], "2 tokens given, and the model takes sequences of 3"),
        ([1, 2, 3, 4], "4 tokens given"),
        ([1, 2, 6], "there is no token 6"),
        ([1, -1, 2], "there is no token -1"),
        ([1, 2, 10**30], "give integers"),
        ([1.0, 2.0, 3.0], "dtype float64"),
    ],
)
def test_what_is_no_sequence_is_refused(model: Model, sequence: list[int], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        logits(model, [sequence])


def test_logits_that_overflow_are_not_printed_as_numbers(tmp_path: Path) -> None:
    tensors = random_tensors(np.random.default_rng(1), v=3, k=2, d=2, h=2)
    tensors["embed.W_E"] = tensors["embed.W_E"] * 1e250
    with pytest.raises(UserError, match="overflow"):
        logits(load_model(tiny_model(tmp_path / "m.safetensors", tensors)), [[0, 1]])


def test_the_command_prints_logits(
    model: Model, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = one_by_one(model, [5, 0, 3])
    assert run(monkeypatch, "logits", model.path, 5, 0, 3, "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["sequence"] == [5, 0, 3]
    assert printed["logits"] == pytest.approx(expected.tolist(), rel=1e-12)
    assert run(monkeypatch, "logits", model.path, 5, 0, 3) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    assert [int(line.split("│")[1]) for line in rows] == np.argsort(-expected).tolist()
    assert next(line for line in rows if "the largest token" in line).split("│")[1].strip() == "5"
    assert run(monkeypatch, "logits", model.path, 5, 0) == 2
    assert "takes sequences of 3" in capsys.readouterr().err


@pytest.mark.parametrize("shift", [0.0, 1000.0])
def test_a_float32_forward_pass_agrees_up_to_a_constant_per_sample(tmp_path: Path, model: Model, shift: float) -> None:
    given = samples(model)
    given["logits"] = given["logits"].astype(np.float64) + shift * np.arange(40)[:, np.newaxis]
    agreement = comparing.compare(model, save_npz(tmp_path / "samples.npz", given))
    assert agreement.samples == 40
    assert 0 < agreement.largest < agreement.tolerance / 20


def test_a_trained_model_agrees_in_float32(tmp_path: Path, shipped: Path) -> None:
    model = load_model(shipped)
    agreement = comparing.compare(model, save_npz(tmp_path / "samples.npz", samples(model)))
    assert agreement.largest < agreement.tolerance / 20


def test_logits_of_all_positions_are_read_at_the_last(tmp_path: Path, model: Model) -> None:
    given = samples(model)
    given["logits"] = np.stack([np.zeros_like(given["logits"])] * 2 + [given["logits"]], axis=1)
    comparing.compare(model, save_npz(tmp_path / "samples.npz", given))


CHANGES: dict[str, dict[str, Any]] = {
    "no scale": {"W_Q": math.sqrt(3)},
    "a scale of its own": {"W_Q": 1.01},
    "no positions": {"W_pos": 0},
    "no bias": {"b_U": 0},
}


@pytest.mark.parametrize("change", CHANGES)
def test_another_function_is_refused(tmp_path: Path, change: str) -> None:
    tensors = random_tensors(np.random.default_rng(1), v=6, k=3, d=4, h=3)
    model = load_model(tiny_model(tmp_path / "m.safetensors", tensors))
    name, factor = next(iter(CHANGES[change].items()))
    full = next(each for each in tensors if each.endswith(name))
    other = tensors | {full: (tensors[full] * factor).astype(np.float32).astype(float)}
    path = save_npz(tmp_path / "s.npz", samples(load_model(tiny_model(tmp_path / "o.safetensors", other, "F64"))))
    with pytest.raises(UserError, match=r"does not agree .* largest difference is .* at sample \d+ \(\d \d \d: answer"):
        comparing.compare(model, path)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"x": None}, "has no array x; it has logits"),
        ({"logits": None}, "has no array logits"),
        ({"x": np.zeros((40, 2), int)}, "2 tokens given, and the model takes sequences of 3"),
        ({"x": np.full((40, 3), 6)}, "no token 6"),
        ({"x": np.zeros((40, 3))}, "give integers"),
        ({"x": np.zeros((0, 3), int)}, "no samples"),
        ({"logits": np.zeros((40, 5))}, r"shape \[40, 5\]; expected \[40, 6\]"),
        ({"logits": np.zeros((39, 6))}, r"shape \[39, 6\]; expected \[40, 6\]"),
        ({"logits": np.full((40, 6), np.nan)}, "not all finite"),
        ({"logits": np.zeros((40, 6), int)}, "floating-point"),
        ({"logits": np.array([None])}, "pickled objects"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_samples_of_another_form_are_refused(
    tmp_path: Path, model: Model, changed: dict[str, np.ndarray | None], reason: str
) -> None:
    given = {name: array for name, array in {**samples(model), **changed}.items() if array is not None}
    with pytest.raises(UserError, match=reason):
        comparing.compare(model, save_npz(tmp_path / "samples.npz", given))


def test_import_prints_what_it_found_and_writes_only_what_agrees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source, output = save_torch(tmp_path / "m.pth", state_dict()), tmp_path / "out.safetensors"
    given = samples(import_checkpoint(source, k=3).model)
    (tmp_path / "c.json").write_text('{"normalization_type": null}', encoding="utf-8")
    fine = save_npz(tmp_path / "fine.npz", given)
    other = save_npz(tmp_path / "other.npz", given | {"logits": -given["logits"]})
    options = ("--k", 3, "--config", tmp_path / "c.json", "--compare")
    assert run(monkeypatch, "import", source, "-o", output, *options, other) == 2
    assert "does not agree" in capsys.readouterr().err
    assert not output.exists()
    assert run(monkeypatch, "import", source, "-o", output, *options, fine) == 0
    first, *notes = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{output}: max-of-3, d_vocab=5, d_model=3, d_head=2, sha256:")
    assert [note.split()[0] for note in notes] == ["recipe:", "cut:", "checked", "assumed:", "agrees"]
    assert "on 40 samples: largest difference" in notes[-1]
    assert torch.equal(torch.from_numpy(load_model(output).W_pos.copy()), state_dict()["pos_embed.W_pos"][:3].double())
