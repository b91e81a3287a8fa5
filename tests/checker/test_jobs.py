"""Steps side by side in several processes: the outcome of one process, and no failure of any of them is lost."""

import dataclasses
import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import pytest

from checker import Refusal, check, jobs
from checker.budget import Budget
from checker.certificate import decode_certificate
from checker.cli import main
from checker.errors import InternalError
from checker.jobs import outcome_of, side_by_side
from checker.kernel import declared, one_by_one, problem_of, verify
from checker.model.weights import read_weights
from checker.problem import Problem
from checker.problem.labels import tables_of
from checker.rules import RULES
from tests.support.corpus import FILES, content, model_of
from tests.support.corpus import outcome_of as outcome_of_file
from tests.support.edits import to_bytes

TINY = "accept/tiny--cubic.cert.json"  # direct_path_upper, value_path_upper, gap_cells or cubic_tokens, ..., total
Ends = Callable[..., Any]


@pytest.fixture(autouse=True)
def forked() -> Iterator[None]:
    """Processes are forked, so that what is bent here is bent there, and none is left behind."""
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method("fork", force=True)
    yield
    multiprocessing.set_start_method(before, force=True)
    assert multiprocessing.active_children() == []


@pytest.fixture(params=["fork", "spawn", "forkserver"])
def start_method(request: pytest.FixtureRequest, forked: None) -> str:
    """Each way in which Python starts a process, as its default."""
    multiprocessing.set_start_method(request.param, force=True)
    return str(request.param)


@pytest.fixture
def model(models: Path) -> str:
    return str(models / "tiny.safetensors")


@pytest.fixture
def tiny(certificates: Path) -> str:
    return str(certificates / TINY)


