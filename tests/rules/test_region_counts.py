"""region_counts: accepted, refused by reason, attacked; with heads, neurons and weights, against the oracle."""

import copy
import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from checker.errors import Rejected
from checker.facts import RegionGaps
from checker.rules import RULES
from tests.support import layer_cases
from tests.support.any_case import Case
from tests.support.any_model import architecture, zeros
from tests.support.any_problem import Inputs, Json, max_of_k
from tests.support.layer_cases import by_label, layer_case, of_maximum
from tests.support.one_rule import (
    Refused,
    attacked,
    holds,
    honest,
    less,
    longer,
    more,
    refusal,
    refusals,
    said,
    shorter,
    small_model,
)
from tests.support.problems import of_case
from tests.support.region_hints import region_steps

RULE = "region_counts"


def test_accepted() -> None:
    """For each pair in order, close to the truth; nothing is said to be wrong."""
    proof = honest(RULE)
    assert said(proof) == ("", "")
    fact = proof.facts[-1]
    assert [count[:3] for count in fact.counts] == [(m, 1 << q, 7) for m in range(3) for q in range(m + 1)]
    assert holds(fact, small_model())
    assert all(count.wrong == 0 for count in fact.counts)
    assert 15 < sum(count.correct for count in fact.counts) <= len(small_model().correct)


def counted() -> tuple[int, int]:
    """A region and a class of the small model that are counted."""
    hints = honest(RULE).steps[-1]["args"]["hints"]
    return next((i, j) for i, row in enumerate(hints) for j, hint in enumerate(row) if hint)


def settled() -> tuple[int, int]:
    """And one whose class is behind everywhere."""
    hints = honest(RULE).steps[-1]["args"]["hints"]
    return next((i, j) for i, row in enumerate(hints) for j, hint in enumerate(row) if not hint)


def refused() -> list[Refused]:
    (i, j), (m, n) = counted(), settled()
    hint, other = f"args.hints[{i}][{j}]", f"args.hints[{m}][{n}]"
    return [
        (hint, [], "wrong-shape", hint),
        (hint, shorter, "wrong-shape", hint),
        (hint, longer, "wrong-shape", hint),
        (f"{hint}[0]", 0, "out-of-range", f"{hint}[0]"),
        (f"{hint}[0]", -1, "out-of-range", f"{hint}[0]"),
        (f"{hint}[0]", 65537, "out-of-range", f"{hint}[0]"),
        (f"{hint}[0]", 10**1000, "out-of-range", f"{hint}[0]"),
        (f"{hint}[1]", 10**1000, "", ""),  # a mean of the only head is not used
        (other, [1, 0], "wrong-shape", other),
        (f"args.hints[{i}]", shorter, "wrong-shape", f"args.hints[{i}]"),
        ("args.hints", shorter, "wrong-shape", "args.hints"),
        ("args.hints", longer, "wrong-shape", "args.hints"),
        ("conclusion.counts[5][3]", more, "count-too-large", "conclusion.counts[5][3]"),
        ("conclusion.counts[5][3]", less, "", ""),
        ("conclusion.counts[5][4]", more, "count-too-large", "conclusion.counts[5][4]"),
        ("conclusion.counts[5][0]", less, "wrong-region", "conclusion.counts[5]"),
        ("conclusion.counts[5][1]", more, "wrong-region", "conclusion.counts[5]"),
        ("conclusion.counts[5][2]", less, "wrong-region", "conclusion.counts[5]"),
        ("conclusion.counts", shorter, "wrong-shape", "conclusion.counts"),
        ("conclusion.counts", longer, "wrong-shape", "conclusion.counts"),
        ("premises", shorter, "wrong-premises", "premises"),
        ("premises[0]", 1, "wrong-premises", "premises"),
        ("premises[0]", -1, "bad-premise", "premises[0]"),
    ]


