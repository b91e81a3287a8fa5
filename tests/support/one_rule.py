"""One rule at a time: an honest step of it, what the kernel says about a changed one, and steps with any arguments.

proof = honest("cubic_tokens")                   # its last step is by this rule
refusal(proof, "args.bits", 7)                   # ("out-of-range", "args.bits")
attacked("cubic_tokens")                         # every fact it grants under any arguments is true
"""

import copy
import random
import re
import tempfile
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from checker.errors import Refusal, Rejected
from checker.facts import Accuracy, Count, CubicTokens, Float32Accuracy, Profile, RegionGaps, Regions, Tally
from checker.rules import RULES
from checker.rules.expected_loss import is_loss
from tests.second_verifier.regions import holds as region_fact_holds
from tests.support.any_case import Case
from tests.support.any_problem import max_of_k
from tests.support.derivations import Derivation, Meaning, statement, tally_holds, truth_of_region
from tests.support.float32_runs import counted
from tests.support.groups import any_groups, fitting, group, with_cuts
from tests.support.hints import (
    any_gap,
    any_peel,
    bent_witness,
    in_any_units,
    integer,
    loosened,
    margin_of,
    smallest_sigma,
)
from tests.support.layer_cases import of_maximum
from tests.support.losses import profile_holds
from tests.support.oracle import Oracle
from tests.support.region_hints import chord, count_hints, fact_json, gap_hints, neuron_hints
from tests.support.regions import all_pairs, masks
from tests.support.tiny import Tensors, near_correct, tiny_model

PREMISES: dict[str, list[str]] = {
    "cubic_tokens": ["direct_path_upper", "value_path_upper"],
    "count_cubic": ["cubic_tokens"],
    "max_token_drop": ["direct_path_spread"],
    "max_token_mean": ["direct_path_spread"],
    "max_token_envelope": ["direct_path_spread"],
    "attention_ranges": ["score_exact"],
    "gap_cells": ["attention_ranges", "max_token_envelope", "value_path_spread"],
    "separable_counts": ["score_exact"],
    "total": ["pure_sequences", "count_cubic"],
    "expected_loss": ["total"] * 4,
    "float32_any_order": ["total"] * 2,
    "region_gaps": ["regions"],
    "region_counts": ["region_gaps"],
}
MARGIN = Fraction(1, 3)
LADDER = (Fraction(-64), Fraction(-1, 2), MARGIN, Fraction(2))  # of the premises for expected_loss
LADDERS = {"expected_loss": LADDER, "float32_any_order": LADDER[1::2]}
Args = dict[str, Any]


class Known(NamedTuple):
    """A tiny model in a file, what facts about it mean, and the sequences that it answers correctly."""

    path: Path
    tensors: Tensors
    meaning: Meaning
    correct: set[tuple[int, ...]]


@cache
def folder() -> "tempfile.TemporaryDirectory[str]":
    """Where the models are; gone when the tests are over."""
    return tempfile.TemporaryDirectory(prefix="one-rule-")


def known(name: str, tensors: Tensors, margin: Fraction) -> Known:
    """The model, written to a file of this name."""
    path = tiny_model(Path(folder().name) / name, tensors)
    return Known(path, tensors, Meaning(tensors, margin), Oracle(path).correct_sequences(margin))


@cache
def small_model() -> Known:
    """Three tokens in three positions, most often right."""
    return known("small", near_correct(np.random.default_rng(3), 3, 3, noise=0.4, biases=True), MARGIN)


@cache
def drawn(seed: int) -> Known:
    """Any tiny model, in any units; at a margin that is negative now and then, and once far below all logits."""
    margin = {2: Fraction(-1 << 12), 3: -margin_of(seed) - Fraction(1, 7)}.get(seed % 5, margin_of(seed))
    return known(f"drawn-{seed}", in_any_units(seed).tensors, margin)


@cache
def honest(rule: str) -> Derivation:
    """A proof about the small model whose last step is by this rule, with sensible arguments. Its first step has
    nothing to do with the rest, except in being a premise of the wrong type. To be read, not changed."""
    proof = Derivation(small_model().path, MARGIN)
    proof.step("value_path_spread", [], {})
    append(proof, rule, lambda name: sensible(proof, name))
    return proof


