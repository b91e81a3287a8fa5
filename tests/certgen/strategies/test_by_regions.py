"""Strategies about regions: accepted, true, one better than the other; what they are for, and what not."""

import json
import re
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from certgen import prove
from certgen.certificate.statement import Certificate
from certgen.cli import app
from certgen.errors import UserError
from certgen.models.model_file import load_model
from certgen.proving import applies, ask, default_strategy
from certgen.regions import search
from certgen.strategies import by_regions
from tests.support.any_case import Case
from tests.support.any_problem import Json
from tests.support.fitted import fitted_case
from tests.support.layer_cases import PROBLEM, layer_case
from tests.support.random_problems import checked, problem_of

STRATEGIES = ("regions", "separable", "adaptive")
PRE: dict[str, Any] = {"normalization": "LN", "norms": ["pre"], "eps": "1/100000"}
THREE: Json = {"inputs": [{"tokens": "0-3"}] * 3, "label": {"name": "min"}}
ZIPF = [{"tokens": "0-3", "weights": [12, 6, 4, 3]}] * 3
PARITY = {"name": "automaton", "states": 2, "start": 0, "next": [[0, 1, 0, 1], [1, 0, 1, 0]], "output": [2, 0]}
HEAVY = {"tokens": "0-3", "weights": [10**200, 10**200, 1, 0]}

CASES: dict[str, tuple[Json, Fraction, dict[str, Any]]] = {
    "smallest": (THREE, Fraction(0), {"heads": 2}),
    "smallest, one head, causal": (THREE, Fraction(1, 7), {"mask": "causal"}),
    "smallest of some": (THREE | {"label": {"name": "min", "of": [0, 2]}, "readout": 1}, Fraction(0), {"heads": 3}),
    "second": (THREE | {"label": {"name": "nth-largest", "n": 2}}, Fraction(1, 9), {"heads": 2, "activation": "relu"}),
    "sum": (
        THREE | {"label": {"name": "sum-mod", "modulus": 2}, "readout": 0},
        Fraction(0),
        {"activation": "gelu_erf"},
    ),
    "automaton": ({"inputs": ZIPF, "label": PARITY}, Fraction(0), {"heads": 2, "activation": "silu"}),
    "Zipf": (THREE | {"inputs": ZIPF}, Fraction(1, 5), {"heads": 2, "activation": "gelu_tanh"}),
    "normed": (THREE | {"inputs": ZIPF, "label": {"name": "last"}, "readout": 1}, Fraction(0), {"heads": 2, **PRE}),
    "argmax": (THREE | {"label": {"name": "argmax"}, "readout": 1}, Fraction(1), {"heads": 3, **PRE}),
    "majority": (THREE | {"label": {"name": "majority"}}, Fraction(0), {"heads": 2, "mask": "causal"}),
    "contains": (THREE | {"label": {"name": "contains", "token": 2}}, Fraction(0), {"activation": "relu"}),
    "final": (THREE, Fraction(0), {**PRE, "norms": ["final"], "eps": "3"}),
    "largest": (THREE | {"label": {"name": "max"}}, Fraction(0), {"heads": 2}),
    "beyond any float": (THREE | {"inputs": [HEAVY] * 3}, Fraction(0), {"heads": 2}),
}
SEEN: Counter[str] = Counter()


def proofs(case: Case, folder: Path, **given: Any) -> list[Certificate]:
    """By each strategy, in order."""
    path = case.write(folder / "model")
    return [prove(path, name, problem=problem_of(case.problem), margin=case.margin, **given) for name in STRATEGIES]


@pytest.fixture(autouse=True)
def few_splits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(by_regions, "MOST_SPLITS", 40)


@pytest.mark.parametrize("what", CASES)
def test_what_is_proved_is_accepted_and_true_and_more_with_more_effort(what: str, tmp_path: Path) -> None:
    problem, margin, given = CASES[what]
    case = fitted_case(3, problem, **given)
    case.margin = margin
    truth = case.oracle.regions(problem, margin)
    correct = {(label, 1 << query): weight for label, query, weight, *_ in truth}
    claimed = []
    for certificate in proofs(case, tmp_path):
        verdict = checked(load_model(tmp_path / "model"), certificate)
        claim = certificate.predicate.claim
        assert (verdict.correct, verdict.wrong, verdict.total) == (claim.correct, claim.wrong, claim.total)
        counts = certificate.predicate.steps[2].conclusion.model_dump()["counts"]
        assert sum(count[3] for count in counts) == claim.correct
        for label, query, _, weight, _ in counts:
            assert weight <= correct[label, query]
        claimed.append(claim.correct)
    assert claimed == sorted(claimed)
    assert claimed[0] < claimed[2] or claimed[0] in (0, sum(correct.values()))
    SEEN.update(cases=1, some=claimed[2] > 0, all=claimed[2] == sum(correct.values()), less=claimed[0] < claimed[2])


def test_most_of_that_is_between_nothing_and_everything() -> None:
    """Of the cases above: something is proved of nearly each, and splitting was worth its while."""
    if SEEN["cases"] == len(CASES):
        print(dict(SEEN))
        assert SEEN["some"] > 0.8 * SEEN["cases"]
        assert SEEN["less"] > 0.7 * SEEN["cases"]