@refusals(refused())
def test_refused_by_reason(place: str, change: Any, code: str, at: str) -> None:
    assert refusal(honest(RULE), place, change) == (code, at)


def test_attacked() -> None:
    """Whatever the regions, the steps and the means, no more is counted than is true."""
    seen = attacked(RULE)
    assert seen["some correct"] > 5


def truth(case: Case) -> dict[tuple[int, int], int]:
    """The weight of correct inputs by label and query."""
    readout = Inputs(case.problem).readout(False)
    found: dict[tuple[int, int], int] = {}
    for tokens, weight, label in Inputs(case.problem):
        sign = case.oracle.sign(tokens, readout, label, case.margin, 1024)
        key = label, tokens[readout or 0]
        found[key] = found.get(key, 0) + weight * (sign == -1)
    return found


@pytest.mark.parametrize("heads", [1, 2, 3])
@pytest.mark.parametrize("activation", ["none", "relu", "gelu_erf"])
def test_weights_heads_and_neurons(activation: str, heads: int) -> None:
    """Weighted inputs, automata of one part and of many: never more than the truth, and all of it with the finest."""
    case = layer_case(12, heads=heads, activation=activation)
    true, sums = truth(case), []
    for parts in (1, 2, 12):
        steps = region_steps(case.data, case.problem, by_label(case, parts), 80, steps=2000)
        counts = {(label, q.bit_length() - 1): n for label, q, _, n, _ in steps[2]["conclusion"]["counts"]}
        assert counts.keys() == true.keys()
        assert all(n <= true[key] for key, n in counts.items())
        sums.append(sum(counts.values()))
    assert sums[0] <= sums[2] == sum(true.values()) > 0  # a region for each input, and exactly what is true


def test_lanes_hold_any_weight() -> None:
    """Inputs of weight 10^30 beside others of weight 1."""
    weights = {"weights": [10**30, 1, 7]}
    problem: Json = {"inputs": [{"tokens": "0-2", **weights}] * 2 + [{"tokens": [1]}], "label": {"name": "max"}}
    case = layer_case(5, problem=problem)
    steps = region_steps(case.data, problem, [of_maximum(3, m, 3, queries=2) for m in (1, 2)], steps=300)
    counts = {(label, 1): n for label, _, _, n, _ in steps[2]["conclusion"]["counts"]}
    true = truth(case)
    assert all(n <= true[key] for key, n in counts.items())
    assert sum(counts.values()) > 10**30


def test_an_input_that_ties_is_not_counted() -> None:
    """All logits are 0, whatever the input: nothing is correct."""
    sizes = {"d_vocab": 2, "d_model": 1, "n_ctx": 2, "n_heads": 2, "d_head": 1, "d_vocab_out": 2}
    case = Case(zeros(architecture(heads=2), sizes), architecture(heads=2), max_of_k(2, 2))
    steps = region_steps(case.data, case.problem, [of_maximum(2, 0), of_maximum(2, 1)])
    assert min(map(min, steps[1]["conclusion"]["gaps"])) >= 0
    assert [count[3] for count in steps[2]["conclusion"]["counts"]] == [0, 0, 0]


def test_small_weights_of_attention_keep_their_bits() -> None:
    """Two heads that look at token 2 with e^80 times the weight of the others: regions without it are as good."""
    sizes = {"d_vocab": 3, "d_model": 3, "n_ctx": 2, "n_heads": 2, "d_head": 3, "d_vocab_out": 3}
    given = architecture(heads=2)
    of_heads = np.array([np.eye(3), np.eye(3)])
    tensors = zeros(
        given,
        sizes,
        W_E=np.eye(3),
        W_U=np.eye(3),
        W_V=of_heads,
        W_O=of_heads,
        b_Q=[[1, 0, 0], [1, 0, 0]],
        W_K=of_heads * 0 + np.array([[0, 0, 0], [4, 0, 0], [80, 0, 0]]),
    )
    case = Case(tensors, given, max_of_k(3, 2))
    steps = region_steps(case.data, case.problem, [of_maximum(3, m) for m in range(3)], bits=40)
    assert sum(count[3] for count in steps[2]["conclusion"]["counts"]) == sum(truth(case).values()) > 4


