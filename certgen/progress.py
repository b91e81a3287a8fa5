"""Progress of long work: a search takes a `Track` and wraps its outer loop in it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

Item = TypeVar("Item")


class Track(Protocol):
    """Iterates over items while showing how far it is."""

    def __call__(self, items: Sequence[Item], what: str) -> Iterable[Item]: ...


Tell = Callable[[str], None]  # hears a line about what a search has found


def silent(line: str) -> None:
    """Not a word: for tests, sweeps and the Python API."""


def quiet(items: Sequence[Item], what: str) -> Iterable[Item]:
    """No display: for tests, sweeps and the Python API."""
    return items


def bar(items: Sequence[Item], what: str) -> Iterable[Item]:
    """A progress bar on stderr with the time left; gone when done, and not a byte when stderr is not a terminal."""
    if not watched():
        return items
    from rich.console import Console
    from rich.progress import track

    return track(items, description=what, console=Console(stderr=True), transient=True)


def watched() -> bool:
    """Is stderr a terminal? Asked of the stream itself: a rich Console answers what FORCE_COLOR tells it to."""
    return sys.stderr is not None and sys.stderr.isatty()
