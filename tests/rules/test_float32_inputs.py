"""float32_inputs: accepted, refused by reason, attacked; no run of any float32 program of any model is outside of the
balls; and readings of what float32 does that some run is outside of."""

import inspect
import random
from collections import Counter
from fractions import Fraction
from functools import reduce
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest

import checker.arithmetic.float32 as moves
import checker.model.forward as forward
from checker.arithmetic.balls import Ball
from checker.errors import Rejected
from checker.facts import Float32Accuracy
from checker.model.weights import read_weights
from checker.rules import RULES
from tests.support.any_case import Case
from tests.support.any_problem import Inputs
from tests.support.derivations import Derivation
from tests.support.float32_any import AnyhowElse, against, any_float_model, run_any
from tests.support.float32_runs import wins
from tests.support.float32_torch import in_pytorch
from tests.support.float32_unseen import UNSEEN
from tests.support.layer_cases import layer_case
from tests.support.one_rule import (
    MARGIN,
    Refused,
    holds,
    honest,
    longer,
    more,
    refusal,
    refusals,
    said,
    small_model,
)
from tests.support.problems import of_case

RULE = "float32_inputs"
BITS = 64
FEW_AND_MANY = [range(30), pytest.param(range(30, 3000), marks=pytest.mark.slow)]


def test_accepted() -> None:
    """As much as the proof by evaluate_inputs at a distance from the margin, and nothing that is not true."""
    proof = honest(RULE)
    assert said(proof) == ("", "")
    fact: Any = proof.facts[-1]
    assert isinstance(fact, Float32Accuracy) and holds(fact, small_model())
    far = Derivation(small_model().path, MARGIN + Fraction(1, 1 << 12))
    above = far.derive("evaluate_inputs", [], {"bits": [60]})
    assert fact.correct >= sum(count.correct for count in above.counts) > 0
    assert 0 < fact.wrong < 27


REFUSED: list[Refused] = [
    ("conclusion.correct", more, "count-too-large", "conclusion.correct"),
    ("conclusion.wrong", more, "count-too-large", "conclusion.wrong"),
    ("args.bits", [], "out-of-range", "args.bits"),
    ("args.bits", 40, "wrong-type", "args.bits"),
    ("args.bits", longer, "not-increasing", "args.bits"),
    ("args.bits", [7], "out-of-range", "args.bits[0]"),
    ("args.bits", [8], "count-too-large", "conclusion.correct"),
    ("premises", [0], "wrong-premises", "premises"),
    ("conclusion.margin", "0", "unknown-field", "conclusion"),
]


@refusals(REFUSED)
def test_refused_by_reason(place: str, change: Any, code: str, at: str) -> None:
    if place == "conclusion.margin":
        place, change = "conclusion", lambda fields: {**fields, "margin": "0"}
    assert refusal(honest(RULE), place, change) == (code, at)


def refused(case: Case) -> str:
    try:
        RULES[RULE].derive(of_case(case), (), {"bits": (BITS,)})
    except Rejected as refusal:
        return refusal.code
    return ""


@pytest.mark.parametrize(
    ("value", "code"),
    [(1 + 2.0**-23, ""), (1 + 2.0**-24, "not-float32"), (2.0**-150, "not-float32"), (2.0**24, "beyond-float32")],
)
def test_weights_are_float32_numbers_of_a_usual_size(value: float, code: str) -> None:
    case = layer_case(blocks=2)
    case.tensors["blocks.1.attn.b_K"][0, 0] = value
    assert refused(case) == code


@pytest.mark.parametrize(
    ("squared", "code"), [("65536", ""), ("65537", "beyond-float32"), ("1/65536", ""), ("1/65537", "beyond-float32")]
)
def test_scales_of_a_usual_size(squared: str, code: str) -> None:
    assert refused(layer_case(attn_scale_squared=squared)) == code


def test_of_numbers_that_could_overflow_nothing_is_said() -> None:
    """Of one input: another one is evaluated all the same."""
    case = layer_case(problem={"inputs": [{"tokens": "0-1"}], "label": {"name": "contains", "token": 0}})
    for name, x in case.tensors.items():
        case.tensors[name] = np.zeros_like(x)
    case.tensors["embed.W_E"][:2, 0] = 2.0**13, 1
    case.tensors["unembed.W_U"][0, :2] = 2.0**12, -1
    found: Any = RULES[RULE].derive(of_case(case), (), {"bits": (BITS,)})
    assert found.correct + found.wrong == 1
    case.tensors["embed.W_E"][0, 0] = 2.0**10
    found = RULES[RULE].derive(of_case(case), (), {"bits": (BITS,)})
    assert found.correct + found.wrong == 2


