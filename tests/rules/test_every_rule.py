"""Rules together: whatever the arguments, what they grant is true. `pytest -s` prints how often what happened."""

import ast
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checker.errors import Rejected
from checker.rules import RULES
from tests.support import cubic_readings, sub_cubic_readings
from tests.support.attacks import attack, coarse_proofs, critical, sub_cubic_attack
from tests.support.checking import outcome, verdict
from tests.support.generators import GOOD_KINDS, KINDS, Sizes, TinyModel, margins, models, tensors_of
from tests.support.mutations import one_more
from tests.support.one_rule import honest, refusal, said
from tests.support.oracle import Oracle
from tests.support.quick_and_slow import quick_and_slow


def without(fields: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key != name}


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_has_a_file_of_three_kinds(rule: str) -> None:
    tree = ast.parse((Path(__file__).parent / f"test_{rule}.py").read_text())
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert functions >= {"test_accepted", "test_refused_by_reason", "test_attacked"}


@pytest.mark.parametrize("part", ["args", "conclusion"])
@pytest.mark.parametrize("rule", RULES)
def test_a_step_has_exactly_the_fields_of_its_rule(rule: str, part: str) -> None:
    proof = honest(rule)
    assert said(proof) == ("", "")
    assert refusal(proof, part, [])[0] == "wrong-type"
    assert refusal(proof, part, lambda fields: fields | {"more": 1})[0] == "unknown-field"
    for name in proof.steps[-1][part]:
        assert refusal(proof, part, lambda fields, name=name: without(fields, name))[0] == "missing-field"
        assert refusal(proof, f"{part}.{name}", None)[0] == "wrong-type"


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_takes_exactly_its_premises(rule: str) -> None:
    """Not one fewer, not one more, none of another type, none that comes later."""
    proof = honest(rule)
    right = proof.steps[-1]["premises"]
    for wrong in (right[:-1], [*right, 0], [0] * len(right)):
        if wrong != right and not (RULES[rule].repeat and wrong == right[:-1]):  # which takes any number
            assert refusal(proof, "premises", wrong) == ("wrong-premises", "premises")
    for number in (-1, len(proof.steps) - 1, len(proof.steps)):
        assert refusal(proof, "premises", [*right, number]) == ("bad-premise", f"premises[{len(right)}]")


@quick_and_slow(150, 4000)
def test_the_strongest_facts_under_any_arguments_are_true(run: settings, workspace: Path) -> None:
    """Accepted with equality, at most the truth; and one more sequence anywhere is one too many."""
    seen: Counter[str] = Counter()

    @run
    @given(model=models(), margin=margins(), data=st.data())
    def true(model: TinyModel, margin: Fraction, data: st.DataObject) -> None:
        path = model.write(workspace / "model")
        oracle = Oracle(path)
        margin = critical(oracle, margin, data.draw)
        statement = attack(path, margin, data.draw)
        truth = oracle.truth(margin)
        result = verdict(path, statement)
        correct = result.correct
        assert correct == statement["predicate"]["claim"]["correct"] <= truth.correct
        assert result.wrong == statement["predicate"]["claim"]["wrong"] <= truth.total - truth.correct
        seen["cases"] += 1
        seen["0 < certified"] += correct > 0
        seen["0 < certified < truth"] += 0 < correct < truth.correct
        seen["certified = truth > 0"] += 0 < correct == truth.correct

        one_more(data.draw, statement)
        refusal = outcome(path, statement)
        assert isinstance(refusal, Rejected)
        assert refusal.code == "count-too-large"

    true()
    print(f"\nstrongest facts: {dict(seen)}")
    assert seen["0 < certified"] > 0.2 * seen["cases"]


@quick_and_slow(250, 5000)
def test_the_strongest_facts_of_the_sub_cubic_family_are_true(run: settings, workspace: Path) -> None:
    seen: Counter[str] = Counter()

    @run
    @given(model=models(GOOD_KINDS * 5 + KINDS), margin=st.just(Fraction(0)) | margins(), data=st.data())
    def true(model: TinyModel, margin: Fraction, data: st.DataObject) -> None:
        path = model.write(workspace / "model")
        oracle = Oracle(path)
        margin = critical(oracle, margin, data.draw)
        seen["cases"] += 1
        try:
            statement = sub_cubic_attack(path, margin, data.draw)
        except Rejected as refusal:
            seen[refusal.code] += 1
            return
        truth = oracle.truth(margin)
        result = verdict(path, statement)
        correct = result.correct
        assert correct == statement["predicate"]["claim"]["correct"] <= truth.correct
        assert result.wrong == statement["predicate"]["claim"]["wrong"] <= truth.total - truth.correct
        seen["accepted"] += 1
        seen["more than the constant sequences"] += correct > len(model.tensors["embed.W_E"])
        seen["0 < certified < truth"] += 0 < correct < truth.correct

    true()
    print(f"\nstrongest facts, sub-cubic: {dict(seen)}")
    assert seen["accepted"] > 0.5 * seen["cases"]
    assert seen["more than the constant sequences"] > 5


@pytest.mark.parametrize("seeds", [range(200), pytest.param(range(200, 2200), marks=pytest.mark.slow)], ids=str)
def test_coarse_precision_never_helps(seeds: range, workspace: Path) -> None:
    """With a margin at which one sequence is wrong by a hair, an error of rounding in the wrong direction is a lie."""
    seen: Counter[str] = Counter()
    for seed in seeds:
        rng = np.random.default_rng(seed)
        kind = (*GOOD_KINDS, "ramp", "normal")[seed % 4]
        sizes = Sizes(
            int(rng.integers(2, 5)), int(rng.integers(1, 5)), int(rng.integers(2, 6)), int(rng.integers(2, 5))
        )
        path = TinyModel(kind, "F64", tensors_of(kind, sizes, seed)).write(workspace / "model")
        oracle = Oracle(path)
        margin = oracle.barely_wrong_margin(tuple(rng.integers(0, sizes.v, size=sizes.k).tolist()))
        correct = oracle.truth(margin).correct
        for name, certified in coarse_proofs(path, margin, rng):
            assert certified <= correct, (name, seed)
            seen[name] += certified > 0
        seen["models"] += 1
    print(f"\ncertified > 0 at few bits: {dict(seen)}")
    assert all(seen[name] for name in seen)


def test_every_reading_has_an_example() -> None:
    examples = cubic_readings.EXAMPLES
    assert {example.reading for example in examples} == set(cubic_readings.READINGS)
    assert {example.lie for example in examples} == set(cubic_readings.LIES) == set(cubic_readings.REFUSING)


def test_every_inference_has_an_example() -> None:
    assert {example.reading for example in sub_cubic_readings.EXAMPLES} == set(sub_cubic_readings.READINGS)
