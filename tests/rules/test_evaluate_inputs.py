"""evaluate_inputs: accepted, refused by reason, attacked; on any model and any problem, against the oracle."""

import random
from collections import Counter
from fractions import Fraction
from pathlib import Path
from time import process_time
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

from checker.errors import Refusal, Rejected, ResourceLimit
from checker.kernel import Verdict
from checker.model.forward import Forward
from tests.support.any_case import Case, any_case, certificate, counted, derived
from tests.support.any_model import Architecture, architecture, zeros
from tests.support.any_problem import Inputs, Json, max_of_k
from tests.support.any_traps import MISREADINGS, SEEDS, TRAPS, Trap, claims_more
from tests.support.checking import outcome, prove
from tests.support.generators import trained_looking
from tests.support.one_rule import (
    Refused,
    attacked,
    honest,
    less,
    longer,
    more,
    refusal,
    refusals,
    said,
    shorter,
    small_model,
    true_tally,
)

RULE = "evaluate_inputs"
PRECISIONS = (8, 9, 11, 14, 18, 24, 40, 64, 128)
FINE = [64, 256, 1024]


def checked(case: Case, folder: Path, counts: list[list[int]], bits: list[int], **changes: Any) -> Verdict | Refusal:
    """What check-cert says of a certificate with these counts."""
    return outcome(case.write(folder / "model.safetensors"), certificate(case, bits, counts, **changes))


# On max-of-k.


def test_accepted() -> None:
    """All that is true of each label, which is the maximum here, and each query."""
    proof = honest(RULE)
    assert said(proof) == ("", "")
    assert proof.facts[-1] == true_tally(small_model(), [(m, 1 << q, 7) for m in range(3) for q in range(m + 1)])
    assert 0 < sum(count.correct for count in proof.facts[-1].counts) < 27


REFUSED: list[Refused] = [
    ("conclusion.counts[1][3]", more, "count-too-large", "conclusion.counts[1][3]"),
    ("conclusion.counts[1][4]", more, "count-too-large", "conclusion.counts[1][4]"),
    ("conclusion.counts[1][0]", more, "wrong-region", "conclusion.counts[1]"),
    ("conclusion.counts[1][1]", more, "wrong-region", "conclusion.counts[1]"),
    ("conclusion.counts[1][2]", less, "wrong-region", "conclusion.counts[1]"),
    ("conclusion.counts", lambda counts: counts[::-1], "wrong-region", "conclusion.counts[0]"),
    ("conclusion.counts", lambda counts: [counts[0], counts[0], *counts[2:]], "wrong-region", "conclusion.counts[1]"),
    ("conclusion.counts", shorter, "wrong-shape", "conclusion.counts"),
    ("conclusion.counts", longer, "wrong-shape", "conclusion.counts"),
    ("conclusion.counts", [], "wrong-shape", "conclusion.counts"),
    ("conclusion.counts[1]", shorter, "wrong-type", "conclusion.counts[1]"),
    ("conclusion.counts[1][1]", True, "wrong-type", "conclusion.counts[1][1]"),
    ("args.bits", [], "out-of-range", "args.bits"),
    ("args.bits", 40, "wrong-type", "args.bits"),
    ("args.bits", [40, 40], "not-increasing", "args.bits"),
    ("args.bits", [60, 12], "not-increasing", "args.bits"),
    ("args.bits", list(range(20, 29)), "out-of-range", "args.bits"),
    ("args.bits[0]", 7, "out-of-range", "args.bits[0]"),
    ("args.bits[1]", 4097, "out-of-range", "args.bits[1]"),
    ("args.bits[0]", True, "wrong-type", "args.bits[0]"),
    ("premises", [0], "wrong-premises", "premises"),
]


@refusals(REFUSED)
def test_refused_by_reason(place: str, change: Any, code: str, at: str) -> None:
    assert refusal(honest(RULE), place, change) == (code, at)


def test_attacked() -> None:
    """Whatever the arguments, what is granted is true."""
    seen = attacked(RULE)
    assert min(seen["some correct"], seen["some wrong"]) > 10


