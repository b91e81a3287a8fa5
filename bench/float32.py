"""What the stronger claim costs, and what float32 programs do: the tables of docs/float32.md.

python bench/float32.py table         # proves every shipped model twice, and writes docs/assets/float32.csv
python bench/float32.py programs      # runs programs on sampled and close inputs of each
python bench/float32.py ties          # runs them on all inputs of max-of-4 that are near a tie
python bench/float32.py inputs MODEL PROBLEM MARGIN    # a row of the table of brute-force: one model, evaluated
"""

from __future__ import annotations

import csv
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path

import numpy as np

from certgen import load_model, prove
from certgen.bounds.float32 import float32_gap
from certgen.counts.evaluation import FLOAT32_BASE
from certgen.decimals import at_least, at_most
from certgen.models.forward import evaluate
from certgen.proving import ask
from checker import check

Program = Callable[[Mapping[str, np.ndarray], np.ndarray], np.ndarray]
ROOT = Path(__file__).parent.parent
MODELS = sorted((ROOT / "models").glob("*.safetensors"), key=lambda path: (len(path.name), path.name))
TABLE = ROOT / "docs/assets/float32.csv"
PAGE = ROOT / "docs/float32.md"
SIMPLER = {"max-of-10-vocab-128-seed-123": "separable-by-max"}  # where the default takes many minutes
MARK = "<!-- table: python bench/float32.py table -->"
SAMPLE = 100
FIELDS = ("model", "room", "exact", "float32", "exact_s", "float32_s")


def proved(path: Path, semantics: str) -> tuple[Fraction, float]:
    """The accuracy that check-cert verifies, of a proof by the default strategy, and its seconds."""
    with tempfile.TemporaryDirectory() as folder:
        certificate = Path(folder) / "model.cert.json"
        prove(path, SIMPLER.get(path.stem), semantics=semantics).save(certificate)
        started = time.process_time()
        verdict = check(str(path), str(certificate))
        assert verdict.semantics == semantics
        return Fraction(verdict.correct, verdict.total), time.process_time() - started


def table() -> None:
    """One row a model."""
    with TABLE.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(FIELDS)
        for path in MODELS:
            room = float32_gap(ask(path, None, Fraction(0)))
            found = [proved(path, semantics) for semantics in ("exact-real", "float32-any-order")]
            (exact, exact_s), (rounded, rounded_s) = found
            writer.writerow([path.stem, room, exact, rounded, f"{exact_s:.1f}", f"{rounded_s:.1f}"])
            print(path.stem, float(room), float(exact), float(rounded), float(exact - rounded), flush=True)
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def with_table(page: str) -> str:
    """The page with what was measured."""
    lines = ["| model | G | proved correct of real numbers | in float32 | less |", "|---|---|---|---|---|"]
    with TABLE.open(newline="") as file:
        for row in csv.DictReader(file):
            room, exact, rounded = (Fraction(row[name]) for name in ("room", "exact", "float32"))
            cost = at_most(max(exact - rounded, Fraction(0)), 6)
            lines.append(
                f"| {row['model']} | {at_most(room, 3)} | {at_least(exact, 5)} | {at_least(rounded, 5)} | {cost} |"
            )
    before, _, rest = page.partition(MARK)
    return f"{before}{MARK}\n\n" + "\n".join(lines) + "\n\n<!-- end -->" + rest.partition("<!-- end -->")[2]


def programs() -> None:
    """The largest change of a lead by any program, relative to what is allowed; and whether an input that is decided
    with this room is ever decided otherwise."""
    sys.path.insert(0, str(ROOT))
    from tests.support.float32_programs import in_numpy, leads

    runs = all_programs()
    for path in MODELS:
        model = load_model(path)
        room = float(float32_gap(ask(model, None, Fraction(0))))
        inputs = close(model.tensors, model.n_ctx, model.d_vocab)
        labels = inputs.max(axis=1)
        truth = leads(in_numpy(model.tensors, inputs, np.float64), labels)
        for name, run in runs.items():
            found = leads(run(model.tensors, inputs), labels)
            decided = np.abs(truth) > room
            report(f"{path.stem}, {name}", truth, found, decided, room)


