"""Outputs: none replaces an input or a special file, whatever leads to it, and what cannot be written is said first."""

import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from certgen import Certificate, load_model, prove
from certgen.errors import UserError
from certgen.files import check_outputs, is_regular, write_atomically
from certgen.models.model_file import save_model
from certgen.models.seeds import model_paths
from certgen.sweep import sweep
from checker import check
from tests.support.runs import Run
from tests.support.tiny import near_correct, tiny_model

TRAIN = ("train", "--k", 2, "--d-vocab", 3, "--steps", 1, "--d-model", 2, "--d-head", 2)


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tiny_model(tmp_path / "m.safetensors", near_correct(np.random.default_rng(0), v=3, k=2))


def names_of(model: Path) -> list[Path]:
    """Other names of the file: through a directory, a symbolic link, one to a link, a hard link."""
    folder = model.parent
    (folder / "sub").mkdir()
    (folder / "soft").symlink_to(model.name)
    (folder / "softer").symlink_to("soft")
    os.link(model, folder / "hard")
    return [model, folder / "sub" / ".." / model.name, *(folder / name for name in ("soft", "softer", "hard"))]


def test_an_input_is_never_an_output(model: Path, run: Run) -> None:
    content = model.read_bytes()
    for name in names_of(model):
        for arguments in (("prove", model, "-s", "cubic", "-o", name), ("import", model, "-o", name)):
            done = run(*arguments)
            assert done.code == 2 and "same file" in done.err and len(done.err.splitlines()) == 2, name
        assert model.read_bytes() == content
    assert run("prove", "soft", "-s", "cubic", "-o", model).code == 2
    assert (model.parent / "soft").is_symlink() and model.read_bytes() == content


def test_a_certificate_in_python_never_replaces_its_model(model: Path) -> None:
    certificate, content = prove(model, "cubic"), model.read_bytes()
    for name in names_of(model):
        with pytest.raises(UserError, match="holds the model"):
            certificate.save(name)
    assert model.read_bytes() == content
    other = tiny_model(model.parent / "other", near_correct(np.random.default_rng(1), v=3, k=2))
    assert certificate.save(other) == other.stat().st_size


def test_two_outputs_are_never_one_file(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    with pytest.raises(UserError, match="another output"):
        check_outputs([tmp_path / "a", tmp_path / "b"])
    check_outputs([tmp_path / "b", tmp_path / "c"], [None, tmp_path / "absent"])


def test_trained_models_that_links_lead_to_one_file_are_refused(model: Path, run: Run) -> None:
    Path("0.st").symlink_to("1.st")
    done = run(*TRAIN, "--seeds", "0-1", "-o", "{seed}.st")
    assert done.code == 2 and "another output" in done.err and not Path("1.st").exists()


def test_a_sweep_replaces_no_model(model: Path) -> None:
    """results.parquet and each certificate; the second only exists once a sweep has been there."""
    inside = Path("results") / "results.parquet"
    inside.parent.mkdir()
    os.link(model, inside)
    content = model.read_bytes()
    with pytest.raises(UserError, match="same file"):
        sweep([model], ["cubic"], "results")
    assert inside.read_bytes() == content

    from certgen.sweep.run import plan

    (job,) = plan([model], ["cubic"], "other", 0, length=False)
    place = job.results / job.certificate
    place.parent.mkdir(parents=True)
    os.link(model, place)
    with pytest.raises(UserError, match="same file"):
        sweep([model], ["cubic"], "other")
    assert place.read_bytes() == content


def test_a_demo_replaces_no_model(model: Path, run: Run) -> None:
    Path("demo").mkdir()
    Path("demo/m.exact.cert.json").symlink_to(model)
    content = model.read_bytes()
    done = run("demo", model, "-o", "demo")
    assert done.code == 2 and "same file" in done.err and model.read_bytes() == content
    assert [path.name for path in Path("demo").iterdir()] == ["m.exact.cert.json"]


def through_pipe(path: Path, work: Callable[[], object]) -> bytes:
    """What `work` writes into the pipe at `path`."""
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(path.read_bytes()), daemon=True)
    reader.start()
    work()
    reader.join(timeout=10)
    return received[0]


def test_a_pipe_is_written_into(model: Path, run: Run) -> None:
    pipe = model.parent / "pipe"
    os.mkfifo(pipe)
    data = through_pipe(pipe, lambda: run("prove", model, "-s", "cubic", "-o", pipe))
    assert data == prove(model, "cubic").to_bytes()
    assert stat.S_ISFIFO(pipe.stat().st_mode) and not list(model.parent.glob("*.tmp"))


