"""A task of a sweep, in a file of its own: each worker that gets one imports no more than this."""

import os
import signal
from pathlib import Path
from typing import Any

from certgen.sweep.store import Store


class Killer:
    """A task that takes its worker down with it, or does nothing."""

    def __init__(self, results: Path, name: str, deadly: bool) -> None:
        self.results, self.identity, self.deadly = results, name, deadly

    def finished(self, store: Store) -> bool:
        return store.done("rows", self.identity)

    def work(self) -> dict[str, Any]:
        if self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        return {"error": None}

    def execute(self) -> dict[str, Any]:
        return Store(self.results).once("rows", self.identity, self.work)

    def fail(self, reason: str) -> dict[str, Any]:
        return Store(self.results).once("rows", self.identity, lambda: {"error": reason})