def ended(model: str, certificate: str, number: int, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code and verdict line, with so many processes."""
    code = main([model, certificate, "--jobs", str(number)])
    return code, capsys.readouterr().out


def rule_at(certificate: str, index: int) -> str:
    return str(json.loads(Path(certificate).read_bytes())["predicate"]["steps"][index]["rule"])


def bend(monkeypatch: pytest.MonkeyPatch, name: str, derive: Callable[..., Any]) -> None:
    """A rule whose derivation is another one, in every process that is forked."""
    monkeypatch.setitem(RULES, name, dataclasses.replace(RULES[name], derive=derive))


# The same outcome


@pytest.mark.parametrize("number", [2, 3, 64])
def test_the_outcome_of_one_process(number: int) -> None:
    """Verdicts, and refusals with their place, of files from all over the corpus."""
    reached = [path for path in FILES if path.parent.name in ("accept", "reject")]
    seen = {True: 0, False: 0}
    for path in reached[number % 11 :: 47]:
        alone = outcome_of_file(path)
        found = outcome_of(lambda path=path: check(str(model_of(path)), str(path), jobs=number))  # type: ignore[misc]
        assert type(found) is type(alone)
        assert str(found) == str(alone)
        seen[isinstance(found, Refusal)] += 1
    assert min(seen.values()) > 1


def test_the_outcome_does_not_depend_on_how_processes_start(
    start_method: str, model: str, tiny: str, certificates: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (tiny, str(certificates / "reject/bad-premise--itself.cert.json")):
        assert ended(model, path, 2, capsys) == ended(model, path, 1, capsys)


def test_the_first_refused_step_is_told(
    model: str, tiny: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of several, whichever process is the first to refuse one."""
    content = json.loads(Path(tiny).read_bytes())
    steps = content["predicate"]["steps"]
    changed = str(tmp_path / "changed.cert.json")
    for first in reversed(range(len(steps))):  # one more refused step each time, before the others
        steps[first]["premises"].append(len(steps))
        Path(changed).write_bytes(to_bytes(content))
        code, line = ended(model, changed, 1, capsys)
        assert (code, f"steps[{first}]" in line) == (1, True)
        for number in (2, 3):
            assert ended(model, changed, number, capsys) == (code, line)


def test_a_step_that_takes_long_is_waited_for_only_if_no_earlier_one_is_refused(
    monkeypatch: pytest.MonkeyPatch, model: str, tiny: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = json.loads(Path(tiny).read_bytes())
    content["predicate"]["steps"][0]["premises"].append(0)
    changed = str(tmp_path / "changed.cert.json")
    Path(changed).write_bytes(to_bytes(content))
    bend(monkeypatch, rule_at(tiny, 1), lambda *_: time.sleep(600))
    start = time.monotonic()
    code, line = ended(model, changed, 2, capsys)
    assert (code, "bad-premise" in line, time.monotonic() - start < 60) == (1, True, True)


def test_a_later_refusal_does_not_overtake(
    monkeypatch: pytest.MonkeyPatch, model: str, tiny: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A step fails at once, the one before it after a while."""

    def slowly(*_: object) -> NoReturn:
        time.sleep(0.1)
        raise RecursionError

    def at_once(*_: object) -> NoReturn:
        raise KeyError

    bend(monkeypatch, rule_at(tiny, 0), slowly)
    bend(monkeypatch, rule_at(tiny, 1), at_once)
    assert ended(model, tiny, 2, capsys) == (70, "INTERNAL-ERROR RecursionError in CERT\n")


# Processes that fail


def raises(error: type[BaseException]) -> Ends:
    def end(*_: object) -> NoReturn:
        raise error

    return end


FAILURES: dict[str, tuple[Ends, int, str]] = {
    "killed, as for want of memory": (lambda *_: os.kill(os.getpid(), signal.SIGKILL), 70, "process-lost"),
    "ended from outside": (lambda *_: os.kill(os.getpid(), signal.SIGTERM), 70, "process-lost"),
    "ended as if all was well": (lambda *_: os._exit(0), 70, "process-lost"),
    "SystemExit": (lambda *_: sys.exit(0), 70, "process-lost"),
    "KeyboardInterrupt": (raises(KeyboardInterrupt), 70, "process-lost"),
    "MemoryError": (raises(MemoryError), 5, "out-of-memory"),
    "RecursionError": (raises(RecursionError), 70, "RecursionError"),
    "AssertionError": (raises(AssertionError), 70, "AssertionError"),
    "EOFError": (raises(EOFError), 70, "EOFError"),
    "nothing derived": (lambda *_: None, 70, "AttributeError"),
}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("index", [0, -1])
def test_a_failure_in_any_step_is_no_success(
    failure: str,
    index: int,
    monkeypatch: pytest.MonkeyPatch,
    model: str,
    tiny: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    end, code, word = FAILURES[failure]
    bend(monkeypatch, rule_at(tiny, index), end)
    found, line = ended(model, tiny, 2, capsys)
    assert (found, line.split()[1]) == (code, word)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Of the clock: waiting takes no time of the processor."""

    def late(*_: object) -> NoReturn:
        pytest.fail("still waiting")  # which nothing catches

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_process_that_is_lost_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, model: str, tiny: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last one: others have no end of its pipe."""
    bend(monkeypatch, rule_at(tiny, 1), lambda *_: os._exit(0))
    with within(60):
        assert ended(model, tiny, 2, capsys)[0] == 70


def test_a_process_that_still_works_is_ended(
    monkeypatch: pytest.MonkeyPatch, model: str, tiny: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bend(monkeypatch, rule_at(tiny, 0), raises(KeyError))
    bend(monkeypatch, rule_at(tiny, 1), lambda *_: time.sleep(600))
    with within(60):
        assert ended(model, tiny, 2, capsys) == (70, "INTERNAL-ERROR KeyError in CERT\n")


def test_a_process_prints_numbers_whatever_the_environment_says(model: str, tiny: str) -> None:
    certificate, before = decode_certificate(Path(tiny).read_bytes()), sys.get_int_max_str_digits()
    asked = read_weights(Path(model).read_bytes()), certificate.problem, certificate.margin, 1 << 20, 0
    sys.set_int_max_str_digits(640)
    try:
        jobs.answer(None, range(0), *asked, certificate.steps)
        assert sys.get_int_max_str_digits() == 4300
    finally:
        sys.set_int_max_str_digits(before)


def says(*outcomes: object) -> Ends:
    """A process that sends these, whatever it is asked."""
    return lambda to, *_: [to.send(outcome) for outcome in outcomes]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (says(), "process-lost"),
        (says(("total", 0, {})), "process-lost"),
        (says(*[("total", 0, {})] * 64), "step-lost"),
        (says(*[("total", None, {})] * 64), "step-lost"),
        (says(*[()] * 64), "TypeError"),
        (lambda to, numbers, *_: [to.send(("total", number + 1, {})) for number in numbers], "step-lost"),
        (lambda to, *_: to.send_bytes(b"no pickle"), "UnpicklingError"),
        (lambda to, *_: os.write(to.fileno(), b"\0\0\1\0half of it"), "process-lost"),
        (lambda to, *_: to.close(), "process-lost"),
    ],
    ids=["nothing", "one", "zeros", "none", "empty", "others", "no-pickle", "half", "closed"],
)
def test_only_the_numbers_of_all_steps_will_do(
    answer: Ends, code: str, monkeypatch: pytest.MonkeyPatch, model: str, tiny: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """However a process that answers for its steps goes wrong."""
    monkeypatch.setattr(jobs, "answer", answer)
    for number in (2, 3):
        found, line = ended(model, tiny, number, capsys)
        assert (found, line.split()[1]) == (70, code)


@pytest.mark.parametrize("lost", [[], [0], [1, 0], [0, 0], [0, 1, 2, 3, 4, 5, 6, 7]])
def test_the_kernel_wants_every_step_in_its_place(lost: list[int], model: str, tiny: str) -> None:
    """Whoever looks at them."""
    certificate = decode_certificate(Path(tiny).read_bytes())
    assert len(certificate.steps) not in (0, len(lost))
    with pytest.raises(InternalError) as caught:
        verify(certificate, read_weights(Path(model).read_bytes()), 1 << 20, None, lambda *_: lost)
    assert caught.value.code == "step-lost"


def test_a_process_that_cannot_be_started(
    monkeypatch: pytest.MonkeyPatch, model: str, tiny: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second of two. The first is not left behind."""
    true, started = multiprocessing.Process.start, []

    def start(self: Any) -> None:
        started.append(self)
        if len(started) == 2:
            raise BlockingIOError
        true(self)

    monkeypatch.setattr(multiprocessing.Process, "start", start)
    assert ended(model, tiny, 2, capsys) == (70, "INTERNAL-ERROR BlockingIOError in CERT\n")


def test_an_interruption_ends_all(
    monkeypatch: pytest.MonkeyPatch, model: str, tiny: str, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(jobs, "received", raises(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        main([model, tiny, "--jobs", "2"])
    assert capsys.readouterr().out == ""


class Bomb:
    """A process that reads it ends."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (0,)


def test_a_process_that_ends_before_it_begins(start_method: str, model: str, tiny: str) -> None:
    """Where what it is asked is written for it, and it cannot read that."""
    certificate = decode_certificate(Path(tiny).read_bytes())
    problem = Problem(read_weights(Path(model).read_bytes()), certificate.problem, certificate.margin, 1 << 20)
    steps = tuple([step._replace(args={"bomb": Bomb()}) for step in certificate.steps])
    if start_method == "fork":
        steps = tuple([step._replace(rule="") for step in steps])  # nothing is written, and no rule is found
    outcome = outcome_of(lambda: side_by_side(2, problem, steps))
    assert isinstance(outcome, InternalError)
    assert outcome.code == ("KeyError" if start_method == "fork" else "process-lost")


# What does not depend on who looks at a step


def test_tables_of_the_label_cost_no_step_more() -> None:
    """Which of several steps asks for them first depends on the processes."""
    path = next(path for path in FILES if path.name.startswith("full-sum--exact"))
    certificate = decode_certificate(content(path))
    problem = Problem(read_weights(model_of(path).read_bytes()), certificate.problem, certificate.margin, 1 << 20)
    problem.label_tables()
    once = dict(problem.budget.found)
    for step in (0, 1):
        problem.budget.step = step
        problem.label_tables()
    assert problem.budget.found == once == {"states": problem.budget.spent}
    many = [dict.fromkeys(range(1001), 1)] * 2
    for budget in (Budget(1 << 20), Budget(problem.budget.spent)):
        with nullcontext() if budget.operations == 1 << 20 else pytest.raises(Refusal, match="over-budget"):
            tables_of(problem.label._replace(step=lambda state, p, t: 0), many, budget)


def test_processes_spend_from_one_budget(model: str, tiny: str) -> None:
    """The least budget, the refusal below it and its words are those of one process, whatever is found by values."""
    exact = str(next(path for path in FILES if path.name.startswith("tiny--exact")))
    certificate, weights = decode_certificate(Path(exact).read_bytes()), read_weights(Path(model).read_bytes())
    problem = problem_of(certificate, weights, 1 << 40)
    list(declared(problem, certificate.steps))
    one_by_one(problem, certificate.steps)
    assert len(problem.budget.found) > 0
    needed = problem.budget.declared + problem.budget.spent
    outcomes = [
        [str(outcome_of(partial(check, model, exact, needed - less, None, jobs))) for jobs in (1, 2)]
        for less in (0, 1, problem.budget.spent, problem.budget.spent + 1)
    ]
    assert all(one == two for one, two in outcomes)
    assert ["over-budget" in one for one, _ in outcomes] == [False, True, True, True]


@pytest.mark.parametrize("number", ["0", "-1", "x", "1.5"])
def test_a_number_of_processes(number: str, model: str, tiny: str) -> None:
    with pytest.raises(SystemExit) as caught:
        main([model, tiny, "--jobs", number])
    assert caught.value.code == 2
