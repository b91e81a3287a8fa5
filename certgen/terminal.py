"""What people see: tables and lines on a terminal of any encoding, with names of files shown as they are.

Heavy modules are imported inside the functions, so that help appears at once.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from io import TextIOWrapper
from typing import TYPE_CHECKING

from certgen.errors import UserError
from certgen.files import AnyPath, is_standard_output

if TYPE_CHECKING:
    from rich.console import RenderableType


def prepare_streams() -> None:
    """Let standard output and error take any text; UserError if standard output is closed.

    What an encoding lacks is written as an escape. Without this an ascii terminal would end a command in a traceback.
    """
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - print would take standard output instead
    if sys.stdout is None:
        raise UserError("standard output is closed", "send it somewhere, such as to /dev/null")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def flush() -> None:
    """Write out what is still held back; UserError if that fails."""
    try:
        sys.stdout.flush()
    except OSError as error:
        raise unwritable(error) from error


def unwritable(error: OSError) -> UserError:
    """The error of a standard output that takes no more; what is held back is dropped, or Python's exit would fail."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return UserError(f"cannot write to standard output: {error.strerror}")


def printable(text: str) -> str:
    """Text in one line without control characters: messages can quote what a file contains, or its name."""
    return "".join(c if c.isprintable() else " " if c in "\t\n\r" else ascii(c)[1:-1] for c in text)


def say(line: str, beside: AnyPath | None = None) -> None:
    """Print a line; to standard error if `beside`, a file just written, is standard output."""
    stream = sys.stderr if beside is not None and is_standard_output(beside) else sys.stdout
    try:
        print(printable(line), file=stream)
    except OSError as error:
        raise unwritable(error) from error


def show(*shown: RenderableType) -> None:
    """Print tables and texts; square brackets in a string are no markup."""
    from rich.console import Console

    class Output(Console):
        def on_broken_pipe(self) -> None:
            """Called while a BrokenPipeError is handled; rich would end the program without a word."""
            raise

    console = Output(markup=False, emoji=False)
    try:
        for renderable in shown:
            console.print(renderable)
    except OSError as error:
        raise unwritable(error) from error
