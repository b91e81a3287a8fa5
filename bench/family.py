"""Every strategy of the sub-cubic family on one model, in one process on one core: python bench/family.py [MODEL].

Work that strategies share is done once, as in a sweep. Prints each certified bound with the seconds to prove and check.
"""

import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

from certgen.models.model_file import load_model
from certgen.progress import quiet
from certgen.proving import ask
from certgen.strategies import STRATEGIES
from checker import check

ROOT = Path(__file__).resolve().parent.parent
MOST_SECONDS = 300


def main() -> int:
    """Exit code 1 if proving and checking all of them takes longer than MOST_SECONDS."""
    model = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "models" / "max-of-4-seed-123.safetensors"
    names = [name for name in STRATEGIES if name.startswith("sub-cubic/")]
    started = time.perf_counter()
    question = ask(load_model(model), None, Fraction(0))
    slowest = [0.0, 0.0]
    print(f"{'bound':>8} {'prove':>7} {'check':>7}  strategy")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "family.cert.json"
        for name in names:
            marks = [time.perf_counter()]
            STRATEGIES[name].prove(question, quiet).save(path)
            marks.append(time.perf_counter())
            verdict = check(str(model), str(path))
            marks.append(time.perf_counter())
            prove, verify = marks[1] - marks[0], marks[2] - marks[1]
            slowest = [max(slowest[0], prove), max(slowest[1], verify)]
            print(f"{verdict.correct / verdict.total:8.5f} {prove:6.2f}s {verify:6.2f}s  {name}", flush=True)
    seconds = time.perf_counter() - started
    print(f"{len(names)} strategies: {seconds:.0f} s (at most {MOST_SECONDS})")
    print(f"slowest to prove {slowest[0]:.1f} s, slowest to check {slowest[1]:.1f} s")
    return int(seconds > MOST_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
