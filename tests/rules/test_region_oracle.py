"""regions, region_gaps, region_counts: attacked with arbitrary certificates of tiny models, against the oracle."""

import random
from collections import Counter
from typing import Any

import numpy as np
import pytest

from checker.errors import Refusal, Rejected
from checker.lemmas.paths import require_valid
from checker.problem.regions import Group
from tests.support.any_case import Case
from tests.support.any_model import architecture, zeros
from tests.support.any_problem import Json
from tests.support.region_attacks import arbitrary_hints, changed, loosened, rederived, thrifty
from tests.support.region_cases import Floats, region_case
from tests.support.region_proofs import check, problem_of, prove
from tests.support.region_readings import READINGS, TRAPS
from tests.support.region_truth import RegionTruth, claimed

BITS = (8, 10, 12, 16, 20, 20, 24, 24, 32, 40)
STEPS = (1, 3, 10, 50, 50, 200, 200)


def proved(case: Case, groups: list[Json], rng: random.Random) -> tuple[Any, list[Json]]:
    """The problem, and steps with the best hints, of more bits if these are too few."""
    bits, steps = rng.choice(BITS), rng.choice(STEPS)
    problem = problem_of(case)
    try:
        return problem, prove(problem, groups, bits, steps, rng)
    except Rejected as refused:
        if refused.code != "too-coarse":
            raise
    return problem, prove(problem, groups, 64, steps, rng)


@pytest.mark.parametrize("seeds", [range(48), pytest.param(range(10_000, 12_000), marks=pytest.mark.slow)], ids=str)
def test_the_best_that_is_accepted_is_true(seeds: range) -> None:
    """Any model, automaton, classes and weights; hints that are the best, and such that are not. A good share of the
    bounds lies strictly between 0 and the truth, and the truth below all."""
    seen: Counter[str] = Counter()
    for seed in seeds:
        (case, groups), rng = region_case(seed), random.Random(seed)
        try:
            problem, steps = proved(case, groups, rng)
        except Rejected as refused:
            assert refused.code == "too-coarse", seed
            continue
        truth, facts = RegionTruth(case), check(problem, steps)
        looser = check(problem, loosened(rng, problem, steps))
        assert not truth.lies(facts) and not truth.lies(looser), seed
        (correct, total), bound = truth.bound, claimed(facts[2])
        seen["accepted"] += 1
        assert bound <= correct, seed
        seen["between"] += 0 < bound < correct < total
        seen["all that is true"] += 0 < bound == correct < total
    assert seen["accepted"] > 0.6 * len(seeds), seen
    assert min(seen["between"], seen["all that is true"]) > 0.15 * seen["accepted"], seen


@pytest.mark.parametrize(
    "seeds", [range(500, 514), pytest.param(range(12_000, 13_000), marks=pytest.mark.slow)], ids=str
)
def test_whatever_is_changed_what_is_accepted_is_true(seeds: range) -> None:
    """Groups, arguments, conclusions: integers, rows that change places, rows left out; and hints far off."""
    seen: Counter[str] = Counter()
    for seed in seeds:
        (case, groups), rng = region_case(seed), random.Random(seed)
        truth = RegionTruth(case)

        def looked_at(what: str, make: Any, truth: RegionTruth = truth, seed: int = seed) -> None:
            try:
                facts = make()
            except Refusal:
                seen[f"{what} refused"] += 1
            else:
                assert not truth.lies(facts), (seed, what)
                seen[f"{what} accepted"] += 1

        for _ in range(2):
            mutated = changed(rng, groups)
            looked_at("groups", lambda mutated=mutated, rng=rng, case=case: check(*proved(case, mutated, rng)))
        try:
            problem, steps = proved(case, groups, rng)
        except Rejected:
            continue
        thrifty(problem)
        for _ in range(6):
            at = rng.randrange(3)
            args = [*steps[:at], steps[at] | {"args": changed(rng, steps[at]["args"])}, *steps[at + 1 :]]
            looked_at("arguments", lambda problem=problem, args=args: rederived(problem, args))
            anything = changed(rng, steps)
            looked_at("anything", lambda problem=problem, anything=anything: check(problem, anything))
        far_off = arbitrary_hints(rng, steps)
        looked_at("hints", lambda problem=problem, far_off=far_off: rederived(problem, far_off))
    for what in ("groups", "arguments", "anything"):
        assert min(seen[f"{what} accepted"], seen[f"{what} refused"]) > 0.1 * len(seeds), seen


