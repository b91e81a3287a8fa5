"""Steps side by side in several processes. A step holds only if the process that looked at it says so."""

import sys
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, TypeVar

from checker.certificate import Step
from checker.decode import MAX_PRINTED_DIGITS
from checker.errors import InternalError, Refusal, ResourceLimit, located
from checker.kernel import prove
from checker.problem import Problem

Result = TypeVar("Result")


def outcome_of(work: Callable[[], Result]) -> Result | Refusal:
    """What it returns, or its refusal; running out of memory, or an unforeseen failure, is a refusal too."""
    try:
        return work()
    except Refusal as refusal:
        return refusal
    except MemoryError:
        return ResourceLimit("out-of-memory")
    except Exception as error:
        return InternalError(type(error).__name__)


def side_by_side(jobs: int, problem: Problem, steps: tuple[Step, ...]) -> list[int]:
    """The numbers of the steps that hold, which are all; or the refusal of the first that does not.

    Process i of n looks at the steps i, i + n, ... Their outcomes are received in the order of the steps, so that the
    refusal is that of one process, and nothing that comes later matters. A process that ends too early is a refusal.
    """
    from multiprocessing import Pipe, Process  # a check in one process does without

    number, workers = min(jobs, len(steps)), []
    budget = problem.budget
    asked = problem.weights, problem.stated, problem.margin, budget.operations, budget.declared, steps
    try:
        for first in range(number):
            reader, writer = Pipe(duplex=False)
            worker = Process(target=answer, args=(writer, range(first, len(steps), number), *asked), daemon=True)
            worker.start()
            workers.append((worker, reader))
            writer.close()  # so that nothing more can come once the process has ended
        return [settled(problem, *received(workers[index % number][1])) for index in range(len(steps))]
    finally:
        for worker, _ in workers:
            worker.kill()
            worker.join()


def settled(problem: Problem, rule: str, index: int, found: dict[Hashable, int]) -> int:
    """The number of a step, whose spending is added up here, in the order of the steps."""
    problem.budget.rule, problem.budget.step = rule, index
    with located(f"predicate.steps[{index}]"):
        for key, operations in found.items():
            problem.budget.spend(operations, "" if key == index else str(key))
    return index


def answer(to: Any, numbers: range, *asked: Any) -> None:
    """What a process does: it sends the outcome of each of its steps, with tables of its own."""
    *stated, declared, steps = asked
    sys.set_int_max_str_digits(MAX_PRINTED_DIGITS)  # which a new process has from the environment
    problem = Problem(*stated)
    problem.budget.declared = declared
    for index in numbers:
        problem.budget.restart()
        outcome = outcome_of(partial(prove, problem, steps, index))
        to.send(outcome if isinstance(outcome, Refusal) else (steps[index].rule, outcome, problem.budget.found))


def received(reader: Any) -> tuple[str, int, dict[Hashable, int]]:
    """The rule and number of a step that holds, and what it spent."""
    try:
        outcome: tuple[str, int, dict[Hashable, int]] | Refusal = reader.recv()
    except (EOFError, OSError):
        raise InternalError("process-lost", "", "an outcome of every step (try fewer --jobs)") from None
    if isinstance(outcome, Refusal):
        raise outcome
    return outcome
