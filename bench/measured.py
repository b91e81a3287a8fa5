"""Measures what the tables and the picture of the documentation show: python bench/measured.py [--again] [GLOB ...].

Proves each row with certgen prove, checks it with check-cert, counts the operations of the check, and keeps what it
finds in docs/assets/measured.csv. Rows that are there are not made again, unless --again; globs choose rows by the text
"MODEL STRATEGY OPTIONS". Times are processor seconds of the whole command, with its start: other work on the machine
matters less than for seconds on the clock, but a quiet machine still gives the better figures.
"""

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "docs" / "assets" / "measured.csv"
MEAN = "sub-cubic/max-diff-exact/mean-query+diff/exact-EQKE"
LIMITS = (7_200_000, 7_500_000, 8_000_000, 9_000_000, 10_000_000, 12_000_000, 16_000_000, 22_000_000, 30_000_000)
MOST_SECONDS = 60  # of a check whose operations are counted, which takes ten times as long
LENGTH = "import sys; from certgen.length import proof_length; print(proof_length(sys.argv[1], sys.argv[2]).total)"
CERTGEN = "import sys; from certgen.cli import main; sys.argv[0] = 'certgen'; main()"


class Row(NamedTuple):
    """A proof to make."""

    model: str
    strategy: str
    options: str = ""

    def __str__(self) -> str:
        return f"{self.model} {self.strategy} {self.options}".strip()


class Measured(NamedTuple):
    """A line of the record; without a length where checking takes long."""

    model: str
    strategy: str
    options: str
    correct: int
    wrong: int
    total: int
    length_ops: int | None
    bytes: int
    prove_s: float
    check_s: float

    @property
    def row(self) -> str:
        return f"{self.model} {self.strategy} {self.options}".strip()


SMALL, FIVE, TEN, TWENTY = (f"max-of-{k}-seed-123" for k in (4, 5, 10, 20))
WIDE = "max-of-10-vocab-128-seed-123"
ROWS = (
    *(Row(SMALL, name) for name in (MEAN, "separable-by-max", "cubic", "separable-exact", "exact")),
    *(Row(SMALL, name) for name in ("separable-by-max/max-diff", "separable-by-max/8-blocks", "separable-relaxed")),
    Row(SMALL, "sub-cubic/max-diff-exact/drop-average-query-per-output-logit-reasoning/exact-EQKE"),
    Row(SMALL, "sub-cubic/max-diff-exact/mean-query+diff/max-diff"),
    *(Row(SMALL, "adaptive", f"--max-length {limit}") for limit in LIMITS),
    Row(SMALL, "adaptive"),
    *(Row(FIVE, name) for name in ("separable-by-max", "adaptive", "exact", "two-sided")),
    *(Row(TEN, name) for name in ("cubic", "separable-by-max", "adaptive", "separable-relaxed", "two-sided")),
    *(Row(TWENTY, name) for name in ("cubic", "separable-by-max", "adaptive", "separable-relaxed", "two-sided")),
    *(Row(WIDE, name) for name in ("separable-by-max", "separable-relaxed", "adaptive", "two-sided")),
)


def run(*command: object) -> tuple[str, float]:
    """What the command prints, and the processor seconds that it takes; stops the program if the command fails."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    words = [sys.executable, *map(str, command)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(words)} failed:\n{done.stdout}{done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done.stdout, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(row: Row) -> Measured:
    """Prove, check, and count the operations of the check."""
    model = ROOT / "models" / f"{row.model}.safetensors"
    with tempfile.TemporaryDirectory() as folder:
        certificate = Path(folder) / "measured.cert.json"
        options = ("--strategy", row.strategy, *row.options.split(), "-o", certificate)
        _, prove_s = run("-c", CERTGEN, "prove", model, *options)
        output, check_s = run("-m", "checker", "--json", model, certificate)
        verdict = json.loads(output)
        operations = None
        if check_s < MOST_SECONDS:
            operations = json.loads(run("-c", LENGTH, model, certificate)[0])
        size = certificate.stat().st_size
    claim = verdict["correct"], verdict["wrong"], verdict["total"]
    return Measured(row.model, row.strategy, row.options, *claim, operations, size, prove_s, check_s)


def load(path: Path = RECORD) -> list[Measured]:
    """The record."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [
            Measured(
                *(line["model"], line["strategy"], line["options"]),
                *(int(line["correct"]), int(line["wrong"]), int(line["total"])),
                int(line["length_ops"]) if line["length_ops"] else None,
                *(int(line["bytes"]), float(line["prove_s"]), float(line["check_s"])),
            )
            for line in csv.DictReader(file)
        ]


def save(lines: Sequence[Measured]) -> None:
    """Write the record, in the order of ROWS."""
    order = [str(row) for row in ROWS]
    with RECORD.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(Measured._fields)
        for line in sorted(lines, key=lambda line: order.index(line.row)):
            table.writerow([*line[:-2], *(f"{seconds:.2f}" for seconds in line[-2:])])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--again", action="store_true", help="measure rows that the record has, too")
    parser.add_argument("globs", nargs="*", default=["*"], metavar="GLOB")
    arguments = parser.parse_args()
    known = {str(row) for row in ROWS}
    record = {line.row: line for line in load() if line.row in known}
    for row in ROWS:
        if any(fnmatchcase(str(row), glob) for glob in arguments.globs) and (arguments.again or str(row) not in record):
            record[str(row)] = measure(row)
            print(record[str(row)], file=sys.stderr, flush=True)
            save(list(record.values()))


if __name__ == "__main__":
    main()
