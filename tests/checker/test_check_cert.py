"""check-cert from the outside: verdict lines, exit codes, and the word VERIFIED on success only."""

import copy
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from checker import Refusal, Verdict, check, cli, kernel
from checker.budget import allowed
from checker.cli import decimal, describe, main
from checker.decode import MAX_PRINTED_DIGITS
from checker.errors import InternalError, Malformed, OtherModel, Rejected, ResourceLimit, show_set
from checker.facts import Accuracy, Count, Tally
from checker.jobs import answer
from checker.model.attention import Attention
from checker.model.weights import read_weights
from checker.problem import Problem
from checker.rules import RULES
from tests.conftest import ROOT, CheckCert
from tests.make_corpus import prove
from tests.support.corpus import FILES, outcome_of
from tests.support.edits import change, drop, edited, put, to_bytes
from tests.support.problems import max_of_k
from tests.support.tiny import tiny_model, zero_tensors

Edit = Callable[[dict[str, Any]], object]
Files = dict[str, Path]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, models: Path, certificates: Path) -> Files:
    """One file of every outcome, by exit code."""
    return {
        "model": models / "tiny.safetensors",
        "0": certificates / "accept/tiny--cubic.cert.json",
        "1": certificates / "reject/count-too-large--claim.cert.json",
        "3": certificates / "malformed/not-an-integer--NaN.cert.json",
        "4": certificates / "other-model/model-digest--zeros.cert.json",
    }


@pytest.fixture
def write(tmp_path: Path, certificates: Path) -> Callable[..., Path]:
    """A changed copy of the cubic certificate of the tiny model."""
    base = json.loads((certificates / "accept/tiny--cubic.cert.json").read_bytes())

    def save(*edits: Edit, name: str = "changed.cert.json") -> Path:
        path = tmp_path / name
        path.write_bytes(to_bytes(edited(base, *edits)))
        return path

    return save


def digest_of(model: Path) -> str:
    return read_weights(model.read_bytes()).file_digest


# Verdict lines


def test_the_line_of_a_verified_certificate(check_cert: CheckCert, files: Files) -> None:
    done = check_cert(files["model"], files["0"])
    assert done.returncode == 0
    assert done.stderr == ""
    assert done.stdout == (
        "VERIFIED accuracy >= 213/625 (0.34080) task=max-of-4 d_vocab=5 semantics=exact-real margin=0 "
        f"model=sha256:{digest_of(files['model'])}\n"
    )


def test_the_line_states_the_margin(check_cert: CheckCert, files: Files, certificates: Path) -> None:
    done = check_cert(files["model"], certificates / "accept/tiny--brute-force-margin.cert.json")
    assert done.returncode == 0
    assert done.stdout.startswith("VERIFIED accuracy >= 593/625 (0.94880) task=max-of-4 ")
    assert " semantics=exact-real margin=1/8 model=sha256:" in done.stdout


def test_the_line_of_a_rejected_certificate(check_cert: CheckCert, files: Files, certificates: Path) -> None:
    done = check_cert(files["model"], certificates / "reject/bound-too-small--direct-path.cert.json")
    assert done.returncode == 1
    assert done.stderr == ""
    place = r"predicate\.steps\[0\]\.conclusion\.rows\[4\]\[2\]"
    pattern = rf"REJECTED bound-too-small in CERT at {place}: expected >= (-?\d+), got (-?\d+)\n"
    match = re.fullmatch(pattern, done.stdout)
    assert match is not None
    assert int(match[1]) == int(match[2]) + 1


@pytest.mark.parametrize(
    ("code", "start"),
    [
        ("3", "MALFORMED not-an-integer in CERT: expected exact integers only\n"),
        ("4", "OTHER-MODEL model-digest in CERT at subject[0].digest.sha256: the certificate is about "),
    ],
)
def test_the_lines_of_other_refusals(check_cert: CheckCert, files: Files, code: str, start: str) -> None:
    done = check_cert(files["model"], files[code])
    assert done.returncode == int(code)
    assert done.stdout.startswith(start)
    assert done.stdout.count("\n") == 1


