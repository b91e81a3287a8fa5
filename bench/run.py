"""What proofs cost, in one table: python bench/run.py [--only TEXT] [--json].

Every time is the wall-clock time of a whole command, start-up included: the median of the repetitions of its row. A
ratio divides it by the yardstick, a fixed loop of pure Python that runs just before and just after it, so that two
machines can be compared. Exit code 1 if a target is missed.
"""

import argparse
import ast
import io
import json
import shlex
import subprocess
import sys
import tempfile
import time
import tokenize
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent


class Row(NamedTuple):
    """One proof to measure, and what is wanted of it: seconds, and the least number or share of correct sequences."""

    strategy: str
    model: str
    prove_seconds: float | None = None
    check_seconds: float | None = None
    bound: int | Fraction | None = None
    repetitions: int = 3


ROWS = (
    Row("cubic", "max-of-4-seed-123", 2, 10, 15_821_617),
    Row("cubic", "max-of-20-seed-123", 5, 60, Fraction("0.8364")),
    Row("cubic", "max-of-10-vocab-128-seed-123", repetitions=1),
    Row("sub-cubic/max-diff-exact/upper-envelope/exact-EQKE", "max-of-4-seed-123", 3, 5, Fraction("0.850")),
    Row("sub-cubic/max-diff-exact/mean-query+diff/exact-EQKE", "max-of-4-seed-123", 3, 5, Fraction("0.850")),
    Row("sub-cubic/max-diff-exact/mean-query+diff/svd", "max-of-4-seed-123", 3, 5, Fraction("0.694")),
    Row("sub-cubic/max-diff-exact/mean-query+diff/max-diff", "max-of-4-seed-123", 3, 5, Fraction("0.818")),
    Row("sub-cubic/max-diff-exact/mean-query+diff/max-diff-exact", "max-of-4-seed-123", 3, 5, Fraction("0.842")),
    Row("sub-cubic/max-diff-exact/mean-query+diff/max-diff-subproduct", "max-of-4-seed-123", 3, 5, Fraction("0.828")),
    Row("separable-relaxed", "max-of-4-seed-123", None, 10, Fraction("0.976")),
    Row("separable-relaxed", "max-of-20-seed-123", None, 60, Fraction("0.9975"), repetitions=1),
    Row("separable-exact", "max-of-4-seed-123", None, 30, Fraction("0.9983"), repetitions=1),
    Row("separable-by-max", "max-of-4-seed-123", None, 10, Fraction("0.885")),
    Row("separable-by-max/max-diff", "max-of-4-seed-123", None, 10, Fraction("0.869")),
    Row("separable-by-max", "max-of-20-seed-123", None, 10, Fraction("0.982")),
    Row("separable-relaxed", "max-of-10-seed-123", None, 60, Fraction("0.992"), repetitions=1),
    Row("separable-relaxed", "max-of-10-vocab-128-seed-123", None, 180, Fraction("0.979"), repetitions=1),
    Row("adaptive", "max-of-4-seed-123", 3, 10, Fraction("0.99901")),
    Row("adaptive", "max-of-10-seed-123", 8, None, Fraction("0.99858")),
    Row("adaptive", "max-of-20-seed-123", 15, 20, Fraction("0.99862")),
    Row("adaptive", "max-of-10-vocab-128-seed-123", 60, 30, Fraction("0.9955"), repetitions=1),
    Row("exact", "max-of-4-seed-123", None, 30, 16_763_235, repetitions=1),
    Row("brute-force", "max-of-4-seed-123", None, 60, 16_763_235, repetitions=1),
)
CHECKER = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "checker").rglob("*.py"))
LINES = {  # what: files, most code lines
    "kernel": (["checker/kernel.py"], 97),
    # all but lemmas and rules: what every proof goes through
    "engine": ([path for path in CHECKER if Path(path).parent.name not in ("lemmas", "rules")], 2161),
    "whole checker": (CHECKER, 3989),
}


class Timing(NamedTuple):
    """Median seconds, and the median of seconds divided by the yardstick's."""

    seconds: float
    ratio: float

    def __str__(self) -> str:
        return f"{self.seconds:.2f} s = {self.ratio:.2f}"


class Result(NamedTuple):
    """A row, measured. `missed` names the targets that were not met."""

    row: Row
    size: int
    prove: Timing
    check: Timing
    correct: int
    total: int
    missed: list[str]


def yardstick() -> float:
    """Seconds for what a checker does all day: products and sums of big integers, and a dictionary of counts."""
    started = time.perf_counter()
    state, counts = (1 << 512) - 569, dict[int, int]()
    for index in range(1_500_000):
        state = state * 6364136223846793005 + index & (1 << 1024) - 1
        key = state >> 1000 & 4095
        counts[key] = counts.get(key, 0) + (state >> 900)
    return time.perf_counter() - started


