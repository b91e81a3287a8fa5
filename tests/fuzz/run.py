"""`python -m tests.fuzz.run TARGET SECONDS`: fuzz with atheris, guided by coverage; without it, random changes alone.

Inputs that reach something new are kept in out/fuzz/TARGET. Those in tests/fuzz/corpus are a small part of them, and
the files of tests/certificates and tests/models are inputs, too. What fails is written to out/fuzz/TARGET-failed.
"""

import argparse
import hashlib
import importlib.util
import random
import signal
import sys
import time
from collections import Counter
from typing import Any

from tests.conftest import ROOT, TESTS

OUT = ROOT / "out" / "fuzz"
HANG = 5


def seeds(target: str) -> list[bytes]:
    """What is kept, and what else there is."""
    kept = [path.read_bytes() for path in sorted((TESTS / "fuzz" / "corpus" / target).iterdir())]
    if target == "model":
        return kept + [path.read_bytes() for path in sorted((TESTS / "models").glob("*.safetensors"))]
    files = sorted((TESTS / "certificates").glob("*/*.cert.json"))
    found = [path.read_bytes() for path in files if path.stat().st_size < 1 << 14]
    if target == "certificate":
        return kept + found
    from tests.support.corpus import model_of

    accepted = [path for path in files if path.parent.name == "accept" and path.stat().st_size < 1 << 14]
    return kept + [model_of(path).stem.encode() + b"\n" + path.read_bytes() for path in accepted]


def with_atheris(target: str, seconds: int) -> None:
    """Does not return."""
    import atheris

    with atheris.instrument_imports(include=["checker"]):
        from tests.fuzz.targets import attempt
    from tests.fuzz.mutate import bytes_mutated, mutated

    folder = OUT / target
    folder.mkdir(parents=True, exist_ok=True)
    inputs = seeds(target)
    for data in inputs:
        (folder / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)

    def one(data: bytes) -> None:
        attempt(target, data)

    def change(data: bytes, most: int, seed: int) -> bytes:
        rng = random.Random(seed)
        made = mutated(data, rng, inputs) if rng.random() < 0.8 else bytes_mutated(data, rng, inputs)
        return made[:most]

    limits = [f"-max_total_time={seconds}", f"-timeout={HANG}", "-rss_limit_mb=2000", "-max_len=65536"]
    limits += [f"-artifact_prefix={OUT}/{target}-failed-", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *limits, str(folder)], one, custom_mutator=change)
    atheris.Fuzz()


def hangs(_number: int, _frame: Any) -> None:
    raise TimeoutError(f"more than {HANG} seconds")


def without(target: str, seconds: float, most: int | None = None, seed: int = 0) -> Counter[str]:
    """Random changes; the number of inputs by code of the refusal. Raises what is not a Refusal."""
    from tests.fuzz.mutate import mutated
    from tests.fuzz.targets import attempt

    inputs, rng, seen = seeds(target), random.Random(seed), Counter[str]()
    end = time.monotonic() + seconds
    before = signal.signal(signal.SIGALRM, hangs)
    try:
        while time.monotonic() < end and (most is None or sum(seen.values()) < most):
            data = mutated(rng.choice(inputs), rng, inputs)
            signal.alarm(HANG)
            try:
                seen[attempt(target, data)] += 1
            except Exception:
                failed = OUT / f"{target}-failed-{hashlib.sha256(data).hexdigest()[:16]}"
                failed.parent.mkdir(parents=True, exist_ok=True)
                failed.write_bytes(data)
                print(f"failed: {failed}", file=sys.stderr)
                raise
            finally:
                signal.alarm(0)
    finally:
        signal.signal(signal.SIGALRM, before)
    return seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=("certificate", "model", "whole"))
    parser.add_argument("seconds", type=int)
    options = parser.parse_args()
    if importlib.util.find_spec("atheris"):
        with_atheris(options.target, options.seconds)
    print("without atheris: random changes, not guided by coverage")
    seen = without(options.target, options.seconds)
    print(f"{sum(seen.values()):,} inputs: {dict(seen.most_common())}")


if __name__ == "__main__":
    main()
