"""check-cert by its functions: lines and fields of verdicts that are made up, files, and what work is estimated."""

import gzip
import json
import shutil
import sys
from argparse import ArgumentTypeError
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from checker import cli
from checker.budget import allowed, memory_of
from checker.certificate import Step
from checker.cli import decimal, decimal_up, describe, estimate, files, main, margin_text, positive, profile_text, read
from checker.decode import MAX_PRINTED_DIGITS
from checker.errors import Malformed, Refusal, Rejected, ResourceLimit
from checker.facts import AtMargin
from checker.kernel import Verdict, one_by_one, problem_of
from checker.problem import Problem
from checker.version import __version__

DIGEST = "0" * 64
ENTRY = (
    '{"activation":"none","attn_scale_squared":"1","blocks":1,"eps":"0","heads":2,"mask":"causal",'
    '"normalization":"none","norms":[],"pool":"none","readout_layers":0}'
)


def verdict(correct: int, wrong: int, total: int, **given: object) -> Verdict:
    fields = {"architecture": None, "margin": (0, 1), "problem": None} | given
    return Verdict(correct, wrong, total, "max-of-2", 3, semantics="exact-real", digest=DIGEST, **fields)  # type: ignore[arg-type]


REST = f"task=max-of-2 d_vocab=3 semantics=exact-real margin=0 model=sha256:{DIGEST}"


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        ((2, 0, 3), ">= 2/3 (0.66666) "),
        ((2, 1, 3), "= 2/3 (0.66666) "),
        ((0, 1, 3), ">= 0/3 (0.00000) and <= 2/3 (0.66667) "),
        ((1, 1, 3), ">= 1/3 (0.33333) and <= 2/3 (0.66667) "),
        ((0, 0, 3), ">= 0/3 (0.00000) "),
        ((3, 0, 3), "= 3/3 (1.00000) "),
        ((0, 3, 3), "= 0/3 (0.00000) "),
        ((0, 2, 3), ">= 0/3 (0.00000) and <= 1/3 (0.33334) "),
    ],
)
def test_bounds_of_a_verdict(counts: tuple[int, int, int], text: str) -> None:
    line, data = describe(verdict(*counts))
    assert line == f"VERIFIED accuracy {text}{REST}"
    assert [data[name] for name in ("correct", "wrong", "total")] == list(counts)
    assert (data["verdict"], data["exit_code"], data["file"]) == ("verified", 0, "CERT")
    assert describe(verdict(*counts), "CERT 2")[0] == f"{line} in CERT 2"


def test_what_a_verdict_is_about() -> None:
    line, data = describe(verdict(1, 0, 3, architecture=ENTRY, problem="f" * 64, margin=(-1, 2)))
    about = f"arch=1L2H-attn-only semantics=exact-real margin=-1/2 problem=sha256:{'f' * 64}"
    assert line == f"VERIFIED accuracy >= 1/3 (0.33333) task=max-of-2 d_vocab=3 {about} model=sha256:{DIGEST}"
    assert data["architecture"] == json.loads(ENTRY)
    assert {"profile", "mean_loss"}.isdisjoint(data)
    assert {"architecture", "arch", "problem"}.isdisjoint(describe(verdict(1, 0, 3))[1])


def test_margins_and_losses_are_rounded_outward() -> None:
    """At the margin of the claim nothing is said again; `=` where the bounds meet, and no bound that says nothing."""
    rows = (
        AtMargin(2, 0, (-1, 1)),
        AtMargin(1, 1, (0, 1)),
        AtMargin(1, 2, (1, 3)),
        AtMargin(0, 2, (2, 1)),
        AtMargin(0, 0, (3, 1)),
    )
    found = verdict(1, 1, 3, profile=rows, mean_loss=(2, 3))
    text = " margins -1: >= 0.66666 1/3: = 0.33333 2: >= 0.00000 <= 0.33334 3: >= 0.00000 mean-loss <= 0.66667"
    assert profile_text(found) == text
    assert describe(found)[0].endswith(text)
    assert describe(found)[1]["mean_loss"] == "2/3"
    assert describe(found)[1]["profile"] == [
        {"margin": margin, "correct": correct, "wrong": wrong}
        for margin, correct, wrong in (("-1", 2, 0), ("0", 1, 1), ("1/3", 1, 2), ("2", 0, 2), ("3", 0, 0))
    ]
    assert profile_text(verdict(1, 1, 3, profile=rows[1:2], mean_loss=(1, 1))) == " mean-loss <= 1.00000"
    assert profile_text(verdict(1, 1, 3)) == ""