@pytest.mark.parametrize("case", UNSEEN.values(), ids=UNSEEN)
def test_what_is_not_seen_must_be_numbers_too(case: Case) -> None:
    """Position 0 is read, and sees itself only. There PyTorch multiplies the value of position 1 by 0."""
    fine, no_numbers = in_pytorch(case, [[0, 0], [0, 1]])
    assert np.isfinite(fine).all() and np.isnan(no_numbers).all()
    found: Any = RULES[RULE].derive(of_case(case), (), {"bits": (BITS,)})
    assert (found.correct, found.wrong) == (1, 0)
    exact: Any = RULES["evaluate_inputs"].derive(of_case(case), (), {"bits": (BITS,)})
    assert sum(count.correct for count in exact.counts) == 2


# Ties, and what is almost one


@pytest.mark.parametrize(("margin", "decided"), [(0, 0), (Fraction(1, 16), 1), (-Fraction(1, 16), 1)])
def test_a_tie_is_open(margin: Fraction, decided: int) -> None:
    """Both logits are the same number, which programs sum in any order; so they may answer either."""
    made = layer_case(problem={"inputs": [{"tokens": [0]}], "label": {"name": "contains", "token": 0}}, outputs=2)
    case = Case(made.tensors, made.entry, made.problem, margin)
    U = case.tensors["unembed.W_U"]
    U[:], case.tensors["unembed.b_U"][:] = U[:, :1], 0
    found: Any = RULES[RULE].derive(of_case(case), (), {"bits": (BITS,)})
    assert found.correct + found.wrong == decided
    assert (found.correct > 0) == (margin < 0)


# No run is outside


def ball_of(case: Case, tokens: list[int], bits: int = BITS) -> Ball | None:
    """Of the logits."""
    readout = case.problem["readout"] if case.architecture["pool"] == "none" else None
    model = forward.Forward(read_weights(case.data), len(tokens), readout, bits, float32=True)
    return model.logits(reduce(model.after, tokens, model.start))


def outside(logits: list[float], ball: Ball, bits: int = BITS) -> float:
    """How far, as a part of the radius: 1 at its edge."""
    unit = 2.0**-bits
    off = max(abs(logit - centre * unit) for logit, centre in zip(logits, ball.centre, strict=True))
    return off / (ball.radius * unit)


