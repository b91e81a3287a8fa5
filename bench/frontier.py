"""Certified bound against measured proof length: python bench/frontier.py [MODEL] [GLOB ...].

Proves, checks and measures every strategy whose name matches a glob (all of them by default), and adaptive at several
lengths. Sorted by length; a star marks the frontier: no shorter proof here has as good a bound.
"""

import sys
import tempfile
from collections.abc import Callable
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

from joblib import Parallel, delayed

from certgen import Certificate, load_model, prove
from certgen.errors import UserError
from certgen.length import proof_length, reading_length
from certgen.measures import area_under_frontier, brute_force_length
from certgen.strategies import STRATEGIES
from checker import check

ROOT = Path(__file__).resolve().parent.parent
LENGTHS = (6_000_000, 7_500_000, 9_000_000, 12_000_000, 20_000_000, 40_000_000, 80_000_000)

Proof = tuple[int, float, str]  # operations, bound, name


def measured(model: Path, name: str, proved: Callable[[], Certificate]) -> Proof | str:
    """One proof, or why there is none."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "proof.cert.json"
        try:
            proved().save(path)
        except UserError as error:
            return f"{name}: {error.message}"
        verdict = check(str(model), str(path))
        return proof_length(model, path).total, verdict.correct / verdict.total, name


def main() -> None:
    model = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "models" / "max-of-4-seed-123.safetensors"
    globs = sys.argv[2:] or ["*"]
    loaded = load_model(model)
    names = [name for name in STRATEGIES if any(fnmatchcase(name, glob) for glob in globs)]
    jobs: list[tuple[str, Callable[[], Certificate]]] = []
    for name in names:
        if name == "adaptive":
            jobs += [(f"adaptive, at most {n:,}", partial(prove, loaded, max_length=n)) for n in LENGTHS]
        elif name != "brute-force":  # v^k: measuring it takes days
            jobs.append((name, partial(prove, loaded, name)))
    results = Parallel(n_jobs=-1, verbose=5)(delayed(measured)(model, name, proved) for name, proved in jobs)
    best = -1.0
    print(f"{'operations':>14} {'bound':>8}   strategy")
    for operations, bound, name in sorted((r for r in results if not isinstance(r, str)), key=lambda r: (r[0], -r[1])):
        print(f"{operations:14,} {bound:8.5f} {'*' if bound > best else ' '} {name}")
        best = max(best, bound)
    print("\n".join(r for r in results if isinstance(r, str)))
    proofs = [(r[0], r[1]) for r in results if not isinstance(r, str)]
    reading, brute_force = reading_length(loaded.file_bytes), brute_force_length(loaded.d_vocab, loaded.n_ctx)
    area = area_under_frontier(proofs, reading, brute_force, 1.0)
    print(f"area under the frontier, from {reading:,} to {brute_force:,} operations, as a share of 1: {area:.4f}")


if __name__ == "__main__":
    main()
