"""Mutants of the checker: `make mutants`, or `python -m tests.mutants.checker [FILE ...]` for some files of checker/.

Each mutant of tests/mutants/source.py runs in a forked process that has everything loaded. First it checks the files of
tests/certificates that run the mutated function, those first that have killed others and then the quickest, and derives
from them what is recorded. Then come the tests that mirror its file, and those of what imports it. Whatever fails kills
it, and so does a process that ends or takes too long. tests/mutants/survivors.toml says of each that survives why it
may.

Results are kept in out/mutants, by the text of the mutated file and of the change: a run can be stopped and taken up.
Their numbers are kept in tests/mutants/score.tsv, file by file.
"""

import argparse
import contextlib
import hashlib
import importlib
import inspect
import io
import json
import os
import resource
import signal
import sys
import time
import tomllib
import types
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import Phase, settings

from tests.mutants.score import Fates, Score, table
from tests.mutants.source import Mutation, mutations
from tests.support import corpus, derived
from tests.support.corpus import VERDICTS

ROOT = Path(__file__).parent.parent.parent
OUT = ROOT / "out" / "mutants"
SURVIVORS = Path(__file__).parent / "survivors.toml"
SCORE = Path(__file__).parent / "score.tsv"
PAGE = ROOT / "docs" / "trust.md"
ORDER = ("kernel.py", "facts.py", "rules", "lemmas", "problem", "arithmetic", "model", "certificate.py", "decode.py")
CORPUS_SECONDS, TEST_SECONDS = 6.0, 200
ITEM_SECONDS, ONE_TEST_SECONDS = 2.0, 30.0
"""Of the processor, for one: many times what the slowest takes that does not hang."""
MEMORY = 6 << 30
LIMITS = ("version.py", "__main__.py", "budget.py", "sizes.py", "costs.py")
LEFT_OUT = (
    "budget",
    "visited",
    "work = problem.outputs",
    "words(",
    "layer.words",
    "lanes of a count",
    "MAX_BYTES",
    "MAX_MODEL_BYTES",
    "work(p",
)
LIMITING = ("def work(", "def forward_memory(", "def layer_cost(")
"""Lines with these words, and functions that start so, are about work that is refused, not about what is proved, as
those three files are; they have tests of their own."""


class Survivor(NamedTuple):
    """A mutant that lives: the text of its line, the change, and which one it is of a file's that have both. "*" stands
    for any file, or for any line."""

    file: str
    line: str
    what: str
    number: int = 1


def sources() -> list[Path]:
    """What is mutated, soundness first."""
    found = [path for path in (ROOT / "checker").rglob("*.py") if path.name not in LIMITS]

    def place(path: Path) -> tuple[bool, int, str]:
        name = path.relative_to(ROOT / "checker").as_posix()
        first = next((number for number, start in enumerate(ORDER) if name.startswith(start)), len(ORDER))
        return path.name == "__init__.py", first, name

    return sorted(found, key=place)


def mutants_of(source: str) -> list[Mutation]:
    """Those of a file, without those of what is left out."""
    texts = source.splitlines()

    def kept(one: Mutation) -> bool:
        limiting = one.start and texts[one.start - 1].strip().startswith(LIMITING)
        return not limiting and not any(word in texts[one.line - 1] for word in LEFT_OUT)

    return list(filter(kept, mutations(source)))


def named(file: str, source: str) -> Iterator[tuple[Mutation, Survivor]]:
    """Each of them, and what it is called if it lives."""
    texts, seen = source.splitlines(), Counter[Survivor]()
    for mutation in mutants_of(source):
        one = Survivor(file, texts[mutation.line - 1].strip(), mutation.what)
        seen[one] += 1
        yield mutation, one._replace(number=seen[one])


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def items() -> list[str]:
    """The quick part: files of tests/certificates, and derivations from them, each with a recorded outcome."""
    files = [path.relative_to(VERDICTS.parent).as_posix() for path in corpus.FILES]
    return [*files, *derived.names()]


def recorded() -> dict[str, str]:
    lines = VERDICTS.read_text().splitlines() + derived.RECORDED.read_text().splitlines()
    return {name: outcome for name, _, outcome in (line.partition("\t") for line in lines)}


