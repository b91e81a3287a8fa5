"""float32_any_order: accepted, refused by reason, attacked; no run of any float32 program is farther off than it says;
and readings of it that are."""

import json
import random
from collections import Counter
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest

import checker.lemmas.float32 as lemma
from certgen.bounds.float32 import float32_gap
from certgen.bounds.float32 import gap_error as found_by_generator
from certgen.proving import ask
from checker.errors import Rejected
from checker.facts import Accuracy, Float32Accuracy, Proved
from checker.kernel import Verdict
from checker.lemmas.float32 import BITS, Float32, gap_error
from checker.rules import RULES
from tests.conftest import ROOT
from tests.support.any_case import Case
from tests.support.any_model import architecture
from tests.support.any_problem import Inputs
from tests.support.derivations import Derivation, statement
from tests.support.float32_runs import (
    Against,
    Anyhow,
    any_layer,
    counted,
    exact,
    layer_of,
    run,
    with_digits,
)
from tests.support.layer_cases import layer_case
from tests.support.one_rule import (
    LADDERS,
    MARGIN,
    Refused,
    holds,
    honest,
    more,
    refusal,
    refusals,
    said,
    small_model,
)
from tests.support.problems import of_case, problem_of
from tests.support.tiny import model_bytes, near_correct, zero_tensors

RULE = "float32_any_order"
FEW_AND_MANY = [range(16), pytest.param(range(16, 1500), marks=pytest.mark.slow)]


@cache
def decided() -> Derivation:
    """Every sequence of the small model evaluated at a margin below that of the claim and at one above it, after a step
    that has nothing to do with this."""
    proof = Derivation(small_model().path, MARGIN)
    proof.step("value_path_spread", [], {})
    totals = []
    for margin in LADDERS[RULE]:
        with proof.at(margin):
            totals.append(proof.step("total", [proof.step("evaluate_inputs", [], {"bits": [60]})], {}))
    proof.step(RULE, totals, {})
    return proof


def test_accepted() -> None:
    """What is correct at the margin above, and wrong at the one below; neither is what it is at the margin itself."""
    proof = decided()
    assert said(proof) == said(honest(RULE)) == ("", "")
    below, above = (proof.facts[n] for n in proof.steps[-1]["premises"])
    assert proof.facts[-1] == Float32Accuracy(above.correct, below.wrong)
    assert 0 < above.correct < below.correct and 0 < below.wrong < above.wrong
    assert holds(proof.facts[-1], small_model())


REFUSED: list[Refused] = [
    ("conclusion.correct", more, "count-too-large", "conclusion.correct"),
    ("conclusion.wrong", more, "count-too-large", "conclusion.wrong"),
    ("premises", [], "wrong-premises", "premises"),
    ("premises[0]", 0, "wrong-premises", "premises"),
    ("premises", lambda both: both[:1], "count-too-large", "conclusion.correct"),
    ("premises", lambda both: both[1:], "count-too-large", "conclusion.wrong"),
    ("premises[0]", 99, "bad-premise", "premises[0]"),
    ("margin", "2", "margin-too-close", "premises[1]"),
    ("margin", "1999/1000", "margin-too-close", "premises[1]"),
    ("margin", "-1/2", "margin-too-close", "premises[0]"),
    ("margin", "-501/1000", "margin-too-close", "premises[0]"),
    ("margin", "-1", "count-too-large", "conclusion.wrong"),
    ("margin", "3", "count-too-large", "conclusion.correct"),
    ("conclusion.margin", "0", "unknown-field", "conclusion"),
]


@refusals(REFUSED)
def test_refused_by_reason(place: str, change: Any, code: str, at: str) -> None:
    if place == "conclusion.margin":
        place, change = "conclusion", lambda fields: {**fields, "margin": "0"}
    assert refusal(decided(), place, change) == (code, at)


def test_premises_in_any_order_and_more_than_once() -> None:
    for change in (lambda both: both[::-1], lambda both: both * 2):
        assert refusal(decided(), "premises", change) == ("", "")


def test_of_what_no_premise_says_nothing_is_granted() -> None:
    """From the margin below nothing is correct, from the one above nothing is wrong."""
    proof = decided()
    below, above = proof.steps[-1]["premises"]
    assert proof.derive(RULE, [below], {}) == Float32Accuracy(0, proof.facts[below].wrong)
    assert proof.derive(RULE, [above], {}) == Float32Accuracy(proof.facts[above].correct, 0)


