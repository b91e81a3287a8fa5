"""The trusted side, standard library and integers only: `check(model_path, certificate_path)`, or check-cert."""

from checker.cli import check
from checker.errors import Refusal
from checker.kernel import Verdict

__all__ = ["Refusal", "Verdict", "check"]