def test_decimals() -> None:
    assert [decimal(n, 3) for n in (0, 1, 3, 400)] == ["0.00000", "0.33333", "1.00000", "133.33333"]
    assert [decimal_up(n, 3) for n in (0, 1, 3, 400)] == ["0.00000", "0.33334", "1.00000", "133.33334"]
    assert [margin_text(margin) for margin in ((0, 1), (1, 11), (-3, 1), (1, 1))] == ["0", "1/11", "-3", "1"]


@pytest.mark.parametrize("given", ["MODEL", "PROBLEM", "CERT", "", "another"])
def test_a_refusal_is_about_one_of_the_files(given: str) -> None:
    refusal = Rejected("some-code", "a.b", "this", "that")
    refusal.file = given
    line, data = describe(refusal, "CERT 3")
    about = given if given in ("MODEL", "PROBLEM") else "CERT 3"
    assert line == f"REJECTED some-code in {about} at a.b: expected this, got that"
    assert data == {
        "verdict": "rejected",
        "exit_code": 1,
        "file": about,
        "code": "some-code",
        "path": "a.b",
        "expected": "this",
        "got": "that",
    }


def test_a_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read(str(path), 5) == b"12345"
    with pytest.raises(Malformed, match="too-large"):
        read(str(path), 4)
    with pytest.raises(Malformed, match="unreadable-file"):
        read(str(tmp_path), 5)


def test_counts_on_the_command_line_are_positive() -> None:
    assert [positive(text) for text in ("1", "2")] == [1, 2]
    for text in ("0", "-1"):
        with pytest.raises(ArgumentTypeError):
            positive(text)


@pytest.fixture
def model(models: Path) -> str:
    return str(models / "tiny.safetensors")


@pytest.fixture
def cubic(certificates: Path) -> Path:
    return certificates / "accept/tiny--cubic.cert.json"


def test_the_size_of_the_files_is_their_budget(model: str, cubic: Path, tmp_path: Path) -> None:
    """Eight times that of a certificate that is packed; unless one is given. Numbers have 4,300 digits."""
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(before + 1000)
    packed = tmp_path / "packed.cert.json.gz"
    packed.write_bytes(gzip.compress(cubic.read_bytes()))
    size = Path(model).stat().st_size
    assert files(model, str(cubic), None)[0] == allowed(size + cubic.stat().st_size)
    assert files(model, str(packed), None)[0] == allowed(size + 8 * packed.stat().st_size)
    assert files(model, str(cubic), 7)[0] == 7
    assert sys.get_int_max_str_digits() == MAX_PRINTED_DIGITS == 4300


def test_refusals_say_which_file_they_are_about(model: str, cubic: Path, tmp_path: Path) -> None:
    nothing = str(tmp_path / "nothing")
    for paths, file in (((nothing, str(cubic)), "MODEL"), ((model, nothing), "CERT"), ((model, model), "CERT")):
        with pytest.raises(Refusal) as caught:
            files(*paths, None)
        assert caught.value.file == file
    for problem in (nothing, model):
        with pytest.raises(Refusal) as caught:
            files(model, str(cubic), None, problem)
        assert caught.value.file == "PROBLEM"


