"""The commands and programs that README.md and docs/ show, run as a reader would run them, and what they print.

    ```console        Each line that begins with "$ " is a command for a shell; one that ends in a backslash goes on.
    $ command         What follows, up to the next command, is what it prints, without progress bars. If nothing is
                      shown, nothing is compared.
    ```python         A program; a ```text block right after it is what it prints.

A page is one session: its blocks run in order, in a folder of its own in which the files of the repository are seen.
One line "..." stands for lines left out. A comment on the line before a block says what is special about it:

    <!-- run: slow -->                 only with `make test-slow`
    <!-- run: exit 1 -->               the last command of the block ends with this code
    <!-- run: never, REASON -->        not run; test_examples.py lists these

Seconds, digests of files that are not shipped, and sizes of compressed files and reports are not compared.

`make docs-outputs`, that is `python -m tests.examples [--slow] [PAGE ...]`, runs the pages and writes what has changed
into them.
"""

import argparse
import hashlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
SEEN = ("Makefile", "bench", "certgen", "checker", "docs", "models", "pyproject.toml", "schemas", "tests", "tools")
PUBLIC = ROOT.parent / "shared" / "public"  # checkpoints that others published, where they are at hand
LANGUAGES = ("console", "python", "text")
FENCE = re.compile(r"```(\w*)$")
MARK = re.compile(r"<!-- run: (.+) -->$")
DIGEST = re.compile(r"\b[0-9a-f]{64}\b")
NUMBER = r"\d[\d,]*(?:\.\d+)?"
LEFT_OUT = "..."


class Step(NamedTuple):
    """A command or program, and the lines of the page, from `start` to `end`, that show what it prints."""

    code: str
    shown: list[str]
    start: int
    end: int
    exit_code: int = 0


class Block(NamedTuple):
    """A block of a page. `never` is the reason for which it is not run, if there is one."""

    language: str
    line: int  # of the opening fence, from 0
    text: list[str]
    slow: bool
    never: str
    steps: list[Step]


def pages() -> list[Path]:
    """README.md and all pages of docs/."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page."""
    lines, found = page.split("\n"), list[Block]()
    inside: int | None = None
    for number, line in enumerate(lines):
        fence = FENCE.match(line)
        if fence is None or (inside is not None and fence[1]):
            continue
        if inside is None:
            inside = number
            continue
        language = lines[inside][3:]
        mark = MARK.match(lines[inside - 1]) if inside else None
        words = mark[1] if mark else ""
        never = words.partition(", ")[2] if words.startswith("never, ") else ""
        wanted = re.search(r"\bexit (\d+)", words) if not never else None
        text = lines[inside + 1 : number]
        steps = list[Step]()
        if language == "console" and not never:
            steps = list(commands(text, inside + 1, int(wanted[1]) if wanted else 0))
        elif language == "python" and not never:
            steps = [Step("\n".join(text), *output_of_program(lines, number + 1), int(wanted[1]) if wanted else 0)]
        found.append(Block(language, inside, text, "slow" in words.split(", "), never, steps))
        inside = None
    return found


def commands(text: list[str], start: int, last_exit_code: int) -> Iterator[Step]:
    """The commands of a console block; `start` is the number of its first line."""
    opened = [number for number, line in enumerate(text) if line.startswith("$ ")]
    assert opened and opened[0] == 0, f"line {start + 1}: a console block starts with a command"
    for first, after in zip(opened, [*opened[1:], len(text)], strict=True):
        end = first
        while text[end].endswith("\\"):
            end += 1
        code = "\n".join([text[first][2:], *text[first + 1 : end + 1]])
        while after > end + 1 and not text[after - 1]:
            after -= 1
        shown = text[end + 1 : after]
        yield Step(code, shown, start + end + 1, start + after, last_exit_code if first == opened[-1] else 0)


def output_of_program(lines: list[str], after: int) -> tuple[list[str], int, int]:
    """The text block right after a program, and where it is."""
    start = after
    while start < len(lines) and not lines[start]:
        start += 1
    if start == len(lines) or lines[start] != "```text":
        return [], after, after
    end = lines.index("```", start)
    return lines[start + 1 : end], start + 1, end


@cache
def shipped_digests() -> frozenset[str]:
    """The digests of the files in models/."""
    return frozenset(hashlib.sha256(path.read_bytes()).hexdigest() for path in (ROOT / "models").iterdir())


def masked(line: str) -> str:
    """A line without what differs from run to run, and without the layout of its table."""
    line = DIGEST.sub(lambda match: match[0] if match[0] in shipped_digests() else "DIGEST", line)
    line = re.sub(rf"\b{NUMBER} (s|ms|min)\b", "TIME", line)
    if ".gz" in line or ".html" in line:
        line = re.sub(rf"\b{NUMBER} bytes", "BYTES", line)
    return re.sub(r"[ ━─]+", " ", line).strip()


