"""expected_loss: accepted, refused by reason, attacked; and readings of it that certify what is false."""

import random
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from typing import Any

import pytest
from flint import arb, fmpq

from checker.errors import Refusal, Rejected
from checker.facts import Accuracy, AtMargin, Profile, Proved
from checker.kernel import Verdict
from checker.model.weights import read_weights
from checker.problem import Problem
from checker.problem.problem_file import decode_problem
from checker.rules import RULES
from checker.rules.expected_loss import expected_loss, is_loss
from tests.conftest import ROOT
from tests.support.any_case import Case, any_case
from tests.support.any_model import architecture, zeros
from tests.support.derivations import Derivation, statement
from tests.support.losses import at_margin, leads_of, mean_loss, profile_holds
from tests.support.one_rule import (
    LADDER,
    Refused,
    drawn,
    holds,
    honest,
    least_loss,
    less,
    longer,
    more,
    refusal,
    refusals,
    said,
    shorter,
    small_model,
)
from tests.support.oracle import precision
from tests.support.problems import of_case

RULE = "expected_loss"


def test_accepted() -> None:
    """Each margin with what is correct at it; the mean loss a little above the truth's."""
    proof = honest(RULE)
    assert said(proof) == ("", "")
    fact, model = proof.facts[-1], small_model()
    assert holds(fact, model)
    assert [Fraction(*row.margin) for row in fact.profile] == list(LADDER)
    assert fact.profile[0].correct == 27 > fact.profile[1].correct > fact.profile[3].correct > 0
    assert (fact.correct, fact.wrong) == (fact.profile[2].correct, fact.profile[2].wrong)
    assert 0 < Fraction(*fact.mean_loss) < 64 + 2


REFUSED: list[Refused] = [
    ("conclusion.correct", more, "count-too-large", "conclusion.correct"),
    ("conclusion.wrong", more, "count-too-large", "conclusion.wrong"),
    ("conclusion.profile[3].correct", more, "count-too-large", "conclusion.profile[3].correct"),
    ("conclusion.profile[3].wrong", more, "count-too-large", "conclusion.profile[3].wrong"),
    ("conclusion.profile[3].margin", "3", "wrong-margin", "conclusion.profile[3].margin"),
    ("conclusion.profile[0].margin", "-63", "wrong-margin", "conclusion.profile[0].margin"),
    ("conclusion.profile[0].margin", "64", "wrong-margin", "conclusion.profile[0].margin"),
    ("conclusion.profile[0].margin", "-64/1", "bad-fraction", "conclusion.profile[0].margin"),
    ("conclusion.profile", shorter, "wrong-shape", "conclusion.profile"),
    ("conclusion.profile", longer, "wrong-shape", "conclusion.profile"),
    ("conclusion.mean_loss", "1/1000", "loss-too-small", "conclusion.mean_loss"),
    ("conclusion.mean_loss", "-1", "bad-fraction", "conclusion.mean_loss"),
    ("args.losses[0]", less, "loss-too-small", "args.losses[0]"),
    ("args.losses[3]", less, "loss-too-small", "args.losses[3]"),
    ("args.losses[3]", -1, "loss-too-small", "args.losses[3]"),
    ("args.losses[3]", 0, "loss-too-small", "args.losses[3]"),
    ("args.losses[3]", -(1 << 13000), "loss-too-small", "args.losses[3]"),
    ("args.losses", shorter, "wrong-shape", "args.losses"),
    ("args.losses", longer, "wrong-shape", "args.losses"),
    ("args.losses[0]", 1 << 13000, "loss-too-small", "conclusion.mean_loss"),
    ("args.bits", more, "loss-too-small", "args.losses[0]"),
    ("premises", [], "wrong-premises", "premises"),
    ("premises[0]", 0, "wrong-premises", "premises"),
    ("premises", lambda four: four[1:], "loss-unbounded", "premises[0]"),
    ("premises", shorter, "wrong-shape", "args.losses"),
    ("premises", lambda four: four[::-1], "not-a-ladder", "premises"),
    ("premises", lambda four: [four[0], *four], "not-a-ladder", "premises"),
    ("premises", lambda four: [*four[:2], four[3]], "not-a-ladder", "premises"),
    ("premises", lambda four: [four[1], four[0], *four[2:]], "not-a-ladder", "premises"),
    ("premises[3]", 99, "bad-premise", "premises[3]"),
    ("margin", "1/4", "not-a-ladder", "premises"),
    ("margin", "2", "count-too-large", "conclusion.correct"),
    ("margin", "0/2", "bad-fraction", "margin"),
]