def append(proof: Derivation, rule: str, args_of: Callable[[str], Args], loosen: Any = None) -> int:
    """A step by this rule, after the steps of its premises; `loosen` weakens what the premises state."""
    premises = []
    for at, name in enumerate(PREMISES.get(rule, [])):
        with proof.at(LADDERS[rule][at] if RULES[rule].ladder else Fraction(*proof.problem.margin)):
            premises.append(append(proof, name, args_of, loosen))
    number = proof.step(rule, premises, args_of(rule))
    if loosen:
        proof.facts[number] = loosen(proof.facts[number])
    return number


def sensible(proof: Derivation, rule: str) -> Args:
    """Arguments with which a rule says something about the small model."""
    v, k, d = (proof.weights.sizes[name] for name in ("d_vocab", "n_ctx", "d_model"))
    lanes = {"exponent": -40, "bits": 40}
    peels = {"peels": [{"onto": [[1]] * d, "along": [[1] * d], "exponent": -3}]}
    gaps = [
        [[int((q == m and n > 0 and m > 0) or q < m) for n in range(k - (q < m))] for q in range(m + 1)]
        for m in range(v)
    ]
    match rule:
        case "direct_path_upper":
            return {"exponent": -40}
        case "pure_sequences" | "enumerate_sequences":
            return lanes
        case "cubic_tokens":
            return {"bits": 40}
        case "direct_path_centred_spread":
            return {"centre": {"exponent": -1, "rows": [[1] * d]}}
        case "max_token_mean":
            return {"centres": {"exponent": -1, "rows": [[1] * k] * v}}
        case "score_residual_spread":
            return peels
        case "score_product_spread":
            return {**peels, "bases": [], "means": 1}
        case "score_recursive_spread":
            return {**peels, "means": 1}
        case "score_singular_value":
            witness = [[int(i == j) for j in range(d)] for i in range(d)]
            sigma = {"sigma": 1, "exponent": -20, "ridge": 1, "ridge_exponent": 8, "witness": witness}
            found = smallest_sigma(proof, peels | sigma)
            assert found is not None
            return found
        case "attention_ranges":
            return {"bits": 40, "gaps": gaps}
        case "separable_counts":
            wanted = [group((v, k), m, parts=range(min(m, 1)), below=(m - 1) % v) for m in range(v)]
            return with_cuts(proof, len(proof.facts) - 1, {**lanes, "groups": wanted}, fitting(1000))
        case "branch_sequences":
            return {**lanes, "queries": masks(v, all_pairs(v, k))}
        case "evaluate_inputs" | "float32_inputs":
            return {"bits": [12, 60]}
        case "expected_loss":
            return {"bits": 40, "losses": [least_loss(margin, v, 40) for margin in LADDER]}
        case "regions":
            groups = [of_maximum(v, m) for m in range(v)]
            return {"bits": 40, "groups": groups, "hints": neuron_hints(proof.problem, groups, 40, 0)}
        case "region_gaps":
            return {"hints": gap_hints(proof.problem, proof.facts[-1], 0, chord)}
        case "region_counts":
            return {"hints": count_hints(proof.problem, proof.facts[-1], 100, chord)}
    return {}


def least_loss(margin: Fraction, outputs: int, bits: int, accepted: Callable[..., bool] = is_loss) -> int:
    """The least that is accepted as the loss of inputs that are correct at this margin; all above it is, too."""
    low, high = -1, (1 + abs(int(margin)) + outputs) << bits
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if accepted(middle, margin.as_integer_ratio(), outputs, bits) else (middle, high)
    return high


# What the kernel says.


def said(proof: Derivation) -> tuple[str, str]:
    """The refusal of the last step: its code, and where in the step; two empty strings for a step that holds."""
    at = f"predicate.steps[{len(proof.steps) - 1}]"
    result = proof.outcome(statement(proof.weights, proof.margin, proof.steps, Accuracy(0, 0)))
    if not isinstance(result, Refusal) or result.code == "nothing-proved":
        return "", ""
    assert result.exit_code in (1, 3) and result.path.startswith(at), str(result)
    return result.code, result.path.removeprefix(at).lstrip(".")


