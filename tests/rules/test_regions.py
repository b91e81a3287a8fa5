"""regions: accepted, refused by reason, attacked; with heads and neurons, on the kinds of models that it is about."""

import copy
from typing import Any

import pytest

from checker.errors import Rejected
from checker.facts import Regions
from checker.problem.regions import decode_groups, regions_of
from tests.second_verifier.regions import holds
from tests.support import layer_cases
from tests.support.any_case import Case
from tests.support.any_problem import max_of_k
from tests.support.layer_cases import by_label, layer_case, of_maximum
from tests.support.one_rule import Refused, attacked, honest, longer, more, refusal, refusals, said, shorter
from tests.support.problems import of_case
from tests.support.region_hints import region_steps

RULE = "regions"


def test_accepted() -> None:
    """The groups of the arguments; without neurons there is nothing else to say of the six regions."""
    proof = honest(RULE)
    assert said(proof) == ("", "")
    groups = decode_groups([of_maximum(3, m) for m in range(3)], "")
    assert proof.facts[-1] == Regions(40, groups, ((),) * 6)


GROUP = "args.groups[1]"  # of the maximum 1
REFUSED: list[Refused] = [
    (f"{GROUP}.label", -1, "no-such-region", f"{GROUP}.label"),
    (f"{GROUP}.label", 3, "no-such-region", f"{GROUP}.label"),
    (f"{GROUP}.label", 2, "no-such-region", f"{GROUP}.rivals"),
    (f"{GROUP}.queries", 0, "no-such-region", f"{GROUP}.queries"),
    (f"{GROUP}.queries", -1, "no-such-region", f"{GROUP}.queries"),
    (f"{GROUP}.queries", 8, "no-such-region", f"{GROUP}.queries"),
    (f"{GROUP}.queries", 3 + (1 << 500), "no-such-region", f"{GROUP}.queries"),
    (f"{GROUP}.rivals", [], "wrong-region", "conclusion.groups"),  # another group, but one
    (f"{GROUP}.rivals", [1], "wrong-region", "conclusion.groups"),
    (f"{GROUP}.rivals", [1, 4, 0], "no-such-region", f"{GROUP}.rivals"),
    (f"{GROUP}.rivals", [7], "no-such-region", f"{GROUP}.rivals"),
    (f"{GROUP}.rivals", [5, 8], "no-such-region", f"{GROUP}.rivals"),
    (f"{GROUP}.rivals", [-3], "no-such-region", f"{GROUP}.rivals"),
    (f"{GROUP}.rivals", [1 << 500], "no-such-region", f"{GROUP}.rivals"),
    (f"{GROUP}.symbols", shorter, "bad-automaton", GROUP),
    (f"{GROUP}.symbols", longer, "bad-automaton", GROUP),
    (f"{GROUP}.symbols", [0, 1, 3], "bad-automaton", GROUP),
    (f"{GROUP}.symbols", [0, 1, -1], "bad-automaton", GROUP),
    (f"{GROUP}.next[1]", [1, 1, 2], "bad-automaton", GROUP),
    (f"{GROUP}.next[1]", [1, 1, -2], "bad-automaton", GROUP),
    (f"{GROUP}.next[1]", [1, 1], "not-a-matrix", f"{GROUP}.next"),
    (f"{GROUP}.next", [], "not-a-matrix", f"{GROUP}.next"),
    (f"{GROUP}.parts", shorter, "bad-automaton", GROUP),
    (f"{GROUP}.parts", longer, "bad-automaton", GROUP),
    (f"{GROUP}.parts", [-2, 0], "bad-automaton", GROUP),
    (f"{GROUP}.parts", [0, 0], "wrong-label", f"{GROUP}.parts[0]"),
    (f"{GROUP}.next[1]", [1, 1, 1], "wrong-label", f"{GROUP}.parts[1]"),
    (f"{GROUP}.symbols", [0, 1, 1], "wrong-label", f"{GROUP}.parts[1]"),
    ("args.hints", shorter, "wrong-shape", "args.hints"),
    ("args.hints", longer, "wrong-shape", "args.hints"),
    ("args.hints[3]", [[0, 0]], "wrong-shape", "args.hints[3]"),
    ("args.bits", 7, "out-of-range", "args.bits"),
    ("args.bits", 4097, "out-of-range", "args.bits"),
    ("conclusion.bits", more, "wrong-region", "conclusion.groups"),
    ("conclusion.groups", shorter, "wrong-region", "conclusion.groups"),
    ("conclusion.groups[1].queries", 1, "wrong-region", "conclusion.groups"),
    ("conclusion.ranges", shorter, "wrong-shape", "conclusion.ranges"),
    ("conclusion.ranges[0]", [0, 1], "wrong-shape", "conclusion.ranges[0]"),
    ("premises", [0], "wrong-premises", "premises"),
]


@refusals(REFUSED)
def test_refused_by_reason(place: str, change: Any, code: str, at: str) -> None:
    assert refusal(honest(RULE), place, change) == (code, at)


def test_attacked() -> None:
    """Whatever the groups, those that are granted have one label each."""
    seen = attacked(RULE)
    assert seen["granted"] > 10 and seen["bad-automaton"] + seen["wrong-label"] > 2


