"""Mutants of certificates, all of them checked: `python -m tests.mutants.certificates [--mutants N]`.

Every accepted certificate of tests/mutants/subjects.py is changed in every way of tests/mutants/changes.py, at as many
places as there is time for. What is still accepted must be true, in its claim and in each of its steps. The command
writes what became of the mutants into docs/trust.md.
"""

import argparse
import tempfile
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import Random
from typing import NamedTuple

from checker.certificate import decode_certificate
from checker.errors import Refusal
from checker.jobs import outcome_of
from checker.kernel import Verdict, verify
from checker.model.weights import read_weights
from tests.mutants.changes import KINDS, Mutant, sample, written
from tests.mutants.subjects import Subject, subjects
from tests.mutants.truth import lies, reason

PAGE = Path(__file__).parent.parent.parent / "docs" / "trust.md"
BUDGET = 1 << 22


class Outcome(NamedTuple):
    """What became of a mutant: the word of a refusal, or why it was accepted."""

    kind: str
    subject: str
    place: str
    word: str
    code: str
    lie: str


def checked(mutant: Mutant) -> Verdict | Refusal:
    """What check-cert says, its reading of files apart."""

    def work() -> Verdict:
        weights = read_weights(mutant.model)
        return verify(decode_certificate(mutant.data), weights, BUDGET)

    return outcome_of(work)


def outcomes(found: list[Subject], mutants: int, seed: int = 0) -> Iterator[Outcome]:
    """Of about so many mutants, spread evenly over certificates and kinds."""
    pairs = [(subject, kind) for subject in found for kind in KINDS]
    Random(seed).shuffle(pairs)
    done = 0
    for number, (subject, kind) in enumerate(pairs):
        if done >= mutants:
            return
        most = max(-(-(mutants - done) // (len(pairs) - number)), 2)  # finding the places takes longer than a check
        for place, change in sample(subject, found, kind, most, seed):
            yield outcome(subject, kind, written(place), change())
            done += 1


def outcome(subject: Subject, kind: str, place: str, mutant: Mutant) -> Outcome:
    """Of one of them."""
    said = checked(mutant)
    about = partial(Outcome, kind, subject.name, place)
    if isinstance(said, Refusal):
        return about(said.word, said.code, "")
    if mutant == Mutant(subject.data, subject.model):
        return about("UNCHANGED", "", "")
    lie = lies(mutant, said)
    return about("VERIFIED", reason(subject.statement, subject.model, mutant), lie)


WORDS = {"MALFORMED": "malformed", "REJECTED": "rejected", "OTHER-MODEL": "other model", "RESOURCE-LIMIT": "too long"}


def tables(found: list[Outcome]) -> list[str]:
    """Kind by outcome, and why mutants were accepted."""
    seen = Counter((one.kind, one.word) for one in found)
    words = [*WORDS, "VERIFIED"]
    lines = [f"| mutation | mutants | {' | '.join(WORDS.values())} | accepted, and true |", "|---" * 7 + "|"]
    for kind in KINDS:
        cells = [seen[kind, word] for word in words]
        lines.append(f"| {kind} | {' | '.join(f'{number:,}' if number else '–' for number in [sum(cells), *cells])} |")
    sums = [sum(seen[kind, word] for kind in KINDS) for word in words]
    lines.append(f"| all | {' | '.join(f'{number:,}' for number in [sum(sums), *sums])} |")
    reasons = Counter(one.code for one in found if one.word == "VERIFIED")
    lines += ["", "| why it was accepted | mutants |", "|---|---|"]
    return lines + [f"| {why} | {number:,} |" for why, number in reasons.most_common()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutants", type=int, default=100_000)
    parser.add_argument("--models", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dry", action="store_true", help="print the tables, write nothing")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        made = subjects(Path(folder), options.models)
    found = []
    for number, one in enumerate(outcomes(made, options.mutants, options.seed)):
        found.append(one)
        if one.lie or one.word == "INTERNAL-ERROR":
            print(one, flush=True)
        if number % 5000 == 4999:
            print(f"{number + 1:,} mutants", flush=True)
    lines = tables(found)
    print("\n".join(lines))
    wrong = [one for one in found if one.lie or one.word == "INTERNAL-ERROR"]
    if not options.dry and not wrong:
        from docs.assets.make_pictures import replace_measured

        replace_measured(PAGE, "mutants of certificates", lines)
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()