def test_a_larger_budget_brings_more_memory_to_every_reader(
    model: str, cubic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[int] = []

    def recorded(reader: Callable[..., Any], data: bytes, memory: int) -> Any:
        found.append(memory)
        return reader(data)

    for name in ("read_weights", "load_json", "decode_certificate"):
        monkeypatch.setattr(cli, name, partial(recorded, getattr(cli, name)))
    (problem := tmp_path / "problem.json").write_text('{"name":"max-of-k","k":4}')
    assert files(model, str(cubic), 1 << 40, str(problem))[3] == 4
    assert found == [(1 << 40) // 64] * 3


def test_one_process_unless_more_are_asked_for(model: str, cubic: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[int] = []

    def recorded(jobs: int, problem: Problem, steps: tuple[Step, ...]) -> list[int]:
        used.append(jobs)
        return one_by_one(problem, steps)

    monkeypatch.setattr(cli, "side_by_side", recorded)
    assert cli.check(model, str(cubic)) == cli.check(model, str(cubic), jobs=2)
    assert used == [2]


@pytest.mark.parametrize(("options", "jobs"), [([], 1), (["--jobs", "3"], 3)])
def test_processes_of_the_command_line(
    options: list[str], jobs: int, model: str, cubic: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[int] = []
    monkeypatch.setattr(cli, "check", lambda *arguments: used.append(arguments[-1]))
    with pytest.raises(AttributeError):  # nothing is returned
        main([model, str(cubic), *options])
    assert used == [jobs]


def test_the_command_says_its_name_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert (caught.value.code, capsys.readouterr().out) == (0, f"check-cert {__version__}\n")


def test_a_verdict_that_cannot_be_printed_ends_the_run(
    model: str, cubic: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, when it is printed, and not again when the output is closed."""
    asked, true = [], cli.check

    def recorded(*arguments: Any) -> Verdict:
        asked.append(arguments[1])
        return true(*arguments)

    monkeypatch.setattr(cli, "check", recorded)
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert main([model, str(cubic), str(cubic)]) == 70
    assert asked == [str(cubic)]
    monkeypatch.setattr(sys, "stdout", None)
    assert main([model, str(cubic)]) == 70


def test_an_estimate_adds_up_its_steps(model: str, cubic: Path, certificates: Path) -> None:
    """In text and as fields; what only values tell is said of rules that look at them."""
    budget, weights, certificate, _ = files(model, str(cubic), None)
    text, data = estimate(model, str(cubic), None)
    steps, lines = data["steps"], text.splitlines()
    assert isinstance(steps, list) and len(steps) == len(certificate.steps)
    assert [step["rule"] for step in steps] == [step.rule for step in certificate.steps]
    own = problem_of(certificate, weights, 1 << 62).budget.declared
    assert data["operations"] == own + sum(step["operations"] for step in steps) > 0
    assert (data["budget"], data["bytes_allowed"]) == (budget, memory_of(budget) * 3 // 4)
    assert (data["verdict"], data["exit_code"]) == ("estimate", ResourceLimit.exit_code)
    for index, step in enumerate(steps):
        told = f"predicate.steps[{index}] {step['rule']}: {step['operations']} operations, {step['bytes']} bytes"
        assert (lines[index], step["more"]) == (told, False)
    allows = f"{budget} operations and {memory_of(budget) * 3 // 4} bytes are allowed"
    assert lines[-1] == f"ESTIMATE {data['operations']} operations; {allows}"
    text, data = estimate(model, str(certificates / "accept/tiny--exact.cert.json"), None)
    assert isinstance(data["steps"], list)
    more = [step["more"] for step in data["steps"]]
    assert any(more) and not all(more)
    assert ["operations and more by its values, " in line for line in text.splitlines()[:-1]] == more


def test_exit_codes_and_lines_of_several(
    model: str, cubic: Path, certificates: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The largest code; each line says its place, a single one does not."""
    wrong = str(certificates / "reject/count-too-large--claim.cert.json")
    assert main([model, str(cubic)]) == 0
    assert capsys.readouterr().out.endswith(f"{files(model, str(cubic), None)[1].file_digest}\n")
    assert main([model, wrong, str(cubic)]) == 1
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("REJECTED ") and " in CERT 1" in first
    assert second.startswith("VERIFIED ") and second.endswith(" in CERT 2")
    assert main(["--quiet", model, wrong]) == 1
    assert capsys.readouterr().out == ""
    assert main(["--json", model, wrong]) == 1
    assert json.loads(capsys.readouterr().out)["verdict"] == "rejected"
    assert main(["--estimate", model, str(cubic)]) == 5
    assert "ESTIMATE" in capsys.readouterr().out
    assert main(["--estimate", model, str(tmp_path)]) == 3
    assert capsys.readouterr().out.startswith("MALFORMED unreadable-file in CERT")
    shutil.copy(cubic, tmp_path / "copy")
    assert main(["--budget", "1", model, str(tmp_path / "copy")]) == 5
