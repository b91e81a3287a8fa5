"""Reading checkpoints: sizes are believed only when the file holds them, classes are named and never run."""

import argparse
import io
import resource
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from certgen.errors import UserError
from certgen.models import checkpoints
from certgen.models.importing import import_checkpoint
from tests.certgen.models.test_importing import bare_arrays, save_npz, save_torch, state_dict

HUGE = 1 << 40


class UserMadeConfig:
    """A class of the person who trained the model."""


class RunsACommand:
    def __reduce__(self) -> tuple[object, ...]:
        return exec, ("raise SystemExit('run')",)


@pytest.mark.parametrize("entries", [1 << 33, HUGE])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_tensor_that_is_only_claimed_takes_no_memory(tmp_path: Path, entries: int, dtype: torch.dtype) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    bias = {"unembed.b_U": torch.zeros(1, dtype=dtype).expand(entries)}
    with pytest.raises(UserError, match=rf"b_U has shape \[{entries}\]; expected \[d_vocab_out\] = \[5\]"):
        import_checkpoint(save_torch(tmp_path / "m.pth", state_dict() | bias))
    every = {
        "embed.W_E": torch.zeros(1, 1, dtype=dtype).expand(entries, 3),
        "unembed.W_U": torch.zeros(1, 1, dtype=dtype).expand(3, entries),
        **bias,
    }
    with pytest.raises(UserError, match=r"the model has [\d,]+ weights, most of them in embed.W_E"):
        import_checkpoint(save_torch(tmp_path / "m.pth", state_dict() | every))
    with pytest.raises(UserError, match=r"2 different sets of weights"):
        import_checkpoint(save_torch(tmp_path / "m.pth", {"a": state_dict() | every, "b": state_dict() | every}))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


def lying_npz(path: Path, shape: tuple[int, ...], data: bytes = b"") -> Path:
    """An .npz whose W_E claims `shape` and has `data`."""
    save_npz(path, {name: array for name, array in bare_arrays(head_axis=True).items() if name != "W_E"})
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("W_E.npy", header.getvalue() + data)
    return path


@pytest.mark.parametrize("shape", [(HUGE, 3), (1 << 33, 3), (5, 3)])
def test_an_array_must_have_the_bytes_that_its_header_claims(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match=r"W_E claims shape .* bytes, and has 12"):
        import_checkpoint(lying_npz(tmp_path / "m.npz", shape, bytes(12)))


def test_two_arrays_of_one_name_are_refused(tmp_path: Path) -> None:
    path = save_npz(tmp_path / "m.npz", bare_arrays(head_axis=True))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("W_E", archive.read("W_E.npy"))
    with pytest.raises(UserError, match="two arrays of one name"):
        import_checkpoint(path)


def test_a_large_array_is_refused_by_its_shape_before_it_is_unpacked(tmp_path: Path) -> None:
    path = lying_npz(tmp_path / "m.npz", (750_000, 4), bytes(12_000_000))
    assert path.stat().st_size < 100_000
    with pytest.raises(UserError, match=r"W_pos has shape \[4, 3\]; expected"):
        import_checkpoint(path)


@pytest.mark.parametrize("suffix", ["npz", "pth"])
def test_a_file_that_unpacks_to_much_more_is_refused(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "_MAX_UNPACKED", 1 << 20)
    with zipfile.ZipFile(tmp_path / f"m.{suffix}", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("W_E.npy", bytes(1 << 21))
    with pytest.raises(UserError, match=r"unpacks to 2,097,152 bytes"):
        import_checkpoint(tmp_path / f"m.{suffix}")


@pytest.mark.parametrize(
    ("beside", "named"),
    [
        (UserMadeConfig(), f"{UserMadeConfig.__module__}.UserMadeConfig"),
        (np.ones(3), "numpy.ndarray"),
        (argparse.Namespace(lr=0.1), "argparse.Namespace"),
        (Path("x"), r"pathlib\."),
        (torch.nn.Linear(2, 2), "torch.nn.modules.linear.Linear"),
        (RunsACommand(), r"(builtins\.)?exec"),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("zipped", [True, False])
def test_the_class_that_is_in_the_way_is_named(tmp_path: Path, beside: object, named: str, zipped: bool) -> None:
    torch.save({"model": state_dict(), "extra": beside}, tmp_path / "m.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(UserError) as refusal:
        import_checkpoint(tmp_path / "m.pth")
    assert "model.state_dict()" in refusal.value.hint
    assert "\x1b" not in str(refusal.value)
    assert "weights_only" not in str(refusal.value)
    if zipped or not isinstance(beside, np.ndarray):  # the old form is refused at the first name
        refusal.match(f"objects of .*{named}")


def test_a_whole_model_is_refused_by_its_class(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"objects of torch.nn.modules.linear.Linear"):
        import_checkpoint(save_torch(tmp_path / "m.pth", torch.nn.Linear(2, 2)))


def test_single_numbers_of_numpy_are_no_obstacle(tmp_path: Path) -> None:
    numbers = {"loss": np.float64(0.5), "epoch": np.int32(3), "best": np.bool_(True), "big": np.array([1.5], ">f4")[0]}
    import_checkpoint(save_torch(tmp_path / "m.pth", {"model": state_dict(), **numbers}))


@pytest.mark.parametrize(
    "tensor",
    [
        torch.ones(5).to_sparse(),
        torch.ones(5, device="meta"),
        torch.ones(5, dtype=torch.complex64),
    ],
    ids=["sparse", "meta", "complex"],
)
def test_tensors_of_other_kinds_are_refused_by_name(tmp_path: Path, tensor: torch.Tensor) -> None:
    with pytest.raises(UserError, match=r"unembed\.b_U"):
        import_checkpoint(save_torch(tmp_path / "m.pth", state_dict() | {"unembed.b_U": tensor}))
