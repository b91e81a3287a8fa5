"""Processes that share one state: same answers, in order, and what happens when one is lost."""

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from certgen.errors import UserError
from certgen.processes import Processes


def scaled(state: list[int], item: int) -> tuple[int, int]:
    return item * state[0], os.getpid()


def odd_only(state: list[int], item: int) -> int:
    if item % 2 == 0:
        raise UserError(f"{item} is even", "take another")
    return item


def killed(state: list[int], item: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def slow(state: list[int], item: int) -> int:
    time.sleep(60 * (item > 0))
    return item


@pytest.mark.parametrize("number", [1, 2])
def test_answers_come_in_order_from_as_many_processes(number: int) -> None:
    with Processes(number, [3]) as processes:
        answers = list(processes.each(scaled, range(50)))
        assert list(processes.each(scaled, [])) == []
    assert [answer for answer, _ in answers] == list(range(0, 150, 3))
    found = {process for _, process in answers}
    assert found == {os.getpid()} if number == 1 else os.getpid() not in found and len(found) <= number


def test_items_are_taken_when_they_are_asked_for() -> None:
    """So that a search can stop; what was begun in advance is dropped."""
    taken: list[int] = []

    def items() -> Any:
        for item in range(1000):
            taken.append(item)
            yield item

    with Processes(2, [3]) as processes:
        for answer, _ in processes.each(scaled, items()):
            if answer == 30:
                break
    assert len(taken) < 30


def test_an_error_of_the_work_is_that_of_the_search() -> None:
    with Processes(2, [3]) as processes, pytest.raises(UserError, match="4 is even"):
        list(processes.each(odd_only, [1, 3, 4, 5]))


def test_a_process_that_is_killed_says_what_to_try() -> None:
    with Processes(2, [3]) as processes, pytest.raises(UserError, match="was killed; out of memory") as error:
        list(processes.each(killed, [1, 2]))
    assert "--jobs 1" in error.value.hint


def test_processes_end_with_their_parent() -> None:
    """Also if that is killed: nobody is left to wait for."""
    reader, writer = os.pipe()
    parent = os.fork()
    if not parent:
        os.close(reader)
        work: Callable[[list[int], int], int] = slow
        with Processes(2, [3]) as processes:
            for _ in processes.each(work, [0, 1, 2]):
                os.write(writer, b"begun")
    os.close(writer)
    assert os.read(reader, 5) == b"begun"
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    # all of them hold the pipe: it ends when the last one has
    assert os.read(reader, 1) == b""
    os.close(reader)
