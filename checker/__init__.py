"""The trusted side, standard library and integers only: `check(model_path, certificate_path)`, or check-cert."""

from checker.cli import check
from checker.errors import Refusal
from checker.kernel import Verdict
from checker.version import __version__

__all__ = ["Refusal", "Verdict", "__version__", "check"]