def agree(shown: Sequence[str], printed: Sequence[str]) -> bool:
    """Whether this is what was printed, up to what is masked and left out."""
    wanted, got = [*map(masked, shown)], [*map(masked, printed)]
    if LEFT_OUT not in wanted:
        return wanted == got
    head = wanted.index(LEFT_OUT)
    tail = len(wanted) - head - 1
    return len(got) >= head + tail and got[:head] == wanted[:head] and got[len(got) - tail :] == wanted[head + 1 :]


def renewed(shown: Sequence[str], printed: Sequence[str]) -> list[str]:
    """What to show now: all that was printed, or as many lines at both ends as before."""
    if LEFT_OUT in shown:
        head = shown.index(LEFT_OUT)
        tail = len(shown) - head - 1
        if len(printed) > head + tail:
            return [*printed[:head], LEFT_OUT, *printed[len(printed) - tail :]]
    return list(printed)


class Ran(NamedTuple):
    """What a command or program printed, and the files that it wrote."""

    printed: list[str]
    written: dict[str, bytes]


RAN: dict[tuple[str, frozenset[tuple[str, bytes]]], Ran] = {}  # by the code, and the files that it names, as they were


class Failed(Exception):
    """A command did not end as the page says."""


class Session:
    """A folder in which the blocks of one page are run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in SEEN:
            (folder / name).symlink_to(ROOT / name)
        for path in PUBLIC.glob("*.pt"):
            (folder / path.name).symlink_to(path)
        programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        fixed = {"PATH": programs, "PYTHON": sys.executable, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)}
        terminal = {"COLUMNS": "80", "LC_ALL": "C.UTF-8", "NO_COLOR": "1", "TERM": "dumb", "OMP_NUM_THREADS": "1"}
        self.environment = {**os.environ, **fixed, **terminal}

    def files(self) -> dict[str, bytes]:
        """The regular files of the folder."""
        paths = [path for path in self.folder.iterdir() if path.is_file() and not path.is_symlink()]
        return {path.name: path.read_bytes() for path in paths}

    def folders(self) -> set[str]:
        """The folders that commands have made."""
        return {path.name for path in self.folder.iterdir() if path.is_dir() and not path.is_symlink()}

    def run(self, language: str, step: Step) -> list[str]:
        """The lines that a command or program prints. What another page has run on the same files is not run again."""
        before, folders = self.files(), self.folders()
        key = step.code, frozenset((name, data) for name, data in before.items() if name in step.code)
        if key in RAN and not any(name in step.code for name in folders):
            for name, data in RAN[key].written.items():
                (self.folder / name).write_bytes(data)
            return RAN[key].printed
        printed = self.printed(language, step)
        if self.folders() == folders and not any(name in step.code for name in folders):
            written = {name: data for name, data in self.files().items() if before.get(name) != data}
            RAN[key] = Ran(printed, written)
        return printed

    def printed(self, language: str, step: Step) -> list[str]:
        """The lines that a command or program prints, run now."""
        words = ["bash", "-c", step.code] if language == "console" else [sys.executable, "-c", step.code]
        done = subprocess.run(
            words,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if done.returncode != step.exit_code:
            output = done.stdout + done.stderr
            raise Failed(f"{step.code}\nended with {done.returncode} instead of {step.exit_code}:\n{output}")
        text = (done.stdout + (done.stderr if step.exit_code else "")).strip("\n")
        return [line.rstrip() for line in text.split("\n")] if text.strip() else []


def differences(page: str, folder: Path, slow: bool) -> Iterator[tuple[Step, list[str]]]:
    """Run a page; its steps that show something else than they print, with what they print."""
    session = Session(folder)
    for block in blocks(page):
        if block.slow and not slow:
            continue
        for step in block.steps:
            printed = session.run(block.language, step)
            if step.shown and not agree(step.shown, printed):
                yield step, printed


def updated(page: str, folder: Path, slow: bool) -> str:
    """The page with what its commands print now."""
    lines = page.split("\n")
    for step, printed in reversed(list(differences(page, folder, slow))):
        lines[step.start : step.end] = renewed(step.shown, printed)
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the examples of the pages, and write into them what is printed.")
    parser.add_argument("--slow", action="store_true", help="also the examples that take minutes")
    parser.add_argument("pages", nargs="*", type=Path, default=pages(), metavar="PAGE")
    arguments = parser.parse_args()
    failed = False
    for path in arguments.pages:
        text = path.read_text(encoding="utf-8")
        with tempfile.TemporaryDirectory() as folder:
            try:
                new = updated(text, Path(folder), arguments.slow)
            except Failed as failure:
                print(f"{path}: {failure}", file=sys.stderr)
                failed = True
                continue
        if new != text:
            path.write_text(new, encoding="utf-8")
            print(f"{path}: updated")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