@refusals(REFUSED)
def test_refused_by_reason(place: str, change: Any, code: str, at: str) -> None:
    assert refusal(honest(RULE), place, change) == (code, at)


def test_a_weaker_profile_follows() -> None:
    proof = honest(RULE)
    for place, change in (
        ("conclusion.profile[0].correct", less),
        ("conclusion.mean_loss", "99"),
        ("conclusion.correct", 0),
        ("args.losses[3]", lambda loss: loss),
    ):
        assert refusal(proof, place, change) == ("", "")


@pytest.mark.parametrize("name", ["cubic_tokens", "count_cubic", "total", "gap_cells", "separable_counts"])
def test_a_premise_has_the_margin_of_its_step(name: str) -> None:
    """Neither a larger one nor a smaller one will do, whatever that would mean."""
    proof = honest(name)
    for margin in ("0", "1", "-1/3"):
        assert refusal(proof, "margin", margin) == ("wrong-margin", "premises[0]")


def test_the_last_step_has_the_margin_of_the_claim() -> None:
    """All 27 sequences are correct at -64. That is no accuracy."""
    proof = Derivation(small_model().path, Fraction(1, 3))
    with proof.at(Fraction(-64)):
        number = proof.step("evaluate_inputs", [], {"bits": [60]})
        total = proof.step("total", [number], {})
    assert proof.facts[total] == Accuracy(27, 0)
    for claim in (Accuracy(27, 0), Accuracy(0, 0)):
        found = proof.outcome(statement(proof.weights, proof.margin, proof.steps, claim))
        assert isinstance(found, Rejected)
        assert (found.code, found.path) == ("wrong-margin", "predicate.steps[1]")


def test_a_step_may_repeat_the_margin_of_the_claim() -> None:
    proof = honest("total")
    whole = statement(proof.weights, proof.margin, [{**step, "margin": "1/3"} for step in proof.steps], proof.facts[-1])
    assert isinstance(proof.outcome(whole), Verdict)


def test_a_profile_is_claimed_by_its_own_kind() -> None:
    """Of a profile no plain claim, of a plain accuracy no profile; and every number of the claim is looked at."""
    proof = honest(RULE)
    fact = proof.facts[-1]
    whole = statement(proof.weights, proof.margin, proof.steps, fact)
    verdict = proof.outcome(whole)
    assert isinstance(verdict, Verdict)
    assert (verdict.correct, verdict.profile) == (fact.correct, fact.profile)
    assert verdict.mean_loss is not None and Fraction(*verdict.mean_loss) == Fraction(*fact.mean_loss)
    plain = proof.outcome(statement(proof.weights, proof.margin, proof.steps, Accuracy(0, 0)))
    assert isinstance(plain, Rejected) and plain.code == "nothing-proved"
    accuracy = honest("total")
    other = accuracy.outcome(statement(accuracy.weights, accuracy.margin, accuracy.steps, fact))
    assert isinstance(other, Rejected) and other.code == "nothing-proved"
    raised = AtMargin(fact.profile[3].correct + 1, 0, fact.profile[3].margin)
    for claim, code, path in (
        (Profile(fact.correct + 1, 0, fact.profile, fact.mean_loss), "count-too-large", "correct"),
        (Profile(0, 0, (*fact.profile[:3], raised), fact.mean_loss), "count-too-large", "profile[3].correct"),
        (Profile(0, 0, fact.profile[1:], fact.mean_loss), "wrong-shape", "profile"),
        (Profile(0, 0, fact.profile, (1, 1 << 60)), "loss-too-small", "mean_loss"),
    ):
        found = proof.outcome(statement(proof.weights, proof.margin, proof.steps, claim))
        assert isinstance(found, Refusal)
        assert (found.code, found.path) == (code, f"predicate.claim.{path}")


