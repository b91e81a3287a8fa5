"""The command line: what it says on any terminal, to any reader, about names of any kind."""

import errno
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

import certgen
from certgen import cli, progress, proving
from certgen.bounds.direct_path import DIRECT_PATHS
from certgen.bounds.scores import SCORE_ERRORS
from certgen.cli import app, main
from certgen.errors import UserError
from certgen.models.model_file import load_model
from certgen.strategies import COSTS, STRATEGIES
from certgen.strategies.listing import ATTENTION, ERROR, EUPU
from certgen.strategies.sub_cubic import ATTENTIONS
from certgen.sweep.run import matching
from tests.conftest import ROOT
from tests.support.runs import Run
from tests.support.tiny import near_correct, tiny_model, zero_tensors

COMMANDS = sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
NAMES = ["max[v2]", "m[/x]", "[bold]b[/bold]", "[red]", ":smile:", "gr\udcf6n", "esc\x1b[1m", "two\nlines", "日本 ü"]


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tiny_model(tmp_path / "m.safetensors", near_correct(np.random.default_rng(0), v=3, k=2))


def cut(text: str) -> str:
    """Without line breaks and what tables draw, so that a folded name is found."""
    return "".join(c for c in text if c not in "│┃| \n")


@pytest.mark.parametrize("name", NAMES)
def test_names_of_files_are_shown_as_they_are(model: Path, run: Run, name: str) -> None:
    """Nothing is taken for markup; what cannot be shown is an escape, so that no line is forged."""
    shown = {"gr\udcf6n": "gr\\udcf6n", "esc\x1b[1m": "esc\\x1b[1m", "two\nlines": "two lines"}.get(name, name)
    path = Path(f"{name}.safetensors")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.read_bytes())
    certificate = Path(f"{name}.cert.json")
    done = run("prove", path, "-s", "cubic", "-o", certificate)
    assert done.code == 0 and f"{shown}.cert.json: accuracy" in done.out and len(done.out.splitlines()) == 2
    assert f"{shown}.safetensors" in done.out.splitlines()[1]
    assert run("explain", certificate).code == 0
    assert f"{shown}.cert.json: " in run("length", path, certificate).out
    assert f"cannot read {shown}.gone" in run("prove", f"{name}.gone", "-o", "c").err