def test_a_device_is_written_into(model: Path, tmp_path: Path) -> None:
    write_atomically("/dev/null", b"new")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    with pytest.raises(UserError, match="cannot write /dev/full: No space left on device"):
        write_atomically("/dev/full", b"new")
    (tmp_path / "link").symlink_to("/dev/null")
    write_atomically(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink() and stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_standard_output_gets_the_certificate_alone(
    model: Path, run: Run, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """People's lines go elsewhere; before, /dev/stdout itself was replaced by a file."""
    node = os.readlink("/dev/stdout")
    for name in ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"):
        assert run("prove", model, "-s", "cubic", "-o", name).code == 0
        captured = capfdbinary.readouterr()
        assert captured.out == prove(model, "cubic").to_bytes()
    assert os.readlink("/dev/stdout") == node
    with open("appended", "wb") as file:
        file.write(b"before")
        file.flush()
        write_atomically(f"/dev/fd/{file.fileno()}", b" and after")
    assert Path("appended").read_bytes() == b"before and after"


def test_links_are_followed_and_stay(model: Path, run: Run) -> None:
    Path("sub").mkdir()
    Path("sub/target").write_bytes(b"old")
    Path("link").symlink_to("sub/target")
    Path("dangling").symlink_to("sub/new")
    for link, target in (("link", "sub/target"), ("dangling", "sub/new")):
        assert run("prove", model, "-s", "cubic", "-o", link).code == 0
        assert Path(link).is_symlink() and not Path(target).is_symlink()
        assert check(str(model), target).total == 9
    assert sorted(os.listdir("sub")) == ["new", "target"]
    Path("no-suffix").symlink_to("nowhere")
    assert model_paths(Path("no-suffix"), "max-of-2", [0]) == [Path("no-suffix")]  # a link is no new directory


def test_permissions_are_kept_and_new_files_follow_the_umask(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_bytes(b"old")
    old.chmod(0o604)
    before = os.umask(0o027)
    try:
        write_atomically(old, b"replaced")
        write_atomically(new, b"new")
    finally:
        os.umask(before)
    assert stat.S_IMODE(old.stat().st_mode) == 0o604 and old.read_bytes() == b"replaced"
    assert stat.S_IMODE(new.stat().st_mode) == 0o640


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_a_file_that_root_replaces_keeps_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "old"
    path.write_bytes(b"old")
    os.chown(path, 1234, 2345)
    write_atomically(path, b"new")
    assert (path.stat().st_uid, path.stat().st_gid, path.read_bytes()) == (1234, 2345, b"new")


def test_a_name_as_long_as_the_system_allows(tmp_path: Path) -> None:
    for name in ("n" * 255, "ü" * 127):
        write_atomically(tmp_path / name, b"new")
        assert (tmp_path / name).read_bytes() == b"new"


IMPOSSIBLE = [
    ("-", "no name of a file"),
    ("dir", "it is a directory"),
    ("absent/c.json", "there is no directory"),
    ("m.safetensors/c.json", "Not a directory"),
    ("loop", "symbolic links"),
    ("n" * 256, "File name too long"),
    ("socket", "a socket or a disk"),
    ("/dev/fd/99", "Bad file descriptor"),
]


@pytest.mark.parametrize(("output", "reason"), IMPOSSIBLE)
def test_what_cannot_be_written_is_said_before_the_work(
    model: Path, run: Run, monkeypatch: pytest.MonkeyPatch, output: str, reason: str
) -> None:
    import socket

    from certgen import proving

    def worked(*_: object, **__: object) -> None:
        raise AssertionError("the work has begun")

    Path("dir").mkdir()
    Path("loop").symlink_to("loop")
    monkeypatch.setattr(proving, "prove", worked)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("socket")
        done = run("prove", model, "-o", output)
    assert done.code == 2 and reason in done.err and len(done.err.splitlines()) == 2


def test_every_command_refuses_a_dash(model: Path, run: Run) -> None:
    """None writes to standard output by it, and none makes a file or a directory called -."""
    for arguments in (TRAIN, ("prove", model, "-s", "cubic"), ("import", model)):
        done = run(*arguments, "-o", "-")
        assert done.code == 2 and "/dev/stdout" in done.err
    assert os.listdir() == ["m.safetensors"]


def test_a_directory_that_is_write_protected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) == tmp_path)
    with pytest.raises(UserError, match="file: it is write-protected"):
        write_atomically(tmp_path / "file", b"")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(UserError, match=r"new: the directory .* is not writable"):
        check_outputs([tmp_path / "new"])


def test_models_are_regular_files(model: Path, run: Run) -> None:
    """What is written is read again, by import and by check-cert; a pipe would wait for ever."""
    os.mkfifo("pipe")
    for arguments in (TRAIN, ("import", model)):
        done = run(*arguments, "-o", "pipe")
        assert done.code == 2 and "not a regular file" in done.err
    assert not is_regular("pipe") and stat.S_ISFIFO(os.stat("pipe").st_mode)


@pytest.mark.parametrize("command", ["demo", "sweep", "train"])
def test_a_directory_that_is_a_file(model: Path, run: Run, command: str) -> None:
    Path("file").touch()
    arguments = {"demo": ("demo", model), "sweep": ("sweep", model, "-s", "cubic"), "train": TRAIN}[command]
    done = run(*arguments, "-o", "file/below" if command == "train" else "file")
    assert done.code == 2 and "cannot create the directory" in done.err and len(done.err.splitlines()) == 2


def test_saving_a_model_keeps_a_link(tmp_path: Path, model: Path) -> None:
    import safetensors.numpy

    (tmp_path / "link").symlink_to("target")
    save_model(tmp_path / "link", safetensors.numpy.load_file(model))
    assert (tmp_path / "link").is_symlink() and load_model(tmp_path / "target").d_vocab == 3


def test_a_certificate_can_replace_an_older_one(model: Path) -> None:
    for strategy in ("cubic", "brute-force"):
        prove(model, strategy).save("c.json")
    assert Certificate.load("c.json").predicate.strategy == "brute-force"
