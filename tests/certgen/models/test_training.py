"""Training: the theory's forward pass, seeds that do not know each other, a command line that explains itself."""

import itertools
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from certgen import cli
from certgen.cli import main
from certgen.errors import UserError
from certgen.models import differentiable, training
from certgen.models.exercises import max_of_k
from certgen.models.model_file import TENSOR_SHAPES, load_model
from certgen.models.seeds import model_paths, parse_seeds
from certgen.models.training import Recipe, train
from certgen.problem import load_problem
from checker import check

TINY = Recipe(max_of_k(3, 7), d_model=6, d_head=5, steps=20, batch_size=16)


def reference_logits(weights: dict[str, np.ndarray], tokens: tuple[int, ...]) -> np.ndarray:
    """One sequence's logits at the last position, computed position by position."""
    residual = np.array([weights["W_E"][token] + weights["W_pos"][p] for p, token in enumerate(tokens)])
    query = residual[-1] @ weights["W_Q"]
    keys, values = residual @ weights["W_K"], residual @ weights["W_V"]
    scores = keys @ query / math.sqrt(query.size)
    attention = np.exp(scores) / np.exp(scores).sum()
    return (residual[-1] + attention @ values @ weights["W_O"]) @ weights["W_U"]


def test_the_batched_logits_are_those_of_the_transformer() -> None:
    rng = np.random.default_rng(0)
    shapes = {"W_E": (7, 4), "W_pos": (3, 4), "W_Q": (4, 2), "W_K": (4, 2), "W_V": (4, 2), "W_O": (2, 4), "W_U": (4, 7)}
    stacked = {name: rng.normal(size=(2, *shape)) for name, shape in shapes.items()}
    tokens = rng.integers(7, size=(2, 30, 3))
    batched = differentiable.one_head_logits(
        {name: torch.from_numpy(w) for name, w in stacked.items()}, torch.from_numpy(tokens)
    )
    for seed, row in itertools.product(range(2), range(30)):
        expected = reference_logits({name: w[seed] for name, w in stacked.items()}, tokens[seed, row])
        assert batched[seed, row].numpy() == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_the_loss_is_accurate_where_float32_would_say_zero() -> None:
    outputs = torch.tensor([[[0.0, 25.0]]], dtype=torch.float32)
    (loss,) = training._losses(outputs, torch.tensor([[1]])).flatten().tolist()
    assert loss == pytest.approx(math.exp(-25), rel=1e-4)
    assert -outputs.log_softmax(dim=2)[0, 0, 1].item() == 0.0


def test_every_matrix_starts_normal_with_the_stated_deviation_and_biases_are_zero() -> None:
    recipe = Recipe(max_of_k(40, 64), d_model=25, d_head=60, steps=0)
    (model,) = train(recipe, [5])
    for name, tensor in model.tensors.items():
        assert tensor.dtype == np.float32
        if ".b_" in name:
            assert not tensor.any()
        else:
            assert tensor.std() == pytest.approx(0.8 / 5, rel=0.1)
            assert abs(tensor.mean()) < 0.02


def test_what_a_seed_stands_for_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Matrices in the order of the file, then sequences: a seed of an earlier version gives the same plain model."""
    recipe = Recipe(max_of_k(3, 7), d_model=6, d_head=5, steps=1, batch_size=4)
    generator = torch.Generator().manual_seed(5)
    sizes = {"d_vocab": 7, "n_ctx": 3, "d_model": 6, "d_head": 5, "1": 1}
    shapes = {name: [sizes[axis] for axis in axes] for name, axes in TENSOR_SHAPES.items() if ".b_" not in name}
    expected = {
        name: 0.8 / math.sqrt(6) * torch.randn(shape, generator=generator).numpy() for name, shape in shapes.items()
    }
    (model,) = train(replace(recipe, steps=0), [5])
    assert all((model.tensors[name] == matrix).all() for name, matrix in expected.items())
    seen = []
    draw = training._random_inputs

    def random_inputs(*arguments: Any) -> torch.Tensor:
        seen.append(draw(*arguments))
        return seen[-1]

    monkeypatch.setattr(training, "_random_inputs", random_inputs)
    train(recipe, [5])
    assert (seen[0][0] == torch.randint(7, (4, 3), generator=generator)).all()


def test_the_first_step_is_that_of_adamw_with_the_recipe_s_rates() -> None:
    recipe = Recipe(max_of_k(2, 8), d_model=8, d_head=8, batch_size=512)
    before, after = (
        train(replace(recipe, steps=steps), [0])[0].tensors["unembed.W_U"].astype(np.float64) for steps in (0, 1)
    )
    gradient_part = after - (1 - 1e-3 * 0.01) * before  # weight decay first, then a step of lr times the sign
    assert np.abs(gradient_part) == pytest.approx(np.full((8, 8), 1e-3), rel=1e-3)


def test_a_seed_s_model_does_not_depend_on_its_company() -> None:
    together = train(TINY, [3, 4, 5])
    for model in together:
        (alone,) = train(TINY, [model.seed])
        for name in TENSOR_SHAPES:
            assert alone.tensors[name] == pytest.approx(model.tensors[name], abs=1e-6)
    assert not np.allclose(together[0].tensors["embed.W_E"], together[1].tensors["embed.W_E"], atol=0.01)


def test_training_twice_gives_the_same_bytes() -> None:
    first, second = train(TINY, [8, 9]), train(TINY, [8, 9])
    assert all(
        (a.tensors[name] == b.tensors[name]).all() for a, b in zip(first, second, strict=True) for name in TENSOR_SHAPES
    )


def test_training_uses_one_thread_unless_told_otherwise() -> None:
    """More are slower by an order of magnitude for models of this size; the caller's own setting comes back."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        used: list[int] = []
        recipe = Recipe(max_of_k(2, 3), d_model=2, d_head=2, steps=1, batch_size=2)
        for options in ({}, {"threads": 2}):
            train(recipe, [0], lambda *_: used.append(torch.get_num_threads()), **options)
        assert used == [1, 2] and torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_the_number_of_threads_is_an_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[object] = []

    def threads(*arguments: object) -> None:
        given.append(arguments[3])
        sys.exit(0)

    monkeypatch.setattr(training, "train", threads)
    for options in ((), ("--threads", 4)):
        assert run(monkeypatch, "train", "--k", 2, "-o", tmp_path, *options) == 0
    assert given == [1, 4]