def outcome_of(item: str) -> str:
    """What the checker in this process makes of an item; modules are looked up anew, as they may be mutants."""
    if " / " in item:
        result: str = importlib.import_module("tests.support.derived").derived(item)
        return result
    outcome = importlib.import_module("tests.support.corpus").outcome_of.__wrapped__(VERDICTS.parent / item)
    line: str = importlib.import_module("checker.cli").describe(outcome)[0]
    return line


class Lines(NamedTuple):
    """Which items call which function of the checker ("file:line" of its start; "file" for any of a file), by number;
    and the seconds that each item takes."""

    seconds: dict[str, float]
    of: dict[str, list[int]]

    def items(self, file: str, start: int, kills: Counter[str] | None = None) -> list[str]:
        """The items that call the function that starts there; for 0, any function of the file. Those come first that
        have killed most, then the quickest."""
        names, kills = list(self.seconds), kills or Counter()
        numbers = self.of.get(f"{file}:{start}" if start else file, ())
        return sorted([names[number] for number in numbers], key=lambda name: (-kills[name], self.seconds[name]))


def traced() -> Lines:
    """Kept in out/mutants as long as nothing changes."""
    read = [*sources(), VERDICTS, derived.RECORDED]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(read))).hexdigest()
    kept = OUT / "lines.json"
    if kept.exists() and (found := json.loads(kept.read_text()))["digest"] == digest:
        return Lines(found["seconds"], found["of"])
    print("which file runs which function ...", flush=True)
    lines = Lines({}, {})
    start = f"{ROOT / 'checker'}/"
    for number, item in enumerate(items()):
        seen: set[str] = set()

        def trace(frame: types.FrameType, event: str, _: Any, seen: set[str] = seen) -> None:
            file = frame.f_code.co_filename
            if file.startswith(start):  # calls alone, no lines: that is quick
                name = f"checker/{file.removeprefix(start)}"
                seen.update((name, f"{name}:{frame.f_code.co_firstlineno}"))

        before = time.process_time()
        sys.settrace(trace)
        outcome_of(item)
        sys.settrace(None)
        lines.seconds[item] = round(time.process_time() - before, 4)
        for called in seen:
            lines.of.setdefault(called, []).append(number)
    OUT.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps({"digest": digest, "seconds": lines.seconds, "of": lines.of}))
    return lines


def importers(name: str) -> list[str]:
    """The modules of the checker that import this one, rules first."""
    found = []
    for path in sources():
        if f"from {name} import" in path.read_text():
            found.append(module_of(path))
    return sorted(found, key=lambda module: (".rules." not in module, module))


def mirrored(module: str) -> list[str]:
    """The test files whose name is that of the module, first the one in its place."""
    name = module.rpartition(".")[2]
    folders = ("rules", "checker", "checker/lemmas", "checker/arithmetic", "checker/model", "checker/problem")
    places = [ROOT / "tests" / folder / f"test_{name}.py" for folder in folders]
    own = ROOT / "tests" / Path(*module.split(".")).parent / f"test_{name}.py"
    return [str(path) for path in sorted(places, key=lambda path: path != own) if path.exists()]


