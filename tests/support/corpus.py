"""The files of tests/certificates, and what check-cert says about each: asked once, shared by all tests.

python -m tests.support.corpus        # records the verdicts anew, in tests/certificates/verdicts.tsv
"""

import gzip
import json
from functools import cache
from pathlib import Path

from checker import Refusal, Verdict, check
from checker.cli import describe
from tests.make_corpus import CERTIFICATES, MODELS

FILES = sorted(path for path in CERTIFICATES.glob("*/**/*") if path.is_file())
VERDICTS = CERTIFICATES / "verdicts.tsv"


def code_of(path: Path) -> str:
    """The error code that its name says."""
    return path.name.partition("--")[0]


def content(path: Path) -> bytes:
    """Unpacked."""
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data


def model_of(path: Path) -> Path:
    """The model that a certificate is about."""
    if path.parent.name == "malformed":
        return MODELS / "tiny.safetensors"
    name: str = json.loads(content(path))["subject"][0]["name"]
    return MODELS / name


@cache
def outcome_of(path: Path) -> Verdict | Refusal:
    """What check-cert says about a file."""
    try:
        return check(str(model_of(path)), str(path))
    except Refusal as refusal:
        return refusal


def verdicts() -> str:
    """For every file its path in tests/certificates, a tab, and the line that check-cert prints."""
    return "".join(f"{path.relative_to(CERTIFICATES).as_posix()}\t{describe(outcome_of(path))[0]}\n" for path in FILES)


if __name__ == "__main__":
    VERDICTS.write_text(verdicts())
