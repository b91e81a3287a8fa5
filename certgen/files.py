"""Whole files in, whole files out. An output never replaces an input, nor anything that is not a regular file."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
import stat
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from certgen.errors import UserError

AnyPath: TypeAlias = str | os.PathLike[str]

_NAME_MAX = 255  # bytes; the limit of the usual file systems
_LFS = b"version https://git-lfs.github.com/spec/"
_HINT = "choose a path in an existing, writable directory with free space"


def read_bytes(path: AnyPath) -> bytes:
    """The bytes of the file at `path`; UserError names the path when it cannot be read."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}", "check the path and its permissions") from error


def read_input(path: AnyPath) -> bytes:
    """The same of a file that a user gives: UserError also when it is empty, or stands for a file elsewhere."""
    data = read_bytes(path)
    if not data:
        raise UserError(f"{path} is empty", "copy or download it again")
    if data.startswith(_LFS):
        raise UserError(f"{path} is a pointer of Git LFS, not the file itself", "`git lfs pull` fetches the file")
    return data


def as_argument(path: AnyPath) -> str:
    """The path as a command takes it: a name that begins with a hyphen would be read as an option."""
    text = os.fspath(path)
    return f"./{text}" if text.startswith("-") else text


def in_unicode(name: str) -> str:
    """A file name that any Unicode text can hold: bytes that are not UTF-8 become \\xNN."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def check_outputs(outputs: Iterable[AnyPath], inputs: Iterable[AnyPath | None] = (), *, regular: bool = False) -> None:
    """UserError unless each output can be written and is neither an input nor another output; call it before the work.

    A file is recognised through symbolic and hard links. With `regular`, devices, pipes and the like are refused too:
    for what has to be read again. An input that is None, or does not exist, is passed over.
    """
    taken = {_identity(path): f"the input {path}" for path in inputs if path is not None and os.path.exists(path)}
    for path in outputs:
        _require_writable(path, regular)
        identity = _identity(path)
        if identity in taken:
            message = f"the output {path} would replace {taken[identity]}: they are the same file"
            raise UserError(message, "give the output another name")
        taken[identity] = f"another output, {path}"


def make_directory(path: AnyPath) -> None:
    """Create the directory and its parents unless it exists; UserError if that is impossible."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = "there is a file of that name" if isinstance(error, FileExistsError) else error.strerror
        raise UserError(f"cannot create the directory {path}: {reason}", "choose another place") from error


def is_standard_output(path: AnyPath) -> bool:
    """Is `path` what this process prints to, as /dev/stdout is?"""
    return _descriptor(path) == 1


def is_regular(path: AnyPath) -> bool:
    """Is there a regular file at `path`, or room for one?"""
    return _descriptor(path) is None and (os.path.isfile(path) or not os.path.exists(path))


def has_digest(path: AnyPath, sha256: str) -> bool:
    """Is there a regular file with this SHA-256 at `path`?"""
    try:
        with open(path if os.path.isfile(path) else os.devnull, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except OSError:
        return False  # whoever wants to write there will hear of it


def write_atomically(path: AnyPath, data: bytes) -> None:
    """Make `data` the content of `path`, or change nothing and raise UserError naming the path.

    A reader sees the old file or the new one, never a part: the bytes reach the disk under another name in the
    same directory (a rename is atomic only within one file system) and are renamed last. A file that is replaced
    hands on its permissions and owner; a symbolic link stays, and what it leads to is written. Bytes for a pipe or
    a device, which cannot be replaced, are written into it.
    """
    _require_writable(path)
    descriptor = _descriptor(path)
    try:
        if descriptor is not None:
            if sys.stdout is not None:
                sys.stdout.flush()  # what was printed before comes first
            with open(os.dup(descriptor), "wb") as file:
                file.write(data)
        elif not is_regular(path):
            with open(path, "wb") as file:
                file.write(data)
        else:
            _replace(Path(os.path.realpath(path)), data)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}", _HINT) from error


def _replace(target: Path, data: bytes) -> None:
    name = target.name
    if len(os.fsencode(name)) > _NAME_MAX - 20:  # it is short enough itself, but nothing fits around it
        name = hashlib.sha256(os.fsencode(name)).hexdigest()
    temporary = target.parent / f".{name}.{secrets.token_hex(4)}.tmp"
    try:
        with open(temporary, "xb") as file:
            if target.exists():
                _copy_permissions(target, temporary)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _copy_permissions(old: Path, new: Path) -> None:
    with suppress(OSError, AttributeError):  # only root may give a file away, and only on POSIX
        os.chown(new, old.stat().st_uid, old.stat().st_gid)
    shutil.copymode(old, new)


def _require_writable(path: AnyPath, regular: bool = False) -> None:
    """UserError unless `path` is a regular file that may be replaced, has room for one, or can be written into."""
    if str(path) == "-":
        raise UserError("cannot write -: it is no name of a file", "name a file; /dev/stdout is standard output")
    try:
        if is_regular(path):
            _require_replaceable(path)
        elif os.path.isdir(path):
            raise UserError(f"cannot write {path}: it is a directory", "add the name of a file in it")
        elif regular:
            raise UserError(f"cannot write {path}: it is not a regular file", "name a file: it has to be read again")
        elif (descriptor := _descriptor(path)) is not None:
            os.fstat(descriptor)
        elif not (stat.S_ISCHR(mode := os.stat(path).st_mode) or stat.S_ISFIFO(mode)):
            raise UserError(f"cannot write {path}: it is a socket or a disk", "choose a file")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}", _HINT) from error


def _require_replaceable(path: AnyPath) -> None:
    """OSError unless a file can be renamed to `path`."""
    folder = Path(os.path.realpath(path)).parent
    with suppress(FileNotFoundError):  # which the next lines explain better
        os.stat(path)
        if not os.access(path, os.W_OK):  # a rename would get round the protection
            raise PermissionError(errno.EACCES, "it is write-protected")
    if not folder.exists():
        raise FileNotFoundError(errno.ENOENT, f"there is no directory {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, f"the directory {folder} is not writable")


def _descriptor(path: AnyPath) -> int | None:
    """The open file of this process that `path` stands for: standard output or error, or /dev/fd/N.

    To open such a path anew would begin at the start of the file, and fails for a socket.
    """
    if match := re.fullmatch(r"/(?:dev|proc/self)/fd/(\d{1,9})", os.fspath(path)):
        return int(match[1])
    for descriptor in (1, 2):
        try:
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
        except OSError:
            continue
    return None


def _identity(path: AnyPath) -> object:
    """The same for all names of one file."""
    try:
        found = os.stat(path)
    except OSError:
        return os.path.realpath(path)
    return found.st_dev, found.st_ino
