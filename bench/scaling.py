"""How proofs grow: python bench/scaling.py [--output docs/assets/scaling.csv].

Trains one model per size, then proves, checks and measures. Times are processor seconds, so that other work on the
machine matters little. Lengths are not measured beyond d_vocab 128, where counting takes too long; times are, of what
stays within minutes.
"""

import argparse
import csv
import sys
import tempfile
import time
from math import log
from pathlib import Path

import numpy as np
from measured import MOST_SECONDS

from certgen import load_model, prove
from certgen.length import proof_length
from certgen.models.exercises import max_of_k
from certgen.models.model_file import save_model
from certgen.models.training import Recipe, train
from checker import check

VOCABULARIES, LENGTHS = (32, 64, 128, 256), (2, 4, 8, 12, 20)
STRATEGIES = {  # and the largest d_vocab and k for which they are made
    "sub-cubic/max-diff-exact/upper-envelope/exact-EQKE": (256, 20),
    "sub-cubic/mean-query+max-diff/upper-envelope/max-diff-subproduct-recursive": (256, 20),
    "separable-by-max": (256, 20),
    "cubic": (256, 20),
    "adaptive": (256, 20),
    "separable-exact": (128, 4),
    "separable-relaxed": (64, 8),
}
SEED = 7
FIELDS = ("grows", "d_vocab", "k", "strategy", "bound", "prove_s", "check_s", "length_ops")


def trained(folder: Path, d_vocab: int, k: int) -> Path:
    path = folder / f"max-of-{k}-vocab-{d_vocab}.safetensors"
    if not path.exists():
        (model,) = train(Recipe(max_of_k(k, d_vocab)), [SEED])
        save_model(path, model.tensors)
    return path


def row(model: Path, folder: Path, grows: str, d_vocab: int, k: int, strategy: str) -> dict[str, object]:
    path = folder / "scaling.cert.json"
    started = time.process_time()
    prove(load_model(model), strategy).save(path)
    proved = time.process_time()
    verdict = check(str(model), str(path))
    checked = time.process_time()
    length = proof_length(model, path).total if checked - proved < MOST_SECONDS else ""
    values = (grows, d_vocab, k, strategy, verdict.correct / verdict.total, proved - started, checked - proved, length)
    return dict(zip(FIELDS, values, strict=True))


def exponent(rows: list[dict[str, object]], size: str, measure: str) -> float:
    """The slope of log measure against log size."""
    sizes, measured = ([log(float(str(r[name]))) for r in rows if r[measure] != ""] for name in (size, measure))
    return float(np.polyfit(sizes, measured, 1)[0])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--output", type=Path, help="where to write the table; what it has already is not done again")
    output = parser.parse_args().output
    rows: list[dict[str, object]] = []
    if output and output.exists():
        with output.open(newline="") as file:
            rows += csv.DictReader(file)
    done = {tuple(str(r[name]) for name in FIELDS[:4]) for r in rows}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sizes = [("d_vocab", v, 4) for v in VOCABULARIES] + [("k", 64, k) for k in LENGTHS]
        wanted = [
            (*size, strategy)
            for size in sizes
            for strategy, (v, k) in STRATEGIES.items()
            if size[1] <= v and size[2] <= k
        ]
        for grows, v, k, strategy in wanted:
            if (grows, str(v), str(k), strategy) in done:
                continue
            rows.append(row(trained(folder, v, k), folder, grows, v, k, strategy))
            print(rows[-1], file=sys.stderr, flush=True)
            if output:
                with output.open("w", newline="") as file:
                    writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
                    writer.writeheader()
                    writer.writerows(rows)
    print(f"{'fitted exponents':<52} {'length':>7} {'check':>7} {'prove':>7}")
    for grows in ("d_vocab", "k"):
        for strategy in STRATEGIES:
            chosen = [r for r in rows if r["grows"] == grows and r["strategy"] == strategy]
            fits = [exponent(chosen, grows, measure) for measure in ("length_ops", "check_s", "prove_s")]
            print(f"{grows + ': ' + strategy:<52} " + " ".join(f"{fit:7.2f}" for fit in fits))


if __name__ == "__main__":
    main()
