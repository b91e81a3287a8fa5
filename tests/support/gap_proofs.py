"""The beginning of a proof by gap_cells, on models in any units."""

import random
from fractions import Fraction
from pathlib import Path
from typing import Any

from tests.support.derivations import Derivation
from tests.support.hints import any_gap, in_any_units, margin_of


def gap_proof(seed: int, workspace: Path) -> tuple[Derivation, random.Random, Any, Any]:
    """A model, with a direct path, ranges of attention and the spread of the values; the rest is up to the test."""
    rng = random.Random(seed)
    path = in_any_units(seed).write(workspace / "model")
    proof = Derivation(path, margin_of(seed))
    v, k, d = (proof.weights.sizes[name] for name in ("d_vocab", "n_ctx", "d_model"))
    if rng.random() < 0.3:
        proof.step("direct_path_spread", [], {})
    else:
        W_E, W_pos = (proof.problem.circuits.tensor(name) for name in ("embed.W_E", "pos_embed.W_pos"))
        unit = Fraction(2) ** -20
        means = [
            sum(row[j] for row in W_E.rows) * Fraction(2) ** W_E.exponent / v
            + W_pos.rows[-1][j] * Fraction(2) ** W_pos.exponent
            for j in range(d)
        ]
        row = [round(x / unit) + rng.choice([0, 0, 1 << 17]) for x in means]
        proof.step("direct_path_centred_spread", [], {"centre": {"exponent": -20, "rows": [row]}})
    proof.step("value_path_spread", [], {})
    gaps = [
        [[max(any_gap(rng, q, m, n), min(1, m - q)) for n in range(k - (q < m))] for q in range(m + 1)]
        for m in range(v)
    ]
    return proof, rng, gaps, {"bits": 48}


def counts_of(proof: Derivation, ranges: int, lines: int, values: int = 1) -> list[int]:
    return [count.correct for count in proof.derive("gap_cells", [ranges, lines, values], {}).counts]