@pytest.fixture
def halfway(tmp_path: Path) -> tuple[Path, Json]:
    """A model of which separable proves less than adaptive, and that less than all."""
    problem = CASES["second"][0]
    return fitted_case(4, problem, heads=2).write(tmp_path / "model"), problem


def test_splitting_goes_no_further_than_the_target(halfway: tuple[Path, Json]) -> None:
    path, problem = halfway
    asked = problem_of(problem)
    least, most = (prove(path, name, problem=asked) for name in ("separable", "adaptive"))
    assert least.predicate.claim.correct + 3 < most.predicate.claim.correct < 64
    wanted = (least.predicate.claim.correct + most.predicate.claim.correct) // 2
    found = prove(path, problem=asked, target=Fraction(wanted, 64))
    assert found.predicate.strategy == "adaptive"
    assert wanted <= found.predicate.claim.correct <= most.predicate.claim.correct
    assert len(found.to_bytes()) < len(most.to_bytes())
    assert checked(load_model(path), found).correct == found.predicate.claim.correct
    assert prove(path, "adaptive", problem=asked, target=0).predicate.claim == least.predicate.claim
    with pytest.raises(UserError, match=rf"only {most.predicate.claim.correct}/64 .* could be proved") as refused:
        prove(path, "adaptive", problem=asked, target=1)
    assert "brute-force" in refused.value.hint
    with pytest.raises(UserError, match="no length can be chosen for nth-largest 2 in 3 positions, 1L2H"):
        prove(path, "adaptive", problem=asked, max_length=1000)


def test_it_tells_how_the_bound_grew(
    halfway: tuple[Path, Json], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path, problem = halfway
    monkeypatch.setattr(search, "ROUND", 2)
    (tmp_path / "problem.json").write_text(json.dumps(problem))
    command = ["prove", str(path), "--problem", str(tmp_path / "problem.json"), "--strategy"]
    said = [CliRunner().invoke(app, [*command, name, "-o", str(tmp_path / name)]).stdout for name in STRATEGIES[1:]]
    assert "Splitting" not in said[0]
    (line,) = [line for line in said[1].splitlines() if "Splitting" in line]
    steps = re.findall(r"(0\.\d{5}) with (\d+)[, ]", line)
    assert line == f"Splitting regions: accuracy >= {', '.join(' with '.join(step) for step in steps)} splits"
    bounds, splits = zip(*steps, strict=True)
    assert len(bounds) > 2
    assert list(bounds) == sorted(bounds)
    assert [int(number) for number in splits[:3]] == [0, 2, 4]
    for text, bound in zip(said, (bounds[0], bounds[-1]), strict=True):
        assert f"({bound})" in text


POST = {"normalization": "LN", "norms": ["post"], "eps": "1/4"}
OTHERS: list[tuple[dict[str, Any], str]] = [
    ({"blocks": 2}, "it has 2 blocks"),
    ({"pool": "sum"}, "pooled over positions"),
    ({"readout_layers": 1}, "between the readout and the logits"),
    (POST, "LayerNorm after attention"),
    (POST | {"norms": ["pre"], "activation": "relu"}, "an MLP and LayerNorm"),
    (POST | {"norms": ["final"], "activation": "silu"}, "an MLP and LayerNorm"),
]


@pytest.mark.parametrize(("given", "reason"), OTHERS)
def test_other_models_are_for_brute_force_alone(given: dict[str, Any], reason: str, tmp_path: Path) -> None:
    problem = {key: value for key, value in PROBLEM.items() if key != "readout"}
    path = layer_case(problem=problem, **given).write(tmp_path / "model")
    asked = problem_of(problem)
    for name in STRATEGIES:
        with pytest.raises(UserError, match=f"the strategy {name} is for one attention layer.*{reason}") as refused:
            prove(path, name, problem=asked)
        assert refused.value.hint == "the strategy brute-force is for every model and problem"
        assert not applies(ask(path, asked, Fraction(0)), name)
    with pytest.raises(UserError, match="the strategy cubic is for max-of-k") as refused:
        prove(path, "cubic", problem=asked)
    assert "adaptive for every model with one attention layer" in refused.value.hint
    assert default_strategy(ask(path, asked, Fraction(0))) == "brute-force"
    with pytest.raises(UserError, match=f"only the strategy brute-force .*{reason}.*; it has no target to choose"):
        prove(path, problem=asked, target="0.5")


def test_brute_force_is_the_default_while_regions_take_as_long(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = layer_case(heads=2).write(tmp_path / "model")
    question = ask(path, problem_of(PROBLEM), Fraction(0))
    assert default_strategy(question) == "brute-force"
    assert default_strategy(question, demanding=True) == "adaptive"
    assert prove(path, problem=problem_of(PROBLEM)).predicate.strategy == "brute-force"
    monkeypatch.setattr("certgen.proving.QUICK", 0)
    monkeypatch.setattr("certgen.proving.region_work", lambda model, task: 1 << 40)
    assert default_strategy(question) == "brute-force"
    monkeypatch.setattr("certgen.proving.region_work", lambda model, task: 0)
    assert default_strategy(question) == "adaptive"
    assert prove(path, problem=problem_of(PROBLEM)).predicate.strategy == "adaptive"
