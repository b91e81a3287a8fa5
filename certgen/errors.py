"""Errors that a user can put right."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """What is wrong (`message`) and what to do next (`hint`), each one line without a closing period."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message if not hint else f"{message}\n{hint}")
        self.message = message
        self.hint = hint


class MissingTorch(UserError):
    """PyTorch is needed for one thing only, which the message names."""

    def __init__(self, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs PyTorch, which is not installed",
            "install the extra `train`: pip install 'compact-proofs[train]'",
        )


def missing_extra(purpose: str, packages: str, extra: str) -> UserError:
    """The error when `purpose` needs packages that only an extra of this distribution installs."""
    return UserError(
        f"{purpose} needs {packages}, which is not installed",
        f"install the extra `{extra}`: pip install 'compact-proofs[{extra}]'",
    )


def a(value: object) -> str:
    """What a value is, with its article, for a sentence: a list, an int, nothing."""
    kind = type(value).__name__
    return "nothing" if value is None else f"{'an' if kind[0] in 'aeiouAEIO' else 'a'} {kind}"


def did_you_mean(word: str, known: Iterable[str], command: str) -> str:
    """A hint for a name that does not exist: the most similar ones, if any, and the command that lists all."""
    lower = {name.lower(): name for name in known}
    members = [lower[name] for name in lower if name.startswith(f"{word.lower().rstrip('*/')}/")]
    close = [lower[name] for name in get_close_matches(word.lower(), lower)]
    if members and word.lower() not in lower:  # the name of a family
        close = members[:1]
    suggestion = f"did you mean {' or '.join(close)}? " if close else ""
    return f"{suggestion}`{command}` lists them"
