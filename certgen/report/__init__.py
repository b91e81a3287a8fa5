"""`certgen report`: the results of a sweep as one page that can be read without the paper, and its figures as files."""

from importlib.util import find_spec

from certgen.errors import UserError

EXTRA = ("pyarrow", "plotly", "kaleido")


def require_extra() -> None:
    """UserError when a package that only reports need is not installed."""
    if missing := [name for name in EXTRA if find_spec(name) is None]:
        raise UserError(
            f"a report needs {', '.join(missing)}, not installed here",
            "install the extra `report`: pip install 'compact-proofs[report]'",
        )