EXTRA = {
    "checker.rules": ["tests/rules/test_tables.py", "tests/rules/test_every_rule.py"],
    "checker.kernel": [
        "tests/checker/problem/test_problem_file.py::test_a_certificate_about_another_problem_is_refused",
        "tests/checker/test_jobs.py::test_the_kernel_wants_every_step_in_its_place",
        "tests/checker/test_check_cert.py",
        "tests/checker/test_jobs.py",
    ],
    "checker.jobs": [
        "tests/checker/test_jobs.py::test_the_first_refused_step_is_told",
        "tests/checker/test_jobs.py::test_only_the_numbers_of_all_steps_will_do",
        "tests/checker/test_jobs.py::test_processes_spend_from_one_budget",
        "tests/checker/test_jobs.py::test_a_process_that_cannot_be_started",
        "tests/checker/test_jobs.py::test_a_process_that_is_lost_is_not_waited_for",
        "tests/checker/test_jobs.py::test_a_process_that_still_works_is_ended",
        "tests/checker/test_jobs.py::test_a_process_prints_numbers_whatever_the_environment_says",
    ],
    "checker.facts": ["tests/rules/test_sub_cubic_rules.py", "tests/checker/test_kernel.py"],
    "checker.model.one_layer": ["tests/rules/test_region_oracle.py"],
    "checker.rules.branch_sequences": ["tests/checker/lemmas/test_rivals.py"],
    "checker.lemmas.counting": [
        "tests/checker/lemmas/test_counting.py::test_a_polynomial_has_a_lane_for_each_power",
        "tests/checker/lemmas/test_counting.py::test_counting_at_the_edges",
    ],
    "checker.lemmas.float32": ["tests/second_verifier/test_float32.py"],
    "checker.arithmetic.balls": ["tests/checker/arithmetic/test_float32.py"],
    "checker.arithmetic.float32": ["tests/second_verifier/test_float32_inputs.py"],
    "checker.lemmas.evaluating": ["tests/rules/test_evaluate_inputs.py"],
    "checker.rules.region_counts": [
        "tests/rules/test_region_counts.py::test_a_gap_of_exactly_0_is_counted_and_one_of_minus_1_is_not",
        "tests/rules/test_region_counts.py::test_of_a_label_that_does_not_occur_nothing_is_counted",
        "tests/rules/test_region_counts.py::test_refused_by_reason",
    ],
    "checker.rules.regions": [
        "tests/rules/test_regions.py::test_refused_by_reason",
        "tests/rules/test_regions.py::test_a_range_is_the_query_with_its_doubt_and_the_hints_of_all_heads",
        "tests/rules/test_regions.py::test_hints_of_another_number_of_neurons_or_heads",
    ],
    "checker.rules.rule": ["tests/rules/test_expected_loss.py::test_a_premise_has_the_margin_of_its_step"],
    "checker.lemmas.reaching": ["tests/checker/lemmas/test_paths.py"],
    "checker.lemmas.paths": ["tests/rules/test_regions.py::test_refused_by_reason"],
    "checker.lemmas.ahead": ["tests/rules/test_region_gaps.py", "tests/rules/test_region_counts.py"],
    "checker.certificate": ["tests/checker/test_decode.py"],
    "checker.cli": ["tests/checker/test_check_cert.py"],
    "checker.problem.cells": ["tests/rules/test_branch_sequences.py::test_sets_of_pairs_that_do_not_fit"],
    "checker.problem": [
        "tests/checker/problem/test_problem.py",
        "tests/checker/problem/test_problem_file.py",
        "tests/checker/test_mutated_problems.py",
    ],
    "checker.arithmetic.matrices": ["tests/rules/test_sub_cubic_rules.py"],
    "checker.model.forward": ["tests/rules/test_evaluate_inputs.py"],
}


def tests_of(module: str) -> list[str]:
    """The test files that can kill a mutant of a module: single tests first, then those that mirror it."""
    found = mirrored(module)
    for start, extra in sorted(EXTRA.items(), key=lambda one: -len(one[0])):
        found += [str(ROOT / name) for name in extra] if module.startswith(start) else []
    if "region" in module or module.endswith(("paths", "ahead", "reaching", "final_norm")):
        found.append(str(ROOT / "tests/rules/test_region_oracle.py"))
    users = importers(module)
    for user in users:
        found += mirrored(user)
    for user in users:
        for second in importers(user) if ".rules." not in user else ():
            found += mirrored(second)
    return sorted(dict.fromkeys(found), key=lambda name: "::" not in name)[:14]