@pytest.mark.parametrize("name", NAMES)
def test_the_table_of_training_shows_names_as_they_are(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    from certgen.models import training

    tensors = {key: array.astype(np.float32) for key, array in zero_tensors(3, 2, 2, 2).items()}
    trained = training.TrainedModel(7, tensors, 0.5, 1, 2)

    def train(recipe: object, seeds: object, on_step: Callable[[int, float], None], threads: int) -> list[object]:
        on_step(1, 0.5)
        return [trained]

    monkeypatch.setattr(training, "train", train)
    monkeypatch.chdir(tmp_path)
    Path(f"{name}.safetensors").parent.mkdir(parents=True, exist_ok=True)
    done = run("train", "--k", 2, "--d-vocab", 3, "-o", f"{name}.safetensors")
    shown = {"gr\udcf6n": "gr\\udcf6n", "esc\x1b[1m": "esc\\x1b[1m", "two\nlines": "twolines"}.get(name, name)
    assert done.code == 0 and cut(f"{shown}.safetensors") in cut(done.out)
    assert done.err == ""  # no progress where nobody watches


def test_a_command_to_type_is_quoted_for_the_shell(model: Path, run: Run) -> None:
    model.rename("my model.safetensors")
    done = run("prove", "my model.safetensors", "-s", "cubic", "-o", "it's.json")
    assert """check-cert 'my model.safetensors' 'it'"'"'s.json'""" in done.out


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437"])
def test_a_terminal_of_few_characters_gets_what_it_can_show(model: Path, run: Run, encoding: str) -> None:
    path = Path("日本\udcf6.safetensors")
    path.write_bytes(model.read_bytes())
    certificate = Path("ü.json")
    for arguments in (
        ("strategies",),
        ("error-table", path),
        ("prove", path, "-s", "cubic", "-o", certificate),
        ("explain", certificate),
        ("wrong", path),
        ("length", path, certificate),
        *((command, "--help") for command in COMMANDS),
    ):
        done = run(*arguments, encoding=encoding)
        assert done.code == 0 and done.out, arguments
    done = run("prove", Path("日本"), "-o", "c", encoding=encoding)
    assert done.code == 2 and "cannot read \\u65e5\\u672c" in done.err


class Full(io.RawIOBase):
    """A standard output that takes `room` bytes and no more."""

    def __init__(self, error: int, room: int = 0) -> None:
        self.error, self.room = error, room

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        size = len(bytes(data))  # type: ignore[call-overload]
        self.room -= size
        if self.room < 0:
            raise OSError(self.error, os.strerror(self.error))
        return size

    def close(self) -> None:
        self.room = 1 << 60  # what Python writes when it ends is not looked at
        super().close()


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EPIPE, errno.EIO])
@pytest.mark.parametrize("room", [0, 300])
def test_a_full_or_closed_standard_output_is_one_line(model: Path, run: Run, error: int, room: int) -> None:
    tiny_model(model, zero_tensors(3, 2, 1, 1))  # every sequence is a tie, and wrong
    certgen.prove(model, "cubic").save("c.json")
    for arguments in (
        ("strategies",),
        ("strategies", "--names"),
        ("explain", "c.json"),
        ("error-table", model),
        ("prove", model, "-s", "cubic", "-o", "p.json"),
        ("wrong", model, "--json"),
        ("length", model, "c.json", *["c.json"] * 4),
    ):
        done = run(*arguments, out=Full(error, 0 if arguments[0] in ("prove", "wrong") else room))
        message = f"certgen: cannot write to standard output: {os.strerror(error)}\n"
        assert (done.code, done.err) == (2, message), arguments
    assert Path("p.json").exists()


def test_the_program_itself_ends_in_one_line(model: Path) -> None:
    """In a process of its own: nothing is added when Python ends."""
    script = "import sys; sys.argv = ['certgen', 'strategies']; from certgen.cli import main; main()"
    with open("/dev/full", "wb") as full:
        done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (2, "certgen: cannot write to standard output: No space left on device\n")


def test_a_standard_output_that_is_closed_is_said_before_the_work(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["certgen", "prove", str(model), "-o", "c.json"])
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2 and not Path("c.json").exists()
    assert capsys.readouterr().err.startswith("certgen: standard output is closed\n")


@pytest.mark.parametrize(
    ("failure", "line"),
    [
        (OSError(errno.EROFS, "Read-only file system", "locks/results"), "locks/results: Read-only file system"),
        (OSError("no reason given"), "no reason given"),
        (MemoryError(), "out of memory"),
        (UserError("message\x1b[1m\nmore"), "message\\x1b[1m more"),
    ],
)
def test_what_the_machine_refuses_is_one_line(
    run: Run, monkeypatch: pytest.MonkeyPatch, failure: Exception, line: str
) -> None:
    def fail() -> None:
        raise failure

    monkeypatch.setattr(cli, "app", fail)
    assert run() == (2, "", f"certgen: {line}\n")


