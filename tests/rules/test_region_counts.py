"""region_counts: accepted, refused by reason, attacked; with heads, neurons and weights, against the oracle."""

import copy
from typing import Any

import numpy as np
import pytest

from checker.errors import Rejected
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


def test_groups_that_overlap_stay_apart() -> None:
    """The same group twice is two entries about one region, which total refuses; so are two automata of one query."""
    case = layer_case(3, problem=max_of_k(2, 2), v=2, outputs=2)
    once, finer = of_maximum(2, 1), of_maximum(2, 1, 2)
    for groups in ([once, once], [once, finer]):
        steps = region_steps(case.data, case.problem, groups)
        assert [count[:3] for count in steps[2]["conclusion"]["counts"]] == [[1, 1, 3], [1, 2, 3]] * 2


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
