"""Strategies compose rules into proofs. `STRATEGIES` is the table, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from certgen.certificate import Certificate
from certgen.circuits import Circuits
from certgen.progress import Track
from certgen.strategies.brute_force import brute_force
from certgen.strategies.cubic import cubic


@dataclass(frozen=True)
class Strategy:
    """A way to prove: what it costs to check, and what it is in one line."""

    prove: Callable[[Circuits, Track], Certificate]
    cost: str
    summary: str


STRATEGIES = {
    "brute-force": Strategy(brute_force, "v^k", "evaluate every sequence; the bound is the truth"),
    "cubic": Strategy(cubic, "v^3 k", "group sequences by how many positions do not hold the maximum"),
}
