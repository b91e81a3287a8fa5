"""The kernel: each step from facts of earlier steps only, as these are stated; the last fact must entail the claim."""

import copy
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from checker.errors import Refusal
from checker.facts import Accuracy
from checker.kernel import Verdict
from checker.rules import RULES
from tests.support.derivations import Derivation, Statement, statement
from tests.support.one_rule import PREMISES, honest, small_model
from tests.support.tiny import tiny_model, zero_tensors

RULES_OF_A_PROOF = ["total", "gap_cells", "separable_counts"]  # with different kinds of facts before them


def certificate_of(proof: Derivation, claim: Accuracy) -> Statement:
    """What the steps of a proof are said to prove."""
    return statement(proof.weights, proof.margin, copy.deepcopy(proof.steps), claim)


def refused(proof: Derivation, certificate: Statement) -> tuple[str, str]:
    """The code, and where."""
    result = proof.outcome(certificate)
    assert isinstance(result, Refusal), str(result)
    return result.code, result.path


def test_a_proof_is_verified_and_the_verdict_is_its_claim() -> None:
    proof = honest("total")
    proved = proof.facts[-1]
    for claim in (proved, Accuracy(proved.correct - 1, 0), Accuracy(0, 0)):
        result = proof.outcome(certificate_of(proof, claim))
        assert isinstance(result, Verdict), str(result)
        assert (result.correct, result.wrong, result.total) == (claim.correct, claim.wrong, 27)
        assert (result.d_vocab, result.task, result.margin) == (3, "max-of-3", (1, 3))
        assert result.digest == proof.weights.file_digest


def test_a_claim_beyond_the_last_fact_is_refused() -> None:
    proof = honest("total")
    for field in ("correct", "wrong"):
        certificate = certificate_of(proof, proof.facts[-1])
        certificate["predicate"]["claim"][field] += 1
        assert refused(proof, certificate) == ("count-too-large", f"predicate.claim.{field}")


def test_a_step_has_at_most_as_many_premises_as_there_are_steps() -> None:
    """More are refused before any of them is looked up."""
    proof = honest("total")
    last = len(proof.steps) - 1
    for more, at in ((0, "premises[1].counts[0]"), (1, "premises")):
        certificate = certificate_of(proof, proof.facts[-1])
        certificate["predicate"]["steps"][last]["premises"] = proof.steps[last]["premises"][:1] * (last + 1 + more)
        code = "bad-premise" if more else "region-covered-twice"
        assert refused(proof, certificate) == (code, f"predicate.steps[{last}].{at}")


@pytest.mark.parametrize("rule", [rule for rule in RULES if not rule.startswith("total")])
def test_a_last_step_that_is_no_accuracy_proves_nothing(rule: str) -> None:
    proof = honest(rule)
    assert refused(proof, certificate_of(proof, Accuracy(0, 0))) == ("nothing-proved", "predicate.steps")


def test_no_step_proves_nothing() -> None:
    proof = Derivation(small_model().path, small_model().meaning.margin)
    assert refused(proof, certificate_of(proof, Accuracy(0, 0))) == ("nothing-proved", "predicate.steps")


def test_later_steps_use_what_is_stated_not_what_was_derived() -> None:
    """A count stated one lower is one lower in every sum; so is what a weaker table of bounds accepts."""
    proof = honest("total")
    certificate = certificate_of(proof, proof.facts[-1])
    counts = certificate["predicate"]["steps"][1]["conclusion"]["counts"]
    (index, *_) = [number for number, count in enumerate(counts) if count[3] > 0]
    counts[index][3] -= 1
    last = len(proof.steps) - 1
    assert refused(proof, certificate) == ("count-too-large", f"predicate.steps[{last}].conclusion.correct")

    certificate = certificate_of(proof, proof.facts[-1])
    steps: list[dict[str, Any]] = certificate["predicate"]["steps"]
    (at,) = [number for number, step in enumerate(steps) if step["rule"] == "value_path_upper"]
    steps[at]["conclusion"]["rows"] = [[x + (1 << 400) for x in row] for row in steps[at]["conclusion"]["rows"]]
    code, path = refused(proof, certificate)
    assert (code, path.startswith(f"predicate.steps[{at + 1}].conclusion.masks")) == ("token-not-accepted", True)


# A conclusion's field, and something that does not follow.
NO_TABLE: dict[str, Any] = {"exponent": 0, "rows": []}
LIES = {"rows": [], "counts": [], "masks": [], "kept": [], "ranges": [], "spread": NO_TABLE, "correct": 1 << 40}


@pytest.mark.parametrize("rule", RULES_OF_A_PROOF)
def test_every_conclusion_is_checked_not_only_the_last(rule: str) -> None:
    """A step that states what its rule does not derive is refused there, whatever follows from it."""
    proof = honest(rule)
    for number, step in enumerate(proof.steps):
        certificate = certificate_of(proof, Accuracy(0, 0))
        (field, *_) = [name for name in LIES if name in step["conclusion"]]
        certificate["predicate"]["steps"][number]["conclusion"][field] = LIES[field]
        code, path = refused(proof, certificate)
        assert code == ("count-too-large" if field == "correct" else "wrong-shape")
        assert path.startswith(f"predicate.steps[{number}].conclusion")


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule in PREMISES])
def test_a_premise_is_an_earlier_step(rule: str) -> None:
    """Neither the step itself, nor a later one, nor one that there is not."""
    proof = honest(rule)
    last = len(proof.steps) - 1
    for number in (last, last + 1, -1, 1 << 70):
        certificate = certificate_of(proof, Accuracy(0, 0))
        certificate["predicate"]["steps"][last]["premises"][-1] = number
        at = len(proof.steps[last]["premises"]) - 1
        assert refused(proof, certificate) == ("bad-premise", f"predicate.steps[{last}].premises[{at}]")


@pytest.mark.parametrize("order", ["at once", "others between", "others at the ends"])
def test_the_last_step_is_at_the_margin_of_the_claim_whatever_the_others_are_at(order: str, workspace: Path) -> None:
    """With all logits level every sequence is correct at margin -1, and none at 0. Steps at 0 stand all around."""
    proof = Derivation(tiny_model(workspace / "level", zero_tensors(3, 2, 1, 1)))
    args = {"exponent": -8, "bits": 16}
    if order == "others at the ends":
        proof.step("enumerate_sequences", [], args)
    with proof.at(Fraction(-1)):
        tally = proof.step("enumerate_sequences", [], args)
    if order != "at once":
        proof.step("enumerate_sequences", [], args)
    with proof.at(Fraction(-1)):
        number = proof.step("total", [tally], {})
    assert proof.facts[number].correct == 9
    found = refused(proof, certificate_of(proof, proof.facts[number]))
    assert found == ("wrong-margin", f"predicate.steps[{number}]")