def test_training_learns_and_the_sampled_accuracy_is_honest() -> None:
    losses = []
    recipe = Recipe(max_of_k(2, 8), steps=250)
    (model,) = train(recipe, [0], lambda step, loss: losses.append((step, loss)))
    assert [step for step, _ in losses] == list(range(1, 251))
    assert losses[0][1] == pytest.approx(math.log(8), abs=1.0)
    assert model.loss < 0.3 * losses[0][1]

    weights = {}
    for name, tensor in model.tensors.items():
        weights[name.rpartition(".")[2]] = (tensor[0] if TENSOR_SHAPES[name][0] == "1" else tensor).astype(np.float64)
    sequences = list(itertools.product(range(8), repeat=2))
    exact = sum(reference_logits(weights, x).argmax() == max(x) for x in sequences) / len(sequences)
    assert exact > 0.7
    assert abs(model.accuracy - exact) <= 6 * model.standard_error
    assert model.standard_error == pytest.approx(math.sqrt(model.accuracy * (1 - model.accuracy) / 65_536))


def test_a_tie_counts_as_wrong() -> None:
    recipe = Recipe(max_of_k(2, 3), d_model=2, d_head=2)
    zeros = {
        name: torch.zeros(1, *shape)
        for name, shape in {
            "W_E": (3, 2),
            "W_pos": (2, 2),
            "W_Q": (2, 2),
            "W_K": (2, 2),
            "W_V": (2, 2),
            "W_O": (2, 2),
            "W_U": (2, 3),
        }.items()
    }
    _, correct = training._sample(recipe, zeros, [torch.Generator().manual_seed(0)])
    assert correct == [0]


def test_k_one_and_a_single_token_are_fine() -> None:
    (identity,) = train(Recipe(max_of_k(1, 4), steps=1, batch_size=1), [0])
    (trivial,) = train(Recipe(max_of_k(2, 1), steps=1), [0])
    assert identity.tensors["pos_embed.W_pos"].shape == (1, 32)
    assert trivial.accuracy == 1.0 and trivial.standard_error == 0.0


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("7", [7]), ("0-3", [0, 1, 2, 3]), ("0,3,7", [0, 3, 7]), ("5, 0-2,1", [5, 0, 1, 2]), ("4-4", [4])],
)
def test_seeds_are_read(text: str, seeds: list[int]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "1,", "-1", "1-", "3-1", "1_0", "٣", "0-1000", "0-999,1000", "9" * 5000])
def test_seeds_that_cannot_be_read_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="--seeds"):
        parse_seeds(text)