def refusal(proof: Derivation, place: str, change: Any) -> tuple[str, str]:
    """What the kernel says once a place in the last step, like "conclusion.rows[0][1]", is another value, or for a
    function the value of that function there."""
    steps = proof.steps
    proof.steps = copy.deepcopy(steps)
    try:
        *outer, last = [int(key) if key.isdigit() else key for key in re.findall(r"\w+", place)]
        inner: Any = proof.steps[-1]
        for key in outer:
            inner = inner[key]
        inner[last] = change(inner[last]) if callable(change) else change
        return said(proof)
    finally:
        proof.steps = steps


# A place in the last step, what is there instead, the code of the refusal, and where.
Refused = tuple[str, Any, str, str]


def refusals(cases: list[Refused]) -> pytest.MarkDecorator:
    """`place`, `change`, `code` and `at` of each."""
    ids = [f"{code} at {place}" for place, _, code, _ in cases]
    return pytest.mark.parametrize(("place", "change", "code", "at"), cases, ids=ids)


def less(number: int) -> int:
    return number - 1


def more(number: int) -> int:
    return number + 1


def shorter(entries: list[Any]) -> list[Any]:
    return entries[:-1]


def longer(entries: list[Any]) -> list[Any]:
    return [*entries, entries[-1]]


# Attacks.


def arbitrary(proof: Derivation, rule: str, rng: random.Random) -> Args:
    """Any arguments of the right shape, most often: coarse or fine, far off or near."""
    v, k, d, h = (proof.weights.sizes[name] for name in ("d_vocab", "n_ctx", "d_model", "d_head"))
    bits = {"bits": rng.choice([8, 8, 9, 12, 16, 40, 300])}
    lanes = {"exponent": rng.choice([-60, -40, rng.randint(-60, 5), rng.randint(-9, 0)]), **bits}
    four = rng.random() < 0.5 and rule != "score_singular_value"
    peels = {"peels": [any_peel(rng, size) for size in ((d, h, d, d) if four else (d,))]}
    match rule:
        case "direct_path_upper":
            return {"exponent": rng.randint(-60, 5)}
        case "pure_sequences" | "enumerate_sequences":
            return lanes
        case "cubic_tokens":
            return bits
        case "direct_path_centred_spread":
            return {"centre": {"exponent": rng.choice([0, -3, -40]), "rows": [[integer(rng) for _ in range(d)]]}}
        case "max_token_mean":
            rows = [[integer(rng, 8) for _ in range(k)] for _ in range(v)]
            return {"centres": {"exponent": rng.choice([0, -4, -20]), "rows": rows}}
        case "score_residual_spread":
            return peels
        case "score_product_spread":
            bases = [any_peel(rng, size) for size in ((d, h, d) if four else (d,))]
            return {**peels, "bases": rng.choice([[], bases]), "means": rng.randint(0, 1)}
        case "score_recursive_spread":
            return {**peels, "means": rng.randint(0, 3)}
        case "score_singular_value":
            args = peels | bent_witness(rng, {}, d)
            return smallest_sigma(proof, args) or args
        case "attention_ranges":
            gaps = [[[any_gap(rng, q, m, n) for n in range(k - (q < m))] for q in range(m + 1)] for m in range(v)]
            return {**bits, "gaps": gaps}
        case "separable_counts":
            return any_groups(rng, proof, len(proof.facts) - 1, lanes, masks(v, all_pairs(v, k)))
        case "branch_sequences":
            return {**lanes, "queries": masks(v, [pair for pair in all_pairs(v, k) if rng.random() < 0.7])}
        case "evaluate_inputs" | "float32_inputs":
            return {"bits": sorted(rng.sample([8, 9, 12, 16, 40, 300], rng.choice([1, 1, 2, 6])))}
        case "regions":
            groups = any_regions(rng, v)
            return {**bits, "groups": groups, "hints": neuron_hints(proof.problem, groups, 40, 0)}
        case "region_gaps":
            off = rng.choice([0, 0, 1, 1 << 40, -1])
            return {"hints": gap_hints(proof.problem, proof.facts[-1], off, chord)}
        case "region_counts":
            hints = count_hints(proof.problem, proof.facts[-1], rng.choice([1, 7, 100, 3000]), chord)
            return {"hints": [[[*hint[:1], *[integer(rng, 50) for _ in hint[1:]]] for hint in row] for row in hints]}
    return {}


