"""Progress of a sweep, with the time left: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from datetime import timedelta
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from certgen.sweep.engines import Task
from certgen.sweep.store import Record

EVERY = 30.0  # seconds between lines
WINDOW = 24 * 3600.0  # seconds over which the speed is averaged: jobs differ a lot


class SweepProgress:
    """Use as a context. The time left supposes that the jobs to come take as long as those done."""

    def __init__(self) -> None:
        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[errors]} errors"))
        times = (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
        console = Console(stderr=True)
        self.progress = Progress(
            TextColumn("sweep"),
            *columns,
            *times,
            console=console,
            speed_estimate_period=WINDOW,
            disable=not console.is_terminal,
        )
        self.bar = self.progress.add_task("sweep", total=None, errors=0)
        self.before = self.done = self.total = self.errors = 0
        self.started = self.told = time.monotonic()

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.progress.stop()

    def begin(self, done: int, total: int) -> None:
        self.before = self.done = done
        self.total = total
        self.started = self.told = time.monotonic()
        self.progress.reset(self.bar, total=total, completed=done)  # what was done before took no time now

    def advance(self, task: Task, record: Record) -> None:
        self.done += 1
        self.errors += record.get("error") is not None
        self.progress.update(self.bar, completed=self.done, errors=self.errors)
        if self.progress.disable and time.monotonic() - self.told > EVERY:
            self.told = time.monotonic()
            seconds = (self.told - self.started) / (self.done - self.before) * (self.total - self.done)
            left = timedelta(seconds=round(seconds))
            print(f"{self.done}/{self.total} done, {self.errors} errors, {left} left", file=sys.stderr, flush=True)
