"""Running `certgen` in this process: a test of what it says needs no process of its own."""

import io
import sys
from typing import NamedTuple

import pytest

from certgen.cli import main


class Done(NamedTuple):
    code: int
    out: str
    err: str


class Run:
    """Calls main() with these arguments; standard output and error are streams of the given encoding."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch

    def __call__(self, *arguments: object, encoding: str = "utf-8", out: io.RawIOBase | None = None) -> Done:
        printed, complained = io.BytesIO(), io.BytesIO()
        stdout = io.TextIOWrapper(io.BufferedWriter(out) if out else printed, encoding)
        stderr = io.TextIOWrapper(complained, encoding, errors="backslashreplace")
        code: object = 0
        with self.monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["certgen", *map(str, arguments)])
            patch.setattr(sys, "stdout", stdout)
            patch.setattr(sys, "stderr", stderr)
            try:
                main()
            except SystemExit as ended:
                code = ended.code or 0
        stderr.flush()
        assert isinstance(code, int)
        return Done(code, printed.getvalue().decode(encoding), complained.getvalue().decode(encoding))
