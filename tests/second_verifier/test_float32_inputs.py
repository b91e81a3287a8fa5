"""Both verifiers on float32_inputs: what they grant is the same, but for inputs that rounding to units leaves open."""

import random
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from flint import arb

from checker.rules import RULES
from tests.rules.test_float32_inputs import ball_of
from tests.second_verifier.float32_inputs import BITS, Computed, TooMuch, float32_inputs
from tests.second_verifier.model_file import read_model
from tests.second_verifier.problem import fitting
from tests.second_verifier.refusal import Refused
from tests.second_verifier.setting import Model, Setting
from tests.support.agreement import Agreement
from tests.support.any_case import Case, certificate
from tests.support.any_oracle import precision
from tests.support.edits import Edit, Statement, edited, put, to_bytes
from tests.support.float32_any import any_float_model
from tests.support.float32_unseen import UNSEEN
from tests.support.problems import of_case

RULE = "float32_inputs"
SEEDS = [range(30), pytest.param(range(30, 3000), marks=pytest.mark.slow)]


def ours(case: Case) -> tuple[int, int]:
    file = read_model(case.data)
    found = float32_inputs(Setting(Model(file), fitting(case.problem, file), False, case.margin), [], {})
    return found["correct"], found["wrong"]


def theirs(case: Case, bits: int) -> tuple[int, int]:
    found: Any = RULES[RULE].derive(of_case(case), (), {"bits": (bits,)})
    return found.correct, found.wrong


@pytest.mark.parametrize("case", UNSEEN.values(), ids=UNSEEN)
def test_they_ask_that_what_is_not_seen_are_numbers(case: Case) -> None:
    assert ours(case) == theirs(case, 64) == (1, 0)


@pytest.mark.parametrize("seeds", SEEDS, ids=str)
def test_they_say_how_far_logits_move(seeds: range) -> None:
    """The same, but for what units, roots and a few more roundings add; at which numbers nothing is said, too."""
    seen: Counter[str] = Counter()
    for seed in seeds:
        case, rng = any_float_model(seed, 24), random.Random(seed)
        tokens = [rng.randrange(2) for _ in case.problem["inputs"]]
        ball, file = ball_of(case, tokens), read_model(case.data)
        setting = Setting(Model(file), fitting(case.problem, file), False, Fraction(0))
        with precision(BITS):
            try:
                _, moved = Computed(setting).logits(tuple(tokens), setting.inputs.readout(setting.model.oracle.pooled))
            except TooMuch:
                assert ball is None, seed
                seen["nothing is said"] += 1
                continue
            least = float(moved)
            said = least if ball is None else float(arb(ball.radius) / 2**64)
        seen[f"{case.architecture['normalization']} {ball is None}"] += 1
        more = 1.001 if case.architecture["normalization"] == "none" else 1.1
        assert least <= said, (seed, case.architecture)
        if least < 1:  # near what is too coarse a little more in between is much more in the end
            assert said <= more * least + 2.0**-53, (seed, case.architecture)
    assert (
        min(seen["none False"], seen["LN False"], seen["LNPre False"]) > 1 and seen["LN True"] + seen["none True"] < 2
    )


@pytest.mark.parametrize("seeds", SEEDS, ids=str)
def test_they_grant_the_same(seeds: range) -> None:
    """Of random models of any architecture, where the margin is near what some input wins by. Ours grants no less."""
    seen: Counter[str] = Counter()
    for seed in seeds:
        case, rng = any_float_model(seed, 24), random.Random(seed)
        tokens = tuple(rng.randrange(2) for _ in case.problem["inputs"])
        lead = case.oracle.lead(tokens, case.problem.get("readout"), int(0 in tokens)) or Fraction(0)
        case.margin = Fraction(round(lead * (1 << 40)), 1 << 40) + Fraction(
            rng.choice([-1, 0, 1]), 1 << rng.choice([8, 18])
        )
        mine, other = ours(case), theirs(case, rng.choice([40, 64]))
        assert other[0] <= mine[0] and other[1] <= mine[1], seed
        seen["the same"] += mine == other
        seen["open"] += sum(mine) < 2 ** len(tokens)
    assert seen["the same"] >= 0.9 * len(seeds) and seen["open"] > len(seeds) // 8, seen


@pytest.mark.parametrize(
    ("value", "code"),
    [(2.0**-149, ""), (2.0**-150, "not-float32"), (1 + 2.0**-24, "not-float32"), (2.0**24, "beyond-float32")],
)
def test_they_refuse_the_same_weights(value: float, code: str) -> None:
    case = any_float_model(3, 24)
    case.tensors["unembed.b_U"][0] = value
    said = []
    for verifier in (ours, lambda case: theirs(case, 64)):
        try:
            verifier(case)
            said.append("")
        except Exception as refused:
            said.append(getattr(refused, "code", str(refused)))
    assert said == [code, code]
    assert code == "" or issubclass(Refused, Exception)


def about_float32(case: Case, counts: tuple[int, int], *edits: Edit) -> bytes:
    """One step, that evaluates every input."""
    whole: Statement = certificate(case, [64], [])
    conclusion = dict(zip(("correct", "wrong"), counts, strict=True))
    step = {"rule": RULE, "premises": [], "args": {"bits": [64]}, "conclusion": conclusion}
    whole["predicate"] |= {"semantics": "float32-any-order", "steps": [step]}
    whole["predicate"]["claim"] |= conclusion
    return to_bytes(edited(whole, *edits))


@pytest.mark.parametrize(
    ("edit", "exit_code", "code"),
    [
        (put("predicate", "strategy", value=""), 0, ""),
        (put("predicate", "semantics", value="exact-real"), 1, "nothing-proved"),
        (lambda whole: whole["predicate"]["claim"].update(correct=9), 1, "count-too-large"),
        (put("predicate", "steps", 0, "conclusion", "wrong", value=9), 1, "count-too-large"),
        (put("predicate", "steps", 0, "premises", value=[0]), 1, "bad-premise"),
        (put("predicate", "steps", 0, "args", value={}), 3, "missing-field"),
    ],
)
def test_certificates(edit: Edit, exit_code: int, code: str, tmp_path: Path) -> None:
    case, agreement = any_float_model(4, 24), Agreement()
    said = agreement.on(case.write(tmp_path / "model"), about_float32(case, theirs(case, 64), edit), case)
    assert (said.exit_code, said.code) == (exit_code, code)
    assert agreement.seen["finer"] == agreement.seen["another code"] == 0
