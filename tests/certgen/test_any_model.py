"""The commands on models of every kind and problems of every kind, with the words of the problem."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from certgen import prove
from certgen.cli import app
from certgen.counts import wrong_inputs as search
from certgen.counts.wrong_inputs import wrong_inputs
from certgen.errors import UserError
from certgen.measures import accuracy, true_accuracy
from certgen.measures.error_table import error_table
from certgen.models.circuits import Circuits
from certgen.models.model_file import Model
from certgen.progress import quiet
from certgen.proving import ask
from checker.cli import check
from tests.support.random_models import plain_logits, random_model, saved
from tests.support.random_problems import problem_of, truth
from tests.support.tiny import near_correct, tiny_model

FIELDS: dict[str, Any] = {
    "inputs": [{"tokens": [2]}, {"tokens": "0-3"}, {"tokens": [0, 3]}],
    "label": {"name": "contains", "token": 1, "of": [1, 2]},
    "readout": 1,
}
TEXT = "contains 1 of 2 in 3 positions"


@pytest.fixture
def model(tmp_path: Path) -> Model:
    random = random_model(np.random.default_rng(1), blocks=2, heads=2, activation="relu", pool="none", size=0.6)
    return saved(random, tmp_path / "model.safetensors")


@pytest.fixture
def problem(tmp_path: Path) -> Path:
    path = tmp_path / "problem.json"
    path.write_text(json.dumps(FIELDS))
    return path


def run(*arguments: object) -> str:
    wide = {"COLUMNS": "300"}
    done = CliRunner().invoke(app, [*map(str, arguments)], env=wide, catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


def test_a_model_is_proved_and_told_in_the_words_of_its_problem(model: Model, problem: Path, tmp_path: Path) -> None:
    certificate = tmp_path / "c.cert.json"
    said = run("prove", model.path, "--problem", problem, "-o", certificate).splitlines()
    assert said[0].startswith("only the strategy brute-force is for models such as this one, 2L2H-relu")
    assert said[0].endswith(": 8 inputs are evaluated")
    verdict = check(str(model.path), str(certificate), problem_path=str(problem))
    assert verdict.task == TEXT
    told = run("explain", certificate)
    assert f"accuracy = {verdict.correct} / 8" in told
    assert "over all 8 inputs." in told
    assert f"Task {TEXT}." in told
    assert "token at position 1" in told
    assert "sequence" not in told
    assert json.loads(run("length", model.path, certificate, "--json"))["length"] > 0


def test_what_is_too_much_is_refused_before_anything_is_said(
    model: Model, problem: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("certgen.proving.UNASKED", 1)
    words = ["prove", str(model.path), "--problem", str(problem), "-o", str(tmp_path / "c.cert.json")]
    done = CliRunner().invoke(app, words)
    assert isinstance(done.exception, UserError)
    assert "8 inputs are too many to evaluate each one" in done.exception.message
    assert done.output == ""


def test_weights_are_told_as_weights(model: Model, tmp_path: Path) -> None:
    heavy = FIELDS | {"inputs": [{"tokens": [2]}, {"tokens": [1, 3], "weights": [5, 2]}, {"tokens": [0]}]}
    prove(model, problem=problem_of(heavy)).save(tmp_path / "c.cert.json")
    told = run("explain", tmp_path / "c.cert.json")
    assert "over all 2 inputs, by their weights, which are 7 together." in told


def test_a_strategy_that_does_not_apply_is_refused_by_name(model: Model) -> None:
    with pytest.raises(UserError, match=rf"the strategy cubic is for max-of-k .* {TEXT}, 2L2H-relu") as refused:
        prove(model, "cubic", problem=problem_of(FIELDS))
    assert "brute-force" in refused.value.hint
    with pytest.raises(UserError, match=r"only the strategy brute-force is for .* it has no target to choose"):
        prove(model, problem=problem_of(FIELDS), target="0.5")
    with pytest.raises(UserError, match="the strategy brute-force has no length or target to choose"):
        prove(model, "brute-force", problem=problem_of(FIELDS), target="0.5")


def test_one_head_asked_another_question_is_brute_force(tmp_path: Path) -> None:
    path = tiny_model(tmp_path / "m.safetensors", near_correct(np.random.default_rng(1), v=4, k=3))
    smallest = problem_of({"inputs": [{"tokens": "0-3"}] * 3, "label": {"name": "min"}})
    certificate = prove(path, problem=smallest)
    assert [step.rule for step in certificate.predicate.steps] == ["evaluate_inputs", "total"]
    with pytest.raises(UserError, match="the strategy exact is for max-of-k"):
        prove(path, "exact", problem=smallest)


@pytest.mark.parametrize("strategy", ["cubic", "brute-force", None])
def test_max_of_k_as_a_problem_file_keeps_every_strategy(strategy: str | None, tmp_path: Path) -> None:
    path = tiny_model(tmp_path / "m.safetensors", near_correct(np.random.default_rng(1), v=4, k=3))
    largest = {"inputs": [{"tokens": "0-3"}] * 3, "label": {"name": "max"}}
    certificate, plain = prove(path, strategy, problem=problem_of(largest)), prove(path, strategy)
    assert certificate.predicate.steps == plain.predicate.steps
    assert certificate.predicate.task.model_dump() == largest
    assert plain.predicate.task.model_dump() == {"name": "max-of-k", "k": 3}
    certificate.save(tmp_path / "c.cert.json")
    assert check(str(path), str(tmp_path / "c.cert.json")).task == "max in 3 positions"


def test_wrong_inputs_are_those_of_the_definition(model: Model, problem: Path) -> None:
    task = ask(model, problem, Fraction(0)).task
    expected = {}
    tokens = task.inputs(0, 8).tokens
    for row, label in zip(tokens.tolist(), task.labels(tokens).tolist(), strict=True):
        logits = plain_logits(model, row, 1)
        if max(np.delete(logits, label)) > logits[label]:
            expected[tuple(row)] = max(np.delete(logits, label)) - logits[label]
    rows = [json.loads(line) for line in run("wrong", model.path, "--problem", problem, "--json").splitlines()]
    assert {tuple(row["input"]): row["ahead"] for row in rows} == pytest.approx(expected)
    assert [row["ahead"] for row in rows] == sorted((row["ahead"] for row in rows), reverse=True)
    assert expected
    shown = run("wrong", model.path, "--problem", problem, "--limit", 1)
    assert "wrong output" in shown
    assert f"{TEXT}: every input was looked at." in shown


def test_of_too_many_inputs_a_sample_is_looked_at(model: Model, problem: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    question = ask(model, problem, Fraction(0))
    everything = wrong_inputs(question, 20, quiet)
    monkeypatch.setattr(search, "MOST_WORK", 1)
    monkeypatch.setattr(search, "PIECE", 3)
    found = wrong_inputs(question, 20, quiet)
    assert (found.seen <= 3, everything.seen) == (True, 8)
    assert set(found.inputs) <= set(everything.inputs)
    assert "a random sample of" in run("wrong", model.path, "--problem", problem)


def test_logits_are_read_where_the_problem_reads_them(model: Model, problem: Path) -> None:
    told = json.loads(run("logits", model.path, 2, 1, 0, "--problem", problem, "--json"))
    assert told["logits"] == pytest.approx(plain_logits(model, [2, 1, 0], 1))
    shown = run("logits", model.path, 2, 1, 0, "--problem", problem).splitlines()
    (line,) = (line for line in shown if "right" in line)
    assert line.split("│")[1].strip() == "1"
    assert json.loads(run("logits", model.path, 2, 1, "--json"))["logits"] == pytest.approx(plain_logits(model, [2, 1]))
    with pytest.raises(UserError, match="2 tokens given, and the problem has 3 positions"):
        run("logits", model.path, 2, 1, "--problem", problem)


@pytest.mark.parametrize("seed", range(5))
def test_the_true_accuracy_is_counted_or_sampled(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = saved(random_model(np.random.default_rng(seed), pool="none", size=0.6), tmp_path / "model.safetensors")
    asked = problem_of(FIELDS)
    found = true_accuracy(model, "0", asked)
    correct, _, close = truth(model, asked.bound_to(model), Fraction(0))
    assert close == 0
    assert found == accuracy.Accuracy(correct / 8, correct / 8, correct / 8, "exact")
    monkeypatch.setattr(accuracy, "MOST_COUNTED_WORK", 0)
    sampled = true_accuracy(model, "0", asked)
    assert sampled.how == "sampled n=4096, 99%"
    assert sampled.low <= found.accuracy <= sampled.high


def test_what_is_about_one_head_is_refused(model: Model) -> None:
    with pytest.raises(UserError, match="this is only for models with"):
        list(error_table(Circuits(model, Fraction(0))))


SPOILT: dict[str, tuple[tuple[Any, ...], Any, str]] = {
    "a label that is no output": (("steps", 0, "conclusion", "counts", 0, 0), 7, "inputs that its task does not have"),
    "a query that is no token": (("steps", 0, "conclusion", "counts", 0, 1), 1 << 9, "inputs that its task does not"),
    "no query": (("steps", 0, "conclusion", "counts", 0, 1), 0, "inputs that its task does not have"),
    "a number of positions that there is not": (("steps", 0, "conclusion", "counts", 0, 2), 8, "does not have"),
    "more than there are": (("steps", 0, "conclusion", "counts", 0, 3), 99, "more inputs than there are"),
    "more than was counted": (("claim", "wrong"), 99, "claims more than its steps count"),
    "another total": (("claim", "total"), 9, "weigh another sum"),
    "a last step about nothing": (("steps", 1, "premises"), [], "counts nothing"),
    "a last step about itself": (("steps", 1, "premises"), [1], "not an earlier one"),
    "too many tokens": (("model", "d_vocab"), 10**30, "beyond what can be evaluated"),
    "too few tokens": (("model", "d_vocab"), 2, "there is no token 2"),
    "too many positions": (("task",), {"name": "max-of-k", "k": 10**30}, "beyond what can be evaluated"),
    "another size": (("model", "d_extra"), 3, "model.d_extra"),
    "a readout layer too many": (("model", "d_readout_16"), 3, "model.d_readout_16"),
}


@pytest.mark.parametrize("what", SPOILT)
def test_what_does_not_fit_together_is_not_told(what: str, model: Model, problem: Path, tmp_path: Path) -> None:
    place, value, reason = SPOILT[what]
    statement = json.loads(prove(model, problem=problem).to_bytes())
    at = statement["predicate"]
    for part in place[:-1]:
        at = at[part]
    at[place[-1]] = value
    (tmp_path / "c.cert.json").write_text(json.dumps(statement))
    with pytest.raises(UserError, match=reason):
        run("explain", tmp_path / "c.cert.json")
