"""What became of the mutants of each file of checker/, from one run to the next: a line each in score.tsv.

A line holds for one text of its file and for as many mutants as it counts. Where either is another now, no mutant of
the file counts as run. A run replaces a line that holds only if it decides as many mutants.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

COLUMNS = {
    "killed": "killed",
    "same": "the same code",
    "justified": "live, for a reason",
    "open": "alive",
    "undecided": "undecided",
    "not run": "not run",
}
Fates = Counter[str]  # a number for each column
Row = tuple[str, Fates]  # of the text with this digest


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def decided(fates: Fates) -> int:
    return fates.total() - fates["undecided"] - fates["not run"]


class Score:
    """The lines of a file, by the file of checker/ that they are about."""

    def __init__(self, path: Path) -> None:
        self.path, self.rows = path, dict[str, Row]()
        for line in path.read_text().splitlines()[1:] if path.exists() else ():
            name, text, _, *numbers = line.split("\t")
            self.rows[name] = text, Fates(dict(zip(COLUMNS, map(int, numbers), strict=True)))

    def of(self, name: str, text: str, mutants: int) -> Fates:
        """What became of the mutants of a file with this text, so many."""
        known, fates = self.rows.get(name, ("", Fates()))
        return fates if (known, fates.total()) == (digest(text), mutants) else Fates({"not run": mutants})

    def add(self, name: str, text: str, fates: Fates) -> None:
        """Keep what a run has found of a file, unless more is known already, or there is nothing to know."""
        if fates and decided(fates) >= decided(self.of(name, text, fates.total())):
            self.rows[name] = digest(text), fates
            self.write()

    def write(self) -> None:
        lines = ["\t".join(["file", "digest of its text", "mutants", *COLUMNS.values()])]
        for name, (text, fates) in sorted(self.rows.items()):
            lines.append("\t".join([name, text, *map(str, [fates.total(), *[fates[column] for column in COLUMNS]])]))
        self.path.write_text("\n".join(lines) + "\n")


def table(found: Mapping[str, Fates]) -> list[str]:
    """By folder: mutants, and what became of them; and the share of those that are decided."""
    folders: dict[str, Fates] = {}
    for name, fates in found.items():
        parts = name.split("/")
        folders.setdefault(f"{parts[1]}/" if len(parts) > 2 else parts[1], Fates()).update(fates)
    lines = [f"| part of `checker/` | mutants | {' | '.join(COLUMNS.values())} |", "|---" * 8 + "|"]
    for folder, fates in [*folders.items(), ("all", together(folders.values()))]:
        cells = [fates.total(), *[fates[column] for column in COLUMNS]]
        lines.append(f"| `{folder}` | {' | '.join(f'{number:,}' if number else '–' for number in cells)} |")
    return [*lines, "", share(together(folders.values()))]


def together(several: Iterable[Fates]) -> Fates:
    return sum(several, Fates())


def share(fates: Fates) -> str:
    """How many mutants were run, and the share of those that are decided."""
    good, ran = fates["killed"] + fates["justified"], fates.total() - fates["not run"]
    alive = good + fates["open"]
    rounded = f"{math.floor(10_000 * good / max(alive, 1)) / 100:.2f} %"  # 100 only if it is
    looked = f"{ran:,} of {fates.total():,} were run, and {alive:,} of these are decided"
    return f"{looked}: {rounded} of them are killed, or live for a reason."
