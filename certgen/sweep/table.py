"""results.parquet: one row per certificate, assembled from the records."""

from __future__ import annotations

import io

from certgen.certificate.statement import EXACT
from certgen.errors import UserError, missing_extra
from certgen.files import in_unicode, write_atomically
from certgen.sweep.store import ROWS, TRUTHS, Record, Store, remove_leftovers
from certgen.sweep.truth import truth_identity

RESULTS = "results.parquet"

# Columns in their order, with the pandas type; all may be null but the names. docs/sweep.md has meanings and units.
COLUMNS = {
    "model": "string",
    "model_path": "string",
    "model_sha256": "string",
    "problem_sha256": "string",
    "task": "string",
    "architecture": "string",
    "k": "Int64",
    "d_vocab": "Int64",
    "seed": "Int64",
    "strategy": "string",
    "cost_class": "string",
    "margin": "string",
    "semantics": "string",
    "correct": "string",  # an integer; totals exceed 64 bits
    "total": "string",
    "bound": "Float64",
    "true_accuracy": "Float64",
    "true_low": "Float64",
    "true_high": "Float64",
    "true_how": "string",
    "normalised": "Float64",
    "length_ops": "Int64",
    "bytes": "Int64",
    "prove_s": "Float64",
    "check_s": "Float64",
    "flops": "Float64",
    "unexplained_dimension": "Float64",
    "certificate": "string",
    "command": "string",
    "error": "string",
}
ROW_FIELDS = tuple(name for name in COLUMNS if name not in ("normalised", "semantics") and not name.startswith("true_"))
TRUTH_FIELDS = ("model_sha256", "problem_sha256", "margin", "accuracy", "low", "high", "how")
SORTED = ("model", "model_sha256", "strategy", "margin", "semantics")
EXHAUSTIVE = ("brute-force", "exact")  # cost classes whose bound is the truth, except that ties may be lost


def require_packages() -> None:
    """UserError unless the extra `sweep` is installed."""
    try:
        import joblib  # noqa: F401
        import pandas  # noqa: F401
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise missing_extra("certgen sweep", error.name or "a package", "sweep") from None


def assemble(store: Store) -> int:
    """Write results.parquet from all records, whole or not at all; returns the number of rows. Cost one file each."""
    import pandas as pd

    with store.locked("results"):
        buffer = io.BytesIO()
        try:
            rows = with_truth(store.all(ROWS, ROW_FIELDS), store.all(TRUTHS, TRUTH_FIELDS))
            rows.sort(key=lambda row: [row[name] for name in SORTED])
            rows = [{name: in_unicode(x) if isinstance(x, str) else x for name, x in row.items()} for row in rows]
            frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
            frame.to_parquet(buffer, engine="pyarrow", index=False)
        except (TypeError, ValueError, OverflowError) as error:  # somebody wrote into the records
            reason = f"the records in {store.root / ROWS} make no table: {error}"
            raise UserError(reason, "delete those that are damaged; their jobs will be done again") from error
        remove_leftovers(store.root / RESULTS)
        write_atomically(store.root / RESULTS, buffer.getvalue())
    return len(rows)


def with_truth(rows: list[Record], truths: list[Record]) -> list[Record]:
    """The rows with the true accuracy of their model, and the bound as a fraction of it."""
    known = {truth_of(truth): truth for truth in truths}
    rows = [{"semantics": EXACT} | row for row in rows]  # before there was another, records did not say so
    certified = {
        truth_of(row): row
        for row in rows
        if row["cost_class"] in EXHAUSTIVE and row["bound"] is not None and row["semantics"] == EXACT
    }
    return [row | truth_columns(row, known, certified) for row in rows]


def truth_of(record: Record) -> str:
    """The identity of the measurement that a row, or a truth, is about."""
    return truth_identity(record["model_sha256"], record["margin"], record["problem_sha256"])


def truth_columns(row: Record, known: dict[str, Record], certified: dict[str, Record]) -> Record:
    """A certificate that counts every sequence says more than a sample does."""
    identity = truth_of(row)
    truth = known.get(identity, {"accuracy": None, "low": None, "high": None, "how": None})
    proof = certified.get(identity)
    if proof is not None and not str(truth["how"]).startswith("exact"):
        how = f"certified by {proof['strategy']}, which may lose ties"
        truth = {"accuracy": proof["bound"], "low": proof["bound"], "high": truth["high"], "how": how}
    accuracy = truth["accuracy"]
    return {
        "true_accuracy": accuracy,
        "true_low": truth["low"],
        "true_high": truth["high"],
        "true_how": truth["how"],
        "normalised": row["bound"] / accuracy if accuracy and row["bound"] is not None else None,
    }