@pytest.mark.parametrize("outputs", [1, 2, 3, 64, 50_000])
def test_a_loss_is_accepted_exactly_from_where_it_holds(outputs: int) -> None:
    """Never below; and above by little more than rounding, at margins of any size."""
    for bits in (8, 40, 300):
        for margin in map(Fraction, ("-1000", "-64", "-1/3", "0", "1/7", "2", "30", "700")):
            loss = least_loss(margin, outputs, bits)
            with precision(2000):
                true = (1 + (outputs - 1) * (-arb(fmpq(*margin.as_integer_ratio()))).exp()).log() * 2**bits
                assert not arb(loss) < true
                if outputs > 1 and bits > outputs.bit_length() + 8:
                    assert loss < true + 4 * outputs + 4
            if bits > outputs.bit_length():  # else a unit for each output is more than 1 together
                assert all(is_loss(loss + more, margin.as_integer_ratio(), outputs, bits) for more in (1, 2, 1 << 9000))
            assert not is_loss(-1, margin.as_integer_ratio(), outputs, bits)


def test_one_output_has_no_loss() -> None:
    given = architecture(blocks=0)
    tensors = zeros(given, {"d_vocab": 2, "d_model": 1, "n_ctx": 1, "d_vocab_out": 1})
    problem = {"inputs": [{"tokens": "0-1"}], "label": {"name": "sum-mod", "modulus": 1}}
    about = Problem(read_weights(Case(tensors, given, problem).data), decode_problem(problem, ""), (0, 1), 0)
    fact = expected_loss(about, (Proved((0, 1), Accuracy(2, 0)),), {"bits": 8, "losses": [0]})
    assert fact == Profile(2, 0, (AtMargin(2, 0, (0, 1)),), (0, 2 << 8))


def test_counts_are_carried_to_the_margins_where_they_hold() -> None:
    """Of two logits that tie: correct below -1 as at -1, wrong above 0 as at 0, though the premises do not say so."""
    given = architecture(blocks=0)
    tensors = zeros(given, {"d_vocab": 2, "d_model": 1, "n_ctx": 1, "d_vocab_out": 2})
    about = of_case(Case(tensors, given, {"inputs": [{"tokens": "0-1"}], "label": {"name": "last"}}))
    known = {-2: (0, 0), -1: (2, 0), 0: (0, 2), 1: (0, 0)}
    premises = tuple(Proved((margin, 1), Accuracy(*counts)) for margin, counts in known.items())
    losses = [least_loss(Fraction(margin), 2, 8) for margin in known]
    fact = expected_loss(about, premises, {"bits": 8, "losses": losses})
    assert [(row.correct, row.wrong) for row in fact.profile] == [(2, 0), (2, 0), (0, 2), (0, 2)]
    assert (fact.correct, fact.wrong, fact.mean_loss) == (0, 2, (2 * losses[1], 2 << 8))


# Premises that are true, and hints that may not be.

Grant = Callable[[Problem, tuple[Proved, ...], dict[str, Any]], Any]


@cache
def cases() -> list[tuple[Case, Problem]]:
    """Models of all kinds, few inputs, weights; and the small ones of max-of-k."""
    found = [any_case(seed) for seed in range(60)]
    return [(case, of_case(case)) for case in found if leads_of(case)][:30]