def test_bounds_are_those_of_enumeration() -> None:
    """The best bounds that are accepted are the largest means there are, head by head; one unit less is refused."""
    bits, seen = 40, 0
    for seed in range(30):
        case, groups = region_case(seed)
        problem, rng = problem_of(case), random.Random(seed)
        with np.errstate(all="ignore"):
            floats = Floats(case.tensors, case.architecture, problem.k, problem.readout or 0)
        if not np.ptp(floats.scores) < 10 or not np.abs(floats.values).max() < 1000:
            continue  # the bits are too few to tell what the means are
        regions, gaps, _ = prove(problem, groups, bits, 1, rng)
        out = floats.out if floats.out is not None else np.zeros((0, problem.outputs))
        neurons, heads = len(out), case.architecture["heads"]
        near = 2.0**bits * 1e-6
        for number, part in enumerate(RegionTruth(case).parts(groups)):
            for j, row in enumerate(regions["args"]["hints"][number]):
                column = floats.values[..., problem.outputs + j : problem.outputs + j + 1]
                means = np.array([floats.means(tokens, column)[:, 0] for tokens in part.inputs]) * 2.0**bits
                assert np.allclose(row, [*means.min(0), *means.max(0)], rtol=1e-6, atol=near), seed
            for mask, hint in zip(part.group["rivals"], gaps["args"]["hints"][number], strict=True):
                ys = [y for y in range(problem.outputs) if mask >> y & 1]
                tables = []
                for y in ys:
                    gain = np.zeros(floats.values.shape[-1])
                    gain[[y, part.group["label"]]] = 1, -1
                    gain[problem.outputs :] = (out[:, y] - out[:, part.group["label"]]) * hint[:neurons] / 2.0**bits
                    tables.append(floats.values @ gain)
                table = np.max(tables, axis=0)[..., None]
                worst = np.max([floats.means(tokens, table)[:, 0] for tokens in part.inputs], axis=0) * 2.0**bits
                assert np.allclose(hint[neurons:], worst, rtol=1e-6, atol=near), seed
                seen += heads
        for step, signs in ((regions, [-1] * heads + [1] * heads), (gaps, [0] * neurons + [1] * heads)):
            rows = [row for rows in step["args"]["hints"] for row in rows]
            if rows and (step is gaps or neurons):
                row, i = rng.choice(rows), rng.choice([i for i, sign in enumerate(signs) if sign])
                row[i] -= signs[i]
                with pytest.raises(Rejected) as refused:
                    rederived(problem, [regions, gaps])
                assert refused.value.code == "mean-above-bound"
                row[i] += signs[i]
    assert seen > 50, seen


@pytest.mark.parametrize("name", READINGS)
def test_wrong_readings_are_caught(name: str) -> None:
    """A checker bent to the reading accepts a count above the truth; the real one refuses that certificate."""
    trap = TRAPS[name]()
    truth = RegionTruth(trap.case)
    with READINGS[name]():
        problem = problem_of(trap.case)
        steps = prove(problem, trap.groups, trap.bits, 50, random.Random(trap.seed), trap.shares)
        bent = check(problem, steps)[2]
    assert "correct" in truth.lies_of_tally(bent)
    with pytest.raises(Rejected):
        check(problem_of(trap.case), steps)


# Small ones.


def copies(label: Json, **tensors: Any) -> Case:
    """Two tokens at one position; the logits are those of the token, plus b_U."""
    given = architecture()
    sizes = {"d_vocab": 2, "d_model": 2, "n_ctx": 1, "n_heads": 1, "d_head": 1, "d_vocab_out": 2}
    made = zeros(given, sizes, **{"W_E": np.eye(2), "W_U": np.eye(2)} | tensors)
    return Case(made, given, {"inputs": [{"tokens": "0-1"}], "label": label, "readout": 0})


def of_token(label: int, token: int, part: int = 0) -> Json:
    """The input of one token."""
    rest = {"symbols": [0, 0], "next": [[1], [-1]], "parts": [-1, part]}
    return {"label": label, "queries": 1 << token, "rivals": [2 >> label], **rest}


def test_no_part_escapes_the_check_of_labels() -> None:
    """Only -1 is no part. With -2, an input of another label would be counted as one of this label."""
    problem = problem_of(copies({"name": "last"}, b_U=[9, 0]))
    for part, code in ((-2, "bad-automaton"), (0, "wrong-label")):
        with pytest.raises(Rejected) as refused:
            require_valid(problem, Group(0, 2, (2,), (0, 0), ((1,), (-1,)), (-1, part)))
        assert refused.value.code == code


@pytest.mark.parametrize(("lead", "correct"), [(0, 0), (-0.001, 0), (0.001, 2)])
def test_ties_are_not_correct(lead: float, correct: int) -> None:
    case = copies({"name": "contains", "token": 2}, W_U=np.zeros((2, 2)), b_U=[lead, 0])
    problem = problem_of(case)
    facts = check(problem, prove(problem, [of_token(0, 0), of_token(0, 1)], 24, 50, random.Random(0)))
    assert claimed(facts[2]) == correct


def test_nothing_is_said_of_groups_without_inputs() -> None:
    """Parts that nothing reaches, or only a token of weight 0."""
    case = copies({"name": "last"})
    empty = of_token(0, 0, part=-1)
    case.problem["inputs"] = [{"tokens": [0, 1], "weights": [1, 0]}]
    problem = problem_of(case)
    for groups, regions in (([empty], 0), ([of_token(0, 0)], 1)):
        steps = prove(problem, groups, 24, 50, random.Random(0))
        assert [len(step["args"]["hints"]) for step in steps] == [regions] * 3
        assert claimed(check(problem, steps)[2]) == regions
    with pytest.raises(Rejected) as refused:
        prove(problem, [of_token(1, 1)], 24, 50, random.Random(0))
    assert refused.value.code == "no-such-region"
