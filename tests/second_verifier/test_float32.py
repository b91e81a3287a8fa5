"""Both verifiers on claims about float32 programs: how far a program may be off, and what is near that."""

import json
import random
from collections import Counter
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from checker.errors import Rejected
from checker.lemmas.float32 import BITS, gap_error
from tests.second_verifier.float32 import Program
from tests.second_verifier.model_file import read_model
from tests.second_verifier.problem import fitting
from tests.second_verifier.refusal import Refused
from tests.second_verifier.setting import Model, Setting
from tests.support.agreement import Agreement
from tests.support.any_case import Case, certificate, counted
from tests.support.edits import Edit, Statement, edited, put, to_bytes
from tests.support.float32_runs import any_layer
from tests.support.layer_cases import layer_case
from tests.support.problems import of_case

SEEDS = [range(40), pytest.param(range(40, 2000), marks=pytest.mark.slow)]
ROUNDED = Fraction(1, 1 << 36)  # what rounding to multiples of 2^-64 adds, as a part of the bound
WITH_MLP = Fraction(1, 1 << 18)  # and what enters neurons, and what comes out, is bounded more coarsely
UNITS = Fraction(1 << 10, 1 << BITS)  # and where the bound itself is of this size
MARGIN = Fraction(1, 8)
MALFORMED, REJECTED = 3, 1


def ours(case: Case) -> Fraction | str:
    file = read_model(case.data)
    try:
        return Program(Setting(Model(file), fitting(case.problem, file), False, Fraction(0))).gap()
    except Refused as refused:
        return refused.code


def theirs(case: Case) -> Fraction | str:
    try:
        return Fraction(gap_error(of_case(case)), 1 << BITS)
    except Rejected as refused:
        return refused.code


def in_any_sizes(seed: int) -> Case:
    """A layer whose tensors are far apart in size, now and then too large, subnormal, or of more digits."""
    case, rng = any_layer(seed, 24), random.Random(seed)
    for name, x in case.tensors.items():
        scaled = x * 2.0 ** rng.choice([0, 0, 0, 3, 6, 9, -20, rng.randint(-148, -120)])
        digits = 1 + 2.0**-30 * (rng.random() < 0.02)
        case.tensors[name] = scaled.astype(np.float32).astype(float) * digits
    return case


@pytest.mark.parametrize("seeds", SEEDS, ids=str)
def test_the_bounds_are_the_same(seeds: range) -> None:
    """But for rounding. Ours is never larger, so that no premise is too close that is not for check-cert."""
    seen: Counter[str] = Counter()
    for seed in seeds:
        case = any_layer(seed, 24)
        exact, rounded = ours(case), theirs(case)
        assert isinstance(exact, Fraction) and isinstance(rounded, Fraction), seed
        activation = case.architecture["activation"]
        part = ROUNDED if activation == "none" else WITH_MLP
        assert exact <= rounded <= exact * (1 + part) + UNITS, seed
        seen[activation] += rounded > 1000 * UNITS
    assert min(seen[of] for of in ("none", "relu", "silu", "gelu_tanh", "gelu_erf")) > 1, seen


@pytest.mark.parametrize("seeds", SEEDS, ids=str)
def test_they_refuse_the_same_models(seeds: range) -> None:
    """An MLP may get numbers that are too large for the coarser bound alone."""
    seen: Counter[str] = Counter()
    for seed in seeds:
        case = in_any_sizes(seed)
        exact, rounded = ours(case), theirs(case)
        if isinstance(exact, Fraction) and isinstance(rounded, Fraction):
            assert exact <= rounded, seed
            seen["accepted"] += 1
        elif isinstance(exact, str):
            assert exact == rounded, seed
            seen[exact] += 1
        else:
            assert rounded == "beyond-float32" and case.architecture["activation"] != "none", seed
    assert min(seen[said] for said in ("accepted", "beyond-float32", "not-float32")) > 1, seen


def case_at(value: float) -> Case:
    """A weight of this size."""
    case = any_layer(0, 24)
    case.tensors["unembed.b_U"][0] = value
    return case


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (1 + 2.0**-24, "not-float32"),
        (2.0**-150, "not-float32"),
        (3 * 2.0**-150, "not-float32"),
        (2.0**-149, ""),
        (3 * 2.0**-149, ""),
        (1 - 2.0**-24, ""),
        (2.0**24, "beyond-float32"),
        (-(2.0**127), "beyond-float32"),
    ],
)
def test_weights_are_float32_numbers(value: float, code: str) -> None:
    case = case_at(value)
    said = ours(case)
    assert (said if isinstance(said, str) else "") == code
    assert isinstance(said, Fraction) or said == theirs(case)


def counted_at(case: Case, margin: Fraction) -> list[list[int]]:
    return counted(case, case.oracle.regions(case.problem, margin))