@pytest.mark.parametrize("seed", range(6))
def test_max_of_k_counts_are_those_of_enumerate_sequences(seed: int, workspace: Path) -> None:
    """The same file, once with the old task and rule, once with the new rule and the same task as a problem."""
    model = trained_looking(seed, 4, 3)
    path = model.write(workspace / "model.safetensors")
    v, k = len(model.tensors["embed.W_E"]), len(model.tensors["pos_embed.W_pos"])
    old = outcome(path, prove(path, "brute-force", Fraction(0)))
    case = Case(model.tensors, None, max_of_k(v, k), 0)
    new = outcome(path, certificate(case, FINE, derived(case, FINE)))
    assert isinstance(old, Verdict) and isinstance(new, Verdict)
    assert (old.correct, old.total) == (new.correct, new.total)
    named = certificate(case, FINE, derived(case, FINE), task={"name": "max-of-k", "k": k})
    assert isinstance(outcome(path, named), Verdict)


# On anything.


@pytest.mark.parametrize("seeds", [range(250), pytest.param(range(10_000, 20_000), marks=pytest.mark.slow)], ids=str)
def test_what_is_granted_is_true_of_any_model_and_problem(seeds: range) -> None:
    """Few bits, margins at a hair: nothing that the oracle denies. Weights of all inputs add up to the total."""
    seen: Counter[str] = Counter()
    for seed in seeds:
        case, rng = any_case(seed), random.Random(seed)
        counts = derived(case, sorted(rng.sample(PRECISIONS, rng.choice([1, 1, 2, 3]))))
        truth = case.oracle.regions(case.problem, case.margin)
        assert [count[:3] for count in counts] == [count[:3] for count in counted(case, truth)], seed
        for (*_, correct, wrong), region in zip(counts, truth, strict=True):
            assert 0 <= correct <= region.correct and 0 <= wrong <= region.wrong + region.open, seed
            seen["correct"] += correct > 0
            seen["wrong"] += wrong > 0
            seen["less than the truth"] += correct < region.correct or wrong < region.wrong
        seen["all"] += 1
    assert min(seen["correct"], seen["wrong"], seen["less than the truth"]) > 0.2 * seen["all"], seen


def tame(case: Case) -> bool:
    """No weight so large or small that more bits are needed than the test wants to wait for."""
    sizes = np.abs(np.concatenate([array.ravel() for array in case.tensors.values()]))
    return bool(np.all((sizes < 1e3) & ((sizes > 1e-6) | (sizes == 0))))


@pytest.mark.parametrize("seeds", [range(60), pytest.param(range(20_000, 22_000), marks=pytest.mark.slow)], ids=str)
def test_with_enough_bits_all_but_ties_are_decided(seeds: range) -> None:
    for seed in seeds:
        case = any_case(seed)
        if tame(case):
            truth = case.oracle.regions(case.problem, case.margin, last=256)
            for (*_, correct, wrong), region in zip(derived(case, FINE), truth, strict=True):
                assert correct >= region.correct and wrong >= region.wrong, seed


@pytest.mark.parametrize("trap", TRAPS, ids=[trap.name for trap in TRAPS])
def test_misread_models_and_problems_are_refused(trap: Trap, workspace: Path) -> None:
    """The truth is accepted, what the misreading makes of the same files is not: for its counts, or for its labels or
    queries where these are others."""
    truth = trap.case.oracle.regions(trap.case.problem, trap.case.margin)
    lie = trap.misread.oracle.regions(trap.misread.problem, trap.misread.margin)
    assert claims_more(trap.case, trap.misread), "the reading has to be false here"
    verdict = checked(trap.case, workspace, counted(trap.case, truth), [40])
    assert isinstance(verdict, Verdict), str(verdict)
    assert verdict.correct == sum(region.correct for region in truth)
    refused = checked(trap.case, workspace, counted(trap.case, lie), [40])
    same = [region[:2] for region in truth] == [region[:2] for region in lie]
    codes = ["count-too-large"] if same else ["wrong-shape", "wrong-region"]
    assert isinstance(refused, Rejected) and refused.code in codes, str(refused)


@pytest.mark.parametrize("name", MISREADINGS)
def test_misread_functions_are_refused(name: str, workspace: Path) -> None:
    case = any_case(SEEDS[name])
    misread = MISREADINGS[name](case)
    lie = misread.oracle.regions(misread.problem, misread.margin, last=1024)
    assert claims_more(case, misread, 1024), "the reading has to be false here"
    refused = checked(case, workspace, counted(case, lie), [20, 100, 400])
    assert isinstance(refused, Rejected) and refused.code == "count-too-large", str(refused)


