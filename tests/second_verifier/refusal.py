"""A refusal: a code of section 8 and the place it is about. The exit code follows from the code."""

MALFORMED = (
    "unreadable-file",
    "too-large",
    "bad-gzip",
    "not-json",
    "duplicate-key",
    "lone-surrogate",
    "signed-envelope",
    "not-an-integer",
    "bad-number",
    "wrong-type",
    "missing-field",
    "unknown-field",
    "unsupported",
    "unsupported-version",
    "unknown-rule",
    "out-of-range",
    "not-increasing",
    "not-a-matrix",
    "bad-fraction",
    "bad-digest",
    "bad-range",
    "not-canonical",
    "bad-safetensors",
    "bad-shape",
    "bad-offsets",
    "unsupported-dtype",
    "not-finite",
)
OTHER_MODEL = ("model-digest", "tensor-digest")
RESOURCE_LIMIT = ("over-budget", "out-of-memory")


class Refused(Exception):
    """What is wrong, and where."""

    def __init__(self, code: str, path: str = "") -> None:
        super().__init__(code, path)
        self.code, self.path = code, path

    @property
    def exit_code(self) -> int:
        if self.code in MALFORMED:
            return 3
        if self.code in OTHER_MODEL:
            return 4
        return 5 if self.code in RESOURCE_LIMIT else 1


def require(holds: bool, code: str, path: str = "") -> None:
    """Every condition in one place. What cannot be decided does not hold."""
    if not holds:
        raise Refused(code, path)
