"""A search in pieces: the same certificate, several processes or none, and what was done before is not done again."""

import pickle
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from certgen import prove
from certgen.counts.evaluation import evaluate_pieces
from certgen.counts.work import evaluation_work
from certgen.errors import UserError
from certgen.models.model_file import Model
from certgen.proving import ask
from certgen.sweep import pieces
from certgen.sweep.engines import Local, Task
from certgen.sweep.pieces import in_pieces, search_for
from certgen.sweep.store import Record, Store
from tests.support.random_models import random_model, saved
from tests.support.random_problems import problem_of
from tests.support.tiny import near_correct, tiny_model

PROBLEM = problem_of({"inputs": [{"tokens": "0-3"}] * 3, "label": {"name": "contains", "token": 1}})


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Model:
    monkeypatch.setattr(pieces, "SIZE", 10)  # of 64 inputs
    return saved(random_model(np.random.default_rng(1), blocks=1, size=0.6), tmp_path / "model.safetensors")


class Elsewhere:
    """An engine whose workers get copies of their pieces, in another order; it breaks after some."""

    def __init__(self, most: int = 100) -> None:
        self.most, self.done = most, 0

    def __call__(self, tasks: Sequence[Task], store: Store) -> Iterator[tuple[Task, Record]]:
        for task in reversed(tasks):
            if self.done == self.most:
                raise KeyboardInterrupt
            self.done += 1
            yield task, pickle.loads(pickle.dumps(task)).execute()


@pytest.mark.parametrize("engine", [Elsewhere(), Local(1)])
def test_the_certificate_is_the_same(engine: Any, model: Model, tmp_path: Path) -> None:
    found = prove(model, problem=PROBLEM, search=in_pieces(tmp_path / "partial", engine))
    assert found == prove(model, problem=PROBLEM)
    assert not (tmp_path / "partial").exists()


def test_what_was_stopped_goes_on(model: Model, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        prove(model, problem=PROBLEM, search=in_pieces(tmp_path / "partial", Elsewhere(most=4)))
    rest = Elsewhere()
    found = prove(model, problem=PROBLEM, search=in_pieces(tmp_path / "partial", rest))
    assert rest.done == 3
    assert found == prove(model, problem=PROBLEM)


def test_another_question_is_another_search(model: Model, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        prove(model, problem=PROBLEM, search=in_pieces(tmp_path / "partial", Elsewhere(most=4)))
    other = Elsewhere()
    found = prove(model, problem=PROBLEM, margin="1/2", search=in_pieces(tmp_path / "partial", other))
    assert other.done == 7
    assert found == prove(model, problem=PROBLEM, margin="1/2")


def test_a_worker_that_dies_is_an_error_that_says_what_to_do(model: Model, tmp_path: Path) -> None:
    class Dying:
        def __call__(self, tasks: Sequence[Task], store: Store) -> Iterator[tuple[Task, Record]]:
            yield tasks[0], tasks[0].fail("killed")

    with pytest.raises(UserError, match="killed") as failed:
        prove(model, problem=PROBLEM, search=in_pieces(tmp_path / "partial", Dying()))
    assert "run the command again" in failed.value.hint


def test_only_a_long_search_is_cut(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    question = ask(model, PROBLEM, Fraction(0))
    output = tmp_path / "c.cert.json"
    assert search_for(question, output, Local(1), wanted=False) is evaluate_pieces
    assert search_for(question, output, Local(1), wanted=True) is not evaluate_pieces
    monkeypatch.setattr(pieces, "LONG", 1)
    assert search_for(question, output, Local(1), wanted=False) is not evaluate_pieces
    assert search_for(question, Path("/dev/stdout"), Local(1), wanted=False) is evaluate_pieces


def test_a_proof_that_evaluates_no_inputs_is_not_shared(tmp_path: Path) -> None:
    one_head = tiny_model(tmp_path / "m.safetensors", near_correct(np.random.default_rng(1), v=3, k=2))
    with pytest.raises(UserError, match="is proved on this machine"):
        search_for(ask(one_head, None, Fraction(0)), tmp_path / "c.cert.json", Local(1), wanted=True)


def test_a_piece_takes_some_seconds(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    question = ask(model, PROBLEM, Fraction(0))
    assert pieces.piece_size(question) == 10
    needed = evaluation_work(model, question.task)
    monkeypatch.setattr(pieces, "SEARCHED_A_SECOND", needed / pieces.SECONDS / 16)
    assert pieces.piece_size(question) == 4
    monkeypatch.setattr(pieces, "SEARCHED_A_SECOND", 0.01)
    assert pieces.piece_size(question) == 1
