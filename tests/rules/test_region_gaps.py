"""region_gaps: accepted, refused by reason, attacked; with heads and neurons, any slopes."""

import copy
from typing import Any

import pytest

from checker.arithmetic.activations import Activation
from tests.second_verifier.regions import holds
from tests.support import layer_cases
from tests.support.any_problem import max_of_k
from tests.support.layer_cases import by_label, layer_case, of_maximum
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
)
from tests.support.one_rule import holds as is_true
from tests.support.region_hints import region_steps

RULE = "region_gaps"


def test_accepted() -> None:
    """A gap for each of two classes in six regions, some proved and some not; all of it true."""
    proof = honest(RULE)
    assert said(proof) == ("", "")
    gaps = proof.facts[-1].gaps
    assert [len(row) for row in gaps] == [2] * 6
    assert min(map(min, gaps)) < 0 <= max(map(max, gaps))
    assert is_true(proof.facts[-1], small_model())


def one_group(groups: list[Any]) -> list[Any]:
    return groups[:1]


REFUSED: list[Refused] = [
    ("args.hints[4][1][0]", less, "mean-above-bound", "args.hints[4]"),
    ("args.hints[4][1][0]", -(10**3000), "mean-above-bound", "args.hints[4]"),
    ("args.hints[4][1]", shorter, "wrong-shape", "args.hints[4][1]"),
    ("args.hints[4][1]", longer, "wrong-shape", "args.hints[4][1]"),
    ("args.hints[4]", shorter, "wrong-shape", "args.hints[4]"),
    ("args.hints[4]", longer, "wrong-shape", "args.hints[4]"),
    ("args.hints", shorter, "wrong-shape", "args.hints"),
    ("args.hints", longer, "wrong-shape", "args.hints"),
    ("args.hints[4][1][0]", True, "wrong-type", "args.hints[4][1][0]"),
    ("args.hints[4][1][0]", more, "bound-too-small", "conclusion.gaps[4][1]"),
    ("conclusion.gaps[4][1]", less, "bound-too-small", "conclusion.gaps[4][1]"),
    ("conclusion.gaps[4][1]", more, "", ""),
    ("conclusion.gaps[4]", shorter, "wrong-shape", "conclusion.gaps[4]"),
    ("conclusion.gaps", longer, "wrong-shape", "conclusion.gaps"),
    ("conclusion.regions.bits", more, "wrong-region", "conclusion.regions.groups"),
    ("conclusion.regions.groups", one_group, "wrong-region", "conclusion.regions.groups"),
    ("conclusion.regions.groups[1].label", more, "wrong-region", "conclusion.regions.groups"),
    ("conclusion.regions.ranges", shorter, "wrong-shape", "conclusion.regions.ranges"),
    ("premises", shorter, "wrong-premises", "premises"),
    ("premises[0]", 0, "wrong-premises", "premises"),
    ("premises[0]", 9, "bad-premise", "premises[0]"),
]


@refusals(REFUSED)
def test_refused_by_reason(place: str, change: Any, code: str, at: str) -> None:
    assert refusal(honest(RULE), place, change) == (code, at)


def test_attacked() -> None:
    """Whatever the regions and the bounds, the gaps that are granted are true."""
    seen = attacked(RULE)
    assert seen["granted"] > 8 and seen["mean-above-bound"] > 0


def any_slope(act: Activation, low: int, high: int) -> int:
    """Of either sign, and steep or flat: one for each range."""
    return (low * 7919 + high) % (3 << act.bits) - (1 << act.bits)


@pytest.mark.parametrize("activation", ["relu", "silu", "gelu_tanh", "gelu_erf"])
@pytest.mark.parametrize(
    "slopes", [None, any_slope, lambda *_: 0, lambda *_: -(1 << 80)], ids=["chord", "any", "none", "steep"]
)
def test_any_slope_gives_true_gaps(activation: str, slopes: Any) -> None:
    """And each head has a bound of its own, of which one unit less is refused."""
    case = layer_case(2, heads=2, activation=activation, problem=max_of_k(2, 2), v=2)
    steps = region_steps(case.data, case.problem, by_label(case), 24, slopes=slopes, count=False)
    assert layer_cases.said(case, steps) == ("", "")
    assert holds(case, steps[1]["conclusion"])
    for head in range(2):
        changed = copy.deepcopy(steps)
        changed[1]["args"]["hints"][0][0][2 + head] -= 1
        assert layer_cases.said(case, changed) == ("mean-above-bound", "[1].args.hints[0]")


def test_ranges_that_are_stated_wider_give_wider_gaps() -> None:
    """The stated regions are the premise, and not what was derived."""
    case = layer_case(2, heads=2, activation="silu")
    steps = region_steps(case.data, case.problem, by_label(case), count=False)
    steps[0]["conclusion"]["ranges"] = [
        [x + (4 << 40) * (1 if i % 2 else -1) for i, x in enumerate(row)] for row in steps[0]["conclusion"]["ranges"]
    ]
    code, path = layer_cases.said(case, steps)
    assert (code, path) == ("range-too-narrow", "[1].conclusion.regions.ranges[0][0]")
    steps[1]["conclusion"]["regions"] = steps[0]["conclusion"]
    assert layer_cases.said(case, steps)[0] == "bound-too-small"


def test_a_class_has_the_worst_of_its_outputs_and_all_the_margin() -> None:
    """Together no gap is below the largest of those apart; with a margin each grows by just that, rounded up."""
    case = layer_case(12, heads=2, problem=max_of_k(3, 2))
    apart = [of_maximum(3, m) for m in range(3)]
    together = [group | {"rivals": [sum(group["rivals"])]} for group in apart]
    one, all_ = (region_steps(case.data, case.problem, groups, count=False)[1] for groups in (apart, together))
    pairs = list(zip(one["conclusion"]["gaps"], all_["conclusion"]["gaps"], strict=True))
    assert all(max(row) <= worst for row, (worst,) in pairs)
    assert any(max(row) < worst for row, (worst,) in pairs)
    wider = region_steps(case.data, case.problem, apart, margin=3, count=False)[1]["conclusion"]["gaps"]
    assert wider == [[gap + (3 << 40) for gap in row] for row in one["conclusion"]["gaps"]]


def test_with_one_output_there_is_no_class() -> None:
    case = layer_case(0, problem=max_of_k(1, 2), v=1, outputs=1)
    steps = region_steps(case.data, case.problem, [of_maximum(1, 0)])
    assert layer_cases.said(case, steps) == ("", "")
    assert steps[1]["conclusion"]["gaps"] == [[]]
    assert steps[2]["conclusion"]["counts"] == [[0, 1, 3, 1, 0]]
