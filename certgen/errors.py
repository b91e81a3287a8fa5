"""Errors that a user can put right."""


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