def functions_of(module: types.ModuleType) -> Iterator[tuple[str, types.FunctionType]]:
    """Every function that a module defines, methods and the lambdas of tables included, by the way to it; without what
    decorates it."""

    def inside(owner: Any, way: str) -> Iterator[tuple[str, types.FunctionType]]:
        held = owner if isinstance(owner, dict) else dict(enumerate(owner)) if isinstance(owner, tuple) else vars(owner)
        for name, value in held.items():
            value = getattr(value, "__func__", value)  # classmethod
            value = getattr(value, "fget", None) or getattr(value, "func", None) or value  # property, cached_property
            value = inspect.unwrap(value) if callable(value) else value
            here = f"{way}.{name}"
            own = getattr(value, "__module__", "") == module.__name__
            table = isinstance(value, dict | tuple) and not str(name).startswith("__")
            if own and isinstance(value, types.FunctionType):
                yield here, value
            elif table or (own and isinstance(value, type) and value is not owner):
                yield from inside(value, here)

    yield from inside(module, module.__name__)


class NotInstalled(Exception):
    """The mutant is compiled to the same code, so there is nothing to kill."""


def install(path: Path, mutation: Mutation) -> None:
    """Make this process one in which the checker is the mutant."""
    name = module_of(path)
    code = compile(mutation.source, str(path), "exec")
    if not mutation.start:
        for loaded in [one for one in sys.modules if one.split(".")[0] in ("checker", "certgen", "tests")]:
            if not loaded.startswith("tests.mutants"):
                del sys.modules[loaded]
        sys.meta_path.insert(0, Finder(name, path, code))
        importlib.import_module("checker.cli")
        return
    module = sys.modules[name]
    fresh = types.ModuleType(name)
    fresh.__file__ = str(path)
    sys.modules[name] = fresh  # for dataclasses, which look for their module
    exec(code, fresh.__dict__)
    sys.modules[name] = module
    new = dict(functions_of(fresh))
    changed = 0
    for qualified, old in functions_of(module):
        if qualified in new and old.__code__ != new[qualified].__code__:
            old.__code__ = new[qualified].__code__
            changed += 1
    if not changed:
        raise NotInstalled(f"no function of {name} has changed: {mutation.what}")


class Finder:
    """Imports one module from the mutant's code."""

    def __init__(self, name: str, path: Path, code: types.CodeType) -> None:
        self.name, self.path, self.code = name, path, code

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != self.name:
            return None
        package = [str(self.path.parent)] if self.path.name == "__init__.py" else None
        loader: Any = self
        spec = importlib.util.spec_from_loader(name, loader, origin=str(self.path), is_package=package is not None)
        if spec is not None and package:
            spec.submodule_search_locations = package
        return spec

    def create_module(self, spec: Any) -> None:
        return None

    def exec_module(self, module: types.ModuleType) -> None:
        module.__file__ = str(self.path)
        exec(self.code, module.__dict__)


def killed_by_corpus(names: list[str], seconds: dict[str, float], most: float = CORPUS_SECONDS) -> str:
    """The first item with another outcome than the recorded one; nothing if all are, that so many seconds allow."""
    known, spent = recorded(), 0.0
    for item in names:
        spent += seconds[item]
        if spent > most:
            break
        signal.setitimer(signal.ITIMER_PROF, ITEM_SECONDS)
        try:
            said = outcome_of(item)
        except Exception as error:
            said = type(error).__name__
        if said != known[item]:
            return item
    signal.setitimer(signal.ITIMER_PROF, 0)
    return ""


class Watch:
    """Which test fails first; one that hangs ends the process."""

    failed = ""

    def pytest_runtest_logstart(self) -> None:
        signal.setitimer(signal.ITIMER_PROF, ONE_TEST_SECONDS)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed = self.failed or report.nodeid

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.failed = self.failed or report.nodeid


def run_tests(names: Sequence[str], *plugins: object) -> int:
    """What pytest says of these files and tests, without a word."""
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # each process would load them again
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return pytest.main(["-x", "-s", "-q", "--no-header", "-p", "no:cacheprovider", *names], plugins=[*plugins])


