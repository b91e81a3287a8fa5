"""docs/signing.md: its scripts hold for certificates that others would round. test_examples.py runs it as it is."""

import base64
import gzip
import json
import shlex
import shutil
import stat
from pathlib import Path

import pytest
from securesystemslib.exceptions import VerificationError

from checker.cli import main
from tests.conftest import ROOT
from tests.examples import blocks
from tests.support.edits import edited, put, to_bytes

PAGE = (ROOT / "docs/signing.md").read_text(encoding="utf-8")
STEPS = [(block.language, step) for block in blocks(PAGE) for step in block.steps]
KEY, SIGN, VERIFY = [step.code for language, step in STEPS if language == "python"]
CHECKS = [step for language, step in STEPS if step.code.startswith("check-cert ")]


def run(script: str) -> None:
    exec(compile(script, "docs/signing.md", "exec"), {"__name__": "__main__"})


@pytest.fixture
def folder(tmp_path: Path, models: Path, certificates: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the reader works: with a model and a certificate about it."""
    shutil.copy(models / "tiny.safetensors", tmp_path / "model.safetensors")
    shutil.copy(certificates / "accept/tiny--exact.cert.json", tmp_path / "model.cert.json")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_signs_verifies_and_checks(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for script in (KEY, SIGN, VERIFY):
        run(script)
    assert stat.S_IMODE((folder / "signing.pem").stat().st_mode) == 0o600
    assert (folder / "received.cert.json").read_bytes() == (folder / "model.cert.json").read_bytes()
    received, envelope = CHECKS
    assert main(shlex.split(received.code)[1:]) == received.exit_code == 0
    assert capsys.readouterr().out.startswith("VERIFIED accuracy = 600/625 ")
    assert main(shlex.split(envelope.code)[1:]) == envelope.exit_code == 3
    assert capsys.readouterr().out.splitlines() == envelope.shown
    with pytest.raises(FileExistsError):
        run(KEY)  # a key is never replaced


def test_a_compressed_certificate_is_signed_as_its_text(folder: Path) -> None:
    text = (folder / "model.cert.json").read_bytes()
    (folder / "model.cert.json").write_bytes(gzip.compress(text))
    for script in (KEY, SIGN, VERIFY):
        run(script)
    assert (folder / "received.cert.json").read_bytes() == text


def test_every_digit_comes_out_again(folder: Path) -> None:
    """Numbers that floating point does not hold, in an envelope and out of it."""
    statement = json.loads((folder / "model.cert.json").read_bytes())
    numbers = {"correct": 2**53 + 1, "wrong": 0, "total": 3**700}
    data = to_bytes(edited(statement, put("predicate", "claim", value=numbers)))
    (folder / "model.cert.json").write_bytes(data)
    for script in (KEY, SIGN, VERIFY):
        run(script)
    assert (folder / "received.cert.json").read_bytes() == data
    with pytest.raises(OverflowError):
        float(numbers["total"])
    assert int(float(numbers["correct"])) != numbers["correct"], "what the page warns of"


@pytest.mark.parametrize("what", ["payload", "payloadType", "key"])
def test_what_was_changed_is_not_taken_out(folder: Path, what: str) -> None:
    run(KEY)
    run(SIGN)
    path = folder / "model.envelope.json"
    envelope = json.loads(path.read_text())
    if what == "payload":
        text = base64.b64decode(envelope["payload"]).replace(b'"wrong": 25', b'"wrong": 24')
        envelope["payload"] = base64.b64encode(text).decode()
    elif what == "payloadType":
        envelope["payloadType"] = "text/plain"
    else:
        (folder / "signing.pem").unlink()
        run(KEY)
    path.write_text(json.dumps(envelope))
    with pytest.raises(VerificationError):
        run(VERIFY)
    assert not (folder / "received.cert.json").exists()


def test_another_kind_of_payload_is_not_taken_out(folder: Path) -> None:
    run(KEY)
    run(SIGN.replace("application/vnd.in-toto+json", "text/plain"))
    with pytest.raises(SystemExit, match="something else"):
        run(VERIFY)
    assert not (folder / "received.cert.json").exists()