def by_output(case: Case, seed: int, kept: float = 1) -> list[Json]:
    """For every label and wrong output a group of its own, with parts of its own, that holds each input by chance."""
    rng, groups = random.Random(seed), list[Json]()
    for group in by_label(case, rng.choice([3, 12])):
        for rivals in group["rivals"]:
            parts = [part if rng.random() < kept else -1 for part in group["parts"]]
            groups.append({**group, "rivals": [rivals], "parts": parts})
    rng.shuffle(groups)
    return groups


def counts_of(case: Case, groups: list[Json], **given: Any) -> dict[tuple[int, int], int]:
    """What is counted as correct of each label and query, of which there is one entry."""
    steps = region_steps(case.data, case.problem, groups, 60, **given)
    counts = steps[2]["conclusion"]["counts"]
    found = {(label, q.bit_length() - 1): n for label, q, _, n, _ in counts}
    assert len(found) == len(counts)
    return found


@pytest.mark.parametrize(("heads", "seed"), [(1, 4), (1, 7), (1, 26), (1, 29), (2, 8), (2, 12), (2, 32)])
def test_groups_of_one_label_and_query_are_combined(heads: int, seed: int) -> None:
    """An output in each: an input is correct if every group says so. What a group does not hold is lost, once for each
    group: never more than is true, something if all groups hold everything, and nothing if they hold nothing."""
    case = layer_case(seed, heads=heads)
    true, sums = truth(case), []
    for kept in (1, 0.9, 0.5, 0):
        found = counts_of(case, by_output(case, seed, kept), steps=3000)
        assert found.keys() == true.keys()
        assert all(n <= true[key] for key, n in found.items())
        sums.append(sum(found.values()))
    assert sums[0] >= max(sums) > sums[-1] == 0


def test_what_a_group_loses_is_taken_from_all_inputs_of_the_pair() -> None:
    """Two groups that lose different inputs lose both; an output that nobody watches costs all."""
    case = layer_case(7)
    groups = by_label(case)
    first = [group for group in groups if group["label"] == 0]
    true, whole = truth(case), counts_of(case, first)
    assert whole == {key: n for key, n in true.items() if key[0] == 0} and min(whole.values()) > 0
    (group,) = first
    ends = [state for state, part in enumerate(group["parts"]) if part >= 0]

    def holding(wanted: list[int], rivals: list[int]) -> Json:
        parts = [part if state in wanted else -1 for state, part in enumerate(group["parts"])]
        return {**group, "parts": parts, "rivals": rivals}

    halves = [holding(ends[::2], group["rivals"][:1]), holding(ends[1::2], group["rivals"][1:])]
    assert set(counts_of(case, halves).values()) == {0}
    one = sum(counts_of(case, [holding(ends[::2], group["rivals"])]).values())
    assert 0 < one < sum(whole.values())
    assert sum(counts_of(case, [halves[0], {**group, "rivals": group["rivals"][1:]}]).values()) == one
    assert set(counts_of(case, [{**group, "rivals": group["rivals"][:1]}]).values()) == {0}
    assert set(counts_of(case, [{**group, "rivals": []}]).values()) == {0}
    nobody = {**group, "rivals": [], "parts": [-1 for _ in group["parts"]]}
    assert set(counts_of(case, [group, nobody]).values()) == {0}
    assert counts_of(case, [group, {**group, "rivals": []}]) == whole
    assert counts_of(case, [group, group]) == whole  # nothing is lost in either