@pytest.mark.parametrize("seeds", FEW_AND_MANY)
def test_attacked(seeds: range) -> None:
    """All that is decided with the least room for errors, of models of any kind; the margin is that by which some input
    wins, or nearly so. No machine contradicts what is granted."""
    seen: Counter[str] = Counter()
    for seed in seeds:
        case, rng = any_layer(seed, 24), random.Random(seed)
        gap = Fraction(gap_error(of_case(case)), 1 << BITS)
        inputs = list(Inputs(case.problem))
        tokens, _, label = rng.choice(inputs)
        logits = exact(layer_of(case), tokens, case.problem["readout"]).logits
        lead = Fraction(logits[label] - max(logit for y, logit in enumerate(logits) if y != label))
        case.margin = lead + gap * Fraction(rng.choice([-9, -8, -2, -1, 0, 1, 2, 8, 9]), 8)
        problem, premises = of_case(case), []
        for margin in (case.margin + gap, case.margin - gap):
            here = problem.at(margin.as_integer_ratio())
            tally = RULES["evaluate_inputs"].derive(here, (), {"bits": (80,)})
            premises.append(Proved(here.margin, RULES["total"].derive(here, (tally,), {})))
        fact: Any = RULES[RULE].derive(problem, tuple(premises), {})
        truth = counted(case, rng)
        assert fact.correct <= truth.correct and fact.wrong <= truth.wrong, seed
        seen["correct"] += fact.correct > 0
        seen["wrong"] += fact.wrong > 0
        seen["open"] += fact.correct + fact.wrong < len(inputs)
    assert min(seen.values()) > len(seeds) // 4, seen


def edge(side: int, off: Fraction) -> str:
    """What is said of one premise that is the bound and a little more or less away from the margin of the step."""
    model = small_model()
    proof = Derivation(model.path, MARGIN)
    gap = Fraction(gap_error(proof.problem), 1 << BITS)
    with proof.at(MARGIN + side * (gap + off)):
        number = proof.step("evaluate_inputs", [], {"bits": [60]})
        number = proof.step("total", [number], {})
    try:
        proof.step(RULE, [number], {})
    except Rejected as refused:
        return refused.code
    fact = proof.facts[-1]
    assert (fact.correct, fact.wrong) == ((0, proof.facts[number].wrong), (proof.facts[number].correct, 0))[side > 0]
    return ""


@pytest.mark.parametrize("side", [-1, 1])
def test_a_margin_is_far_enough_exactly_from_the_bound_on(side: int) -> None:
    tiny = Fraction(1, 1 << 70)
    assert [edge(side, off) for off in (Fraction(0), tiny, -tiny)] == ["", "", "margin-too-close"]


# Claims: what holds of real numbers and what holds of float32 programs are two things


def test_a_claim_is_proved_by_a_fact_of_its_own_kind() -> None:
    proof = decided()
    fact = proof.facts[-1]
    whole = statement(proof.weights, proof.margin, proof.steps, fact)
    verdict = proof.outcome(whole)
    assert isinstance(verdict, Verdict)
    assert (verdict.semantics, verdict.correct, verdict.wrong) == ("float32-any-order", fact.correct, fact.wrong)
    for claim in (Accuracy(fact.correct, fact.wrong), Accuracy(0, 0)):
        found = proof.outcome(statement(proof.weights, proof.margin, proof.steps, claim))
        assert isinstance(found, Rejected) and found.code == "nothing-proved"
    exact_proof = honest("total")
    claim = Float32Accuracy(0, 0)
    found = exact_proof.outcome(statement(exact_proof.weights, exact_proof.margin, exact_proof.steps, claim))
    assert isinstance(found, Rejected) and found.code == "nothing-proved" and "float32-any-order" in found.expected


@pytest.mark.parametrize("rule", ["expected_loss", RULE])
def test_a_fact_about_float32_is_no_premise(rule: str) -> None:
    """Not even of the same rule: errors would have to be added."""
    proof = decided()
    steps, facts, own = list(proof.steps), list(proof.facts), dict(proof.own)
    number = len(steps) - 1
    step = {"rule": rule, "premises": [number], "args": {}, "conclusion": steps[-1]["conclusion"]}
    if rule == "expected_loss":
        step["args"] = {"bits": 40, "losses": [1 << 50]}
        step["conclusion"] = {"correct": 0, "wrong": 0, "profile": [], "mean_loss": "99"}
    other = Derivation(small_model().path, MARGIN)
    other.steps, other.facts, other.own = [*steps, step], facts, own
    assert said(other) == ("wrong-premises", "premises")


def test_a_claim_about_float32_has_no_profile() -> None:
    proof = decided()
    whole = statement(proof.weights, proof.margin, proof.steps, proof.facts[-1])
    whole["predicate"]["claim"] |= {"profile": [], "mean_loss": "9"}
    with pytest.raises(Exception, match="unknown-field"):
        from checker.certificate import decode_certificate

        decode_certificate(json.dumps(whole).encode())


# Models that the rule is not about