def neurons(heads: int = 2, **given: Any) -> tuple[Case, list[dict[str, Any]]]:
    """A step about so many heads and two neurons."""
    case = layer_case(1, heads=heads, activation="silu", **given)
    return case, region_steps(case.data, case.problem, by_label(case, 2), count=False)[:1]


def test_ranges_hold_what_enters_the_neurons_and_no_hint_can_be_better() -> None:
    """One unit less in any hint is refused, and one unit less in any range; wider ones follow."""
    case, steps = neurons()
    assert layer_cases.said(case, steps) == ("", "")
    assert holds(case, steps[0]["conclusion"])
    rows = steps[0]["args"]["hints"]
    assert len(rows) > 3 and all(len(row) == 2 and len(row[0]) == 4 for row in rows)
    for i in range(len(rows)):
        for j, at in ((0, 0), (1, 1), (0, 2), (1, 3)):
            changed = copy.deepcopy(steps)
            changed[0]["args"]["hints"][i][j][at] += 1 if at < 2 else -1
            assert layer_cases.said(case, changed) == ("mean-above-bound", f"[0].args.hints[{i}]")
        for end in range(4):
            changed = copy.deepcopy(steps)
            changed[0]["conclusion"]["ranges"][i][end] += -1 if end % 2 else 1
            refused = ("range-too-narrow", f"[0].conclusion.ranges[{i}][{end}]")
            assert layer_cases.said(case, changed) == refused
            changed[0]["conclusion"]["ranges"][i][end] += 2 if end % 2 else -2
            assert layer_cases.said(case, changed) == ("", "")


def test_a_range_is_the_query_with_its_doubt_and_the_hints_of_all_heads() -> None:
    """The lower end less the radius and the lower hints, the upper end more the radius and the upper ones."""
    case, (step,) = neurons()
    problem, groups = of_case(case), decode_groups(step["args"]["groups"], "")
    layer = problem.one_layer(step["args"]["bits"])
    for region, rows, ends in zip(
        regions_of(problem, groups), step["args"]["hints"], step["conclusion"]["ranges"], strict=True
    ):
        direct = layer.direct(region.query)
        assert direct.radius > 0
        for own, row, low, high in zip(direct.centre[-2:], rows, ends[::2], ends[1::2], strict=True):
            assert low == own - direct.radius + row[0] + row[1]
            assert high == own + direct.radius + row[2] + row[3]


@pytest.mark.parametrize("heads", [1, 2])
def test_hints_of_another_number_of_neurons_or_heads(heads: int) -> None:
    case, steps = neurons(heads)
    assert layer_cases.said(case, steps) == ("", "")
    for change, at in (
        (lambda hints: hints[0].pop(), "args.hints[0]"),
        (lambda hints: hints[0].append(hints[0][0]), "args.hints[0]"),
        (lambda hints: hints[1][1].pop(), "args.hints[1][1]"),
        (lambda hints: hints[1][0].append(0), "args.hints[1][0]"),
    ):
        changed = copy.deepcopy(steps)
        change(changed[0]["args"]["hints"])
        assert layer_cases.said(case, changed) == ("wrong-shape", f"[0].{at}")


OTHERS: list[dict[str, Any]] = [
    {"blocks": 2},
    {"blocks": 0},
    {"pool": "sum"},
    {"readout_layers": 1},
    {"normalization": "LNPre", "norms": ["post"], "eps": "1"},
    {"normalization": "LNPre", "norms": ["post", "final"], "eps": "1"},
    {"normalization": "LNPre", "norms": ["pre"], "eps": "1", "activation": "relu"},
    {"normalization": "LNPre", "norms": ["final"], "eps": "1", "activation": "relu"},
    {"normalization": "LNPre", "norms": ["pre", "final"], "eps": "1", "activation": "relu"},
]


@pytest.mark.parametrize("given", OTHERS, ids=lambda given: " ".join(map(str, given.values())))
def test_other_models_are_refused(given: dict[str, Any]) -> None:
    problem = max_of_k(3, 2)
    if "pool" in given:
        del problem["readout"]
    case = layer_case(problem=problem, **given)
    with pytest.raises(Rejected) as refused:
        region_steps(case.data, problem, [of_maximum(3, 0)])
    assert (refused.value.code, refused.value.path) == ("wrong-problem", "rule")


def test_a_group_without_an_input_has_no_region() -> None:
    """And one without a part in use; the steps hold, and say that nothing is proved."""
    case = layer_case(problem=max_of_k(3, 2))
    nobody = of_maximum(3, 0) | {"queries": 4}
    nothing = of_maximum(3, 1) | {"parts": [-1, -1]}
    steps = region_steps(case.data, case.problem, [nobody, nothing])
    assert layer_cases.said(case, steps) == ("", "")
    assert steps[0]["conclusion"]["ranges"] == steps[1]["conclusion"]["gaps"] == []
    assert steps[2]["conclusion"]["counts"] == [[0, 4, 3, 0, 0], [1, 1, 3, 0, 0], [1, 2, 3, 0, 0]]
