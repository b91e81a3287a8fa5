"""Every input of any model and any problem: what is claimed is the truth, and the checker derives it."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from certgen import prove
from certgen.certificate.facts import Tally
from certgen.certificate.proof import LEAST, RETRIED, needed_budget
from certgen.counts import evaluation
from certgen.counts.evaluation import choose_bits, choose_setting, conclude, evaluate_part, evaluate_pieces
from certgen.counts.work import about, evaluation_operations, lasting, work
from certgen.errors import UserError
from certgen.models.model_file import Model
from certgen.problem import MaxOfK
from certgen.progress import quiet
from certgen.proving import ask
from checker.errors import ResourceLimit
from tests.support.random_models import random_model, saved
from tests.support.random_problems import checked, problem_of, random_problem, truth

PAIRS = {"inputs": [{"tokens": "0-3"}, {"tokens": "0-3"}], "label": {"name": "contains", "token": 1}}
MARGINS = [Fraction(0), Fraction(1, 8), Fraction(3, 7)]


def model_of(folder: Path, seed: int, **fields: Any) -> Model:
    return saved(random_model(np.random.default_rng(seed), size=0.7, **fields), folder / "model.safetensors")


def with_twin_outputs(folder: Path, apart: float, seed: int = 1) -> Model:
    """Two outputs, logits 0 and 1 of which are as good as the same."""
    model = random_model(np.random.default_rng(seed), size=0.7, blocks=1, pool="none", readout_layers=0)
    width = model.tensors["unembed.W_U"].shape[0]
    model.tensors["unembed.W_U"] = np.repeat(np.arange(1.0, width + 1)[:, None], 2, axis=1)
    model.tensors["unembed.b_U"] = np.array([0.0, apart])
    return saved(model, folder / "model.safetensors")


@pytest.mark.parametrize("seed", range(40))
def test_what_is_claimed_is_the_truth_and_the_checker_derives_it(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    model = model_of(tmp_path, seed)
    problem = random_problem(rng, 4, 4, model.d_vocab_out, model.architecture.pool != "none")
    margin = MARGINS[seed % 3]
    certificate = prove(model, problem=problem, margin=margin)
    verdict, claim = checked(model, certificate), certificate.predicate.claim
    assert (verdict.correct, verdict.wrong, verdict.total) == (claim.correct, claim.wrong, claim.total)
    correct, wrong, close = truth(model, problem.bound_to(model), margin)
    assert correct <= claim.correct <= correct + close
    assert wrong <= claim.wrong <= wrong + close
    assert claim.exact or close
    assert claim.total == correct + wrong + close
    assert certificate.predicate.strategy == "brute-force"


@pytest.mark.parametrize("apart", [1e-9, -1e-9, 2.0**-100, 2.0**-900])
def test_near_ties_are_decided_with_more_bits(apart: float, tmp_path: Path) -> None:
    model = with_twin_outputs(tmp_path, apart)
    certificate = prove(model, problem=problem_of(PAIRS))
    claim = certificate.predicate.claim
    assert claim.exact
    assert claim.correct == (7 if apart > 0 else 9)  # 1 is the right answer for 7 of the 16 pairs
    checked(model, certificate)


def test_most_inputs_are_decided_with_fewer_bits_than_the_closest(tmp_path: Path) -> None:
    """One input in 256 is a near tie: all the others do not pay for it."""
    model = random_model(np.random.default_rng(5), blocks=1, heads=1, pool="none", readout_layers=0, v=16)
    question = ask(saved(model, tmp_path / "model.safetensors"), sixteen(), Fraction(0))
    tokens, _ = question.task.inputs(37, 38)
    gap = evaluation.gaps(question, tokens, choose_setting(question)).gap[0]
    margin = Fraction(float(gap)) - Fraction(1, 1 << 70)
    assert margin > 0
    certificate = prove(question.model, problem=sixteen(), margin=margin)
    few, many = certificate.predicate.steps[0].args.bits
    assert few < 50 < 70 < many
    assert certificate.predicate.claim.exact
    checked(question.model, certificate)
    assert 0 < needed_budget(certificate, question.model) < 2 * LEAST


def sixteen() -> Any:
    return problem_of({"inputs": [{"tokens": "0-15"}] * 2, "label": {"name": "contains", "token": 1}})


def test_ties_stay_open_and_cost_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = with_twin_outputs(tmp_path, 0.0)
    tried = []

    def counted(*args: Any, leads: Any = evaluation.leads) -> Any:
        tried.append(args)
        return leads(*args)

    monkeypatch.setattr(evaluation, "leads", counted)
    monkeypatch.setattr(evaluation, "MOST_UNRESOLVED", 3)
    monkeypatch.setattr(evaluation, "MOST_OPEN", 10)
    certificate = prove(model, problem=problem_of(PAIRS))
    claim = certificate.predicate.claim
    assert (claim.correct, claim.wrong, claim.total) == (0, 0, 16)
    assert len(tried) == 3 * 3 + 7
    checked(model, certificate)


def test_weights_beyond_64_bits_are_added_up_exactly(tmp_path: Path) -> None:
    model = model_of(tmp_path, 3)
    heavy = {"tokens": [0, 1], "weights": [10**30, 1]}
    problem = problem_of({"inputs": [heavy, heavy], "label": {"name": "contains", "token": 0}})
    claim = prove(model, problem=problem).predicate.claim
    assert claim.correct + claim.wrong == claim.total == (10**30 + 1) ** 2


def test_pieces_add_up_to_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    question = ask(model_of(tmp_path, 4), problem_of(PAIRS), Fraction(0))
    setting = choose_setting(question)
    whole = conclude(question, [evaluate_part(question, 0, 16, setting)], setting.base)
    monkeypatch.setattr(evaluation, "PIECE", 3)
    assert conclude(question, evaluate_pieces(question, setting, quiet), setting.base) == whole


@pytest.mark.parametrize("pool", ["none", "sum"])
def test_a_region_is_a_label_and_the_token_at_the_readout(pool: str, tmp_path: Path) -> None:
    """In a model that pools, the last token. Every one that occurs is there, in its order, even if nothing is decided;
    a token of no weight does not occur."""
    last = {"tokens": [0, 3, 1], "weights": [1, 1, 0]}
    problem = {"inputs": [{"tokens": [2, 1]}, last], "label": {"name": "contains", "token": 1}}
    stated = problem if pool == "sum" else problem | {"readout": 0}
    model = random_model(np.random.default_rng(5), blocks=1, pool=pool, readout_layers=0)
    model.tensors["unembed.W_U"] = np.zeros_like(model.tensors["unembed.W_U"])
    model.tensors["unembed.b_U"] = np.zeros_like(model.tensors["unembed.b_U"])  # all tied
    path = saved(model, tmp_path / "model.safetensors")
    certificate = prove(path, problem=problem_of(stated))
    found = certificate.predicate.steps[0].conclusion
    assert isinstance(found, Tally)
    regions = [(0, 0), (0, 3), (1, 0), (1, 3)] if pool == "sum" else [(0, 2), (1, 1)]
    assert found.counts == [[label, 1 << query, 0b11, 0, 0] for label, query in regions]
    checked(path, certificate)


def test_trying_again_never_costs_more_than_the_first_pass(tmp_path: Path) -> None:
    question = ask(model_of(tmp_path, 6), problem_of(PAIRS), Fraction(0))
    tables = [(0, 20, (0, 0, 10)), (0, 40, (0, 0, 1)), (0, 4000, (0, 0, 1))]
    assert choose_bits(question, tables, 0, 20) == [4000]  # 64 words instead of 1 are 4,000 times the work
    assert choose_bits(question, [*tables[:1], (0, 50, (0, 0, 1))], 0, 20) == [20, 50]
    assert choose_bits(question, [*tables[:1], (0, 50, (0, 0, 1))], 10**6, 20) == [50]
    assert choose_bits(question, [], 16, 20) == [20]


def test_the_needed_budget_is_that_of_the_checker(tmp_path: Path) -> None:
    model = model_of(tmp_path, 7, blocks=2)
    problem = problem_of(PAIRS)
    certificate = prove(model, problem=problem)
    (bits,) = certificate.predicate.steps[0].args.bits
    cost = evaluation_operations(model, problem.bound_to(model), bits)
    assert needed_budget(certificate, model) == LEAST + cost
    checked(model, certificate, cost + 1000)
    with pytest.raises(ResourceLimit):
        checked(model, certificate, cost // 3)
    twice = certificate.predicate.steps[0].model_copy(
        update={"args": certificate.predicate.steps[0].args.model_copy(update={"bits": [bits, bits + 1]})}
    )
    predicate = certificate.predicate.model_copy(update={"steps": [twice, *certificate.predicate.steps[1:]]})
    again = certificate.model_copy(update={"predicate": predicate})
    assert needed_budget(again, model) == LEAST + RETRIED * cost


def test_work_grows_with_words(tmp_path: Path) -> None:
    model = model_of(tmp_path, 8, blocks=2)
    assert work(model, 3, 40) == work(model, 3, 16)
    assert work(model, 3, 64) > 3 * work(model, 3, 16)


def test_a_problem_too_large_is_refused_with_what_it_would_take(tmp_path: Path) -> None:
    fields = {"inputs": [{"tokens": "0-63"}] * 20, "label": {"name": "contains", "token": 1}}
    model = saved(
        random_model(np.random.default_rng(9), v=64, n_ctx=20, pool="none", blocks=1), tmp_path / "m.safetensors"
    )
    with pytest.raises(UserError, match=r"10\^36 inputs are too many .* multiply-adds, .* years to search") as refused:
        prove(model, "brute-force", problem=problem_of(fields))
    assert "fewer positions" in refused.value.hint
    smaller = problem_of(fields | {"inputs": [{"tokens": "0-63"}] * 5})
    with pytest.raises(UserError, match="1,073,741,824 inputs are too many"):
        prove(model, problem=smaller)


@pytest.mark.parametrize(
    ("thousands", "text"),
    [
        (1, "a second"),
        (500, "10 seconds"),
        (50 * 7_200, "2 hours"),
        (50 * 86_400 * 3, "3 days"),
        (10**30, "10^21 years"),
    ],
)
def test_times_are_said_as_people_say_them(thousands: int, text: str) -> None:
    assert lasting(thousands, 50.0) == text


def test_numbers_that_nobody_counts_are_powers_of_ten() -> None:
    assert about(1_234_567) == "1,234,567"
    assert about(10**5_000) == "10^5000"


def test_a_question_about_max_of_k_by_one_head_is_classic(tmp_path: Path) -> None:
    one_head: dict[str, Any] = {"blocks": 1, "heads": 1, "mask": "causal", "activation": "none", "pool": "none"}
    one_head |= {"normalization": "none", "readout_layers": 0, "norms": ()}
    for heads in (1, 2):
        random = random_model(np.random.default_rng(1), **one_head | {"heads": heads})
        width, d_head = random.tensors["unembed.W_U"].shape[0], random.tensors["blocks.0.attn.b_Q"].shape[1]
        random.tensors |= {"unembed.W_U": np.eye(width, 4), "unembed.b_U": np.zeros(4)}
        random.architecture = random.architecture.model_copy(update={"attn_scale_squared": str(d_head)})
        model = saved(random, tmp_path / f"{heads}.safetensors")
        assert ask(model, None, Fraction(0)).is_classic == (heads == 1)
        assert ask(model, MaxOfK(name="max-of-k", k=4), Fraction(0)).is_classic == (heads == 1)
        whole = {"inputs": [{"tokens": "0-3"}] * 4, "label": {"name": "max"}}
        assert ask(model, problem_of(whole), Fraction(0)).is_classic == (heads == 1)
        assert not ask(model, problem_of(whole | {"readout": 2}), Fraction(0)).is_classic
        assert not ask(model, problem_of(PAIRS), Fraction(0)).is_classic


@pytest.mark.filterwarnings("error")
def test_what_overflows_float64_stays_open(tmp_path: Path) -> None:
    random = random_model(np.random.default_rng(1), blocks=1, normalization="none", pool="none", readout_layers=0)
    random.tensors["embed.W_E"] = random.tensors["embed.W_E"] * 1e200
    model = saved(random, tmp_path / "model.safetensors")
    certificate = prove(model, problem=problem_of(PAIRS))
    assert certificate.predicate.claim.correct + certificate.predicate.claim.wrong == 0
    checked(model, certificate)
