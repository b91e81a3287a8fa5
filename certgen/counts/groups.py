"""What is counted together, and how finely: before it is written down as groups of separable_counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

Members = Sequence[int]


@dataclass(frozen=True)
class Plan:
    """What is counted together for one maximum, and how finely: classes of wrong tokens, blocks of queries, pools of
    positions. If `gauged`, wrong tokens that are together have factors that make alike what they lose."""

    m: int
    steps: int
    classes: tuple[Members, ...]
    blocks: tuple[Members, ...]
    pools: tuple[Members, ...]
    gauged: bool = False


class Cut(NamedTuple):
    """How sums are rounded to be counted: a step in the unit of the checker's tables, and for each of these a phase."""

    step: int
    phases: list[int]