def any_regions(rng: random.Random, v: int) -> list[Args]:
    """Groups of most maxima; now and then one whose inputs may have another label."""
    groups = []
    for m in range(v):
        others = [y for y in range(v) if y != m]
        classes = [rng.sample(others, rng.randint(1, len(others))) for _ in range(rng.randint(0, 1) if others else 0)]
        left = set(others).difference(*classes)
        rivals = [sum(1 << y for y in ys) for ys in classes] + ([sum(1 << y for y in left)] if left else [])
        made = of_maximum(v, m, rng.randint(1, 3), rng.randint(1, (2 << m) - 1), rivals)
        if rng.random() < 0.1:
            made["parts"][rng.randrange(len(made["parts"]))] = rng.randint(-3, 2)
        groups += [made] if rng.random() < 0.9 else []
    return groups


def holds(fact: Any, model: Known) -> bool:
    """Is the fact true, by enumeration?"""
    if isinstance(fact, Tally):
        return tally_holds(fact, model.meaning.v, model.meaning.k, model.correct)
    if isinstance(fact, Regions | RegionGaps):
        problem = max_of_k(model.meaning.v, model.meaning.k)
        return region_fact_holds(Case(model.tensors, None, problem, model.meaning.margin), fact_json(fact))
    if isinstance(fact, CubicTokens):
        return model.meaning.cubic_tokens_hold(fact, model.correct)
    if isinstance(fact, Profile):
        return profile_holds(fact, Case(model.tensors, None, max_of_k(model.meaning.v, model.meaning.k)))
    if isinstance(fact, Float32Accuracy):
        problem = max_of_k(model.meaning.v, model.meaning.k)
        most = counted(Case(model.tensors, None, problem, model.meaning.margin), random.Random(0))
        return fact.correct <= most.correct and fact.wrong <= most.wrong
    if isinstance(fact, Accuracy):
        wrong = model.meaning.v**model.meaning.k - len(model.correct)
        return 0 <= fact.correct <= len(model.correct) and 0 <= fact.wrong <= wrong
    return model.meaning.is_true(fact)


def weakened(rng: random.Random) -> Callable[[Any], Any]:
    """Most premises as they are derived, some weaker."""
    kinds = (CubicTokens, Accuracy)
    return lambda fact: loosened(rng, fact) if rng.random() < 0.4 and not isinstance(fact, kinds) else fact


def attacked(rule: str, seeds: range = range(24)) -> Counter[str]:
    """Every fact that the rule grants on these models, under any arguments and premises, is true; how often what."""
    seen: Counter[str] = Counter()
    for seed in seeds:
        rng, model = random.Random(seed), drawn(seed)
        proof = Derivation(model.path, model.meaning.margin)
        weaker = weakened(rng)
        try:
            premises = [
                append(proof, name, lambda name: arbitrary(proof, name, rng), weaker)  # noqa: B023 - called at once
                for name in PREMISES.get(rule, [])
            ]
            number = proof.step(rule, premises, arbitrary(proof, rule, rng))
        except Rejected as refused:
            seen[refused.code] += 1
            continue
        fact = proof.facts[number]
        assert holds(fact, model), (rule, seed)
        seen["granted"] += 1
        if isinstance(fact, Tally):
            seen["some correct"] += sum(count.correct for count in fact.counts) > 0
            seen["some wrong"] += sum(count.wrong for count in fact.counts) > 0
        if isinstance(fact, CubicTokens):
            seen["some tokens"] += any(mask for rows in fact.masks for row in rows for mask in row)
    return seen


def true_tally(model: Known, regions: list[tuple[int, int, int]]) -> Tally:
    """Of each region (m, queries, ns) all that is true."""
    v, k = model.meaning.v, model.meaning.k
    empty = [Count(*region, 0, 0) for region in regions]
    return Tally(tuple(Count(*c[:3], *truth_of_region(c, v, k, model.correct)) for c in empty))


def all_cells(v: int, k: int) -> list[tuple[int, int, int]]:
    """Each cell as a region (m, {q}, {n})."""
    return [(m, 1 << q, 1 << n) for q, m in all_pairs(v, k) for n in range(k - (q < m))]
