"""Claims about float32 programs: proved by every strategy, told and measured; what no claim is made about; and what
programs of numpy and PyTorch answer."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from certgen.bounds.float32 import float32_gap
from certgen.certificate.consistency import require_consistent
from certgen.certificate.profile import first_proof
from certgen.certificate.statement import Certificate
from certgen.errors import UserError
from certgen.length import proof_length
from certgen.models.model_file import load_model
from certgen.proving import ask, prove
from certgen.strategies import STRATEGIES
from certgen.sweep.engines import Local
from certgen.sweep.pieces import in_pieces
from checker import Verdict, check
from tests.conftest import ROOT
from tests.support.any_case import Case
from tests.support.any_problem import Inputs
from tests.support.edits import Statement, change, drop, edited, put, to_bytes
from tests.support.float32_programs import PROGRAMS, in_numpy, leads
from tests.support.float32_unseen import UNSEEN
from tests.support.layer_cases import layer_case
from tests.support.runs import Run
from tests.support.tiny import near_correct, tiny_model

FLOAT32 = "float32-any-order"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("float32") / "m.safetensors"
    return tiny_model(path, near_correct(np.random.default_rng(0), v=3, k=3, noise=0.4, biases=True), "F32")


def verified(model: Path, certificate: Certificate, problem: Path | None = None) -> Verdict:
    path = model.with_suffix(".cert.json")
    certificate.save(path)
    return check(str(model), str(path), problem_path=None if problem is None else str(problem))


@pytest.mark.parametrize("name", [name for name in STRATEGIES if not name.startswith(("sub-cubic", "brute-force"))])
def test_every_strategy_proves_it(model: Path, name: str) -> None:
    """As much as at the margin that leaves room, and not more than the same about real numbers."""
    certificate = prove(model, name, semantics=FLOAT32)
    verdict, exact = verified(model, certificate), prove(model, name).predicate.claim
    gap = float32_gap(ask(model, None, Fraction(0)))
    assert verdict.semantics == certificate.predicate.semantics == FLOAT32
    assert verdict.correct == prove(model, name, margin=gap).predicate.claim.correct
    assert verdict.wrong <= exact.wrong
    assert (verdict.wrong > 0) == (exact.wrong > 0)
    require_consistent(certificate)


@pytest.mark.parametrize("given", [{"heads": 2}, {"activation": "relu"}, {"activation": "gelu_erf", "mask": "full"}])
def test_heads_and_an_mlp(tmp_path: Path, given: dict[str, Any]) -> None:
    case, problem = layer_case(**given), tmp_path / "problem.json"
    path = case.write(tmp_path / "m.safetensors")
    problem.write_text(json.dumps(case.problem))
    for strategy in ("adaptive", "brute-force"):
        certificate = prove(path, strategy, problem=str(problem), semantics=FLOAT32)
        verdict = verified(path, certificate, problem)
        assert verdict.semantics == FLOAT32
        assert verdict.correct + verdict.wrong > 0 or strategy == "adaptive"  # which counts what it can
        rules = [step.rule for step in certificate.predicate.steps]
        assert rules == ["float32_inputs"] or (strategy, rules[-1]) == ("adaptive", "float32_any_order")


def test_brute_force_evaluates_every_input(model: Path) -> None:
    """Of max-of-k by one head, too, in one step; those that no program can answer in two ways."""
    certificate = prove(model, "brute-force", semantics=FLOAT32)
    (step,) = certificate.predicate.steps
    verdict, exact = verified(model, certificate), prove(model, "exact").predicate.claim
    assert (step.rule, verdict.semantics) == ("float32_inputs", FLOAT32)
    assert (verdict.correct, verdict.wrong) == (exact.correct, exact.wrong)
    far = prove(model, "brute-force", semantics=FLOAT32, margin="1/2").predicate.claim
    assert 0 < far.correct < exact.correct and far.correct + far.wrong == exact.total
    require_consistent(certificate)


def flattened(case: Case) -> None:
    """Smaller weights: those of these models would make errors large."""
    for name, x in case.tensors.items():
        case.tensors[name] = x if name.startswith(("embed", "ln")) or ".ln" in name else x / 4


ANY = [
    {"blocks": 2, "activation": "gelu_tanh", "normalization": "LN", "norms": ["pre", "final"], "eps": "1/100000"},
    {"blocks": 3, "heads": 2, "normalization": "LN", "norms": ["post"], "eps": "1/100000", "mask": "full"},
    {"blocks": 2, "activation": "relu", "pool": "sum", "readout_layers": 1},
    {"blocks": 1, "normalization": "LNPre", "norms": ["pre"], "eps": "1/4", "pool": "mean"},
    {"blocks": 0},
]


@pytest.mark.parametrize("given", ANY)
def test_models_of_any_architecture(tmp_path: Path, given: dict[str, Any]) -> None:
    """Without a strategy, it is chosen where nothing else applies. check-cert grants all that is found."""
    case = pooled(given) if "pool" in given else layer_case(**given)
    flattened(case)
    path, problem = case.write(tmp_path / "m.safetensors"), tmp_path / "problem.json"
    problem.write_text(json.dumps(case.problem))
    certificate = prove(path, problem=str(problem), semantics=FLOAT32)
    assert [step.rule for step in certificate.predicate.steps] == ["float32_inputs"]
    verdict = verified(path, certificate, problem)
    assert verdict.correct + verdict.wrong == verdict.total  # as no input is near a tie
    assert min(certificate.predicate.steps[0].args.bits) >= 48


def test_inputs_near_a_tie_are_left_open(tmp_path: Path) -> None:
    """The margin is the lead of an input, or a little less, or more."""
    asked = {"inputs": [{"tokens": "0-1"}] * 2, "label": {"name": "contains", "token": 2}, "readout": 1}
    case, problem = layer_case(0, asked, blocks=2, activation="relu"), tmp_path / "problem.json"
    flattened(case)
    case.tensors["unembed.b_U"][0] += 64  # the right answer wins
    path = case.write(tmp_path / "m.safetensors")
    problem.write_text(json.dumps(case.problem))
    inputs = [tokens for tokens, _, _ in Inputs(case.problem)]
    labels = {tokens: label for tokens, _, label in Inputs(case.problem)}
    leads = [case.oracle.lead(tokens, case.problem["readout"], labels[tokens]) for tokens in inputs]
    lead = max(-each for each in leads if each is not None)
    assert lead > 0
    found = []
    for off in (Fraction(0), Fraction(1, 1 << 26), Fraction(1, 1 << 6), -Fraction(1, 1 << 6)):
        certificate = prove(path, "brute-force", problem=str(problem), semantics=FLOAT32, margin=lead + off)
        verdict = verified(path, certificate, problem)
        found.append((verdict.correct, verdict.total - verdict.correct - verdict.wrong))
    assert found[0][0] == found[1][0] == found[2][0] == 0 < found[3][0]
    assert found[0][1] == found[1][1] == found[3][0] and found[2][1] == found[3][1] == 0


def test_pieces_are_evaluated_in_float32_too(tmp_path: Path, model: Path) -> None:
    """A search that is shared is the same."""
    whole = prove(model, "brute-force", semantics=FLOAT32)
    search = in_pieces(tmp_path / "pieces", Local(1))
    assert prove(model, "brute-force", semantics=FLOAT32, search=search) == whole


def test_a_margin_of_its_own(model: Path) -> None:
    verdict = verified(model, prove(model, "brute-force", margin="1/2", semantics=FLOAT32))
    assert verdict.margin == (1, 2)
    assert verdict.correct < verified(model, prove(model, "brute-force", semantics=FLOAT32)).correct


def test_both_sides_take_two_proofs(model: Path) -> None:
    """Wrong by more than the room is another question than not correct by more than the room."""
    predicate = prove(model, "exact", semantics=FLOAT32).predicate
    above, below = predicate.steps[-1].premises
    margins = [Fraction(str(predicate.steps[number].margin)) for number in (above, below)]
    assert margins[0] == -margins[1] > 0
    assert predicate.claim.correct == predicate.steps[above].conclusion.correct
    assert predicate.claim.wrong == predicate.steps[below].conclusion.wrong > 0
    assert len(prove(model, "cubic", semantics=FLOAT32).predicate.steps[-1].premises) == 1


REFUSED = [
    ({"semantics": "float32"}, "no semantics"),
    ({"semantics": ""}, "no semantics"),
    ({"semantics": FLOAT32, "margins": [1]}, "real numbers only"),
]


@pytest.mark.parametrize(("given", "words"), REFUSED)
def test_what_is_asked_of_it(model: Path, given: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        prove(model, "cubic", **given)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"normalization": "LN", "norms": ["pre"], "eps": "1/100000"}, "it has LayerNorm"),
        ({"blocks": 2}, "it has 2 blocks"),
        ({"pool": "mean"}, "pooled"),
        ({"attn_scale_squared": "100000"}, "too large"),
    ],
)
def test_models_that_it_is_not_about(tmp_path: Path, given: dict[str, Any], words: str) -> None:
    problem = layer_case().problem
    if "pool" in given:
        problem = {name: value for name, value in problem.items() if name != "readout"}
    case = layer_case(problem={**problem}, **given) if "pool" not in given else pooled(given)
    path, asked = case.write(tmp_path / "m.safetensors"), tmp_path / "problem.json"
    asked.write_text(json.dumps(case.problem))
    with pytest.raises(UserError, match=words) as refusal:
        prove(path, "adaptive", problem=str(asked), semantics=FLOAT32)
    assert "brute-force is for every model" in refusal.value.hint or "too large" in words


def pooled(given: dict[str, Any]) -> Case:
    case = layer_case(**given)
    case.problem = {name: value for name, value in case.problem.items() if name != "readout"}
    return case


WEIGHTS = [(0.1, "no float32 numbers"), (2.0**24, "too large"), (2.0**23, "too large")]


@pytest.mark.parametrize(("value", "words"), WEIGHTS)
def test_weights_that_it_is_not_about(tmp_path: Path, value: float, words: str) -> None:
    tensors = near_correct(np.random.default_rng(0), v=3, k=2)
    tensors["embed.W_E"][0, 0] = value
    path = tiny_model(tmp_path / "m.safetensors", tensors, "F64")
    with pytest.raises(UserError, match=words):
        prove(path, "cubic", semantics=FLOAT32)
    assert prove(path, "cubic").predicate.semantics == "exact-real"


def test_the_commands(model: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("prove", model, "-s", "exact", "--semantics", FLOAT32, "-o", "m.cert.json")
    assert done.code == 0 and "so much more is proved" in done.err + done.out
    told = " ".join(run("explain", "m.cert.json").out.split())
    assert "It is about every float32 program of the model." in told
    assert "Claim (not checked here; run check-cert): accuracy = 7 / 27" in told
    assert run("length", model, "m.cert.json").code == 0
    assert run("prove", model, "--semantics", "real", "-o", "n.cert.json").code == 2


def test_its_length_is_measured(model: Path) -> None:
    path = model.with_suffix(".long.cert.json")
    prove(model, "cubic", semantics=FLOAT32).save(path)
    longer = proof_length(model, path)
    prove(model, "cubic").save(path)
    assert longer.total > proof_length(model, path).total


def test_what_is_told_is_the_proof_of_what_is_correct(model: Path) -> None:
    certificate = prove(model, "exact", semantics=FLOAT32)
    first = first_proof(certificate).predicate
    assert (first.semantics, first.steps[-1].rule) == ("exact-real", "total")
    assert first.margin == str(float32_gap(ask(model, None, Fraction(0))))
    assert first.claim.correct == certificate.predicate.claim.correct


def broken() -> list[Any]:
    claim, semantics = ("predicate", "claim"), ("predicate", "semantics")
    return [
        put(*semantics, value="exact-real"),
        change(*claim, "correct", by=1),
        change(*claim, "wrong", by=1),
        drop("predicate", "steps", -1),
        put("predicate", "steps", value=[]),
        put("predicate", "steps", -1, "conclusion", "wrong", value=27),
    ]


@pytest.mark.parametrize("edit", broken())
def test_what_does_not_fit_together_is_not_told(model: Path, edit: Any) -> None:
    statement: Statement = json.loads(prove(model, "exact", semantics=FLOAT32).to_bytes())
    with pytest.raises(UserError, match="does not fit together"):
        require_consistent(Certificate.model_validate_json(to_bytes(edited(statement, edit))))


# Programs

SHIPPED = ["max-of-4-seed-123", "max-of-10-seed-123"]


@pytest.mark.parametrize("name", SHIPPED)
def test_programs_answer_as_proved(name: str) -> None:
    """Of inputs near the edge, and others: no lead moves by as much as there is room for, and no answer that is decided
    with this room is another one."""
    model = load_model(ROOT / f"models/{name}.safetensors")
    room = float(float32_gap(ask(model, None, Fraction(0))))
    rng = np.random.default_rng(0)
    top = rng.integers(1, model.d_vocab, 3000)
    inputs = top[:, None] - np.minimum(rng.geometric(0.3, (len(top), model.n_ctx)) - 1, top[:, None])
    labels = inputs.max(axis=1)
    truth = leads(in_numpy(model.tensors, inputs, np.float64), labels)
    near = np.argsort(np.abs(truth))[:60]
    inputs, labels, truth = inputs[near], labels[near], truth[near]
    assert np.abs(truth).min() < 0.5
    for program, logits in PROGRAMS.items():
        found = leads(logits(model.tensors, inputs), labels)
        moved = np.abs(found - truth).max()
        assert 0 < moved < room / 4, program
        assert not ((found > 0) != (truth > 0))[np.abs(truth) > room].any(), program


@pytest.mark.parametrize("activation", ["relu", "gelu", "silu", "gelu_tanh"])
def test_activations_of_pytorch_are_as_near_as_assumed(activation: str) -> None:
    import torch

    z = torch.cat([torch.linspace(-30, 30, 200_001), torch.logspace(-30, 3, 1001), -torch.logspace(-30, 2, 1001)])
    act = {
        "relu": torch.relu,
        "gelu": torch.nn.functional.gelu,
        "silu": torch.nn.functional.silu,
        "gelu_tanh": lambda x: torch.nn.functional.gelu(x, approximate="tanh"),
    }[activation]
    off = (act(z).double() - act(z.double())).abs()
    assert (off <= 16 * 2.0**-24 * z.double().abs() + 2.0**-125).all()


def test_exponentials_are_as_near_as_assumed() -> None:
    import torch

    x = np.concatenate([-np.linspace(0, 87, 400_001), -np.logspace(-30, 1.9, 5001)]).astype(np.float32)
    truth = np.exp(x.astype(np.float64))
    for found in (np.exp(x), torch.from_numpy(x).exp().numpy(), torch.from_numpy(x[:7]).exp().numpy()):
        off = np.abs(found.astype(np.float64) - truth[: len(found)])
        assert (off <= 4 * np.spacing(truth[: len(found)].astype(np.float32))).all()


@pytest.mark.parametrize("case", UNSEEN.values(), ids=UNSEEN)
def test_what_is_not_seen_must_be_numbers_too(case: Case, tmp_path: Path) -> None:
    """No more is claimed of these models than is accepted."""
    path = case.write(tmp_path / "m.safetensors")
    (tmp_path / "problem.json").write_text(json.dumps(case.problem), encoding="utf-8")
    certificate = prove(load_model(path), "brute-force", problem=tmp_path / "problem.json", semantics=FLOAT32)
    certificate.save(tmp_path / "m.cert.json")
    assert check(str(path), str(tmp_path / "m.cert.json")).correct == 1
