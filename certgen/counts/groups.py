"""What is counted together: the groups of separable_counts, before they are written down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from certgen.certificate.arguments import Group
from certgen.counts.cells import mask

Members = Sequence[int]


@dataclass(frozen=True)
class Plan:
    """What is counted together for one maximum, and how finely: classes of wrong tokens, blocks of queries, pools of
    positions."""

    m: int
    steps: int
    classes: tuple[Members, ...]
    blocks: tuple[Members, ...]
    pools: tuple[Members, ...]

    def group(self) -> Group:
        """As the certificate states it."""
        return Group(
            m=self.m,
            steps=self.steps,
            classes=[mask(members) for members in self.classes],
            blocks=[mask(members) for members in self.blocks],
            pools=[mask(members) for members in self.pools],
        )