def about_float32(case: Case, margins: list[Fraction], *edits: Edit) -> bytes:
    """Every input evaluated at each of the margins; the last step takes all of it to float32."""
    counts = [counted_at(case, margin) for margin in margins]
    whole: Statement = certificate(case, [200], counts[0])
    steps, sums = [], []
    for number, (margin, given) in enumerate(zip(margins, counts, strict=True)):
        first, second = json.loads(json.dumps(certificate(case, [200], given)["predicate"]["steps"]))
        steps += [first | {"margin": str(margin)}, second | {"margin": str(margin), "premises": [2 * number]}]
        sums.append(second["conclusion"])
    above = max([0, *(s["correct"] for s, margin in zip(sums, margins, strict=True) if margin > case.margin)])
    below = max([0, *(s["wrong"] for s, margin in zip(sums, margins, strict=True) if margin < case.margin)])
    last = {"correct": above, "wrong": below}
    premises = list(range(1, 2 * len(margins), 2))
    steps.append({"rule": "float32_any_order", "premises": premises, "args": {}, "conclusion": last})
    whole["predicate"] |= {"semantics": "float32-any-order", "steps": steps}
    whole["predicate"]["claim"] |= last
    return to_bytes(edited(whole, *edits))


def layers() -> list[Case]:
    """With two heads and an MLP, and without one."""
    inputs = {"inputs": [{"tokens": "0-1"}] * 2, "label": {"name": "contains", "token": 0}, "readout": 1}
    forms: list[dict[str, Any]] = [{"heads": 2, "activation": "gelu_erf"}, {"heads": 1, "mask": "full"}]
    made = [layer_case(seed, inputs, outputs=3, **form) for seed, form in enumerate(forms)]
    return [Case(case.tensors, case.entry, case.problem, MARGIN) for case in made]


@pytest.mark.parametrize("number", range(2))
def test_premises_near_the_bound(number: int, tmp_path: Path) -> None:
    """At the bound of check-cert both verify, at less than ours both refuse; between them we verify what is true."""
    case = layers()[number]
    path, agreement = case.write(tmp_path / "model"), Agreement()
    exact, rounded = ours(case), theirs(case)
    assert isinstance(exact, Fraction) and isinstance(rounded, Fraction)
    hair = Fraction(1, 1 << 100)
    own = Fraction(ceil(exact / hair)) * hair
    assert exact <= own < rounded - hair
    for sides in ([1, -1], [1], [-1]):
        far, less = ([MARGIN + side * gap for side in sides] for gap in (rounded, rounded - hair))
        least, too_near = ([MARGIN + side * gap for side in sides] for gap in (own, own - 2 * hair))
        assert agreement.on(path, about_float32(case, far), case).exit_code == 0
        finer = agreement.seen["finer"]
        for margins in (less, least):
            assert agreement.on(path, about_float32(case, margins), case).code == "margin-too-close"
        assert agreement.seen["finer"] == finer + 2
        assert agreement.on(path, about_float32(case, too_near), case).code == "margin-too-close"
    assert agreement.seen["finer"] == 6 and agreement.seen["same code"] == 3


FAR = [MARGIN + 1, MARGIN + 2, MARGIN - 2]
LAST = ("predicate", "steps", 6)
PROFILE = {"profile": [], "mean_loss": "1"}


@pytest.mark.parametrize(
    ("edit", "exit_code", "code"),
    [
        (put("predicate", "strategy", value=""), 0, ""),
        (put("predicate", "semantics", value="exact-real"), REJECTED, "nothing-proved"),
        (put("predicate", "semantics", value="float32"), MALFORMED, "unsupported"),
        (put("predicate", "semantics", value=32), MALFORMED, "wrong-type"),
        (lambda whole: whole["predicate"]["steps"].pop(), REJECTED, "nothing-proved"),
        (lambda whole: whole["predicate"]["claim"].update(PROFILE), MALFORMED, "unknown-field"),
        (put(*LAST, "margin", value="1/9"), REJECTED, "wrong-margin"),
        (put(*LAST, "premises", value=[]), REJECTED, "wrong-premises"),
        (put(*LAST, "premises", value=[0]), REJECTED, "wrong-premises"),
        (put(*LAST, "premises", value=[5]), REJECTED, "count-too-large"),  # what is wrong, alone
        (put(*LAST, "premises", value=[3, 5]), REJECTED, "count-too-large"),  # correct by more than is claimed
        (put(*LAST, "premises", value=[5, 1, 1]), 0, ""),
        (lambda whole: whole["predicate"]["claim"].update(correct=4), REJECTED, "count-too-large"),
        (put(*LAST, "args", value={"bits": 64}), MALFORMED, "unknown-field"),
    ],
)
def test_claims_about_float32(edit: Edit, exit_code: int, code: str, tmp_path: Path) -> None:
    case = decided_by_bias()
    agreement = Agreement()
    said = agreement.on(case.write(tmp_path / "model"), about_float32(case, FAR, edit), case)
    assert (said.exit_code, said.code) == (exit_code, code)
    assert agreement.seen["finer"] == agreement.seen["another code"] == 0


def decided_by_bias() -> Case:
    """The output 0, which is always right, is ahead by 3/2, 3 or -5/2."""
    inputs = {"inputs": [{"tokens": "0-2"}], "label": {"name": "contains", "token": 9}, "readout": 0}
    case = layer_case(0, inputs, outputs=2)
    tensors = {name: np.zeros_like(x) for name, x in case.tensors.items()}
    tensors["embed.W_E"][:, 0] = 1.5, 3, -2.5
    tensors["unembed.W_U"][0] = 1, 0
    return Case(tensors, case.entry, inputs, MARGIN)
