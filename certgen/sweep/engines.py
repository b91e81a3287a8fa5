"""Where the work runs: on the cores of this machine (joblib), or on a dask cluster.

An engine yields each piece of work with its record, in the order in which they finish. The work writes its own records,
so that nothing is lost when an engine, or this process, is killed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Protocol

from certgen.errors import UserError, missing_extra
from certgen.processes import cores, die_with
from certgen.sweep.store import Record, Store


class Task(Protocol):
    """A piece of work that records its own result."""

    @property
    def identity(self) -> str: ...
    def finished(self, store: Store) -> bool: ...
    def execute(self) -> Record: ...
    def fail(self, reason: str) -> Record: ...


class Engine(Protocol):
    def __call__(self, tasks: Sequence[Task], store: Store) -> Iterator[tuple[Task, Record]]: ...


def execute(index: int, task: Task, parent: int) -> tuple[int, Record]:
    """Run in a worker of this machine."""
    if os.getpid() != parent:
        die_with(parent)
    return index, task.execute()


class Local:
    """`jobs` processes of this machine; as many as it has cores unless given."""

    def __init__(self, jobs: int | None = None) -> None:
        self.jobs = jobs

    def __call__(self, tasks: Sequence[Task], store: Store) -> Iterator[tuple[Task, Record]]:
        """All tasks at once; if one takes its worker down, each that was begun again by itself, then the others."""
        left = dict(enumerate(tasks))
        while left:
            try:
                for index, record in self.run(dict(left), self.jobs or cores()):
                    yield left.pop(index), record
            except BrokenProcessPool:
                begun = {index: task for index, task in left.items() if store.begun(task.identity)} or dict(left)
                for index in begun:
                    del left[index]
                yield from self.one_by_one(begun)

    def run(self, tasks: dict[int, Task], jobs: int) -> Iterator[tuple[int, Record]]:
        from joblib import Parallel, delayed

        parallel = Parallel(n_jobs=jobs, backend="loky", return_as="generator_unordered", pre_dispatch="2*n_jobs")
        yield from parallel(delayed(execute)(index, task, os.getpid()) for index, task in tasks.items())

    def one_by_one(self, tasks: dict[int, Task]) -> Iterator[tuple[Task, Record]]:
        """Which of them kills its worker shows only when it runs alone."""
        for index, task in tasks.items():
            try:
                for _, record in self.run({index: task}, 2):  # joblib runs a single job in this very process
                    yield task, record
            except BrokenProcessPool:
                yield task, task.fail("the worker process was killed; out of memory?")


class Dask:
    """The workers of the dask.distributed scheduler at `address`."""

    def __init__(self, address: str) -> None:
        self.address = address

    def __call__(self, tasks: Sequence[Task], store: Store) -> Iterator[tuple[Task, Record]]:
        """A task whose worker dies runs again on another one; after as many deaths as dask allows it has failed."""
        try:
            from distributed import Client, as_completed
        except ImportError:
            raise missing_extra("a sweep on a dask cluster", "dask.distributed", "dask") from None
        try:
            client = Client(self.address)
        except (OSError, ValueError) as error:
            raise UserError(
                f"no dask scheduler answers at {self.address}: {error}", "start one with: dask scheduler"
            ) from error
        with client:
            futures = {client.submit(run_task, task, pure=False): task for task in tasks}
            for future in as_completed(futures):
                task, failure = futures.pop(future), future.exception()
                if isinstance(failure, UserError):  # such as a full disk: it would meet every task
                    raise failure
                yield task, future.result() if failure is None else task.fail(f"{type(failure).__name__}: {failure}")


def run_task(task: Task) -> Record:
    """Run in a dask worker."""
    return task.execute()


def choose(name: str, jobs: int | None, scheduler: str | None) -> Engine:
    """The engine for these options of the command line; UserError if they do not go together."""
    if name == "joblib" and scheduler is not None:
        raise UserError("--scheduler is given without --engine dask", "add --engine dask")
    if name == "dask" and scheduler is None:
        raise UserError("--engine dask needs a scheduler", "add --scheduler tcp://HOST:8786")
    if name == "dask" and jobs is not None:
        raise UserError("--jobs is for this machine; a dask cluster has its workers", "leave --jobs out")
    return Dask(scheduler) if scheduler is not None else Local(jobs)