def test_shares_are_weights() -> None:
    """Of 2^80 + 3 and 10^20 + 5: products, not numbers of inputs."""
    given = architecture(blocks=0)
    sizes = {"d_vocab": 2, "d_model": 2, "n_ctx": 2, "d_vocab_out": 2}
    tensors = zeros(given, sizes, W_E=np.eye(2), W_U=np.eye(2))
    inputs = [{"tokens": [1, 0], "weights": [3, 1 << 80]}, {"tokens": [0, 1], "weights": [5, 10**20]}]
    case = Case(tensors, given, {"inputs": inputs, "label": {"name": "first"}})
    assert derived(case, [20]) == [
        [0, 1, 3, 5 << 80, 0],
        [0, 2, 3, 0, 10**20 << 80],
        [1, 1, 3, 0, 15],
        [1, 2, 3, 3 * 10**20, 0],
    ]


def test_exact_ties_are_on_neither_side(workspace: Path) -> None:
    """Nor are divisions by zero; the claim that a tie is wrong is true, and not proved."""
    given = architecture(blocks=0, normalization="LNPre", norms=["final"])
    sizes = {"d_vocab": 2, "d_model": 1, "n_ctx": 1, "d_vocab_out": 2}
    problem: Json = {"inputs": [{"tokens": "0-1"}], "label": {"name": "last"}}
    undefined = Case(zeros(given, sizes, W_E=[0, 1], W_U=[1, 0], b_U=[1, 0]), given, problem)
    given = architecture(blocks=0)
    tied = Case(zeros(given, sizes), given, problem)
    for case in (undefined, tied):
        assert derived(case, FINE) == [[0, 1, 1, 0, 0], [1, 2, 1, 0, 0]]
        for counts in ([[0, 1, 1, 1, 0], [1, 2, 1, 0, 0]], [[0, 1, 1, 0, 0], [1, 2, 1, 0, 1]]):
            refused = checked(case, workspace, counts, FINE)
            assert isinstance(refused, Rejected) and refused.code == "count-too-large"
    apart = Case(zeros(given, sizes), given, problem, Fraction(1, 10**50))
    assert derived(apart, FINE) == [[0, 1, 1, 0, 1], [1, 2, 1, 0, 1]]


def test_the_margin_is_strict() -> None:
    """The right logit leads by exactly 1."""
    given = architecture(blocks=0)
    sizes = {"d_vocab": 2, "d_model": 2, "n_ctx": 1, "d_vocab_out": 2}
    problem: Json = {"inputs": [{"tokens": "0-1"}], "label": {"name": "last"}}
    tensors = zeros(given, sizes, W_E=np.eye(2), W_U=np.eye(2))
    hair = Fraction(1, 1 << 40)
    for margin, counts in ((1 - hair, [1, 0]), (1, [0, 0]), (1 + hair, [0, 1])):
        assert derived(Case(tensors, given, problem, margin), [60]) == [[0, 1, 1, *counts], [1, 2, 1, *counts]]


# Work.


def test_work_is_refused_before_it_is_done() -> None:
    """2^60 inputs; one input of precisions without end; long numbers; and a little work with a smaller budget."""
    given = architecture(blocks=1, activation="gelu_erf")
    sizes = {"d_vocab": 2, "d_model": 1, "n_ctx": 60, "d_vocab_out": 2, "n_heads": 1, "d_head": 1, "d_mlp": 100}
    tensors = zeros(given, sizes)
    label = {"name": "majority"}
    for inputs, bits in (
        ([{"tokens": "0-1"}] * 60, [8]),
        ([{"tokens": "0-1"}] * 9 + [{"tokens": [0]}] * 51, [4096]),
        ([{"tokens": "0-1"}] * 9 + [{"tokens": [0]}] * 51, [8, 4096]),
    ):
        with pytest.raises(ResourceLimit) as refused:
            derived(Case(tensors, given, {"inputs": inputs, "label": label}), bits, budget=1 << 30)
        assert refused.value.code == "over-budget"
    few = Case(tensors, given, {"inputs": [{"tokens": "0-1"}], "label": label})
    with pytest.raises(ResourceLimit):
        derived(few, [64], budget=100)
    derived(few, [64], budget=64 * 30_000)


