"""The part of tests/certificates that is about regions of a model with one attention layer.

Hints are those of tests/support/region_hints.py: the best ones, found by looking at every input.
"""

from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from pathlib import Path

from tests import general_corpus
from tests.general_corpus import about, of_max_of_k, random_model, tiny
from tests.support.any_case import Case
from tests.support.any_model import architecture
from tests.support.any_problem import Json, max_of_k
from tests.support.edits import Edit, Statement, change, drop, edited, put
from tests.support.layer_cases import by_label, of_maximum
from tests.support.region_hints import region_steps

REGIONS, GAPS, COUNTS = (("predicate", "steps", n) for n in range(3))
GROUPS = ((*REGIONS, "args", "groups"), (*REGIONS, "conclusion", "groups"))
RELU = architecture(heads=2, attn_scale_squared="2", activation="relu")
NORM = architecture(heads=3, mask="full", attn_scale_squared="3", normalization="LN", norms=["pre"], eps="0")


FINAL = architecture(heads=2, attn_scale_squared="2", normalization="LN", norms=["pre", "final"], eps="1/64")


@cache
def cases() -> dict[str, Case]:
    """Models with a problem each, by the name of the model file."""
    relu = random_model(31, RELU, "F32", d_vocab=3, d_model=3, n_ctx=4, d_head=2, d_mlp=2, d_vocab_out=3)
    norm = random_model(32, NORM, "F64", d_vocab=4, d_model=3, n_ctx=3, d_head=2, d_vocab_out=2)
    final = random_model(33, FINAL, "F32", d_vocab=3, d_model=4, n_ctx=3, d_head=2, d_vocab_out=3)
    norm["embed.W_E"][3] = -norm["pos_embed.W_pos"][0]  # at position 0 a residual of zeros, which has no LayerNorm
    weights = [{"tokens": "0-2", "weights": [1, 1 << 70, 3]}, {"tokens": [2, 0]}, {"tokens": "0-2"}, {"tokens": [1, 2]}]
    sums = {"inputs": weights, "label": {"name": "sum-mod", "modulus": 3}, "readout": 2}
    has = {"inputs": [{"tokens": "0-2"}] * 3, "label": {"name": "contains", "token": 1}}
    return {
        "two-heads-relu": Case(relu, RELU, sums, Fraction(1, 8), "F32"),
        "pre-norm": Case(norm, NORM, has),
        "final-norm": Case(final, FINAL, max_of_k(3, 3), Fraction(1, 8), "F32"),
    }


def write_models(folder: Path) -> None:
    """Their files."""
    for name, case in cases().items():
        case.write(folder / f"{name}.safetensors")


def with_steps(base: Statement, steps: list[Json]) -> Statement:
    """These steps before those of the certificate, whose last one is about the one before it."""
    *before, last = base["predicate"]["steps"]
    last = {**last, "premises": [len(steps) + len(before) - 1]}
    return edited(base, put("predicate", "steps", value=[*steps, *before, last]))


@cache
def beside(name: str) -> Statement:
    """The certificate of every input evaluated, with steps about regions that it does not need."""
    case = cases()[name]
    return with_steps(
        about(name, case, [64]), region_steps(case.data, case.problem, by_label(case, 3), margin=case.margin)
    )


@cache
def maxima() -> Statement:
    """Max-of-k of tiny.safetensors, by how often the maximum occurs."""
    return proved([of_maximum(5, m, 2) for m in range(5)])


def apart(keep: int = 2) -> list[Json]:
    """In one group the largest tokens are watched by how often the maximum occurs, in another the others; the latter
    holds inputs in which it occurs `keep` times or fewer."""
    groups = []
    for m in range(5):
        others = [1 << y for y in range(5) if y != m]
        few = of_maximum(5, m, 2, rivals=others[:2])
        groups += [
            of_maximum(5, m, 2, rivals=others[2:]),
            few | {"parts": few["parts"][: keep + 1] + [-1] * (2 - keep)},
        ]
    return groups


def proved(groups: list[Json]) -> Statement:
    """Of tiny.safetensors what these groups prove."""
    case = of_max_of_k()
    steps = region_steps(case.data, case.problem, groups, steps=200)
    correct = sum(count[3] for count in steps[2]["conclusion"]["counts"])
    conclusion = {"correct": correct, "wrong": 0}
    total = {"rule": "total", "premises": [2], "args": {}, "conclusion": conclusion}
    base = edited(tiny(case.problem), put("predicate", "steps", value=[*steps, total]))
    return edited(base, *(put("predicate", "claim", key, value=number) for key, number in conclusion.items()))


