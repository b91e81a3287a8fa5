"""What check-cert and the second verifier say of the same two files, and whether they agree.

    agreed = Agreement()
    agreed.on(path, certificate, case, "what it is")        # AssertionError unless they agree
    agreed.seen                                              # how often what happened

The second verifier computes exactly. So they agree if it verifies whatever check-cert verifies, refuses as malformed or
as about another model just what check-cert does, and what it verifies besides is true: `finer` counts that.
"""

import json
from collections import Counter
from fractions import Fraction
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from flint import arb

from checker.cli import check
from checker.errors import Refusal
from checker.jobs import outcome_of
from checker.kernel import Verdict
from tests.second_verifier.certificate import read_certificate
from tests.second_verifier.kernel import SecondVerifier
from tests.second_verifier.model_file import read_model
from tests.second_verifier.refusal import Refused
from tests.support.any_case import Case
from tests.support.any_oracle import Region, rational
from tests.support.any_problem import max_of_k
from tests.support.derivations import BUDGET
from tests.support.losses import mean_loss
from tests.support.oracle import precision


class Said(NamedTuple):
    """An exit code and an error code; counts (correct, wrong, total) of what was verified."""

    exit_code: int
    code: str
    counts: tuple[int, int, int] | None = None


def second(verifier: SecondVerifier, model: bytes, certificate: bytes, problem: bytes | None = None) -> Said:
    try:
        verdict = verifier.verify(model, certificate, problem)
    except Refused as refused:
        return Said(refused.exit_code, refused.code)
    return Said(0, "", (verdict.correct, verdict.wrong, verdict.total))


def first(path: Path, certificate: bytes, problem: bytes | None = None) -> Verdict | Refusal:
    file, task = path.with_suffix(".cert.json"), path.with_suffix(".problem.json")
    file.write_bytes(certificate)
    task.write_bytes(problem or b"")
    return outcome_of(partial(check, str(path), str(file), BUDGET, None if problem is None else str(task)))


class Agreement:
    """One second verifier for many certificates."""

    def __init__(self) -> None:
        self.verifier = SecondVerifier()
        self.seen: Counter[str] = Counter()

    def on(self, path: Path, certificate: bytes, case: Case, words: object = "", problem: bytes | None = None) -> Said:
        """What check-cert says, once both agree."""
        ours = first(path, certificate, problem)
        theirs = second(self.verifier, path.read_bytes(), certificate, problem)
        if isinstance(ours, Verdict):
            said = Said(0, "", (ours.correct, ours.wrong, ours.total))
            assert theirs == said, (words, theirs)
            self.seen["VERIFIED"] += 1
            return said
        said = Said(ours.exit_code, ours.code)
        assert said.exit_code in (1, 3, 4, 5), (words, str(ours))
        if theirs.exit_code == 0:
            assert said.exit_code in (1, 5), (words, said)
            assert true(certificate, case), (words, said)
            self.seen["finer"] += 1
        else:
            assert theirs.exit_code == said.exit_code or said.exit_code == 5, (words, said, theirs)
            self.seen["same code" if theirs.code == said.code else "another code"] += 1
        self.seen[said.code] += 1
        return said


@cache
def case_of(model: Path, problem: str | None) -> Case:
    """A model file as the oracle takes it, with a problem (JSON), or max-of-k."""
    file = read_model(model.read_bytes())
    given = json.loads(problem) if problem else max_of_k(file.extents["d_vocab"], file.extents["n_ctx"])
    tensors = {name: np.vectorize(float)(tensor) for name, tensor in file.tensors.items()}
    return Case(tensors, None if file.plain else file.architecture, given)


@cache
def regions_of(case: Case, margin: Fraction) -> list[Region]:
    """The truth at a margin."""
    return case.oracle.regions(case.problem, margin)


def true(certificate: bytes, case: Case) -> bool:
    """Is a claim true? Every input is looked at by the oracle; of a profile at every margin."""
    predicate = read_certificate(certificate)["predicate"]
    claim = predicate["claim"]
    for entry in [*claim.get("profile", []), {**claim, "margin": predicate["margin"]}]:
        regions = regions_of(case, Fraction(entry["margin"]))
        if entry["correct"] > sum(region.correct for region in regions):
            return False
        if entry["wrong"] > sum(region.wrong + region.open for region in regions):
            return False
    with precision(400):
        return "mean_loss" not in claim or not arb(rational(Fraction(claim["mean_loss"]))) < mean_loss(case)
