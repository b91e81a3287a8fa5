"""Accepted certificates of every strategy, changed in every way at many places, are refused or still true."""

from collections import Counter

import pytest

from tests.mutants.certificates import outcomes
from tests.mutants.changes import KINDS
from tests.mutants.subjects import Subject, subjects


@pytest.fixture(scope="module")
def accepted(tmp_path_factory: pytest.TempPathFactory) -> list[Subject]:
    return subjects(tmp_path_factory.mktemp("subjects"))


@pytest.mark.parametrize("mutants", [2000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_mutants_are_refused_or_true(mutants: int, accepted: list[Subject]) -> None:
    seen: Counter[tuple[str, str]] = Counter()
    for one in outcomes(accepted, mutants):
        assert not one.lie, one
        assert one.word in ("VERIFIED", "REJECTED", "MALFORMED", "OTHER-MODEL", "RESOURCE-LIMIT", "UNCHANGED"), one
        seen[one.kind, one.word] += 1
    assert sum(seen.values()) >= 0.95 * mutants
    assert {kind for kind, _ in seen} == set(KINDS)
    words = {kind: {word for of, word in seen if of == kind} for kind in KINDS}
    assert words["a field doubled"] == words["a value of another type"] == {"MALFORMED"}
    assert words["another model"] == {"OTHER-MODEL"}
    assert words["a bit of the model"] == {"OTHER-MODEL", "MALFORMED"}
    for word in ("VERIFIED", "REJECTED", "MALFORMED", "OTHER-MODEL"):
        assert sum(number for (_, of), number in seen.items() if of == word) > 0.03 * mutants