@pytest.mark.parametrize("arguments", [("cubic",), ("adaptive",), ("exact",)])
def test_no_progress_where_nobody_watches(
    model: Path, run: Run, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # a colour is not a terminal
    done = run("prove", model, "-s", *arguments, "-o", "c.json")
    assert done.code == 0 and done.err == ""
    assert progress.bar([1, 2], "what") == [1, 2]


def test_a_bar_where_somebody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    assert not isinstance(progress.bar([1, 2], "what"), list) and list(progress.bar([1, 2], "what")) == [1, 2]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_speaks_to_people(run: Run, command: str) -> None:
    """No type of the implementation, no line beyond 80 columns."""
    done = run(command, "--help")
    assert done.code == 0
    for word in ("list[", "<bool>", "<str>", "range>", "TEXT", "INTEGER"):
        assert word not in done.out, word
    assert max(map(len, done.out.splitlines())) <= 80


def test_misspelt_strategies_are_answered_with_similar_ones(model: Path, run: Run) -> None:
    for given, wanted in (
        ("cubik", "cubic"),
        ("adaptiv", "adaptive"),
        ("sub-cubic/max-dif/upper-envelope/svd", "sub-"),
    ):
        done = run("prove", model, "-s", given, "-o", "c.json")
        lines = done.err.splitlines()
        assert done.code == 2 and lines[0] == f"certgen: there is no strategy {given!r}"
        assert len(lines) == 2 and f"did you mean {wanted}" in lines[1] and "`certgen strategies`" in lines[1]
        assert len(lines[1]) < 300
    done = run("prove", model, "-s", "zzz", "-o", "c.json")
    assert done.err.splitlines()[1:] == ["  `certgen strategies` lists them"]
    with pytest.raises(UserError, match="did you mean cubic"):
        matching(["cubik"])


def test_the_list_of_strategies_has_each_family_once_and_cuts_no_name(run: Run) -> None:
    lines = run("strategies").out.splitlines()
    words = [line.split() for line in lines if line.strip()]
    assert max(map(len, lines)) <= 80 and not any("…" in line for line in lines)
    for name, strategy in STRATEGIES.items():
        family, _, rest = name.partition("/")
        if family != "sub-cubic" and rest not in SCORE_ERRORS:
            assert [name, *strategy.cost_class.split()] in [
                row[: 1 + len(strategy.cost_class.split())] for row in words
            ]
    firsts = [row[0] for row in words]
    for choice in (*DIRECT_PATHS, *ATTENTIONS, *SCORE_ERRORS):
        assert choice in firsts
    assert sum("sub-cubic/" in line for line in lines) == 1
    assert all(any(line.strip().startswith(cost_class) for line in lines) for cost_class in COSTS)
    assert run("strategies", "--names").out.split() == list(STRATEGIES)


def test_the_choices_listed_are_those_of_the_family() -> None:
    assert (
        list(EUPU) == list(DIRECT_PATHS) and list(ATTENTION) == list(ATTENTIONS) and list(ERROR) == list(SCORE_ERRORS)
    )


def test_a_target_above_the_accuracy_itself(tmp_path: Path, run: Run) -> None:
    """The proof shows that no other would do: the accuracy is named, and no other strategy is advised."""
    path = tiny_model(tmp_path / "m.safetensors", near_correct(np.random.default_rng(3), v=3, k=2, sharpness=0.3))
    exact = certgen.prove(path, "exact").predicate.claim
    assert exact.correct + exact.wrong == exact.total and 0 < exact.wrong < exact.total
    done = run("prove", path, "--target", "1", "-o", tmp_path / "c.json")
    assert done.code == 2
    assert f"the accuracy itself is {exact.correct}/{exact.total} (0." in done.err
    assert "exact" not in done.err and f"{exact.correct}/{exact.total} or less" in done.err
    reached = certgen.prove(path, target=Fraction(exact.correct, exact.total))
    assert reached.predicate.claim.correct == exact.correct


def messages(model: Path) -> Iterator[str]:
    """What the Python API says when it is asked for too much or for nonsense."""
    large = tiny_model(model.parent / "large.safetensors", zero_tensors(3, 40, 1, 1))
    attempts = (
        lambda: certgen.prove(model, "cubik"),
        lambda: certgen.prove(model, "cubic", target=1),
        lambda: certgen.prove(model, max_length=1),
        lambda: certgen.prove(model, target=2),
        lambda: certgen.prove(model, target="x"),
        lambda: certgen.prove(model, margin=-1),
        lambda: certgen.prove(model, margin=1000, target="0.5"),
        lambda: matching(["cubik"]),
        lambda: matching([]),
        lambda: certgen.prove(large, "exact"),
    )
    for attempt in attempts:
        with pytest.raises(UserError) as raised:
            attempt()
        yield str(raised.value)


def test_in_python_no_message_names_an_option_of_the_command_line(model: Path) -> None:
    found = list(messages(model))
    assert not [text for text in found if "--" in text.replace("`certgen strategies --names`", "")]
    assert not [strategy.summary for strategy in STRATEGIES.values() if "--" in strategy.summary]


@pytest.mark.parametrize(
    ("arguments", "options", "wanted"),
    [
        ((None,), {}, r"model must be a Model from load_model\(\), or the path of a model file, not NoneType"),
        ((b"m.safetensors",), {}, "model must be .*, not bytes"),
        (({"W_E": 1},), {}, "model must be .*, not dict"),
        (("m.safetensors", ["cubic"]), {}, "strategy must be a name such as 'adaptive', not list"),
        (("m.safetensors", 7), {}, "strategy must be .*, not int"),
        (("m.safetensors",), {"problem": 7}, "problem must be a problem from load_problem.*, not int"),
        (("m.safetensors",), {"margin": None}, "margin must be a number, or text such as 1/8 or 0.125, not NoneType"),
        (("m.safetensors",), {"target": [1]}, "target must be .*, not list"),
        (("m.safetensors",), {"max_length": 1.5}, "max_length must be a number of operations, an int, not float"),
        (("m.safetensors",), {"max_length": "9"}, "max_length must be .*, not str"),
    ],
)
def test_an_argument_of_a_wrong_type_is_told_what_is_wanted(
    model: Path, arguments: tuple[object, ...], options: dict[str, object], wanted: str
) -> None:
    with pytest.raises(TypeError, match=wanted):
        proving.prove(*arguments, **options)  # type: ignore[arg-type]


def test_a_model_can_be_given_by_its_path(model: Path) -> None:
    expected = certgen.prove(load_model(model), "cubic").to_bytes()
    assert certgen.prove(model, "cubic").to_bytes() == expected == certgen.prove(str(model), "cubic").to_bytes()
    of_numpy: dict[str, Any] = {"max_length": np.int64(10**6), "target": np.float64(0.1)}
    assert certgen.prove(model, **of_numpy).predicate.strategy == "adaptive"


def raw_checkpoints(folder: Path) -> Iterator[Path]:
    """Files of other programs that hold such a model, and are no model files."""
    import safetensors.numpy

    tensors = {name: array.astype(np.float32) for name, array in zero_tensors(3, 2, 2, 2).items()}
    mask = {"blocks.0.attn.mask": np.tri(2, dtype=bool)}
    wrapped = {f"model.{name}": array for name, array in tensors.items()}
    bridge = {"embed.weight": np.zeros((3, 2)), "blocks.0.attn.q.weight": np.zeros((2, 2))}
    short = {name.rpartition(".")[2]: array for name, array in tensors.items()}
    for number, content in enumerate((tensors | mask, wrapped, bridge, short)):
        path = folder / f"raw {number}.safetensors"
        path.write_bytes(safetensors.numpy.save(content))
        yield path
    np.savez(folder / "raw.npz", **short)  # type: ignore[arg-type]
    yield folder / "raw.npz"
    for number, start in enumerate((b"PK\x03\x04archive/data.pkl", b"\x80\x02}q\x00", b"\x80\x04\x95")):
        (folder / f"raw{number}.pth").write_bytes(start + bytes(100))
        yield folder / f"raw{number}.pth"


def test_a_raw_checkpoint_is_to_be_imported(tmp_path: Path, run: Run) -> None:
    import shlex

    for path in raw_checkpoints(tmp_path):
        done = run("prove", path, "-o", tmp_path / "c.json")
        assert done.code == 2 and path.name in done.err.splitlines()[0]
        assert f"certgen import {shlex.quote(str(path))} -o model.safetensors" in done.err, path
    assert not (tmp_path / "c.json").exists()


def test_json_lines_stay_json(model: Path, run: Run) -> None:
    certgen.prove(model, "cubic").save("ü\udcf6.json")
    done = run("length", model, "ü\udcf6.json", "--json", encoding="ascii")
    assert json.loads(done.out)["file"] == "ü\udcf6.json"