def test_every_seed_gets_a_path_of_its_own(tmp_path: Path) -> None:
    directory, file = tmp_path / "new" / "models", tmp_path / "m.safetensors"
    names = [f"max-of-4-vocab-9-seed-{seed}.safetensors" for seed in (0, 1)]
    assert model_paths(directory, "max-of-4-vocab-9", [0, 1]) == [directory / name for name in names]
    assert directory.is_dir()
    assert model_paths(file, "m", [0]) == [file]
    assert model_paths(tmp_path / "{seed}" / "m.st", "m", [0, 1]) == [tmp_path / "0" / "m.st", tmp_path / "1" / "m.st"]
    with pytest.raises(UserError, match="one file, but there are 2 seeds"):
        model_paths(file, "m", [0, 1])
    file.touch()
    with pytest.raises(UserError, match="cannot create the directory"):
        model_paths(file / "below", "m", [0])


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["certgen", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_train_and_import_write_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = ("--k", 2, "--d-vocab", 5, "--d-model", 4, "--d-head", 3, "--steps", 3, "--batch-size", 8)
    assert run(monkeypatch, "train", *sizes, "--seeds", "0,2", "-o", tmp_path / "m-{seed}.safetensors") == 0
    printed = capsys.readouterr().out
    assert "65,536 random inputs" in printed and "standard error" in printed
    model = load_model(tmp_path / "m-2.safetensors")
    assert (model.n_ctx, model.d_vocab, model.d_model, model.d_head) == (2, 5, 4, 3)

    assert run(monkeypatch, "import", tmp_path / "m-2.safetensors", "-o", tmp_path / "copy.safetensors", "--k", 2) == 0
    copy = load_model(tmp_path / "copy.safetensors")
    assert copy.tensor_sha256 == model.tensor_sha256
    assert copy.sha256 in capsys.readouterr().out


TINY_SIZES = ("--d-model", 4, "--d-head", 2, "--steps", 2, "--batch-size", 8)


def test_another_model_gets_its_architecture_and_a_problem_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    task = ("--task", "sum-mod", "--modulus", 3, "--d-vocab", 4, "--format", "BOS n n ANS")
    shape = ("--layers", 2, "--heads", 3, "--mlp", 5, "--act", "gelu", "--norm", "LNPre")
    assert run(monkeypatch, "train", *task, *shape, *TINY_SIZES, "-o", "m.safetensors") == 0
    command = "certgen prove m.safetensors --problem m.problem.json -o m.cert.json"
    assert f"Prove it with: {command}\n" in capsys.readouterr().out

    model = load_model("m.safetensors")
    assert model.architecture.brief == "2L3H-gelu_erf-LNPre" and model.architecture.norms == ("pre", "final")
    sizes = {"d_vocab": 6, "d_model": 4, "d_head": 2, "n_ctx": 4, "n_heads": 3, "d_mlp": 5, "d_vocab_out": 3}
    assert model.sizes == sizes
    assert load_problem("m.problem.json").bound_to(model).text == "sum-mod 3 of 2 in 4 positions"

    assert run(monkeypatch, *command.split()[1:]) == 0
    assert check("m.safetensors", "m.cert.json").total == 16


def test_a_plain_model_of_another_task_gets_a_problem_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for task, files in (("max", 1), ("min", 2)):
        assert run(monkeypatch, "train", "--k", 2, "--d-vocab", 3, "--task", task, *TINY_SIZES, "-o", task) == 0
        assert len(list(Path(task).iterdir())) == files
        assert load_model(f"{task}/{task}-of-2-vocab-3-seed-123.safetensors").is_default
    assert load_problem("min/min-of-2-vocab-3-seed-123.problem.json").model_dump()["label"] == {"name": "min"}


def test_models_of_two_shapes_have_two_names_and_heads_share_the_width(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for shape in ((), ("--heads", 2), ("--mlp", 3), ("--norm", "LN")):
        steps = ("--k", 2, "--d-vocab", 3, "--d-model", 4, "--steps", 0)
        assert run(monkeypatch, "train", *steps, *shape, "-o", tmp_path) == 0
    found = {path.name: load_model(path).d_head for path in tmp_path.glob("*.safetensors")}
    parts = {"": 32, "1L2H-attn-only-": 16, "1L1H-relu-": 32, "1L1H-attn-only-LN-": 32}
    assert found == {f"max-of-2-vocab-3-{part}seed-123.safetensors": d_head for part, d_head in parts.items()}


@pytest.mark.parametrize("option", ["--k", "--d-vocab", "--modulus", "--d-head", "--heads", "--layers"])
def test_sizes_that_no_file_holds_are_refused_at_once(monkeypatch: pytest.MonkeyPatch, option: str) -> None:
    sizes = {"--k": 2, "--modulus": 3, option: 10**12}
    words = [word for item in sizes.items() for word in item]
    assert run(monkeypatch, "train", "--task", "sum-mod", *words) == 2


def test_a_problem_file_replaces_no_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m.problem.json").symlink_to("m.safetensors")
    assert run(monkeypatch, "train", "--k", 2, "--task", "min", "-o", "m.safetensors") == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "--task", "min"), "neither --k nor --format is given"),
        (("train", "--k", 2, "--act", "silu"), "--act is given without --mlp"),
        (("train", "--k", 2, "--seed", 1, "--seeds", "1-2"), "--seed and --seeds are both given"),
        (("train", "--k", 2, "--seeds", "x"), "cannot read 'x'"),
        (("train", "--k", 2, "--seeds", "0-1", "-o", "m.safetensors"), "m.safetensors is one file"),
        (("import", "absent.pth", "-o", "m.safetensors"), "cannot read absent.pth"),
    ],
)
def test_a_mistake_is_explained_in_two_lines_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    arguments: tuple[object, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, *arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert len(captured.err.splitlines()) == 2
    assert captured.out == "" and list(tmp_path.iterdir()) == []


def test_without_torch_training_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert run(monkeypatch, "train", "--k", 2, "-o", tmp_path) == 2
    assert "compact-proofs[train]" in capsys.readouterr().err


def test_an_interrupt_ends_with_130_and_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "train", interrupt)
    assert run(monkeypatch, "train", "--k", 2, "-o", tmp_path) == 130
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(cli, "app", interrupt)
    assert run(monkeypatch) == 130