def timed(command: Sequence[object], repetitions: int) -> tuple[Timing, str]:
    """The command's times and its last standard output; stops the benchmark if the command fails."""
    measured = []
    for _ in range(repetitions):
        before = yardstick()
        started = time.perf_counter()
        run = subprocess.run([sys.executable, *map(str, command)], cwd=ROOT, capture_output=True, text=True)
        seconds = time.perf_counter() - started
        if run.returncode != 0:
            sys.exit(f"{' '.join(map(str, command))} failed:\n{run.stdout}{run.stderr}")
        measured.append(Timing(seconds, 2 * seconds / (before + yardstick())))
    return Timing(*map(median, zip(*measured, strict=True))), run.stdout


def measure(row: Row, folder: Path) -> Result:
    """Prove, check, and compare with the targets."""
    print(f"measuring {row.strategy} on {row.model}", file=sys.stderr)
    model = ROOT / "models" / f"{row.model}.safetensors"
    certificate = folder / "bench.cert.json"
    certgen = "import sys; from certgen.cli import main; sys.argv[0] = 'certgen'; main()"
    options = ("prove", model, "--strategy", row.strategy, "-o", certificate)
    prove, printed = timed(("-c", certgen, *options), row.repetitions)
    advice = printed.rstrip().partition("Verify it with: check-cert ")[2]  # with a budget, if it takes one
    check, output = timed(("-m", "checker", "--json", *shlex.split(advice)), row.repetitions)
    verdict = json.loads(output)
    correct, total = verdict["correct"], verdict["total"]
    missed = []
    for what, timing, limit in (("prove", prove, row.prove_seconds), ("check", check, row.check_seconds)):
        if limit is not None and timing.seconds >= limit:
            missed.append(what)
    if row.bound is not None and (correct if isinstance(row.bound, int) else Fraction(correct, total)) < row.bound:
        missed.append("bound")
    print(f"  {correct / total:.5f}, prove {prove}, check {check}", file=sys.stderr)
    return Result(row, certificate.stat().st_size, prove, check, correct, total, missed)


def code_lines(path: Path) -> int:
    """Lines that hold code: no blank lines, comments or docstrings."""
    source = path.read_text(encoding="utf-8")
    prose: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            prose |= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    code: set[int] = set()
    layout = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in layout:
            code |= set(range(token.start[0], token.end[0] + 1))
    return len(code - prose)


def sizes() -> dict[str, int]:
    """Code lines of each part in LINES."""
    counts = {}
    for what, (names, _) in LINES.items():
        counts[what] = sum(code_lines(ROOT / name) for name in names)
    return counts


def wanted(row: Row) -> str:
    """The targets of a row, as text."""
    parts = (
        []
        if row.bound is None
        else [f">= {row.bound:,}" if isinstance(row.bound, int) else f">= {float(row.bound):.4f}"]
    )
    parts += [] if row.prove_seconds is None else [f"prove < {row.prove_seconds:g} s"]
    parts += [] if row.check_seconds is None else [f"check < {row.check_seconds:g} s"]
    return ", ".join(parts)


def cells(result: Result) -> list[str]:
    """A result as a row of the table."""
    share = f"{result.correct * 100_000 // result.total / 100_000:.5f}"
    targets = wanted(result.row)
    return [
        result.row.strategy,
        result.row.model,
        f"{result.correct:,} ({share})" if result.total < 10**9 else share,
        f"{result.size / 1000:.0f} kB",
        str(result.prove),
        str(result.check),
        targets,
        f"MISSED: {', '.join(result.missed)}" if result.missed else targets and "met",
    ]


def as_json(result: Result) -> dict[str, object]:
    """A result as JSON fields."""
    data: dict[str, object] = {"strategy": result.row.strategy, "model": result.row.model, "bytes": result.size}
    for what, timing in (("prove", result.prove), ("check", result.check)):
        data[what] = timing._asdict()
    return data | {"correct": result.correct, "total": result.total, "missed": result.missed}


def show(table: Iterable[Sequence[str]]) -> None:
    """Print aligned columns."""
    rows = list(table)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def main() -> int:
    """Measure and print; 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", metavar="TEXT", help="rows whose strategy or model contains TEXT")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    options = parser.parse_args()
    rows = [row for row in ROWS if options.only in f"{row.strategy} {row.model}"]
    with tempfile.TemporaryDirectory() as folder:
        results = [measure(row, Path(folder)) for row in rows]
    unit, lines = median(yardstick() for _ in range(3)), sizes()
    limits = {what: limit for what, (_, limit) in LINES.items()}
    long = [what for what, limit in limits.items() if limit is not None and lines[what] > limit]
    if options.json:
        data = {"yardstick_seconds": unit, "rows": list(map(as_json, results)), "code_lines": lines}
        print(json.dumps(data, indent=1))
    else:
        head = ["strategy", "model", "bound", "certificate", "prove = ratio", "check = ratio", "targets", "result"]
        show([head, *map(cells, results)])
        print(f"\nyardstick {unit:.2f} s; a ratio is seconds / yardstick")
        for what, count in lines.items():
            target = f", target <= {limits[what]}, {'MISSED' if what in long else 'met'}" if limits[what] else ""
            print(f"{what}: {count} code lines{target}")
    return int(bool(long) or any(result.missed for result in results))


if __name__ == "__main__":
    sys.exit(main())