def refused(case: Case | bytes) -> tuple[str, str]:
    """The code, and the tensor that the words end with."""
    try:
        gap_error(problem_of(case) if isinstance(case, bytes) else of_case(case))
    except Rejected as refusal:
        return refusal.code, refusal.expected.rpartition(" ")[2]
    return "", ""


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (1 + 2.0**-23, ""),
        (1 + 2.0**-24, "not-float32"),
        (-(2.0**-149), ""),
        (2.0**-150, "not-float32"),
        (3 * 2.0**-149, ""),
        (3 * 2.0**-150, "not-float32"),
        (2.0**24 - 1, ""),
        (2.0**24, "beyond-float32"),
        (-(2.0**25), "beyond-float32"),
        (2.0**200, "beyond-float32"),
        (0.1, "not-float32"),
    ],
)
def test_weights_are_float32_numbers_of_a_usual_size(value: float, code: str) -> None:
    tensors = zero_tensors(2, 2, 1, 1, W_E=[[1], [value]])
    assert refused(model_bytes(tensors)) == (code, code and "embed.W_E")


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16", "F64"])
def test_it_is_the_number_that_counts_and_not_the_type(dtype: str) -> None:
    """float32 holds each of these, and a program converts them without rounding."""
    tensors = near_correct(np.random.default_rng(0), 3, 2, biases=True)
    assert refused(model_bytes(tensors, dtype)) == ("", "")


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"normalization": "LN", "norms": ["pre"], "eps": "1/100000"}, "wrong-problem"),
        ({"normalization": "LNPre", "norms": ["final"], "eps": "1/4"}, "wrong-problem"),
        ({"blocks": 2}, "wrong-problem"),
        ({"readout_layers": 1}, "wrong-problem"),
        ({"attn_scale_squared": "65536"}, ""),
        ({"attn_scale_squared": "65537"}, "beyond-float32"),
        ({"attn_scale_squared": "1/65536"}, ""),
        ({"attn_scale_squared": "1/65537"}, "beyond-float32"),
    ],
)
def test_architectures(given: dict[str, Any], code: str) -> None:
    assert refused(layer_case(**given))[0] == code


@pytest.mark.parametrize(
    "tensors",
    [
        {"W_E": [[2.0**13]], "W_V": [2.0**13], "W_O": [0.0]},
        {"W_E": [[2.0**10]], "W_Q": [2.0**4], "W_K": [2.0**4]},
        {"W_E": [[2.0**13]], "W_U": [2.0**12]},
        {"b_U": [2.0**23], "W_E": [[2.0**23]], "W_U": [1.0]},
    ],
)
def test_sizes_that_could_overflow_are_refused(tensors: dict[str, Any]) -> None:
    """Values, scores, logits: though each weight is small enough."""
    assert refused(model_bytes(zero_tensors(1, 1, 1, 1, **tensors)))[0] == "beyond-float32"


def test_long_rows_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert lemma.WIDEST == 1 << 16
    monkeypatch.setattr(lemma, "WIDEST", 4)
    assert refused(model_bytes(zero_tensors(1, 1, 4, 1))) == ("", "")
    assert refused(model_bytes(zero_tensors(1, 1, 5, 1))) == ("beyond-float32", "embed.W_E")
    assert refused(model_bytes(zero_tensors(1, 5, 1, 1))) == ("beyond-float32", "pos_embed.W_pos")


# No run is farther off than the bound


@pytest.mark.parametrize("seeds", FEW_AND_MANY)
def test_no_run_of_any_machine_is_farther_off(seeds: range) -> None:
    for digits in (10, 24):
        bound, nearest = with_digits(digits), 0.0
        for seed in seeds:
            case = any_layer(seed, digits)
            problem, layer, rng = of_case(case), layer_of(case), random.Random(seed)
            assert problem.readout is not None
            tokens = [rng.choice(list(row)) for row in problem.choices]
            try:
                errors = [x / 2**BITS for x in bound.Float32(problem).errors(tokens[problem.readout])]
            except Rejected:
                assert digits < 24
                continue
            truth = exact(layer, tokens, problem.readout)
            for machine in (Anyhow(digits, rng), Anyhow(digits, rng), Against(digits, rng)):
                y, other = rng.sample(range(len(errors)), 2)
                signs = truth.signs(y, other) if isinstance(machine, Against) else None
                logits = run(layer, tokens, problem.readout, machine, signs)
                off = [abs(a - b) for a, b in zip(logits, truth.logits, strict=True)]
                assert all(a <= e + 1e-12 for a, e in zip(off, errors, strict=True)), (digits, seed)
                nearest = max(nearest, *[a / e for a, e in zip(off, errors, strict=True) if e > 1e-9], 0.0)
        assert nearest > 0.7, "a bound that no machine comes near says little about what it forgets"


# Readings


FOUND = json.loads((ROOT / "tests/support/float32_bends.json").read_text())
"""For each reading the change of the checker's code, and a model on which a run is farther off than it then says; found
by a search that changed one weight at a time."""