def premises_of(case: Case, rng: random.Random) -> tuple[Proved, ...]:
    """At some margins what is true, or less."""
    sizes = rng.choice([1, 5, 40])
    margins = {Fraction(rng.randint(-8 * sizes, 8 * sizes), rng.choice([1, 2, 3, 8])) for _ in range(rng.randint(1, 5))}
    ladder = sorted(margins | {case.margin} if rng.random() < 0.9 else margins)
    if rng.random() < 0.8:
        ladder = [Fraction(-rng.choice([20, 100, 1000])), *ladder]
    if rng.random() < 0.2:
        rng.shuffle(ladder)
    found = []
    for margin in ladder:
        correct, wrong = at_margin(case, margin)
        lowered = rng.choice([0, 0, 0, 1, correct // 2])
        found.append(Proved(margin.as_integer_ratio(), Accuracy(max(correct - lowered, 0), wrong)))
    return tuple(found)


def grants(grant: Grant, seeds: range, accepted: Callable[..., bool] = is_loss) -> Counter[str]:
    """How often the rule grants what is true, or false, and why it refuses; losses are about what it accepts."""
    seen: Counter[str] = Counter()
    for seed in seeds:
        rng = random.Random(seed)
        case, problem = cases()[seed % len(cases())]
        premises = premises_of(case, rng)
        bits = rng.choice([8, 8, 20, 60])
        nudge = rng.choice([0, 0, 0, 1, -1, 5])
        outputs = rng.choice([problem.outputs, problem.outputs, problem.v])
        losses = [least_loss(Fraction(*p.margin), outputs, bits, accepted) + nudge for p in premises]
        if rng.random() < 0.2:
            losses = [max(min(loss, rng.choice(losses)), 0) for loss in losses]
        try:
            fact = grant(problem, premises, {"bits": bits, "losses": losses})
        except Rejected as refused:
            seen[refused.code] += 1
            continue
        own = at_margin(case, Fraction(*problem.margin))
        true = fact.correct <= own[0] and fact.wrong <= own[1] and profile_holds(fact, case)
        seen["true" if true else "false"] += 1
    return seen


def test_attacked() -> None:
    """What it grants about models of any architecture, with true premises and any hints, is true."""
    seen = grants(expected_loss, range(240))
    assert not seen["false"]
    assert min(seen[what] for what in ("true", "not-a-ladder", "loss-unbounded", "loss-too-small")) > 10


def test_attacked_at_max_of_k() -> None:
    """Proofs of whole certificates at negative margins, by rules in which the margin enters bounds on sizes."""
    seen: Counter[str] = Counter()
    for seed in range(8):
        model = drawn(seed)
        proof = Derivation(model.path, model.meaning.margin)
        totals = []
        for margin in sorted({Fraction(-300), Fraction(-7, 3), model.meaning.margin, Fraction(5)}):
            with proof.at(margin):
                counted = proof.step("evaluate_inputs", [], {"bits": [40]})
                totals.append(proof.step("total", [counted], {}))
        margins = [Fraction(*proof.own.get(n, proof.problem.margin)) for n in totals]
        args = {"bits": 40, "losses": [least_loss(margin, model.meaning.v, 40) for margin in margins]}
        try:
            proof.step(RULE, totals, args)
        except Rejected as refused:
            seen[refused.code] += 1
            continue
        assert holds(proof.facts[-1], model)
        seen["granted"] += 1
    assert seen["granted"] > 4


def test_the_mean_loss_is_close_where_the_ladder_is_fine() -> None:
    """Of the small model, within the steps of the ladder; so that nothing above is true for being far off."""
    model = small_model()
    case = Case(model.tensors, None, {"inputs": [{"tokens": "0-2"}] * 3, "label": {"name": "max"}})
    ladder = [Fraction(n, 4) for n in range(-40, 41)]
    premises = tuple(Proved(m.as_integer_ratio(), Accuracy(*at_margin(case, m))) for m in ladder)
    losses = [least_loss(margin, 3, 40) for margin in ladder]
    fact = expected_loss(of_case(case), premises, {"bits": 40, "losses": losses})
    true = float(mean_loss(case))
    assert true < Fraction(*fact.mean_loss) < true + 0.25 + 0.7


# Readings that look natural, and grant what is false.

READINGS = {
    "margins in any order": ("all(a * d < c * b for (a, b), (c, d) in pairwise(margins))", "True"),
    "counts carried to larger margins": (
        "for premise in premises[::-1]], max, initial=0))[::-1]",
        "for premise in premises], max)) + [0]",
    ),
    "wrong inputs carried to smaller margins": (
        "[premise.fact.wrong for premise in premises], max, initial=0))[1:]",
        "[premise.fact.wrong for premise in premises[::-1]], max, initial=0))[:0:-1]",
    ),
    "what is left out has no loss": ("if correct[0] < problem.total:", "if False:"),
    "losses not checked": ("if not is_loss(loss, margin, problem.outputs, bits):", "if False:"),
    "tokens for outputs": ("is_loss(loss, margin, problem.outputs, bits)", "is_loss(loss, margin, problem.v, bits)"),
    "margin with the other sign": ("loss + (margin[0] << bits)", "loss - (margin[0] << bits)"),
    "margin forgotten in the loss": ("loss + (margin[0] << bits) // margin[1]", "loss"),
    "denominator forgotten": ("(margin[0] << bits) // margin[1]", "(margin[0] << bits)"),
    "one of the exponentials": ("return one + (outputs - 1) * other <= 1 << bits", "return one <= 1 << bits"),
    "the other of them": (
        "return one + (outputs - 1) * other <= 1 << bits",
        "return (outputs - 1) * other <= 1 << bits",
    ),
    "loss of the next margin": (
        "zip(losses, pairwise(correct), strict=True)",
        "zip([*losses[1:], 0], pairwise(correct), strict=True)",
    ),
    "largest margin left out": ("pairwise(correct), strict=True)", "pairwise(correct[:-1]), strict=False)"),
    "unit forgotten": ("problem.total << bits", "problem.total << bits + 1"),
    "own counts of the lowest margin": ("profile[margins.index(problem.margin)]", "profile[0]"),
}


def bent(module: str, *changes: tuple[str, str]) -> dict[str, Any]:
    """What a module defines with some of its source changed."""
    source = (ROOT / f"{module.replace('.', '/')}.py").read_text()
    for old, new in changes:
        assert source.count(old) == 1, old
        source = source.replace(old, new)
    names: dict[str, Any] = {"__name__": module}
    exec(source, names)
    return names


@pytest.mark.parametrize("reading", READINGS)
def test_a_reading_that_grants_what_is_false(reading: str) -> None:
    bent_rule = bent("checker.rules.expected_loss", READINGS[reading])
    ranges = [range(start, start + 60) for start in range(0, 600, 60)]
    assert any(grants(bent_rule["expected_loss"], seeds, bent_rule["is_loss"])["false"] for seeds in ranges)


def test_premises_of_any_margin_would_grant_what_is_false(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts at -64, summed as if they were at the margin of the claim."""
    proof = Derivation(small_model().path, Fraction(1, 3))
    with proof.at(Fraction(-64)):
        number = proof.step("evaluate_inputs", [], {"bits": [60]})
    proof.step("total", [number], {})
    lie = statement(proof.weights, proof.margin, proof.steps, proof.facts[-1])
    assert proof.facts[-1] == Accuracy(27, 0) and len(small_model().correct) < 27
    found = proof.outcome(lie)
    assert isinstance(found, Rejected) and (found.code, found.path) == (
        "wrong-margin",
        "predicate.steps[1].premises[0]",
    )
    bent_rule = bent("checker.rules.rule", ("if premise.margin != problem.margin and not self.ladder:", "if False:"))[
        "Rule"
    ]
    monkeypatch.setattr(type(RULES["total"]), "require_applies", bent_rule.require_applies)
    found = proof.outcome(lie)
    assert isinstance(found, Verdict) and found.correct == 27


def test_a_last_step_of_any_margin_would_grant_what_is_false(monkeypatch: pytest.MonkeyPatch) -> None:
    proof = Derivation(small_model().path, Fraction(1, 3))
    with proof.at(Fraction(-64)):
        proof.step("total", [proof.step("evaluate_inputs", [], {"bits": [60]})], {})
    lie = statement(proof.weights, proof.margin, proof.steps, proof.facts[-1])
    assert isinstance(proof.outcome(lie), Rejected)
    verify = bent("checker.kernel", ("if stated_by(steps[-1], problem).margin != problem.margin:", "if False:"))[
        "verify"
    ]
    monkeypatch.setattr("tests.support.derivations.verify", verify)
    found: Any = proof.outcome(lie)
    assert found.correct == 27


def test_a_single_output_has_no_loss_and_none_is_negative() -> None:
    """At the ends: 0 is granted, one unit less is not, and neither is a loss that the margin takes below 0."""
    assert is_loss(0, (0, 1), 1, 8)
    assert not is_loss(-1, (0, 1), 1, 8)
    assert is_loss(6, (-6, 256), 1, 8)
    assert not is_loss(5, (-6, 256), 1, 8)
    assert not is_loss(0, (0, 1), 2, 8)