def test_long_numbers_are_too_coarse() -> None:
    """Each block multiplies the residual by 2^4092: after a few, nothing is said, in no time."""
    given = architecture(blocks=64, activation="relu")
    sizes = {"d_vocab": 2, "d_model": 1, "n_ctx": 2, "d_vocab_out": 2, "n_heads": 1, "d_head": 1, "d_mlp": 1}
    tensors = {name: np.full_like(array, 2.0**1023) for name, array in zeros(given, sizes).items()}
    case = Case(tensors, given, {"inputs": [{"tokens": "0-1"}] * 2, "label": {"name": "last"}})
    assert derived(case, [8, 64]) == [[0, 1, 3, 0, 0], [1, 2, 3, 0, 0]]


@pytest.mark.parametrize("mask", ["causal", "full"])
def test_the_deepest_model(mask: str) -> None:
    """64 blocks of everything are evaluated."""
    given = architecture(blocks=64, mask=mask, activation="silu", normalization="LN", norms=["pre", "final"], eps="1")
    sizes = {"d_vocab": 2, "d_model": 2, "n_ctx": 3, "d_vocab_out": 2, "n_heads": 1, "d_head": 1, "d_mlp": 1}
    tensors = zeros(given, sizes, W_E=4 * np.eye(2), W_U=np.eye(2))
    case = Case(tensors, given, {"inputs": [{"tokens": "0-1"}] * 3, "label": {"name": "last"}})
    assert derived(case, [40]) == [[0, 1, 7, 4, 0], [1, 2, 7, 4, 0]]


@pytest.mark.parametrize("pool", ["none", "mean"])
@pytest.mark.parametrize("mask", ["causal", "full"])
def test_more_bits_are_tried_for_what_is_too_close(mask: str, pool: str) -> None:
    """Nothing with 8 bits, all with 8 and then 64."""
    given: Architecture = architecture(mask=mask, pool=pool, attn_scale_squared="2")
    sizes = {"d_vocab": 2, "d_model": 2, "n_ctx": 2, "d_vocab_out": 2, "n_heads": 1, "d_head": 1}
    tensors = zeros(given, sizes, W_E=np.eye(2) / 1e4, W_U=np.eye(2), b_U=[1e-5, 0])
    problem: Json = {"inputs": [{"tokens": "0-1"}] * 2, "label": {"name": "min"}}
    case = Case(tensors, given, problem)
    total = Inputs(problem).total
    assert sum(correct + wrong for *_, correct, wrong in derived(case, [8])) == 0
    assert sum(correct + wrong for *_, correct, wrong in derived(case, [8, 64])) == total


# Certificates.


def test_a_certificate_states_the_sizes_and_tensors_of_its_model(workspace: Path) -> None:
    """Each of them, no other, and every number right."""
    case = next(case for case in map(any_case, range(100)) if "d_mlp" in case.sizes and "d_readout_0" in case.sizes)
    path, counts = case.write(workspace / "model.safetensors"), derived(case, [8])
    statement = certificate(case, [8], counts)
    assert isinstance(outcome(path, statement), Verdict)
    stated = statement["predicate"]["model"]
    for name in case.sizes:
        for sizes in (
            {key: size for key, size in stated.items() if key != name},
            stated | {name: stated[name] + 1},
            stated | {f"{name}_": stated[name]},
        ):
            refused = outcome(path, certificate(case, [8], counts, model=sizes))
            assert isinstance(refused, Rejected)
            assert (refused.code, refused.path) == ("wrong-size", "predicate.model")
    for name, digest in stated["tensors"].items():
        for tensors in (
            {key: value for key, value in stated["tensors"].items() if key != name},
            stated["tensors"] | {name: "0" * 64},
            stated["tensors"] | {f"{name}_": digest},
        ):
            refused = outcome(path, certificate(case, [8], [], model=stated | {"tensors": tensors}))
            assert isinstance(refused, Refusal)
            assert (refused.exit_code, refused.code) == (4, "tensor-digest")


def test_a_proof_needs_its_last_step(workspace: Path) -> None:
    case = any_case(4)
    path, whole = case.write(workspace / "model.safetensors"), certificate(case, [30], derived(case, [30]))
    assert isinstance(outcome(path, whole), Verdict)
    counts, total = whole["predicate"]["steps"]
    for steps, code in (([], "nothing-proved"), ([counts], "nothing-proved"), ([total], "bad-premise")):
        refused = outcome(path, certificate(case, [30], derived(case, [30]), steps=steps))
        assert isinstance(refused, Rejected) and refused.code == code