def with_tests(names: Sequence[str], work: Callable[[list[pytest.Item]], None]) -> None:
    """Do some work with the tests of these files and names, collected once, for all processes that it forks."""
    out = sys.stdout

    class Collected:
        error: BaseException | None = SystemExit(f"no tests: {names}")

        def pytest_runtestloop(self, session: pytest.Session) -> bool:
            if not session.testsfailed:
                with contextlib.redirect_stdout(out):
                    self.error = None
                    try:
                        work(session.items)
                    except BaseException as error:
                        self.error = error
            return True

    if not names:
        return work([])
    importlib.import_module("tests.conftest")  # which loads a profile of its own
    phases = (Phase.explicit, Phase.generate)  # that a test fails is enough, and the smallest case takes long to find
    settings.register_profile("mutants", deadline=None, database=None, phases=phases)
    settings.load_profile("mutants")
    collected = Collected()
    run_tests(names, collected)
    if collected.error:
        raise collected.error


def killed_by_tests(items: list[pytest.Item]) -> str:
    """The first test that fails; nothing if all pass."""
    watch = Watch()
    for item, following in zip(items, [*items[1:], None], strict=True):
        if item is items[0]:
            item.config.pluginmanager.register(watch)
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if watch.failed:
            return watch.failed
    signal.setitimer(signal.ITIMER_PROF, 0)
    return ""


def killed_anew(names: list[str]) -> str:
    """The same of files and names that are collected by this process, which has another checker."""
    watch = Watch()
    code = run_tests(names, watch) if names else 0
    signal.setitimer(signal.ITIMER_PROF, 0)
    return "" if code in (0, 5) else watch.failed or f"{names[0]}: {code}"


