"""Certificates of accuracies at several margins: composed from proofs of any strategy, true, told."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flint import arb, fmpq
from rich.console import Console

from certgen import prove
from certgen.certificate.explain import explain
from certgen.certificate.profile import composed, first_proof, loss_upper, profile_of
from certgen.certificate.statement import Certificate
from certgen.errors import UserError
from certgen.length import proof_length
from certgen.strategies import STRATEGIES
from checker.cli import describe
from checker.errors import Rejected
from checker.kernel import Verdict
from checker.rules.expected_loss import is_loss
from tests.support.any_case import Case, any_case
from tests.support.checking import outcome, verdict
from tests.support.fitted import fitted_case
from tests.support.losses import at_margin, leads_of, mean_loss, profile_holds
from tests.support.oracle import precision
from tests.support.random_problems import problem_of
from tests.support.runs import Run
from tests.support.tiny import near_correct, tiny_model

MARGINS = ("-1/2", "1/3", "2")
TENSORS = near_correct(np.random.default_rng(5), 3, 3, noise=0.4, biases=True)
CASE = Case(TENSORS, None, {"inputs": [{"tokens": "0-2"}] * 3, "label": {"name": "max"}})


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny_model(tmp_path / "m.safetensors", TENSORS)


def proved_by(path: Path, certificate: Certificate) -> Verdict:
    """What check-cert says, which is true."""
    found = verdict(path, json.loads(certificate.to_bytes()))
    assert found.mean_loss is not None
    with precision(400):
        assert not arb(fmpq(*found.mean_loss)) < mean_loss(CASE)
    for row in found.profile:
        correct, wrong = at_margin(CASE, Fraction(*row.margin))
        assert row.correct <= correct and row.wrong <= wrong
    return found


PLAIN = [name for name in STRATEGIES if not name.startswith(("sub-cubic/", "separable-by-max/"))]
SOME = [*PLAIN, *[name for name in STRATEGIES if name not in PLAIN][::40]]


@pytest.mark.parametrize("strategy", SOME)
def test_every_strategy_proves_a_profile(model: Path, strategy: str) -> None:
    """At every margin no more than the truth, and at the lowest all; the mean loss is an upper bound."""
    found = proved_by(model, prove(model, strategy, margins=["2"]))
    margins = [Fraction(*row.margin) for row in found.profile]
    assert margins == sorted(margins) and {Fraction(0), Fraction(2)} <= set(margins)
    assert found.profile[0].correct == 27 and found.correct == found.profile[margins.index(Fraction(0))].correct


def test_brute_force_finds_what_there_is(model: Path) -> None:
    """Every count is the truth, and the mean loss is as near to it as these margins allow."""
    found = proved_by(model, prove(model, "brute-force", margins=[Fraction(n, 2) for n in range(-40, 17)]))
    assert all(row.correct == at_margin(CASE, Fraction(*row.margin))[0] for row in found.profile)
    assert found.mean_loss is not None
    assert Fraction(*found.mean_loss) < float(mean_loss(CASE)) + 0.5 + 0.7  # a step of the ladder, and log 2


def test_the_margin_of_the_claim_is_one_of_them(model: Path) -> None:
    """Whether it is named again or not; its proof comes first, and steps at other margins say so."""
    certificates = [prove(model, "cubic", margin="1/3", margins=margins) for margins in (MARGINS, ["-1/2", "2"])]
    assert certificates[0].predicate.claim == certificates[1].predicate.claim
    certificate = certificates[0]
    plain = prove(model, "cubic", margin="1/3")
    own = len(plain.predicate.steps)
    assert certificate.predicate.steps[:own] == plain.predicate.steps
    assert first_proof(certificate) == plain and first_proof(plain) is plain
    assert all(step.margin is not None for step in certificate.predicate.steps[own:-1])
    assert certificate.predicate.steps[-1].margin is None
    assert proved_by(model, certificate).margin == (1, 3)


def test_a_model_that_is_right_everywhere_needs_no_lower_margin(tmp_path: Path) -> None:
    tensors = near_correct(np.random.default_rng(1), 3, 2, noise=0)
    path = tiny_model(tmp_path / "right.safetensors", tensors)
    certificate = prove(path, "brute-force", margins=[1])
    profile = certificate.predicate.claim.profile
    assert profile is not None
    assert ([row.margin for row in profile], profile[0].correct) == (["0", "1"], 9)


def test_both_sides(model: Path) -> None:
    """What is wrong at a margin is so at larger ones."""
    found = proved_by(model, prove(model, "exact", margins=[Fraction(n, 2) for n in range(-3, 4)]))
    wrong = [row.wrong for row in found.profile]
    assert wrong == sorted(wrong) and wrong[-1] > 0
    assert " 1/2: = " in describe(found)[0]


@pytest.mark.parametrize("given", [{"heads": 2}, {"activation": "relu"}, {"heads": 2, "norms": ["final"]}], ids=str)
def test_one_attention_layer_by_regions(tmp_path: Path, given: dict[str, Any]) -> None:
    """Any heads, an MLP, a final LayerNorm, which multiplies the margin by a number of its own."""
    norm: dict[str, Any] = {"normalization": "LN", "eps": "3"} if "norms" in given else {}
    problem = {"inputs": [{"tokens": "0-2", "weights": [5, 1, 2]}] * 2, "label": {"name": "min"}}
    case = fitted_case(0, problem, **given, **norm)
    path = case.write(tmp_path / "m.safetensors")
    for strategy in ("adaptive", "brute-force"):
        certificate = prove(path, strategy, problem=problem_of(problem), margins=["-1", "1"])
        found = verdict(path, json.loads(certificate.to_bytes()))
        assert found.mean_loss is not None and found.profile[0].correct == found.total
        assert profile_holds(found, case)


def test_any_model_by_brute_force(tmp_path: Path) -> None:
    """Whose logits are not as large as numbers can be."""
    cases = [any_case(seed) for seed in range(10)]
    small = [c for c in cases if leads_of(c) and all(abs(x) < 1000 for _, leads in leads_of(c) for x in leads)]
    assert len(small) > 3
    for case in small:
        path = case.write(tmp_path / "m.safetensors")
        certificate = prove(path, "brute-force", problem=problem_of(case.problem), margins=["-1", "1/2"])
        found = verdict(path, json.loads(certificate.to_bytes()))
        assert found.mean_loss is not None and found.profile[0].correct == found.total
        assert profile_holds(found, case)


def test_composed_takes_no_more_than_is_proved(model: Path) -> None:
    """A proof at a lower margin that proves less is replaced by one at a higher margin."""
    proofs = [prove(model, "brute-force", margin=margin) for margin in ("0", "1")]
    weak = proofs[0].predicate.claim.model_copy(update={"correct": 0})
    weaker = proofs[0].model_copy(update={"predicate": proofs[0].predicate.model_copy(update={"claim": weak})})
    rows = profile_of([proofs[1], weaker])
    assert [row.margin for row in rows] == ["0", "1"] and rows[0].correct == rows[1].correct > 0
    lie = json.loads(composed(proofs, 3).to_bytes())  # at 0 not all are correct
    refused = outcome(model, lie)
    assert isinstance(refused, Rejected) and refused.code == "loss-unbounded"


@pytest.mark.parametrize("outputs", [1, 2, 64, 50_000])
@pytest.mark.parametrize("margin", ["-100000", "-7/3", "0", "1/1000003", "4", "80"])
def test_the_checker_accepts_stated_losses(outputs: int, margin: str) -> None:
    """With little to spare."""
    bits = 64 + outputs.bit_length()
    loss = loss_upper(Fraction(margin), outputs, bits)
    assert is_loss(loss, Fraction(margin).as_integer_ratio(), outputs, bits)
    assert outputs == 1 or not is_loss(loss - 6 * outputs, Fraction(margin).as_integer_ratio(), outputs, bits)


def test_told(model: Path, tmp_path: Path, run: Run) -> None:
    """prove, explain and length of a profile: the claim, the table, the proof at the margin of the claim."""
    path = tmp_path / "profile.cert.json"
    done = run("prove", model, "-s", "cubic", "--margins=-1/2,1/3,2", "-o", path)
    assert done.code == 0
    *progress, summary, verify = done.out.splitlines()
    assert progress[0].startswith("Margin 0: accuracy >= ") and len(progress) > 4
    assert ", mean loss <= " in summary and verify.startswith("Verify it with: check-cert ")
    console = Console(width=100)
    with console.capture() as capture:
        console.print(explain(Certificate.load(path)))
    text = capture.get()
    assert "The mean cross entropy over all inputs is at most" in text and "│ -1/2" in text
    assert "of which the first 6 are about the claim itself" in text and "  5. total (from 3, 4)" in text
    assert "expected_loss" not in text
    assert proof_length(model, path).total > 3 * proof_length(model, saved(prove(model, "cubic"), tmp_path)).total


def saved(certificate: Certificate, folder: Path) -> Path:
    certificate.save(folder / "one.cert.json")
    return folder / "one.cert.json"


def test_what_does_not_fit_together_is_not_told(model: Path) -> None:
    certificate = prove(model, "cubic", margins=["1"])
    predicate = certificate.predicate
    assert predicate.claim.profile is not None
    other = predicate.claim.model_copy(update={"profile": predicate.claim.profile[1:]})
    rows = [row.model_copy(update={"correct": 28}) for row in predicate.claim.profile]
    many = predicate.claim.model_copy(update={"profile": rows})
    first = predicate.steps[-2].model_copy(update={"margin": "5"})
    updates: list[dict[str, Any]] = [{"claim": other}, {"claim": many}, {"steps": predicate.steps[:-1]}]
    updates += [{"steps": []}, {"steps": [first]}]
    for update in updates:
        bent = certificate.model_copy(update={"predicate": predicate.model_copy(update=update)})
        with pytest.raises(UserError, match="does not fit together"):
            explain(bent)


def test_a_certificate_of_a_negative_margin_is_none(model: Path, tmp_path: Path) -> None:
    certificate = prove(model, "cubic")
    negative = certificate.model_copy(update={"predicate": certificate.predicate.model_copy(update={"margin": "-1"})})
    path = saved(negative, tmp_path)
    with pytest.raises(UserError, match="it is negative"):
        Certificate.load(path)


@pytest.mark.parametrize("options", [{"target": "0.5"}, {"max_length": 10**9}])
def test_a_length_or_a_target_is_for_one_margin(model: Path, options: dict[str, object]) -> None:
    with pytest.raises(UserError, match="for one margin"):
        prove(model, "adaptive", margins=[1], **options)  # type: ignore[arg-type]


def test_margins_that_are_none(model: Path, run: Run) -> None:
    for text in ("1,,2", "1;2", "x"):
        done = run("prove", model, "-s", "cubic", "--margins", text, "-o", "c.json")
        assert done.code == 2 and "is not a number" in done.err


def test_where_no_margin_is_low_enough(tmp_path: Path) -> None:
    """Logits that are not defined for some input: its loss is not, either."""
    from tests.support.any_model import architecture, zeros

    given = architecture(blocks=0, normalization="LNPre", norms=["final"], eps="0")
    tensors = zeros(given, {"d_vocab": 2, "d_model": 2, "n_ctx": 1, "d_vocab_out": 2})
    case = Case(tensors, given, {"inputs": [{"tokens": "0-1"}], "label": {"name": "max"}})
    path = case.write(tmp_path / "m.safetensors")
    problem = tmp_path / "p.json"
    problem.write_text(json.dumps(case.problem))
    with pytest.raises(UserError, match="the loss has no bound"):
        prove(path, problem=problem, margins=[1])