def test_one_more_anywhere_is_one_too_many(workspace: Path) -> None:
    """Of each region and in the claim; one less is true, too."""
    case = any_case(7)
    counts = derived(case, [30])
    path = case.write(workspace / "model.safetensors")
    for region in range(len(counts)):
        for side in (3, 4):
            more_there = [list(count) for count in counts]
            more_there[region][side] += 1
            refused = outcome(path, certificate(case, [30], more_there))
            assert isinstance(refused, Rejected)
            assert refused.path == f"predicate.steps[0].conclusion.counts[{region}][{side}]"
            less_there = [list(count) for count in counts]
            less_there[region][side] -= 1
            if less_there[region][side] >= 0:
                assert isinstance(outcome(path, certificate(case, [30], less_there)), Verdict)
    for claimed in ("correct", "wrong"):
        statement = certificate(case, [30], counts)
        statement["predicate"]["claim"][claimed] += 1
        refused = outcome(path, statement)
        assert isinstance(refused, Rejected)
        assert (refused.code, refused.path) == ("count-too-large", f"predicate.claim.{claimed}")


# Work that the budget does not see.


def bare(v: int, k: int, out: int) -> Case:
    """A model of zeros without blocks: as many positions and tokens as one likes in a small file."""
    given = architecture(blocks=0)
    sizes = {"d_vocab": v, "d_model": 1, "n_ctx": k, "d_vocab_out": out}
    return Case(zeros(given, sizes), given, {}, 0)


@pytest.mark.parametrize(
    ("v", "k", "inputs", "code"),
    [
        (
            1,
            1 << 17,
            [{"tokens": [0]}] * (1 << 17),
            "over-budget",
        ),  # of prefixes, whose number is their sum of products
        (1, 2000, [{"tokens": [0], "weights": [10**3999]}] * 2000, "wrong-task"),  # a total that nobody can state
        (1 << 15, 1 << 10, [{"tokens": [0]}] * (1 << 10), "wrong-task"),  # a normal form of 2^25 numbers
    ],
)
def test_long_problems_are_refused_at_once(v: int, k: int, inputs: list[Json], code: str) -> None:
    """Before the work is done: each of these ran for minutes or hours, or filled the memory."""
    case = bare(v, k, 1)
    problem = {"inputs": inputs, "label": {"name": "contains", "token": v}}
    start = process_time()
    with pytest.raises(Refusal) as refused:
        derived(Case(case.tensors, case.entry, problem), [8])
    assert refused.value.code == code
    assert process_time() - start < 10


def test_max_of_k_has_an_output_for_each_token(workspace: Path) -> None:
    """Named alone, the task is about d_vocab outputs; a problem may have more."""
    for out, problem in ((2, {"name": "max-of-k", "k": 1}), (5, {"name": "max-of-k", "k": 1}), (5, max_of_k(2, 1))):
        case = bare(2, 1, out)
        case.tensors["embed.W_E"][:, 0] = [-1, 1]
        case.tensors["unembed.W_U"][0, :2] = [-1, 1]
        case.tensors["unembed.b_U"][2:] = -9
        stated = Case(case.tensors, case.entry, max_of_k(2, 1))
        result = checked(stated, workspace, [[0, 1, 1, 1, 0], [1, 2, 1, 1, 0]], [40], task=problem)
        if out == 5 and "name" in problem:
            assert isinstance(result, Rejected) and result.code == "wrong-task"
        else:
            assert isinstance(result, Verdict)


def test_tokens_wait_without_their_positions() -> None:
    """Of many tokens at one position, one at a time is made ready to be evaluated."""
    case = bare(100, 1, 1)
    made: list[int] = []
    problem = {"inputs": [{"tokens": "0-99"}], "label": {"name": "contains", "token": 100}}
    with (
        patch.object(Forward, "after", autospec=True, side_effect=Forward.after) as after,
        pytest.MonkeyPatch.context() as patched,
    ):
        patched.setattr(Forward, "logits", lambda self, prefix: made.append(after.call_count))
        derived(Case(case.tensors, case.entry, problem), [8])
    assert made == list(range(1, 101))