@pytest.mark.parametrize("reading", FOUND)
def test_a_reading_is_exceeded_by_a_run(reading: str) -> None:
    """Under the bent bound an input may be counted that a run answers wrongly; the bound of the checker holds."""
    found = FOUND[reading]
    tensors = {name: np.zeros(x["shape"]) for name, x in found["tensors"].items()}
    for name, x in found["tensors"].items():
        for at, value in x["entries"]:
            tensors[name].flat[at] = value
    case = Case(tensors, architecture(**found["entry"]), found["problem"])
    problem, layer, readout = of_case(case), layer_of(case), len(case.problem["inputs"]) - 1
    machine = Against(found["digits"], random.Random(0))
    machine.softmax, machine.scaling, machine.base_2 = found["softmax"], found["scaling"], True
    y, other = found["outputs"]
    truth = exact(layer, found["tokens"], readout)
    logits = run(layer, found["tokens"], readout, machine, truth.signs(y, other))
    moved = (logits[y] - logits[other]) - (truth.logits[y] - truth.logits[other])
    bends = [(before, after) for before, after in found["bends"]]
    assert with_digits(found["digits"], *bends).gap_error(problem) / 2**BITS < moved
    assert moved <= with_digits(found["digits"]).gap_error(problem) / 2**BITS


def test_the_division_of_a_mean_may_be_a_fast_one() -> None:
    """One position, and nothing but its value: all that the bound counts happens at once, or nearly. It is exceeded if
    it counts an inverse as one rounding."""
    ones = {name: [[1.0]] for name in ("W_E", "W_V", "W_O")}
    tensors = zero_tensors(2, 1, 1, 1, W_U=[[1.0, 0.0]], **{**ones, "W_E": [[1.0], [1.0]], "W_V": [[256.0]]})
    case = Case(tensors, None, {"inputs": [{"tokens": "0-1"}], "label": {"name": "contains", "token": 0}})
    problem, layer, digits = of_case(case), layer_of(case), 16
    machine = Against(digits, random.Random(0))
    machine.softmax, machine.inverts = "online", True
    truth = exact(layer, [0], 0)
    moved = run(layer, [0], 0, machine, truth.signs(0, 1))[0] - truth.logits[0]
    bound, bent = with_digits(digits), with_digits(digits, ("2 * self.k + 6", "2 * self.k + 2"))
    assert bent.gap_error(problem) / 2**BITS < moved <= bound.gap_error(problem) / 2**BITS


# The generator's bound


@pytest.mark.parametrize("seed", range(30))
def test_the_generator_finds_the_same_bound(seed: int, tmp_path: Any) -> None:
    """From its own code, in floating point; and then a little more, as a short fraction."""
    case = any_layer(seed, 24)
    checked = Fraction(gap_error(of_case(case)), 1 << BITS)
    path, problem = case.write(tmp_path / "model.safetensors"), tmp_path / "problem.json"
    problem.write_text(json.dumps(case.problem))
    question = ask(path, str(problem), Fraction(0))
    assert float(checked) == pytest.approx(found_by_generator(question), rel=1e-9, abs=1e-15)
    gap = float32_gap(question)
    assert checked <= gap <= checked * Fraction(104, 100) + Fraction(1, 1 << 38)
    assert gap.denominator.bit_count() == 1 and gap.numerator < 1 << 7


@pytest.mark.parametrize("seeds", FEW_AND_MANY)
def test_sizes_of_all_kinds(seeds: range) -> None:
    """Tensors far apart in size, down to subnormal numbers, that are flushed to zero or not: the differences that this
    makes are below the unit of the bound."""
    seen: Counter[str] = Counter()
    for seed in seeds:
        case, rng = any_layer(seed, 24), random.Random(seed)
        for name, x in case.tensors.items():
            scale = 2.0 ** rng.choice([0, 0, 0, 3, 6, -20, -60, rng.randint(-148, -120)])
            case.tensors[name] = (x * scale).astype(np.float32).astype(float)
        problem, layer = of_case(case), layer_of(case)
        readout = problem.readout or 0
        tokens = [rng.choice(list(row)) for row in problem.choices]
        try:
            errors = Float32(problem).errors(tokens[readout])
        except Rejected as refused:
            seen[refused.code] += 1
            continue
        truth = exact(layer, tokens, readout).logits
        for flushes in (False, True):
            machine = Anyhow(24, rng)
            machine.flushes = flushes
            logits = run(layer, tokens, readout, machine)
            assert all(abs(a - b) * 2**BITS <= e for a, b, e in zip(logits, truth, errors, strict=True)), seed
        seen["subnormal"] += any(((x != 0) & (np.abs(x) < 2.0**-126)).any() for x in case.tensors.values())
    assert seen["subnormal"] > len(seeds) // 3, seen
