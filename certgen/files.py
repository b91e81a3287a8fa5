"""Whole files in, whole files out."""

import os
import secrets
from pathlib import Path

from certgen.errors import UserError


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """The bytes of the file at `path`; UserError names the path when it cannot be read."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}", "check the path and its permissions") from error


def in_unicode(name: str) -> str:
    """A file name that any Unicode text can hold: bytes that are not UTF-8 become \\xNN."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Make `data` the content of `path`, or change nothing and raise UserError naming the path.

    A reader sees the old file or the new one, never a part: the bytes reach the disk under another name in the
    same directory (a rename is atomic only within one file system) and are renamed last.
    """
    target = Path(path)
    temporary = target.parent / f".{target.name}.{secrets.token_hex(4)}.tmp"
    try:
        try:
            with open(temporary, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        hint = "choose a path in an existing, writable directory with free space"
        raise UserError(f"cannot write {target}: {error.strerror}", hint) from error