def test_another_model_is_named_the_right_way_round(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    about, given = json.loads(files["4"].read_bytes())["subject"][0]["digest"]["sha256"], digest_of(files["model"])
    assert about != given
    assert main([str(files["model"]), str(files["4"])]) == 4
    assert capsys.readouterr().out == (
        "OTHER-MODEL model-digest in CERT at subject[0].digest.sha256: "
        f"the certificate is about {about}, the model given is {given}\n"
    )
    assert main(["--json", str(files["model"]), str(files["4"])]) == 4
    data = json.loads(capsys.readouterr().out)
    assert (data["expected"], data["got"]) == (about, given)


def test_each_of_several_lines_says_which_file_it_is_about(
    files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By kind and position: a file name may hold anything."""
    certificates = [str(files[code]) for code in "0134"] + [str(tmp_path / "missing")]
    for model, code, expected in (
        (files["model"], 4, ["CERT 1", "CERT 2", "CERT 3", "CERT 4", "CERT 5"]),
        (tmp_path / "missing", 3, ["MODEL"] * 5),
    ):
        assert main([str(model), *certificates]) == code
        lines = capsys.readouterr().out.splitlines()
        assert [re.findall(r" in (MODEL|CERT [0-9]+)\b", line) for line in lines] == [[file] for file in expected]
        assert main(["--json", str(model), *certificates]) == code
        assert [json.loads(line)["file"] for line in capsys.readouterr().out.splitlines()] == expected
    for model, certificate, file in (
        (files["model"], "0", "CERT"),
        (tmp_path, "0", "MODEL"),
        (files["model"], "1", "CERT"),
    ):
        main(["--json", str(model), str(files[certificate])])
        assert json.loads(capsys.readouterr().out)["file"] == file


def test_several_verified_certificates_have_the_line_of_one_and_their_place(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    main([str(files["model"]), str(files["0"])])
    line = capsys.readouterr().out.rstrip("\n")
    assert main([str(files["model"]), str(files["0"]), str(files["0"])]) == 0
    assert capsys.readouterr().out == f"{line} in CERT 1\n{line} in CERT 2\n"


def test_a_bit_mask_is_shown_as_a_set(certificates: Path, files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(files["model"]), str(certificates / "reject/token-not-accepted--one-more.cert.json")]) == 1
    place = "predicate.steps[2].conclusion.masks[1][0][1]"
    line = f"REJECTED token-not-accepted in CERT at {place}: expected a subset of {{}}, got {{0}}\n"
    assert capsys.readouterr().out == line


@pytest.mark.parametrize(
    ("mask", "text"),
    [
        (0, "{}"),
        (0b1001, "{0, 3}"),
        (1 << 63, "{63}"),
        (1 << 64, "0x10000000000000000"),
        (-1, "-0x1"),
        (-(1 << 70) - 1, "-0x400000000000000001"),
        (1 << 300, "an integer of 301 bits"),
        (-1 << 300, "an integer of 301 bits"),
    ],
)
def test_sets_in_messages(mask: int, text: str) -> None:
    assert show_set(mask) == text


def test_one_line_per_certificate_and_the_largest_exit_code(check_cert: CheckCert, files: Files) -> None:
    words = {"0": "VERIFIED", "1": "REJECTED", "3": "MALFORMED", "4": "OTHER-MODEL"}
    for order in ("0", "00", "01", "10", "103", "310", "0143", "4310", "3130", "100"):
        done = check_cert(files["model"], *(files[code] for code in order))
        assert done.returncode == max(map(int, order))
        assert [line.split()[0] for line in done.stdout.splitlines()] == [words[code] for code in order]


def test_a_refusal_after_success_is_not_hidden(check_cert: CheckCert, files: Files) -> None:
    assert check_cert(files["model"], files["1"], files["0"]).returncode == 1
    assert check_cert(files["model"], files["0"], files["1"]).returncode == 1


def test_gzip_and_plain_give_the_same_line(check_cert: CheckCert, files: Files, tmp_path: Path) -> None:
    packed = tmp_path / "named-without-gz"
    packed.write_bytes(gzip.compress(files["0"].read_bytes()))
    done = check_cert(files["model"], files["0"], packed)
    assert done.returncode == 0
    first, second = done.stdout.splitlines()
    assert first.removesuffix(" in CERT 1") == second.removesuffix(" in CERT 2")


# Options


def test_json_is_one_object_per_line(check_cert: CheckCert, files: Files) -> None:
    done = check_cert("--json", files["model"], *(files[code] for code in "0134"))
    assert done.returncode == 4
    verified, rejected, malformed, other = map(json.loads, done.stdout.splitlines())
    assert verified == {
        "verdict": "verified",
        "exit_code": 0,
        "file": "CERT 1",
        "correct": 213,
        "wrong": 0,
        "total": 625,
        "task": "max-of-4",
        "d_vocab": 5,
        "semantics": "exact-real",
        "margin": "0",
        "model": f"sha256:{digest_of(files['model'])}",
    }
    assert rejected == {
        "verdict": "rejected",
        "exit_code": 1,
        "file": "CERT 2",
        "code": "count-too-large",
        "path": "predicate.claim.correct",
        "expected": "<= 213",
        "got": "214",
    }
    assert (malformed["verdict"], malformed["exit_code"], malformed["code"]) == ("malformed", 3, "not-an-integer")
    assert (other["verdict"], other["exit_code"], other["code"]) == ("other-model", 4, "model-digest")


@pytest.mark.parametrize("code", ["0", "1", "3", "4"])
def test_quiet_prints_nothing(check_cert: CheckCert, files: Files, code: str) -> None:
    for options in (["--quiet"], ["--quiet", "--json"]):
        done = check_cert(*options, files["model"], files[code])
        assert (done.returncode, done.stdout, done.stderr) == (int(code), "", "")


def test_the_budget_counts_operations_of_all_steps(check_cert: CheckCert, files: Files, certificates: Path) -> None:
    brute = certificates / "accept/tiny--brute-force.cert.json"
    estimated = json.loads(check_cert("--estimate", "--json", files["model"], brute).stdout)
    needed, first = estimated["operations"], estimated["steps"][0]["operations"]
    assert needed == sum(step["operations"] for step in estimated["steps"])
    assert check_cert("--budget", needed, files["model"], brute).returncode == 0
    done = check_cert("--budget", first - 1, files["model"], brute, files["0"])
    assert done.returncode == 5
    refused, other = done.stdout.splitlines()
    assert refused == (
        f"RESOURCE-LIMIT over-budget in CERT 1 at predicate.steps[0]: expected at most {first - 1} operations in all "
        f"(raise --budget), got {first}, most of them for 625 sequences in 5 lanes of 94 bits"
    )
    assert other.startswith(("VERIFIED ", "RESOURCE-LIMIT "))
    done = check_cert("--budget", needed - 1, files["model"], brute)
    assert "at predicate.steps[1]: " in done.stdout


def test_no_budget_makes_a_wrong_proof_right(check_cert: CheckCert, files: Files, certificates: Path) -> None:
    wrong = certificates / "reject/count-too-large--enumerate_sequences.cert.json"
    for budget in ([], ["--budget", 10**9]):
        assert check_cert(*budget, files["model"], wrong).returncode == 1
    for least in (1, 624):
        assert check_cert("--budget", least, files["model"], wrong).returncode == 5


def test_an_estimate_is_no_verdict(capsys: pytest.CaptureFixture[str], files: Files, certificates: Path) -> None:
    """Of a proof, and of what is none; a file that cannot be read is refused as ever."""
    for name in ("0", "1"):
        assert main(["--estimate", str(files["model"]), str(files[name])]) == 5
        *steps, total = capsys.readouterr().out.splitlines()
        assert steps and all(re.match(r"predicate\.steps\[\d+\] [a-z_]+: \d+ operations", line) for line in steps)
        size = files["model"].stat().st_size + files[name].stat().st_size
        most = f"{allowed(size)} operations and 300000000 bytes are allowed"
        assert re.fullmatch(rf"ESTIMATE \d+ operations; {most}", total)
    assert main(["--estimate", "--budget", "1", str(files["model"]), str(files["0"])]) == 5
    assert "; 1 operations and 300000000 bytes" in capsys.readouterr().out
    assert main(["--estimate", str(files["model"]), str(files["3"])]) == 3
    assert main(["--estimate", str(files["model"]), str(files["4"])]) == 4
    found = certificates / "accept/tiny--exact.cert.json"
    assert main(["--estimate", "--quiet", str(files["model"]), str(found)]) == 5
    assert capsys.readouterr().out.count("MALFORMED") == 1
    assert main(["--estimate", str(files["model"]), str(found)]) == 5
    assert "branch_sequences: " in (out := capsys.readouterr().out) and " operations and more by its values, " in out


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["{model}"],
        ["--json", "{model}"],
        ["--force", "{model}", "{good}"],
        ["--budget", "{model}", "{good}"],
        ["--budget", "1e9", "{model}", "{good}"],
        *(["--budget", number, "{model}", "{good}"] for number in ("0", "-1", "-0", "1" * 5000, "x\nVERIFIED")),
        ["--no-check", "{model}", "{good}"],
        ["--quiet=1", "{model}", "{good}"],
    ],
)
def test_usage_errors(check_cert: CheckCert, files: Files, arguments: list[str]) -> None:
    done = check_cert(*(text.format(model=files["model"], good=files["0"]) for text in arguments))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("usage: check-cert")
    assert not re.search("^VERIFIED", done.stderr, re.MULTILINE)


def test_the_options_are_these(check_cert: CheckCert) -> None:
    """No flag weakens the check; a new one deserves a thought and a line here."""
    done = check_cert("--help")
    options = {"--help", "--version", "--json", "--quiet", "--budget", "--estimate", "--jobs", "--problem"}
    assert set(re.findall(r"--[a-z-]+", done.stdout)) == options
    assert "VERIFIED" not in done.stdout


# The problem that a certificate must be about


def problem_of(path: Path) -> Any:
    return json.loads(path.read_bytes())["predicate"]["task"]


def asked(tmp_path: Path, model: Path, certificate: Path, problem: Any, *options: str) -> int:
    """The exit code of check-cert, in-process, when the problem is asked for."""
    path = tmp_path / "problem.json"
    path.write_text(problem if isinstance(problem, str) else json.dumps(problem), encoding="utf-8")
    return main([str(model), str(certificate), "--problem", str(path), *options])


def test_the_problem_that_is_asked_for(
    models: Path, certificates: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """However it is written; one weight, readout or state more is another one."""
    model, certificate = models / "two-blocks.safetensors", certificates / "accept/two-blocks--exact.cert.json"
    task = problem_of(certificate)
    written = copy.deepcopy(task)
    written["inputs"][1] = {"weights": [1 << 70, 0, 3], "tokens": [0, 1, 2]}
    written["inputs"][2] = {"tokens": [3, 1], "weights": [5, 2]}
    written["inputs"][3] = {"tokens": [1, 0, 3, 2]}
    main([str(model), str(certificate)])
    line = capsys.readouterr().out
    for same in (task, dict(reversed(task.items())), written, json.dumps(written, indent=4) + "\n"):
        assert asked(tmp_path, model, certificate, same) == 0
        assert capsys.readouterr().out == line
    edits = [
        change("inputs", 1, "weights", 0, by=1),
        put("inputs", 1, "weights", 1, value=0),
        put("inputs", 0, "tokens", value=[2]),
        put("readout", value=4),
        put("label", "start", value=0),
        put("label", "of", value=[1, 3]),
        put("label", "output", 2, value=0),
        drop("inputs", 4),
    ]
    for edit in edits[:-1]:
        assert asked(tmp_path, model, certificate, edited(task, edit)) == 1
        refused = "REJECTED other-problem in CERT at predicate.task: expected the problem in PROBLEM\n"
        assert capsys.readouterr().out == refused
    for edit, said in (
        (edits[0], ("CERT", "other-problem", "predicate.task")),
        (edits[-1], ("PROBLEM", "wrong-task", "label.of")),  # which names a position that is gone
    ):
        assert asked(tmp_path, model, certificate, edited(task, edit), "--json") == 1
        data = json.loads(capsys.readouterr().out)
        assert (data["file"], data["code"], data["path"]) == said


def test_max_of_k_is_the_problem_that_says_so(files: Files, certificates: Path, tmp_path: Path) -> None:
    """By its name or in full, in the certificate or in the problem file."""
    in_full = certificates / "accept/tiny--cubic-of-a-problem-file.cert.json"
    for certificate in (files["0"], in_full):
        for problem in (problem_of(files["0"]), problem_of(in_full)):
            assert asked(tmp_path, files["model"], certificate, problem) == 0
        assert asked(tmp_path, files["model"], certificate, problem_of(in_full) | {"label": {"name": "min"}}) == 1
    with pytest.raises(Rejected) as refused:
        check(str(files["model"]), str(in_full), problem_path=str(write_text(tmp_path, '{"name":"max-of-k","k":3}')))
    assert (refused.value.code, refused.value.file, refused.value.path) == ("wrong-task", "PROBLEM", "k")


def write_text(folder: Path, text: str) -> Path:
    path = folder / "asked.json"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "MALFORMED not-json in PROBLEM at line 1"),
        ("[]", "MALFORMED wrong-type in PROBLEM: expected an object, got a list"),
        ('{"inputs":[{"tokens":"4-0"}],"label":{"name":"max"}}', "MALFORMED bad-range in PROBLEM at inputs[0].tokens:"),
        ('{"inputs":[{"tokens":[0]}],"label":{"name":"VERIFIED"}}', "MALFORMED unsupported in PROBLEM at label.name:"),
        ('{"inputs":[{"tokens":[9]}],"label":{"name":"max"}}', "REJECTED wrong-task in PROBLEM at inputs[0].tokens:"),
        (None, "MALFORMED unreadable-file in PROBLEM: expected a readable file, got No such file or directory"),
    ],
)
def test_problem_files_that_say_nothing(
    text: str | None, line: str, files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever the certificate: nothing is verified, and each of several lines says so."""
    path = tmp_path / "missing" if text is None else write_text(tmp_path, text)
    code = main([str(files["model"]), str(files["0"]), str(files["1"]), "--problem", str(path)])
    lines = capsys.readouterr().out.splitlines()
    assert code == (1 if line.startswith("REJECTED") else 3)
    assert [said[: len(line)] for said in lines] == [line] * 2
    assert "VERIFIED" not in "".join(lines)


# Files that are not what they should be


def test_files_that_cannot_be_read(check_cert: CheckCert, files: Files, tmp_path: Path) -> None:
    missing, folder = tmp_path / "missing", tmp_path
    for model, certificate in (
        (missing, files["0"]),
        (files["model"], missing),
        (folder, files["0"]),
        (files["model"], folder),
        (files["model"], files["0"] / "below-a-file"),
        (files["model"], tmp_path / ("x" * 5000)),
    ):
        done = check_cert("--json", model, certificate)
        assert done.returncode == 3
        assert json.loads(done.stdout)["code"] == "unreadable-file"
        assert done.stderr == ""


def test_a_file_without_permission(monkeypatch: pytest.MonkeyPatch, files: Files) -> None:
    """Tests may run as root, who may read everything; so the refusal of the system is imitated."""

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(Malformed) as caught:
        check(str(files["model"]), str(files["0"]))
    assert (caught.value.code, caught.value.got) == ("unreadable-file", "Permission denied")


def test_swapped_and_repeated_arguments(check_cert: CheckCert, files: Files) -> None:
    assert check_cert(files["0"], files["model"]).returncode == 3
    assert check_cert(files["model"], files["model"]).returncode == 3
    assert check_cert(files["0"], files["0"]).returncode == 3


def test_empty_files(check_cert: CheckCert, files: Files, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    assert check_cert(files["model"], empty).returncode == 3
    assert check_cert(empty, files["0"]).returncode == 3
    assert check_cert(empty, empty).returncode == 3


def test_endless_files_are_not_read_to_the_end(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "MAX_BYTES", 1 << 16)
    monkeypatch.setattr(cli, "MAX_MODEL_BYTES", 1 << 16)
    for model, certificate in (("/dev/zero", files["0"]), (files["model"], "/dev/zero")):
        with pytest.raises(Malformed) as caught:
            check(str(model), str(certificate))
        assert caught.value.code == "too-large"


def test_the_same_task_on_another_model(check_cert: CheckCert, files: Files, tmp_path: Path) -> None:
    """One bit of one weight away."""
    data = bytearray(files["model"].read_bytes())
    data[-1] ^= 0x80
    other = tmp_path / files["model"].name
    other.write_bytes(data)
    done = check_cert("--json", other, files["0"])
    assert (done.returncode, json.loads(done.stdout)["code"]) == (4, "model-digest")


def test_a_model_file_with_the_same_weights_is_another_file(
    check_cert: CheckCert, files: Files, tmp_path: Path
) -> None:
    """The claim is about a file: with other metadata it has another digest."""
    data = files["model"].read_bytes()
    length = int.from_bytes(data[:8], "little")
    other = tmp_path / "padded.safetensors"
    other.write_bytes((length + 1).to_bytes(8, "little") + data[8 : 8 + length] + b" " + data[8 + length :])
    assert read_weights(other.read_bytes()).tensor_digests == read_weights(data).tensor_digests
    assert check_cert(other, files["0"]).returncode == 4


def test_the_right_digest_on_an_easier_problem(check_cert: CheckCert, files: Files, write: Any) -> None:
    """Everything about the problem is read from the model and compared."""
    easier: dict[str, list[Edit]] = {
        "wrong-task": [put("predicate", "task", "k", value=1)],
        "wrong-total": [put("predicate", "claim", "total", value=213)],
        "wrong-size": [put("predicate", "model", "d_vocab", value=2)],
    }
    for code, edits in easier.items():
        done = check_cert("--json", files["model"], write(*edits))
        assert (done.returncode, json.loads(done.stdout)["code"]) == (1, code)
    consistent = [
        put("predicate", "task", "k", value=1),
        put("predicate", "model", "n_ctx", value=1),
        put("predicate", "claim", "total", value=5),
        put("predicate", "claim", "correct", value=5),
    ]
    assert check_cert(files["model"], write(*consistent)).returncode == 1


# Proofs that prove nothing


@pytest.mark.parametrize("correct", [0, 1, 213, 625])
def test_no_steps_prove_nothing(check_cert: CheckCert, files: Files, write: Any, correct: int) -> None:
    claim = put("predicate", "claim", "correct", value=correct)
    done = check_cert("--json", files["model"], write(claim, put("predicate", "steps", value=[])))
    assert (done.returncode, json.loads(done.stdout)["code"]) == (1, "nothing-proved")


def test_the_vacuous_claim_needs_a_proof_and_has_one(check_cert: CheckCert, files: Files, certificates: Path) -> None:
    done = check_cert(files["model"], certificates / "accept/tiny--claim-zero.cert.json")
    assert done.returncode == 0
    assert done.stdout.startswith("VERIFIED accuracy >= 0/625 (0.00000) ")


def test_the_line_restates_the_claim_and_not_a_better_fact(check_cert: CheckCert, files: Files, write: Any) -> None:
    """Both hold; the one in the certificate is the one that was asked about."""
    done = check_cert(files["model"], write(change("predicate", "claim", "correct", by=-13)))
    assert done.stdout.startswith("VERIFIED accuracy >= 200/625 (0.32000) ")


@pytest.mark.parametrize("number", [5, 6, -1, 10**3000])
def test_a_premise_is_an_earlier_step(check_cert: CheckCert, files: Files, write: Any, number: int) -> None:
    for position in (0, 1):
        path = write(put("predicate", "steps", 5, "premises", position, value=number))
        done = check_cert("--json", files["model"], path)
        refused = json.loads(done.stdout)
        assert (done.returncode, refused["code"]) == (1, "bad-premise")
        assert refused["path"] == f"predicate.steps[5].premises[{position}]"


def test_steps_in_the_wrong_order(check_cert: CheckCert, files: Files, write: Any) -> None:
    done = check_cert(files["model"], write(lambda s: s["predicate"]["steps"].reverse()))
    assert done.returncode == 1
    assert "bad-premise" in done.stdout


def refused_tally(problem: Problem, *counts: Count) -> str:
    """The code with which `total` refuses these counts beside a complete tally."""
    complete = [Count(m, 1 << q, (1 << problem.k - (q < m)) - 1, 0) for m in range(problem.v) for q in range(m + 1)]
    with pytest.raises(Rejected) as caught:
        RULES["total"].derive(problem, (Tally(tuple(complete)), Tally(counts)), {})
    return caught.value.code


def test_total_refuses_every_region_that_does_not_exist_or_was_counted(files: Files) -> None:
    """No rule derives such regions today; `total` does not rely on that."""
    problem = max_of_k(read_weights(files["model"].read_bytes()))
    for count in (
        Count(-1, 1, 1, 5),
        Count(problem.v, 1, 1, 5),
        Count(0, 0, 1, 5),
        Count(0, -1, 1, 5),
        Count(3, 1 << problem.v, 1, 5),
        Count(0, 1, 0, 5),
        Count(0, 1, 1 << problem.k, 5),
        Count(0, 1, 1 << 99, 5),
        Count(0, 1, 1, -5),
        Count(0, 1, 1, 0, -5),
    ):
        assert refused_tally(problem, count) == "no-such-region"
    for ns in (1, 2, 1 << problem.k - 1):
        for counted in ((5,), (0,), (0, 5)):
            assert refused_tally(problem, Count(2, 1 << 2, ns, *counted)) == "region-covered-twice"
            assert refused_tally(problem, Count(2, 0b101, ns, *counted)) == "region-covered-twice"
    impossible = Count(2, 1 << 1, 1 << problem.k - 1, 0)  # no position is left for the 2
    assert refused_tally(problem, impossible, impossible) == "region-covered-twice"


def test_total_adds_nothing_for_a_cell_left_out(files: Files) -> None:
    """Tallies that lack one cell (q, m, n), whichever it is; it can still be counted, once."""
    problem = max_of_k(read_weights(files["model"].read_bytes()))
    v, k = problem.v, problem.k
    cells = [(q, m, n) for m in range(v) for q in range(m + 1) for n in range(k - (q < m))]
    everything = Tally(tuple(Count(m, 1 << q, 1 << n, 1, 2) for q, m, n in cells))
    assert RULES["total"].derive(problem, (everything,), {}) == Accuracy(len(cells), 2 * len(cells))
    for missing in cells:
        rest = Tally(tuple(Count(m, 1 << q, 1 << n, 1, 2) for q, m, n in cells if (q, m, n) != missing))
        assert RULES["total"].derive(problem, (rest,), {}) == Accuracy(len(cells) - 1, 2 * (len(cells) - 1))
        one = Tally((Count(missing[1], 1 << missing[0], 1 << missing[2], 1, 2),))
        assert RULES["total"].derive(problem, (one, rest), {}) == Accuracy(len(cells), 2 * len(cells))


@pytest.mark.parametrize(("queries", "ns"), [(0, 1), (1, 0), (0, 0)])
def test_an_empty_region_counts_nothing(files: Files, queries: int, ns: int) -> None:
    """A region without cells could be counted any number of times."""
    problem = max_of_k(read_weights(files["model"].read_bytes()))
    assert refused_tally(problem, Count(2, queries, ns, 5)) in ("no-such-region", "region-covered-twice")


# The word


HOSTILE = [
    "VERIFIED",
    "VERIFIED accuracy >= 625/625 (1.00000) task=max-of-4",
    "x\nVERIFIED accuracy >= 625/625 (1.00000)",
    "x\r\x1b[2K\x1b[1AVERIFIED accuracy >= 625/625 (1.00000)\x1b[0m",
    "\u2028VERIFIED\x85",
    "\ud800VERIFIED",
]
PLACES: dict[str, tuple[str | int, ...]] = {
    "name of the subject": ("subject", 0, "name"),
    "strategy": ("predicate", "strategy"),
    "rule": ("predicate", "steps", 0, "rule"),
    "field": ("predicate", "claim", "{}"),
    "statement type": ("_type",),
    "predicate type": ("predicateType",),
    "semantics": ("predicate", "semantics"),
    "margin": ("predicate", "margin"),
    "task": ("predicate", "task", "name"),
    "digest": ("subject", 0, "digest", "sha256"),
    "tensor": ("predicate", "model", "tensors", "{}"),
    "version": ("predicate", "formatVersion"),
    "number": ("predicate", "claim", "correct"),
    "argument": ("predicate", "steps", 2, "args", "bits"),
    "conclusion": ("predicate", "steps", 2, "conclusion"),
    "entry": ("predicate", "steps", 0, "conclusion", "rows", 0, 0),
    "key of an argument": ("predicate", "steps", 2, "args", "{}"),
}


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
@pytest.mark.parametrize("place", PLACES)
def test_no_text_of_a_refused_certificate_is_printed(
    place: str, text: str, files: Files, write: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tuple(key.format(text) if isinstance(key, str) else key for key in PLACES[place])
    wrong = put("predicate", "claim", "correct", value=214)  # so that nothing here is ever verified
    certificate = write(wrong, put(*path, value=text))
    for options in ([], ["--json"]):
        code = main([*options, str(files["model"]), str(certificate)])
        out, err = capsys.readouterr()
        assert code == (1 if place in ("name of the subject", "strategy") and "\ud800" not in text else 3)
        assert out.count("\n") == 1 and out.isprintable() is False and out[:-1].isprintable() and out.isascii()
        assert "VERIFIED" not in out + err and "verified" not in out + err


@pytest.mark.parametrize("text", HOSTILE[:5], ids=ascii)
def test_texts_of_a_verified_certificate_are_not_printed_either(
    text: str, files: Files, write: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = main([str(files["model"]), str(files["0"])]), capsys.readouterr().out
    certificate = write(put("subject", 0, "name", value=text), put("predicate", "strategy", value=text))
    assert (main([str(files["model"]), str(certificate)]), capsys.readouterr().out) == plain


@pytest.mark.parametrize("name", ["VERIFIED", "VERIFIED accuracy\n", "x\nVERIFIED accuracy >= 1\x1b[0m"], ids=ascii)
def test_file_names_are_not_printed(check_cert: CheckCert, files: Files, tmp_path: Path, name: str) -> None:
    model, wrong, missing = tmp_path / f"{name}1", tmp_path / f"{name}2", tmp_path / f"{name}3"
    shutil.copy(files["model"], model)
    shutil.copy(files["1"], wrong)
    done = check_cert(model, wrong, missing, model, tmp_path)
    assert done.returncode == 3
    assert "VERIFIED" not in done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == 4


def test_model_headers_are_not_printed(files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = files["model"].read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    for text in HOSTILE:
        renamed = {(text if name == "embed.W_E" else name): entry for name, entry in header.items()}
        retyped = {**header, "embed.W_E": {**header["embed.W_E"], "dtype": text}}
        more = {**header, "embed.W_E": {**header["embed.W_E"], text: 1}}
        metadata = {**header, "__metadata__": {text: 1}}
        for changed in (renamed, retyped, more, metadata):
            model = tmp_path / "model.safetensors"
            raw = json.dumps(changed).encode()
            model.write_bytes(len(raw).to_bytes(8, "little") + raw + data[8 + length :])
            assert main([str(model), str(files["0"])]) == 3
            out, err = capsys.readouterr()
            assert "VERIFIED" not in out + err and out[:-1].isprintable() and out.isascii()


def test_the_word_appears_on_success_only(
    models: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Over the outcomes of the whole corpus: VERIFIED if and only if the exit code is 0."""

    def known(_: str, certificate: str, *__: object) -> Verdict:
        outcome = outcome_of(Path(certificate))
        if isinstance(outcome, Refusal):
            raise outcome
        return outcome

    monkeypatch.setattr(cli, "check", known)
    seen = set()
    for path in FILES:
        code = main([str(models / "tiny.safetensors"), str(path)])
        out, err = capsys.readouterr()
        assert ("VERIFIED" in out) == out.startswith("VERIFIED ") == (code == 0)
        assert err == "" and out.count("\n") == 1
        seen.add(code)
    assert seen == {0, 1, 3, 4, 5}


# Failures of the checker itself


@pytest.mark.parametrize("error", [ZeroDivisionError, RecursionError, AssertionError, KeyError, ValueError, TypeError])
@pytest.mark.parametrize("where", ["decode_certificate", "verify", "read_weights"])
def test_an_unforeseen_failure_is_an_internal_error(
    error: type[Exception], where: str, monkeypatch: pytest.MonkeyPatch, files: Files, capsys: Any
) -> None:
    """Not a rejection, not a traceback, and not a success."""

    def fail(*_: object, **__: object) -> None:
        raise error("VERIFIED")

    monkeypatch.setattr(cli, where, fail)
    assert main([str(files["model"]), str(files["0"])]) == 70
    out, err = capsys.readouterr()
    assert (out, err) == (f"INTERNAL-ERROR {error.__name__} in CERT\n", "")
    assert main(["--quiet", str(files["model"]), str(files["0"])]) == 70
    assert main(["--json", str(files["model"]), str(files["0"])]) == 70
    data = json.loads(capsys.readouterr().out)
    assert (data["verdict"], data["exit_code"]) == ("internal-error", 70)


def test_an_internal_error_is_the_largest_code(monkeypatch: pytest.MonkeyPatch, files: Files, capsys: Any) -> None:
    true = kernel.verify
    calls: list[int] = []

    def fail_once(*arguments: Any) -> Verdict:
        calls.append(1)
        if len(calls) == 1:
            raise IndexError
        return true(*arguments)

    monkeypatch.setattr(cli, "verify", fail_once)
    assert main([str(files["model"]), str(files["0"]), str(files["0"]), str(files["4"])]) == 70
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        "INTERNAL-ERROR",
        "VERIFIED",
        "OTHER-MODEL",
    ]


def test_a_verdict_that_cannot_be_printed_is_no_verdict_on_the_proof(files: Files) -> None:
    """Not 1, which Python gives to a traceback, and not 0, as nobody has read the claim."""
    for code in "01":
        with open("/dev/full", "w") as full:
            command = [sys.executable, "-m", "checker", str(files["model"]), str(files[code])]
            done = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.DEVNULL, timeout=60)
        assert done.returncode == 70


def test_the_module_itself_is_a_command(files: Files) -> None:
    command = [sys.executable, "-m", "checker.cli", str(files["model"]), str(files["1"])]
    assert subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, timeout=60).returncode == 1


@pytest.mark.parametrize("option", [[], ["--json"]])
def test_a_standard_output_that_is_closed_is_no_success(option: list[str], files: Files) -> None:
    """Closed by the shell (`>&-`): print does nothing then, and raises nothing."""
    command = [sys.executable, "-m", "checker", *option, str(files["model"]), str(files["0"]), str(files["0"])]
    shell = ["sh", "-c", 'exec "$@" >&-', "sh", *command]
    assert subprocess.run(shell, cwd=ROOT, stderr=subprocess.DEVNULL, timeout=60).returncode == 70


def test_quiet_needs_no_standard_output(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert main(["--quiet", str(files["model"]), str(files["0"])]) == 0
    assert main([str(files["model"]), str(files["0"])]) == 70


@pytest.fixture
def many_digits(tmp_path: Path) -> tuple[Path, Path]:
    """A model and a certificate with numbers of more than 640 digits that are all right: a margin, and the total."""
    model = tiny_model(tmp_path / "model.safetensors", zero_tensors(2, 2200, 1, 1), "F16")
    weights = read_weights(model.read_bytes())
    regions = [[m, 1 << q, (1 << 2200) - 1, 0, 0] for m in range(2) for q in range(m + 1)]
    parts = [{"token": -1, "above": [[0, 1 << 4000, 0, 0]], "below": []}]
    blocks = [{"queries": 1 << q, "classes": [], "parts": parts} for q in range(2)]
    pools = [(1 << 2199) - 1]
    groups = [{"m": m, "pools": pools, "classes": [[1 << 1 - m]], "blocks": blocks[: m + 1]} for m in range(2)]
    scores = {"exponent": 0, "kept": [[0, 0]] * 2, "error": [0, 0]}
    args = {"exponent": 0, "bits": 8, "groups": groups}
    steps = [
        {"rule": "score_exact", "premises": [], "args": {}, "conclusion": scores},
        {"rule": "separable_counts", "premises": [0], "args": args, "conclusion": {"counts": regions}},
        {"rule": "total", "premises": [1], "args": {}, "conclusion": {"correct": 0, "wrong": 0}},
    ]
    statement = prove("tiny", "cubic")
    certificate = tmp_path / "x.cert.json"
    edits = [
        put("subject", 0, "digest", "sha256", value=weights.file_digest),
        put("predicate", "model", value={**weights.sizes, "tensors": weights.tensor_digests}),
        put("predicate", "task", "k", value=2200),
        put("predicate", "margin", value=f"1{'0' * 900}"),
        put("predicate", "claim", value={"correct": 0, "wrong": 0, "total": 2**2200}),
        put("predicate", "steps", value=steps),
    ]
    certificate.write_bytes(to_bytes(edited(statement, *edits)))
    return model, certificate


@pytest.mark.parametrize(
    ("environment", "options"),
    [({"PYTHONINTMAXSTRDIGITS": "640"}, []), ({}, ["-X", "int_max_str_digits=640"])],
    ids=["environment", "option"],
)
def test_a_small_limit_on_digits_changes_no_verdict(
    many_digits: tuple[Path, Path], environment: dict[str, str], options: list[str]
) -> None:
    command = [sys.executable, *options, "-m", "checker", *map(str, many_digits)]
    environment = {**os.environ, **environment}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout[:200]
    assert done.stdout.startswith(f"VERIFIED accuracy >= 0/{2**2200} (0.00000) task=max-of-2200 d_vocab=2 ")
    assert f" margin=1{'0' * 900} " in done.stdout


def test_a_small_limit_of_the_host_changes_no_verdict(many_digits: tuple[Path, Path]) -> None:
    """Where `check` is called by a program that reads at most 640 digits, and in a process of --jobs."""
    (model, certificate), before = many_digits, sys.get_int_max_str_digits()
    try:
        for jobs in (1, 2):
            sys.set_int_max_str_digits(640)
            assert check(str(model), str(certificate), jobs=jobs).correct == 0
        weights = read_weights(model.read_bytes())
        sys.set_int_max_str_digits(640)
        answer(None, range(0), weights, 2200, (0, 1), 1, 0, ())
        assert sys.get_int_max_str_digits() == MAX_PRINTED_DIGITS
    finally:
        sys.set_int_max_str_digits(before)


def test_running_out_of_memory_is_a_resource_limit(
    monkeypatch: pytest.MonkeyPatch, files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    def exhaust(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(cli, "verify", exhaust)
    assert main(["--json", str(files["model"]), str(files["0"])]) == 5
    data = json.loads(capsys.readouterr().out)
    assert (data["verdict"], data["code"]) == ("resource-limit", "out-of-memory")


def test_a_failure_inside_a_rule_is_an_internal_error(
    monkeypatch: pytest.MonkeyPatch, files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Attention, "exponentials", lambda *_: 1 // 0)
    assert main([str(files["model"]), str(files["0"])]) == 70
    assert capsys.readouterr().out == "INTERNAL-ERROR ZeroDivisionError in CERT\n"


def test_many_positions_are_no_internal_error(tmp_path: Path) -> None:
    """One token, 1500 positions: every sequence (there is one) is correct, and the checker says so."""
    model = tiny_model(tmp_path / "model.safetensors", zero_tensors(1, 1500, 1, 1), "F16")
    weights = read_weights(model.read_bytes())
    problem = max_of_k(weights, (0, 1), 1 << 25)
    args = {"exponent": -8, "bits": 16}
    for rule in ("pure_sequences", "enumerate_sequences"):
        tally: Any = RULES[rule].derive(problem, (), args)
        (count,) = tally.counts
        assert count.correct == 1


# Pieces


@given(st.integers(0, 10**40), st.integers(1, 10**40))
def test_decimals_are_rounded_down(numerator: int, denominator: int) -> None:
    text = decimal(numerator, denominator)
    assert re.fullmatch(r"[0-9]+\.[0-9]{5}", text)
    assert Fraction(text) <= Fraction(numerator, denominator) < Fraction(text) + Fraction(1, 10**5)


def test_almost_one_is_not_one() -> None:
    assert decimal(99_999_999, 100_000_000) == "0.99999"
    assert decimal(10**4000 - 1, 10**4000) == "0.99999"
    assert decimal(16_763_235, 16_777_216) == "0.99916"
    assert decimal(2, 3) == "0.66666"
    assert decimal(0, 7) == "0.00000"
    assert decimal(7, 7) == "1.00000"
    assert decimal(1, 10**6) == "0.00000"


@pytest.mark.parametrize(
    ("kind", "word", "code"),
    [
        (Rejected, "REJECTED", 1),
        (Malformed, "MALFORMED", 3),
        (OtherModel, "OTHER-MODEL", 4),
        (ResourceLimit, "RESOURCE-LIMIT", 5),
        (InternalError, "INTERNAL-ERROR", 70),
        (Refusal, "REFUSED", 70),
    ],
)
def test_refusals_as_lines(kind: type[Refusal], word: str, code: int) -> None:
    line, data = describe(kind("some-code", "predicate.x", "this", "that"))
    told = "the certificate is about this, the model given is that" if code == 4 else "expected this, got that"
    assert line == f"{word} some-code in CERT at predicate.x: {told}"
    assert data["exit_code"] == code
    assert describe(kind("some-code"), "CERT 7")[0] == f"{word} some-code in CERT 7"
    assert str(kind("some-code", got="that")) == f"some-code: {kind.roles[1]} that"


def test_every_kind_of_refusal_has_its_own_exit_code() -> None:
    kinds: list[type[Refusal]] = Refusal.__subclasses__()
    codes = [kind.exit_code for kind in kinds]
    assert sorted(codes) == [1, 3, 4, 5, 70]
    assert not any("VERIFIED" in word for word in (Refusal.word, *(kind.word for kind in kinds)))


def test_check_is_the_python_api(files: Files, certificates: Path) -> None:
    verdict = check(str(files["model"]), str(files["0"]))
    assert verdict == Verdict(213, 0, 625, "max-of-4", 5, None, "exact-real", (0, 1), None, digest_of(files["model"]))
    with pytest.raises(AttributeError):
        verdict.correct = 625  # type: ignore[misc]
    with pytest.raises(Rejected):
        check(str(files["model"]), str(files["1"]))
    with pytest.raises(ResourceLimit):
        check(str(files["model"]), str(certificates / "accept/tiny--brute-force.cert.json"), budget=1)


def test_paths_of_refusals_point_into_the_certificate() -> None:
    """Each step of a path is a field or an index that exists, down to the value; the last may be what is missing.

    A path through a premise goes on inside the fact that the premise names; the label of an input, which a step finds
    to be no output, is not a field.
    """
    refusals = [(path, outcome_of(path)) for path in FILES if path.parent.name == "reject"]
    assert len(refusals) > 100
    for path, refusal in refusals:
        assert isinstance(refusal, Refusal)
        keys = re.findall(r"[^.\[\]]+", refusal.path)
        place = json.loads(path.read_bytes())
        while keys and (keys != ["label"] or "label" in place):
            key = keys.pop(0)
            place = place[int(key)] if isinstance(place, list) else place[key]
            if key == "premises" and len(keys) > 1:
                break


def test_a_new_certificate_of_the_generator_is_verified(check_cert: CheckCert, tmp_path: Path, files: Files) -> None:
    path = tmp_path / "new.cert.json"
    path.write_bytes(to_bytes(prove("tiny", "brute-force", "1/3")))
    done = check_cert(files["model"], path)
    assert done.returncode == 0
    assert " margin=1/3 " in done.stdout
    assert np.isclose(float(done.stdout.split("(")[1][:7]), 0.9, atol=0.1)