def fate(path: Path, mutation: Mutation | None, ways: Sequence[Callable[[], str]], most: int) -> str:
    """What kills a mutant, in one of these ways, or in that it takes so many seconds; nothing if it survives. Without a
    mutation, of the checker as it is."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        os.setpgrp()
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (most, most))  # of its own, whatever else the machine does
        try:
            if mutation:
                install(path, mutation)
            why = next(filter(None, (way() for way in ways)), "")
        except NotInstalled as error:
            why = f"not installed: {error}"
        except BaseException as error:
            why = type(error).__name__
        os.write(writer, f"{why}\n".encode())
        os._exit(0)
    os.close(writer)
    deadline, text = time.monotonic() + 5 * most, b""
    os.set_blocking(reader, False)
    while True:
        with contextlib.suppress(BlockingIOError):
            text += os.read(reader, 4096)
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            with contextlib.suppress(BlockingIOError):
                text += os.read(reader, 4096)
            if os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGPROF, signal.SIGXCPU):
                text = b"time\n"
            break
        if time.monotonic() > deadline:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            text = b"time\n"
            break
        time.sleep(0.005)
    os.close(reader)
    return text.decode().strip() if text else "the process ended"


def justified() -> dict[Survivor, str]:
    """Survivors that may live, and why."""
    if not SURVIVORS.exists():
        return {}
    data = tomllib.loads(SURVIVORS.read_text(encoding="utf-8"))
    return {Survivor(**{name: one[name] for name in one if name != "why"}): one["why"] for one in data["survivor"]}


def excuse(one: Survivor, excused: dict[Survivor, str]) -> str:
    """Why a mutant may live; nothing if it may not."""
    any_line, any_file = one._replace(line="*", number=1), one._replace(file="*", number=1)
    wider = (one, any_line, any_file, any_line._replace(file="*"))
    return next((excused[key] for key in wider if key in excused), "")


class Store:
    """Results so far, a line of JSON each."""

    def __init__(self) -> None:
        OUT.mkdir(parents=True, exist_ok=True)
        self.path = OUT / "results.jsonl"
        self.known: dict[str, str] = {}
        for line in self.path.read_text().splitlines() if self.path.exists() else ():
            entry = json.loads(line)
            self.known[entry["key"]] = entry["killer"]

    def add(self, key: str, killer: str) -> None:
        self.known[key] = killer
        with self.path.open("a") as file:
            file.write(json.dumps({"key": key, "killer": killer}) + "\n")


def run(paths: list[Path], seconds: float, tests: int, quick_seconds: float) -> dict[str, Fates]:
    """All mutants of these files, as far as there is time, with so many test files each; what became of them, by
    file."""
    lines, store, excused = traced(), Store(), justified()
    end, found, score = time.monotonic() + seconds, dict[str, Fates](), Score(SCORE)
    for path in paths:
        names, source = tests_of(module_of(path)), path.read_text()
        work = partial(run_file, path, source, lines, store, excused, end, names, tests, quick_seconds, found)
        with_tests(names[:tests], work)
        name = path.relative_to(ROOT).as_posix()
        score.add(name, source, found.get(name, Fates()))
        print(f"{name}: {dict(found.get(name, {}))}", flush=True)
    return found


def run_file(
    path: Path,
    source: str,
    lines: Lines,
    store: Store,
    excused: dict[Survivor, str],
    end: float,
    every: list[str],
    tests: int,
    quick_seconds: float,
    found: dict[str, Fates],
    items: list[pytest.Item],
) -> None:
    """Those of one file, with these tests."""
    name, names = path.relative_to(ROOT).as_posix(), every[:tests]
    kills, sound = Counter[str](), {""}
    most = int(CORPUS_SECONDS * 4 + TEST_SECONDS * bool(names))
    for mutation, one in named(name, source):
        key = hashlib.sha256(f"{source}{mutation.line}{one}".encode()).hexdigest()[:24]
        killer = store.known.get(key)
        excused_by = excuse(one, excused)
        if killer is None or (killer in ("", "?") and names and not excused_by):
            if time.monotonic() > end:
                found.setdefault(name, Fates())["not run" if killer is None else "undecided"] += 1
                continue
            files = lines.items(name, mutation.start, kills)
            quick = partial(killed_by_corpus, files, lines.seconds, quick_seconds)
            deadliest = sorted(items, key=lambda item: -kills[item.nodeid])
            slow = partial(killed_by_tests, deadliest) if mutation.start else partial(killed_anew, names)
            ways = [quick] if excused_by or not names else [quick, slow] if killer is None else [slow, quick]
            killer = fate(path, mutation, ways, most)
            if killer not in (*lines.seconds, *sound) and not killer.startswith("not installed"):
                # by a test, which has to pass without a mutant; of what ends, or takes too long, it may be any test
                ran = [item for item in items if item.nodeid == killer] or items
                if items and (fails := fate(path, None, [partial(killed_by_tests, ran)], most)):
                    raise SystemExit(f"not only mutants are killed: {fails}")
                sound.add(killer)
            if not killer and len(names) < len(every):
                killer = "?"  # other tests have not had their turn
            store.add(key, killer)
        kills[killer] += 1
        what = {"": "open", "?": "undecided"}.get(killer, "killed")
        if what != "killed" and excused_by:
            what = "justified"
        if killer.startswith("not installed"):
            what = "same"
        found.setdefault(name, Fates())[what] += 1
        if what in ("open", "undecided"):
            print(f"  {name}:{mutation.line}: {one.line}\n      {one.what} ({one.number})  {killer}", flush=True)


def known() -> dict[str, Fates]:
    """What became of all mutants, in this run or in earlier ones, by file."""
    score, found = Score(SCORE), dict[str, Fates]()
    for path in sources():
        name, source = path.relative_to(ROOT).as_posix(), path.read_text()
        found[name] = score.of(name, source, len(mutants_of(source)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", help="files or folders of checker/; all if none is given")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="start no mutant after so many")
    parser.add_argument("--tests", type=int, default=99, help="so many test files for each mutant")
    parser.add_argument("--corpus-only", action="store_true", help="the quick part alone; what it leaves is run later")
    parser.add_argument("--quick", type=float, default=CORPUS_SECONDS, help="so many seconds for the quick part")
    parser.add_argument("--write", action="store_true", help="write the table of the whole into docs/trust.md")
    options = parser.parse_args()
    wanted = [str((ROOT / name).resolve()) for name in options.files]
    paths = [path for path in sources() if not wanted or any(str(path).startswith(name) for name in wanted)]
    for path in sources():
        importlib.import_module(module_of(path))
    found = run(paths, options.seconds, 0 if options.corpus_only else options.tests, options.quick)
    print("\n".join(table(found)))
    if options.write:
        from docs.assets.make_pictures import replace_measured

        replace_measured(PAGE, "mutants of the checker", table(known()))
    raise SystemExit(any(counts["open"] for counts in found.values()))


if __name__ == "__main__":
    main()
