"""The strategy cubic proves something, and not always everything."""

from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np

from tests.support.checking import prove, verdict
from tests.support.generators import GOOD_KINDS, Sizes, TinyModel, tensors_of
from tests.support.oracle import Oracle


def test_cubic_is_neither_vacuous_nor_always_exact(workspace: Path) -> None:
    """On models that look trained, with d_vocab and n_ctx from 2 to 4."""
    seen: Counter[str] = Counter()
    shares = []
    for seed in range(120):
        rng = np.random.default_rng(seed)
        kind = GOOD_KINDS[seed % 2]
        sizes = Sizes(
            int(rng.integers(2, 5)), int(rng.integers(2, 5)), int(rng.integers(2, 7)), int(rng.integers(2, 5))
        )
        path = TinyModel(kind, "F64", tensors_of(kind, sizes, seed)).write(workspace / "model")
        margin = Fraction(0) if seed % 3 else Fraction(1, 3)
        truth = Oracle(path).truth(margin).correct
        certified = verdict(path, prove(path, "cubic", margin)).correct
        assert certified <= truth
        shares.append(certified / truth if truth else 1)
        seen["> 0"] += certified > 0
        seen["strictly between 0 and the truth"] += 0 < certified < truth
        seen["the truth"] += 0 < certified == truth
    mean = sum(shares) / len(shares)
    print(f"\ncubic, of {len(shares)}: {dict(seen)}, mean share of the truth {mean:.3f}")
    assert seen["> 0"] > 0.9 * len(shares)
    assert seen["strictly between 0 and the truth"] > 0.3 * len(shares)
    assert seen["the truth"] > 0.1 * len(shares)
    assert mean > 0.6