@pytest.mark.parametrize("digits", [14, 24])
@pytest.mark.parametrize("seeds", FEW_AND_MANY, ids=str)
def test_no_run_of_any_machine_is_outside(seeds: range, digits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of any architecture. With few digits errors are large, and one that is forgotten is seen soon."""
    monkeypatch.setattr(moves, "DIGITS", digits)
    nearest = {"open": 0.0, "anyhow": 0.0, "against": 0.0}
    for seed in seeds:
        case, rng = any_float_model(seed, digits), random.Random(seed)
        tokens = [rng.randrange(2) for _ in case.problem["inputs"]]
        ball = ball_of(case, tokens)
        if ball is None:  # too coarse, with so few digits
            nearest["open"] += 1
            continue
        y, other = rng.sample(range(len(ball.centre)), 2)
        runs = {"anyhow": run_any(case, tokens, AnyhowElse(digits, rng))}
        runs["against"] = against(case, tokens, digits, seed, y, other)
        for name, logits in runs.items():
            ratio = outside(logits, ball)
            assert ratio <= 1 + 1e-9, (seed, name, case.architecture)
            nearest[name] = max(nearest[name], ratio)
    assert nearest["against"] > 0.6, "a bound that no machine comes near says little about what it forgets"
    assert nearest["open"] < len(seeds) // 2


@pytest.mark.parametrize("seeds", [range(12), pytest.param(range(12, 1200), marks=pytest.mark.slow)], ids=str)
def test_attacked(seeds: range) -> None:
    """At margins by which some input wins, or nearly so: no machine contradicts what is granted."""
    seen: Counter[str] = Counter()
    for seed in seeds:
        case, rng = any_float_model(seed, 24), random.Random(seed)
        inputs = list(Inputs(case.problem))
        tokens, _, label = rng.choice(inputs)
        logits = run_any(case, list(tokens), AnyhowElse(24, rng))
        lead = Fraction(logits[label] - max(logit for y, logit in enumerate(logits) if y != label))
        case.margin = lead + Fraction(rng.choice([-8, -1, 0, 1, 8]), 1 << rng.choice([12, 16, 20]))
        found: Any = RULES[RULE].derive(of_case(case), (), {"bits": (rng.choice([32, 48, 64]),)})
        truth = [0, 0]
        for tokens, weight, label in inputs:
            said = {wins(run_any(case, list(tokens), AnyhowElse(24, rng)), label, case.margin) for _ in range(2)}
            truth[0] += weight * (said == {True})
            truth[1] += weight * (said == {False})
        assert found.correct <= truth[0] and found.wrong <= truth[1], seed
        seen["correct"] += found.correct > 0
        seen["wrong"] += found.wrong > 0
        seen["open"] += found.correct + found.wrong < len(inputs)
    assert min(seen.values()) > len(seeds) // 8, seen


@pytest.mark.parametrize("seed", range(12))
def test_pytorch_is_inside(seed: int) -> None:
    """Its own LayerNorm, attention and activations, eager, on all inputs at once."""
    case = any_float_model(seed, 24, mask=["causal", "full"][seed % 2])
    inputs = [list(tokens) for tokens, _, _ in Inputs(case.problem)]
    balls = [ball_of(case, tokens) for tokens in inputs]
    for own in (True, False):
        for ball, logits in zip(balls, in_pytorch(case, inputs, own), strict=True):
            assert ball is None or outside(logits, ball) <= 1


# Readings

PLAIN = {
    "blocks": 1,
    "heads": 1,
    "mask": "causal",
    "attn_scale_squared": "1",
    "activation": "none",
    "readout_layers": 0,
}
PLAIN |= {"normalization": "none", "norms": [], "eps": "0", "pool": "none"}


class Reading(NamedTuple):
    """A change of the checker's code, and a model on which a run is outside of what it then says: its seed, fields of
    its architecture, and factors of some tensors, by what their names end with."""

    before: str
    after: str
    seed: int
    given: dict[str, Any]
    factors: dict[str, float]


READINGS = {
    "sums of products round nothing": Reading("gain + off(size, roundings, self.bits)", "gain", 4, {}, {}),
    "errors do not pass through matrices": Reading("shift_up(x.moved * part.gain, self.bits)", "0", 0, {}, {}),
    "values do not move": Reading(
        "max([ball.moved for ball in seen.values]) + shifted",
        "shifted",
        364,
        PLAIN,
        {"W_V": 64, "b_V": 64, "W_Q": 0, "W_K": 0},
    ),
    "the weights of LayerNorm do not count": Reading(
        "shift_up(moved * scale, self.bits)",
        "moved",
        75,
        {**PLAIN, "blocks": 0, "normalization": "LN", "norms": ["final"]},
        {"ln_final.w": 64, "ln_final.b": 0, "W_pos": 8},
    ),
    "an activation is exact": Reading(
        "+ off(length(x), ACT, self.bits)", "", 184, {**PLAIN, "activation": "silu"}, {"W_in": 16, "b_in": 16}
    ),
    "a sum over positions rounds nothing": Reading(
        "off(sum(map(length, parts)), len(parts) + 3, bits)",
        "0",
        2,
        {**PLAIN, "blocks": 0, "pool": "sum"},
        {"W_pos": 64, "W_E": 64},
    ),
}
DIGITS = 16


@pytest.mark.parametrize("name", READINGS)
def test_some_run_is_outside_of_a_reading(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And inside of what the rule says."""
    reading = READINGS[name]
    seed, given = reading.seed, reading.given
    case, rng = any_float_model(seed, DIGITS, **given), random.Random(seed)
    for tensor, x in case.tensors.items():
        for ending, factor in reading.factors.items():
            case.tensors[tensor] = x * factor if tensor.endswith(ending) else case.tensors[tensor]
    tokens = [rng.randrange(2) for _ in case.problem["inputs"]]
    monkeypatch.setattr(moves, "DIGITS", DIGITS)
    right = ball_of(case, tokens)
    bend(monkeypatch, reading)
    wrong = ball_of(case, tokens)
    assert right is not None and wrong is not None
    y, other = rng.sample(range(len(right.centre)), 2)
    logits = against(case, tokens, DIGITS, seed, y, other)
    assert outside(logits, right) <= 1 < outside(logits, wrong)


def bend(monkeypatch: pytest.MonkeyPatch, reading: Reading) -> None:
    """The forward pass then reads it this way."""
    code = inspect.getsource(moves)
    assert reading.before in code
    bent = ModuleType("bent")
    code = code.replace(reading.before, reading.after).replace("DIGITS = 24", f"DIGITS = {DIGITS}")
    exec(compile(code, "bent", "exec"), bent.__dict__)
    for name in ("Float32Activation", "Float32LayerNorm", "Float32Linear", "of_mean", "of_sum"):
        monkeypatch.setattr(forward, name, getattr(bent, name))