def accepted() -> Iterator[tuple[str, Statement]]:
    """accept/MODEL--what.cert.json"""
    for name in cases():
        yield f"{name}--regions-beside", beside(name)
    whole = maxima()
    yield "tiny--regions", whole
    yield "tiny--regions-of-two-groups", proved(apart())
    wider = (change(*GAPS, "conclusion", "gaps", 0, 0, by=1), change(*COUNTS, "conclusion", "counts", 3, 3, by=-1))
    less = (
        change("predicate", "steps", 3, "conclusion", "correct", by=-1),
        change("predicate", "claim", "correct", by=-1),
    )
    yield "tiny--weaker-regions", edited(whole, *wider, *less)


def of_groups(*path: str | int, value: object) -> tuple[Edit, ...]:
    """The arguments and the conclusion say so."""
    return tuple(put(*groups, *path, value=value) for groups in GROUPS)


def rejected() -> Iterator[tuple[str, Statement]]:
    """reject/CODE--what.cert.json"""
    whole, relu, norm = maxima(), beside("two-heads-relu"), beside("pre-norm")
    yield "wrong-label--smaller-tokens-only", edited(whole, *of_groups(3, "parts", value=[0, 1, 2]))
    yield "wrong-label--larger-tokens-let-in", edited(whole, *of_groups(3, "next", 1, value=[1, 2, 1]))
    yield "wrong-label--a-token-too-many", edited(whole, *of_groups(2, "symbols", value=[0, 0, 1, 1, 2]))
    yield "bad-automaton--part-below-minus-one", edited(whole, *of_groups(3, "parts", value=[-2, 0, 1]))
    yield "bad-automaton--part-missing", edited(whole, *of_groups(3, "parts", value=[-1, 0]))
    yield "bad-automaton--symbol-missing", edited(whole, *of_groups(3, "symbols", value=[0, 0, 0, 1]))
    yield "bad-automaton--symbol-of-no-column", edited(whole, *of_groups(3, "symbols", value=[0, 0, 0, 1, 3]))
    yield "bad-automaton--state-of-no-row", edited(whole, *of_groups(3, "next", 2, value=[2, 3, -1]))
    yield "bad-automaton--state-below-minus-one", edited(whole, *of_groups(3, "next", 2, value=[2, 2, -2]))
    yield "no-such-region--label-that-is-no-output", edited(whole, *of_groups(4, "label", value=5))
    yield "no-such-region--query-that-is-no-token", edited(whole, *of_groups(4, "queries", value=63))
    yield "no-such-region--query-of-no-weight", edited(norm, *of_groups(0, "queries", value=15))
    yield "no-such-region--label-among-rivals", edited(whole, *of_groups(4, "rivals", value=[31]))
    yield "no-such-region--negative-rivals", edited(whole, *of_groups(4, "rivals", value=[-17]))
    yield "no-such-region--no-rival-in-a-class", edited(whole, *of_groups(4, "rivals", value=[15, 0]))
    yield "wrong-shape--hints-of-an-output-not-watched", edited(whole, *of_groups(4, "rivals", value=[1, 2, 4]))
    most = whole["predicate"]["steps"][2]["conclusion"]
    for name, groups in (
        ("output-that-no-group-watches", [*apart()[:-1]]),
        ("inputs-that-one-group-does-not-hold", apart(1)),
        ("a-group-twice", [*apart(), *apart()]),
    ):
        less = proved(groups)
        yield f"count-too-large--{name}", edited(less, put(*COUNTS, "conclusion", value=most))
    hints = (*GAPS, "args", "hints")
    yield "mean-above-bound--one-unit", edited(whole, change(*hints, 4, 0, 0, by=-1))
    yield "mean-above-bound--second-head", edited(relu, change(*hints, 0, 0, 3, by=-1))
    yield "mean-above-bound--neuron", edited(relu, change(*REGIONS, "args", "hints", 1, 1, 3, by=-1))
    yield "mean-above-bound--neuron-from-below", edited(relu, change(*REGIONS, "args", "hints", 1, 1, 0, by=1))
    yield "mean-above-bound--of-another-region", edited(norm, put(*hints, 0, value=[[-(1 << 60)] * 3]))
    ends = (*REGIONS, "conclusion", "ranges", 1)
    yield "range-too-narrow--neuron-upper-end", edited(relu, change(*ends, 3, by=-1))
    yield "range-too-narrow--neuron-lower-end", edited(relu, change(*ends, 0, by=1))
    yield "bound-too-small--gap", edited(whole, change(*GAPS, "conclusion", "gaps", 2, 1, by=-1))
    yield "bound-too-small--larger-margin-than-gaps", edited(norm, put("predicate", "margin", value="1/4"))
    yield "mean-above-bound--of-another-slope", edited(relu, change(*hints, 0, 0, 0, by=1 << 40))
    yield "count-too-large--region", edited(whole, change(*COUNTS, "conclusion", "counts", 3, 3, by=1))
    yield "count-too-large--wrong-in-a-region", edited(whole, change(*COUNTS, "conclusion", "counts", 3, 4, by=1))
    yield (
        "count-too-large--total-of-regions",
        edited(whole, change("predicate", "steps", 3, "conclusion", "correct", by=1)),
    )
    counts = whole["predicate"]["steps"][2]["conclusion"]["counts"]
    backwards = put(*COUNTS, "conclusion", "counts", value=counts[::-1])
    yield "wrong-region--regions-backwards", edited(whole, backwards)
    yield "wrong-region--groups-backwards", edited(whole, put(*GROUPS[1], value=groups_of(whole)[::-1]))
    yield "wrong-region--gaps-of-other-groups", edited(whole, drop(*GAPS, "conclusion", "regions", "groups", 4))
    yield "wrong-shape--region-without-hint", edited(whole, drop(*hints, -1))
    yield "wrong-shape--region-added", edited(whole, put(*hints, value=[*hints_of(whole), hints_of(whole)[0]]))
    yield "wrong-shape--hint-for-a-class-behind", edited(norm, *first_settled(norm))
    yield "wrong-shape--one-head-of-two", edited(relu, drop(*hints, 0, 0, 3))
    yield "wrong-problem--regions-of-two-blocks", with_steps(general_corpus.exact("two-blocks"), [first_step(whole)])
    yield "wrong-problem--regions-of-a-pooled-model", with_steps(general_corpus.exact("full-sum"), [first_step(whole)])
    twice = {**whole["predicate"]["steps"][3], "premises": [2, 2]}
    yield "region-covered-twice--regions", edited(whole, put("predicate", "steps", 3, value=twice))
    yield "wrong-premises--gaps-of-gaps", edited(whole, put(*COUNTS, "premises", value=[0]))
    at_zero = put("predicate", "task", "inputs", 0, value={"tokens": "0-3"})
    yield "too-coarse--no-layer-norm-of-zeros", edited(norm, at_zero, put("predicate", "claim", "total", value=36))