def all_programs() -> dict[str, Program]:
    """By name."""
    import torch

    from tests.support.float32_programs import PROGRAMS, eager, in_torch

    return {**PROGRAMS, "torch compiled": in_torch(torch.compile(eager, dynamic=True), threads=1)}


def ties() -> None:
    """All inputs of max-of-4 that are near a tie, by every program."""
    sys.path.insert(0, str(ROOT))
    from tests.support.float32_programs import in_numpy, leads, matmuls

    path = next(path for path in MODELS if path.stem.startswith("max-of-4-"))
    model = load_model(path)
    room = float(float32_gap(ask(model, None, Fraction(0))))
    kept = []
    for inputs in all_inputs(model.d_vocab, model.n_ctx):
        near = np.abs(leads(matmuls(model.tensors, inputs), inputs.max(axis=1))) < 8 * room
        kept.append(inputs[near])
    inputs = np.concatenate(kept)
    labels = inputs.max(axis=1)
    truth = leads(in_numpy(model.tensors, inputs, np.float64), labels)
    undecided = int((np.abs(truth) <= room).sum())
    print(f"{path.stem}: of all inputs {len(inputs):,} within 8 G of a tie, {undecided:,} within G", flush=True)
    for name, run in all_programs().items():
        found = leads(run(model.tensors, inputs), labels)
        changed = int(((found > 0) != (truth > 0)).sum())
        report(f"{path.stem}, these, {name}", truth, found, np.abs(truth) > room, room)
        print(f"  {changed} answers are others than those of real numbers")


def report(what: str, truth: np.ndarray, found: np.ndarray, decided: np.ndarray, room: float) -> None:
    against = int((((found > 0) != (truth > 0)) & decided).sum())
    moved = np.abs(found - truth).max() / room
    print(f"{what}: {len(truth):,} inputs, moved by {moved:.4f} G, {against} otherwise", flush=True)


def close(tensors: Mapping[str, np.ndarray], k: int, v: int, number: int = 2000) -> np.ndarray:
    """Of random inputs those whose answer wins or loses by least, and as many others."""
    from tests.support.float32_programs import in_numpy, leads

    rng = np.random.default_rng(0)
    top = rng.integers(1, v, 100 * number)  # tokens near the largest: there it is close
    inputs = top[:, None] - np.minimum(rng.geometric(0.3, (len(top), k)) - 1, top[:, None])
    truth = leads(in_numpy(tensors, inputs, np.float64), inputs.max(axis=1))
    return np.concatenate([inputs[np.argsort(np.abs(truth))[:number]], rng.integers(0, v, (number, k))])


def inputs(model: str, problem: str, margin: str) -> None:
    """How far logits of sampled inputs may move apart; what is proved of all, and how long the check takes."""
    question = ask(model, problem, Fraction(margin))
    number, task = question.task.number, question.task
    sample = np.concatenate([task.inputs(i, i + 1).tokens for i in range(0, number, max(number // SAMPLE, 1))])
    moved = 2 * evaluate(question.model, sample, task.readout, FLOAT32_BASE, float32=True).moved.max()
    with tempfile.TemporaryDirectory() as folder:
        certificate = Path(folder) / "model.cert.json"
        prove(model, "brute-force", problem=problem, margin=margin, semantics="float32-any-order").save(certificate)
        started = time.process_time()
        found = check(model, str(certificate), problem_path=problem, budget=1 << 40)
    left, seconds = found.total - found.correct - found.wrong, time.process_time() - started
    shown = f"{moved:.2g} | {found.total:,} | {found.correct:,} by {margin} | {left:,} | {seconds:.0f} s |"
    print(f"| {Path(model).stem} | {question.model.architecture.brief} | {shown}", flush=True)


def all_inputs(v: int, k: int, size: int = 1 << 16) -> Iterator[np.ndarray]:
    """In pieces."""
    for start in range(0, v**k, size):
        numbers = np.arange(start, min(start + size, v**k))
        yield np.stack([numbers // v**p % v for p in range(k)][::-1], axis=1)


COMMANDS: dict[str, Callable[..., None]] = {"table": table, "programs": programs, "ties": ties, "inputs": inputs}

if __name__ == "__main__":
    COMMANDS[sys.argv[1]](*sys.argv[2:])