def test_an_input_that_several_groups_lose_is_lost_several_times() -> None:
    """Nobody knows that it is one: the same group twice takes away twice what it takes away once."""
    case = layer_case(12, heads=2)
    groups = by_label(case, 2)
    total = {key: sum(w for t, w, own in Inputs(case.problem) if (own, t[1]) == key) for key in truth(case)}
    once, twice = counts_of(case, groups), counts_of(case, groups + groups)
    assert twice == {key: max(2 * n - total[key], 0) for key, n in once.items()} != once


def test_groups_of_other_labels_and_queries_stay_apart() -> None:
    """That a group of another label, or without this query, watches the output that is left out is of no use."""
    case = layer_case(7)
    mine, other = by_label(case)
    watching = {**mine, "rivals": mine["rivals"][:1]}
    rest = {**mine, "rivals": mine["rivals"][1:], "queries": 1}
    assert mine["queries"] == 5 and mine["label"] != other["label"]
    found = counts_of(case, [watching, rest, other])
    assert found[mine["label"], 0] == truth(case)[mine["label"], 0] > 0
    assert found[mine["label"], 2] == 0 < truth(case)[mine["label"], 2]


def test_of_a_label_that_does_not_occur_nothing_is_counted() -> None:
    """However many groups watch its outputs."""
    group = {**by_label(layer_case(7))[0], "label": 2}
    nobody = {**group, "parts": [-1 for _ in group["parts"]]}
    for rivals in ([[1], [2]], [[1, 2]], [[1], [2], [3]]):
        groups = [{**nobody, "rivals": watched} for watched in rivals]
        assert counts_of(layer_case(7), groups) == {(2, 0): 0, (2, 2): 0}


def test_a_gap_of_exactly_0_is_counted_and_one_of_minus_1_is_not() -> None:
    """How large a gap is does not matter otherwise: what reaches the label is counted from the tables."""
    case = layer_case(7)
    steps = region_steps(case.data, case.problem, by_label(case))
    problem, rule, facts = of_case(case), RULES[RULE], RegionGaps.decode(steps[1]["conclusion"], "")
    args = {"hints": rule.args["hints"](steps[2]["args"]["hints"], "")}
    gaps = tuple(tuple(min(max(gap, -1), 0) for gap in row) for row in facts.gaps)
    assert {gap for row in gaps for gap in row} == {-1, 0}
    assert rule.derive(problem, (replace(facts, gaps=gaps),), args) == rule.derive(problem, (facts,), args)


def test_two_steps_about_one_pair_are_not_added() -> None:
    """total refuses the second count of a cell, whatever the groups were."""
    case = layer_case(3, problem=max_of_k(2, 2), v=2, outputs=2)
    steps = region_steps(case.data, case.problem, [of_maximum(2, 1)])
    total = {"rule": "total", "premises": [2, 3], "args": {}, "conclusion": {"correct": 0, "wrong": 0}}
    said = layer_cases.said(case, [*steps, steps[2], total])
    assert said == ("region-covered-twice", "[4].premises[1].counts[0]")


def test_too_coarse_for_several_heads() -> None:
    """With 8 bits a weight may be 0: nothing is known of the mean of a head, and a step says so."""
    case = layer_case(3, heads=2)
    tensors = {name: x * (40 if name.endswith(("W_Q", "W_K")) else 1) for name, x in case.tensors.items()}
    wild = Case(tensors, case.entry, case.problem)
    with pytest.raises(Rejected) as refused:
        region_steps(wild.data, wild.problem, by_label(wild), bits=8)
    assert refused.value.code == "too-coarse"


def test_what_is_claimed_of_one_query_is_not_claimed_of_another() -> None:
    """Entries in another order are about other regions."""
    case = layer_case(3)
    steps = region_steps(case.data, case.problem, by_label(case))
    changed = copy.deepcopy(steps)
    changed[2]["conclusion"]["counts"].reverse()
    assert layer_cases.said(case, changed) == ("wrong-region", "[2].conclusion.counts[0]")
