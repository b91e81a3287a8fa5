"""The results directory: one record, a small JSON file, for every finished piece of work. The disk is the only truth.

A record appears whole or not at all, after everything that it speaks of. So a piece of work is done if and only if its
record exists, and whatever was interrupted is done again from the start.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from certgen.errors import UserError
from certgen.files import make_directory, read_bytes, write_atomically

WHERE = "choose another -o, in a writable directory with free space"

Record: TypeAlias = dict[str, Any]

ROWS, TRUTHS, LOCKS, CERTIFICATES = "rows", "truths", "locks", "certificates"


@dataclass(frozen=True)
class Store:
    """The directory at `root`, shared by all processes that work on it."""

    root: Path

    def prepare(self) -> None:
        """Create the directory; UserError if that is impossible, or if nothing can be written into it."""
        make_directory(self.root)
        try:
            for name in (ROWS, TRUTHS, LOCKS, CERTIFICATES):
                (self.root / name).mkdir(exist_ok=True)
            for name in ("", ROWS, TRUTHS, LOCKS, CERTIFICATES):
                with tempfile.TemporaryFile(dir=self.root / name):
                    pass
        except OSError as error:
            raise UserError(f"cannot write {self.root}: {error.strerror}", WHERE) from error

    def path(self, kind: str, identity: str) -> Path:
        return self.root / kind / f"{identity}.json"

    def done(self, kind: str, identity: str) -> bool:
        return self.path(kind, identity).exists()

    def begun(self, identity: str) -> bool:
        """Was this work ever started, here or in an earlier run?"""
        return (self.root / LOCKS / identity).exists()

    def read(self, kind: str, identity: str, fields: Iterable[str] = ()) -> Record:
        return read_record(self.path(kind, identity), fields)

    def all(self, kind: str, fields: Iterable[str] = ()) -> list[Record]:
        """Every record of a kind, in the order of their names; cost one small file each. UserError without `fields`."""
        return [read_record(path, fields) for path in sorted((self.root / kind).glob("*.json"))]

    def write(self, kind: str, identity: str, record: Record) -> None:
        write_atomically(self.path(kind, identity), json.dumps(record, indent=1).encode())

    def forget(self, kind: str, identity: str) -> None:
        self.path(kind, identity).unlink(missing_ok=True)

    def once(self, kind: str, identity: str, work: Callable[[], Record]) -> Record:
        """The record, after doing the work unless it is done.

        Two processes never do it at the same time: after a kill, a worker that lives on may still be at it.
        """
        with self.locked(identity):
            if not self.done(kind, identity):
                remove_leftovers(self.path(kind, identity))
                self.write(kind, identity, work())
            return self.read(kind, identity)

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Wait for and hold a lock, which the system releases when its holder dies."""
        import fcntl  # POSIX only: inside, so that all other commands run elsewhere too

        path = self.root / LOCKS / name
        try:
            file = open(path, "ab")  # noqa: SIM115 - a failure of the work inside is none of this file
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror}", WHERE) from error
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def read_record(path: Path, fields: Iterable[str] = ()) -> Record:
    """The record in a file; UserError if it is none, or lacks one of the fields."""
    try:
        record: Record = json.loads(read_bytes(path))
    except (ValueError, RecursionError):
        record = {}
    if not isinstance(record, dict) or not record or not set(fields) <= set(record):
        raise UserError(f"{path} is not a record of a sweep", "delete it; its job will be done again")
    return record


def remove_leftovers(path: Path) -> None:
    """Delete what a killed writer of `path` left behind; only for the holder of the lock that guards `path`."""
    for leftover in path.parent.glob(f".{glob_escape(path.name)}.*.tmp"):
        leftover.unlink(missing_ok=True)


def glob_escape(name: str) -> str:
    """`name` as a pattern that matches only itself."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)
