"""Processes of this machine: how many, that they end with their parent, and work on one state that they share."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from itertools import islice
from types import TracebackType
from typing import Any, Generic, TypeVar

from certgen.errors import UserError

POLL = 1.0  # seconds
AHEAD = 4  # items that each process is given in advance

State = TypeVar("State")
Item = TypeVar("Item")
Result = TypeVar("Result")


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def die_with(parent: int) -> None:
    """End this process soon after its parent, which may be killed without a chance to say so."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(POLL)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class Processes(Generic[State]):
    """`number` processes that know one state; if 1, this one. Use as a context, with a state that can be pickled.

    What is done with the state must not change what it answers: each process has its own.
    """

    def __init__(self, number: int, state: State) -> None:
        self.number, self.state = number, state
        self.pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Processes[State]:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self.pool:
            self.pool.shutdown(cancel_futures=True)

    def each(self, work: Callable[[State, Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """What work on each item results in, in the order of the items. Some are begun before they are asked for.

        UserError if a process is killed.
        """
        if self.number == 1:
            yield from (work(self.state, item) for item in items)
            return
        left = iter(items)
        begun = deque(self.submit(work, item) for item in islice(left, AHEAD * self.number))
        try:
            while begun:
                result = begun.popleft().result()
                begun += [self.submit(work, item) for item in islice(left, 1)]
                yield result
        except BrokenProcessPool:
            reason = "a process of the search was killed; out of memory?"
            raise UserError(reason, "try --jobs 1, which takes less memory") from None
        finally:
            for future in begun:
                future.cancel()

    def submit(self, work: Callable[[State, Item], Result], item: Item) -> Future[Result]:
        """The processes are started by the first item: what the state has made by then they have, too."""
        if self.pool is None:
            self.pool = ProcessPoolExecutor(self.number, initializer=begin, initargs=(self.state, os.getpid()))
        return self.pool.submit(do, work, item)


STATE: list[Any] = []  # of this process, if it is one of several


def begin(state: Any, parent: int) -> None:
    """In a new process. Ctrl-C is for its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with(parent)
    STATE[:] = [state]


def do(work: Callable[[Any, Any], Any], item: Any) -> Any:
    """In such a process."""
    return work(STATE[0], item)
