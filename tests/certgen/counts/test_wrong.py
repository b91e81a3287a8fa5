"""certgen wrong: what it lists is wrong, by what it says, and the worst first."""

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest

from certgen.counts.wrong import WrongSequence, wrong_sequences
from certgen.models.circuits import Circuits
from certgen.models.model_file import load_model
from certgen.progress import quiet
from tests.support.generators import KINDS, Sizes, TinyModel, tensors_of
from tests.support.oracle import Oracle
from tests.support.tiny import tiny_model, zero_tensors


def listed(path: Path, limit: int, margin: Fraction = Fraction(0)) -> list[WrongSequence]:
    return wrong_sequences(Circuits(load_model(path), margin), limit, quiet)


@pytest.mark.parametrize("seed", range(24))
def test_every_wrong_sequence_is_listed_and_no_other(tmp_path: Path, seed: int) -> None:
    kind = [kind for kind in KINDS if kind not in ("extreme", "wild")][seed % 4]
    path = TinyModel(kind, "F64", tensors_of(kind, Sizes(3 + seed % 2, 1 + seed % 3, 2, 2), seed)).write(tmp_path / "m")
    margin = Fraction(seed % 3, 7)
    truth = Oracle(path).truth(margin)
    rows = listed(path, 10_000, margin)
    assert len({row.sequence for row in rows}) == len(rows) <= truth.total - truth.correct
    if truth.clear == truth.correct:
        assert len(rows) == truth.total - truth.correct
    for row in rows:
        assert max(row.sequence) == row.m != row.rival
        assert row.ahead + float(margin) >= -1e-12
    assert all(first.ahead >= second.ahead for first, second in pairwise(rows))


def test_ties_are_wrong(tmp_path: Path) -> None:
    rows = listed(tiny_model(tmp_path / "ties", zero_tensors(2, 2, 1, 1)), 10)
    assert {row.sequence for row in rows} == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert {row.ahead for row in rows} == {0.0}


def test_the_limit_keeps_the_worst(tmp_path: Path) -> None:
    path = TinyModel("normal", "F64", tensors_of("normal", Sizes(4, 3, 2, 2), 5)).write(tmp_path / "m")
    everything = listed(path, 10_000)
    assert listed(path, 3) == everything[:3]
    assert len(everything) > 3
