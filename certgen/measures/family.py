"""The name of a strategy of the sub-cubic family, taken apart."""

from __future__ import annotations

from typing import NamedTuple


class Member(NamedTuple):
    """Treatments of the direct path, of wrong logits as a function of attention, and of the score error."""

    direct: str
    attention: str
    error: str


def member(strategy: str) -> Member | None:
    """The parts of sub-cubic/EUPU/ATTENTION/ERROR; None for other strategies."""
    family, *parts = strategy.split("/")
    return Member(*parts) if family == "sub-cubic" and len(parts) == 3 else None