def groups_of(statement: Statement) -> list[Json]:
    """Those of the first step."""
    groups: list[Json] = statement["predicate"]["steps"][0]["args"]["groups"]
    return groups


def hints_of(statement: Statement) -> list[Json]:
    """Those of the gaps."""
    hints: list[Json] = statement["predicate"]["steps"][1]["args"]["hints"]
    return hints


def first_step(statement: Statement) -> Json:
    step: Json = statement["predicate"]["steps"][0]
    return step


def first_settled(statement: Statement) -> tuple[Edit, ...]:
    """A hint where the class is behind, and none is due."""
    hints = statement["predicate"]["steps"][2]["args"]["hints"]
    i, j = next((i, j) for i, row in enumerate(hints) for j, hint in enumerate(row) if not hint)
    return (put(*COUNTS, "args", "hints", i, j, value=[1, 0, 0, 0]),)


def malformed() -> Iterator[tuple[str, Statement]]:
    """malformed/CODE--what.cert.json"""
    whole = maxima()
    yield "missing-field--parts-of-a-group", edited(whole, drop(*GROUPS[0], 0, "parts"))
    yield "unknown-field--start-of-a-group", edited(whole, put(*GROUPS[0], 0, "start", value=0))
    yield "not-a-matrix--next-of-a-group", edited(whole, put(*GROUPS[0], 0, "next", 0, value=[0]))
    yield "wrong-type--true-as-part", edited(whole, put(*GROUPS[0], 0, "parts", 0, value=True))
    yield "wrong-type--number-as-hint", edited(whole, put(*COUNTS, "args", "hints", 0, 0, value=1))
