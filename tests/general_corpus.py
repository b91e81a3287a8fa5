"""The part of tests/certificates that is about other problems than max-of-k, and about other models.

Counts are those of the oracle, which evaluates every input from the definition; hand-made, without the generator.
"""

import json
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tests.support.any_case import Case, certificate, counted
from tests.support.any_model import Architecture, Tensors, architecture, axes_of, storable, zeros
from tests.support.any_problem import Json, max_of_k
from tests.support.edits import Edit, Statement, change, drop, edited, put, to_bytes
from tests.support.tiny import near_correct, short

TASK, CLAIM = ("predicate", "task"), ("predicate", "claim")
INPUTS, LABEL = (*TASK, "inputs"), (*TASK, "label")
EVALUATE = ("predicate", "steps", 0)
COUNTS, BITS = (*EVALUATE, "conclusion", "counts"), (*EVALUATE, "args", "bits")
TOTAL = ("predicate", "steps", 1)

DEEP = architecture(
    blocks=2,
    heads=2,
    attn_scale_squared="2",
    activation="relu",
    normalization="LN",
    norms=["pre", "final"],
    eps="1/100000",
)
FULL = architecture(heads=2, mask="full", attn_scale_squared="3/2", activation="gelu_erf", pool="sum", readout_layers=1)
POST = architecture(
    mask="full", activation="silu", normalization="LNPre", norms=["post"], eps="1/8", pool="mean", readout_layers=2
)
TANH = architecture(heads=3, activation="gelu_tanh", normalization="LNPre", norms=["final"], eps="1/4")
NO_BLOCKS = architecture(blocks=0)


def random_model(seed: int, given: Architecture, dtype: str, **sizes: int) -> Tensors:
    """Normal weights that the dtype holds."""
    rng = np.random.default_rng(seed)
    sizes |= {"n_heads": given["heads"]}
    drawn = {name: rng.normal(size=[sizes[axis] for axis in axes]) for name, axes in axes_of(given).items()}
    return {name: storable(short(values), dtype) for name, values in drawn.items()}


def last_token() -> Tensors:
    """Says the token at the readout, of five; but the last output repeats the one before it, so that token 4 ties."""
    sizes = {"d_vocab": 5, "d_model": 5, "n_ctx": 4, "d_vocab_out": 6}
    return zeros(NO_BLOCKS, sizes, W_E=np.eye(5), W_U=np.eye(5)[:, [0, 1, 2, 3, 4, 4]])


AUTOMATON: Json = {
    "name": "automaton",
    "states": 3,
    "start": 1,
    "next": [[0, 1, 2, 0], [1, 2, 0, 1], [2, 0, 1, 1]],
    "output": [2, 0, 1],
}
ALL_OF_5 = [{"tokens": "0-4"}]


@cache
def cases() -> dict[str, Case]:
    """Models with a problem each, by the name of the model file; in dtypes of all kinds."""
    small: dict[str, int] = {"d_model": 4, "d_head": 2, "d_mlp": 3}
    deep = random_model(105, DEEP, "F32", **small, d_vocab=4, n_ctx=5, d_vocab_out=3)
    full = random_model(12, FULL, "F16", **small, d_vocab=3, n_ctx=3, d_readout_0=3, d_vocab_out=5)
    post = random_model(13, POST, "BF16", **small, d_vocab=3, n_ctx=4, d_readout_0=3, d_readout_1=2, d_vocab_out=3)
    tanh = random_model(14, TANH, "F64", **small, d_vocab=3, n_ctx=3, d_vocab_out=3)
    weighted: list[Json] = [
        {"tokens": [3]},
        {"tokens": [2, 0], "weights": [3, 1 << 70]},
        {"tokens": "1-3", "weights": [2, 0, 5]},
        {"tokens": "0-3"},
        {"tokens": [2, 1]},
    ]
    of = {"inputs": weighted, "label": {**AUTOMATON, "of": [1, 3, 4]}, "readout": 3}
    sums = {"inputs": [{"tokens": "0-2"}] * 3, "label": {"name": "sum-mod", "modulus": 3}}
    some = {"inputs": [{"tokens": [2, 0, 1]}] * 4, "label": {"name": "nth-largest", "n": 2, "of": [0, 1, 3]}}
    most = {"inputs": [{"tokens": "0-2"}] * 3, "label": {"name": "majority"}}
    last = {"inputs": ALL_OF_5 * 4, "label": {"name": "last"}}
    return {
        "two-blocks": Case(deep, DEEP, of, Fraction(1, 2), "F32"),
        "full-sum": Case(full, FULL, sums, 0, "F16"),
        "post-mean": Case(post, POST, some, 0, "BF16"),
        "three-heads": Case(tanh, TANH, most, 0, "F64"),
        "no-blocks": Case(last_token(), NO_BLOCKS, last, 0, "F32"),
    }


def write_models(folder: Path) -> None:
    """Their files."""
    for name, case in cases().items():
        case.write(folder / f"{name}.safetensors")


def about(name: str, case: Case, bits: list[int]) -> Statement:
    """A certificate that claims all that is true, ties apart."""
    counts = counted(case, case.oracle.regions(case.problem, case.margin))
    # through text, so that entries of a problem that are one object become several
    statement: Statement = json.loads(json.dumps(certificate(case, bits, counts)))
    return edited(statement, put("subject", 0, "name", value=f"{name}.safetensors"))


def exact(name: str) -> Statement:
    """The certificate of one of the models above."""
    return about(name, cases()[name], [64])


@cache
def of_max_of_k() -> Case:
    """tiny.safetensors, which says no architecture, and its own task."""
    return Case(near_correct(np.random.default_rng(0), 5, 4, biases=True), None, max_of_k(5, 4), 0, "F32")


def tiny(problem: Json) -> Statement:
    """About tiny.safetensors."""
    return about("tiny", of_max_of_k().asked(problem, 0), [64])


def least() -> Json:
    """A problem of tiny.safetensors that is not max-of-k."""
    return {"inputs": ALL_OF_5 * 4, "label": {"name": "min"}}


def claim(correct: int, wrong: int) -> tuple[Edit, ...]:
    """The last step and the claim say this."""
    return tuple(
        put(*path, name, value=number)
        for path in ((*TOTAL, "conclusion"), CLAIM)
        for name, number in (("correct", correct), ("wrong", wrong))
    )


def counts_of(statement: Statement) -> list[list[int]]:
    """What its first step counts."""
    counts: list[list[int]] = statement["predicate"]["steps"][0]["conclusion"]["counts"]
    return counts


def first(statement: Statement, place: int) -> int:
    """The first region with a count that is not 0 at this place."""
    return next(index for index, count in enumerate(counts_of(statement)) if count[place])


def accepted() -> Iterator[tuple[str, Statement]]:
    """accept/MODEL--what.cert.json"""
    for name in cases():
        yield f"{name}--exact", exact(name)
    full, deep = exact("full-sum"), exact("two-blocks")
    correct, wrong = (full["predicate"]["claim"][key] for key in ("correct", "wrong"))
    yield "full-sum--claims-less", edited(full, change(*CLAIM, "correct", by=-1), change(*CLAIM, "wrong", by=-1))
    yield "full-sum--no-wrong-claimed", edited(full, put(*CLAIM, "wrong", value=0))
    yield "full-sum--weaker-steps", edited(full, change(*COUNTS, first(full, 4), 4, by=-1), *claim(correct, wrong - 1))
    regions = range(len(counts_of(full)))
    yield (
        "full-sum--claims-nothing",
        edited(full, *(put(*COUNTS, t, i, value=0) for t in regions for i in (3, 4)), *claim(0, 0)),
    )
    yield "full-sum--8-bits-then-more", edited(full, put(*BITS, value=[8, 9, 16, 40, 64]))
    yield "full-sum--8-precisions", edited(full, put(*BITS, value=[8, 10, 12, 16, 24, 32, 48, 64]))
    yield "two-blocks--8-bits-then-more", edited(deep, put(*BITS, value=[8, 64]))
    yield "two-blocks--500-bits", edited(deep, put(*BITS, value=[500]))
    yield "tiny--4096-bits", edited(tiny({"inputs": ALL_OF_5, "label": {"name": "first"}}), put(*BITS, value=[4096]))
    yield "tiny--evaluate_inputs", edited(tiny(max_of_k(5, 4)), put(*TASK, value={"name": "max-of-k", "k": 4}))
    yield "tiny--evaluate_inputs-of-a-problem-file", tiny(max_of_k(5, 4))
    yield "tiny--smallest-token", tiny(least())
    yield "tiny--largest-of-two", tiny({"inputs": ALL_OF_5 * 3, "label": {"name": "max", "of": [0, 2]}, "readout": 2})


def accepted_in_two_ways(cubic: Statement) -> Iterator[tuple[str, Statement]]:
    """Rules about max-of-k, for a problem that says just what max-of-k is."""
    stated = {"inputs": [{"tokens": [4, 3, 2, 1, 0], "weights": [1] * 5}, *ALL_OF_5 * 3], "label": {"name": "max"}}
    yield "tiny--cubic-of-a-problem-file", edited(cubic, put(*TASK, value=stated))


def rejected() -> Iterator[tuple[str, Statement]]:
    """reject/CODE--what.cert.json"""
    full, deep, last = exact("full-sum"), exact("two-blocks"), exact("no-blocks")
    yield "count-too-large--two-blocks-no-margin", edited(deep, put("predicate", "margin", value="0"))
    for what, base in (("full-sum", full), ("two-blocks", deep)):
        for field, place in (("correct", 3), ("wrong", 4)):
            yield f"count-too-large--{what}-{field}", edited(base, change(*COUNTS, 0, place, by=1))
            yield f"count-too-large--{what}-total-{field}", edited(base, change(*TOTAL, "conclusion", field, by=1))
            yield f"count-too-large--{what}-claim-{field}", edited(base, change(*CLAIM, field, by=1))
    yield "count-too-large--full-sum-8-bits", edited(full, put(*BITS, value=[8]))
    yield "count-too-large--two-blocks-larger-margin", edited(deep, put("predicate", "margin", value="3"))
    yield (
        "count-too-large--two-blocks-shares-for-weights",
        edited(deep, put(*INPUTS, 1, "weights", value=[1, (1 << 70) + 2])),
    )
    yield "count-too-large--two-blocks-other-label", edited(deep, put(*LABEL, "start", value=0))
    yield "count-too-large--two-blocks-label-of-all", edited(deep, drop(*LABEL, "of"))
    yield "count-too-large--no-blocks-tie-as-correct", edited(last, change(*COUNTS, 4, 3, by=1))
    yield "count-too-large--no-blocks-tie-as-wrong", edited(last, change(*COUNTS, 4, 4, by=1))

    yield from regions_of_other_inputs(full, deep)
    yield "wrong-premises--total-of-nothing", edited(full, put(*TOTAL, "premises", value=[]))
    yield "region-covered-twice--evaluate_inputs", edited(full, put(*TOTAL, "premises", value=[0, 0]))
    again = {**full["predicate"]["steps"][0], "premises": [0]}
    yield "wrong-premises--evaluate_inputs", edited(full, put(*TOTAL, value=again))
    yield "nothing-proved--regions-only", edited(full, drop(*TOTAL))
    yield "wrong-total--of-a-problem", edited(full, change(*CLAIM, "total", by=1))
    yield "wrong-total--unweighted", edited(deep, put(*CLAIM, "total", value=4 * 2 * 2 * 2))
    for size, number in (("n_heads", 1), ("d_mlp", 4), ("d_vocab_out", 3), ("d_readout_0", 5), ("d_readout_1", 1)):
        yield f"wrong-size--full-sum-{size}", edited(full, put("predicate", "model", size, value=number))
    yield "wrong-size--full-sum-no-d_mlp", edited(full, drop("predicate", "model", "d_mlp"))
    yield from tasks_that_do_not_fit(full, last)
    yield from rules_about_max_of_k()


def regions_of_other_inputs(full: Statement, deep: Statement) -> Iterator[tuple[str, Statement]]:
    """wrong-shape and wrong-region: other than the labels and queries that occur, each once, in their order, all n."""
    counts = counts_of(full)
    yield "wrong-shape--full-sum-region-missing", edited(full, drop(*COUNTS, 2))
    yield "wrong-shape--full-sum-region-added", edited(full, put(*COUNTS, value=[*counts, [3, 1, 7, 0, 0]]))
    yield "wrong-shape--full-sum-no-regions", edited(full, put(*COUNTS, value=[]))
    yield "wrong-region--full-sum-backwards", edited(full, put(*COUNTS, value=counts[::-1]))
    yield "wrong-region--full-sum-two-exchanged", edited(full, put(*COUNTS, value=[counts[1], counts[0], *counts[2:]]))
    yield "wrong-region--full-sum-twice", edited(full, put(*COUNTS, value=[*counts[:2], counts[1], *counts[3:]]))
    yield "wrong-region--full-sum-label-that-never-occurs", edited(full, put(*COUNTS, -1, 0, value=3))
    yield "wrong-region--full-sum-label-that-is-no-output", edited(full, put(*COUNTS, -1, 0, value=5))
    yield "wrong-region--full-sum-query-that-is-no-token", edited(full, put(*COUNTS, -1, 1, value=1 << 3))
    yield "wrong-region--full-sum-several-queries", edited(full, put(*COUNTS, 0, 1, value=0b111))
    yield "wrong-region--full-sum-one-n-less", edited(full, change(*COUNTS, 0, 2, by=-1))
    case = cases()["two-blocks"]
    other = Case(case.tensors, case.entry, {**case.problem, "readout": 2}, case.margin, case.dtypes)
    read = about("two-blocks", other, [64])  # at the position where token 2 weighs nothing
    yield "wrong-region--query-of-no-weight", edited(read, put(*COUNTS, 0, 1, value=1 << 2))
    yield "wrong-shape--two-blocks-other-readout", edited(deep, put(*TASK, "readout", value=2))


def tasks_that_do_not_fit(full: Statement, last: Statement) -> Iterator[tuple[str, Statement]]:
    """wrong-task and bad-automaton."""
    entries: dict[str, Json] = {
        "no-token": {"tokens": []},
        "token-too-large": {"tokens": [0, 5]},
        "token-negative": {"tokens": [-1, 0]},
        "token-huge": {"tokens": [10**3000]},
        "token-twice": {"tokens": [0, 1, 0]},
        "range-too-long": {"tokens": "0-5"},
        "weight-missing": {"tokens": "0-4", "weights": [1, 1, 1, 1]},
        "weight-added": {"tokens": "0-4", "weights": [1] * 6},
        "weights-none": {"tokens": "0-4", "weights": []},
        "weights-zero": {"tokens": "0-4", "weights": [0] * 5},
        "weight-negative": {"tokens": "0-4", "weights": [1, 1, 1, 3, -1]},
        "weight-huge-and-negative": {"tokens": "0-4", "weights": [1, 1, 1, 3, -(10**3000)]},
    }
    for what, entry in entries.items():
        yield f"wrong-task--{what}", edited(last, put(*INPUTS, 1, value=entry))
    yield "wrong-task--no-positions", edited(last, put(*INPUTS, value=[]))
    yield "wrong-task--more-positions-than-n_ctx", edited(last, put(*INPUTS, value=ALL_OF_5 * 5))
    for what, number in (("negative", -1), ("of-no-position", 4), ("huge", 10**3000)):
        yield f"wrong-task--readout-{what}", edited(last, put(*TASK, "readout", value=number))
    yield "wrong-task--readout-of-a-pooled-model", edited(full, put(*TASK, "readout", value=2))
    yield "wrong-task--max-of-k-of-a-pooled-model", edited(full, put(*TASK, value={"name": "max-of-k", "k": 3}))
    yield "wrong-task--max-of-k-of-other-outputs", edited(last, put(*TASK, value={"name": "max-of-k", "k": 4}))
    for what, of in (
        ("none", []),
        ("decreasing", [1, 0]),
        ("twice", [1, 1]),
        ("negative", [-1, 0]),
        ("too-large", [0, 4]),
        ("huge", [10**3000]),
    ):
        yield f"wrong-task--of-{what}", edited(last, put(*LABEL, "of", value=of))
    for what, n, of in (("5-of-4", 5, [0, 1, 2, 3]), ("2-of-1", 2, [3])):
        yield f"wrong-task--n-is-{what}", edited(last, put(*LABEL, value={"name": "nth-largest", "n": n, "of": of}))
    states: dict[str, Any] = {"states": 1, "start": 0, "next": [[0] * 5], "output": [0]}
    yield "wrong-task--label-no-output", edited(last, put(*LABEL, value={"name": "sum-mod", "modulus": 17}))
    for what, output in (("negative", -1), ("too-large", 6), ("huge", 10**3000)):
        label = {"name": "automaton", **states, "output": [output]}
        yield f"wrong-task--label-{what}", edited(last, put(*LABEL, value=label))
    changes: dict[str, Json] = {
        "row-missing": {"next": []},
        "row-added": {"next": [[0] * 5] * 2},
        "row-short": {"next": [[0] * 4]},
        "row-long": {"next": [[0] * 6]},
        "output-missing": {"output": []},
        "output-added": {"output": [0, 0]},
        "start-too-large": {"start": 1},
        "states-too-many": {"states": 2},
        "states-huge": {"states": 1 << 60},
        "next-too-large": {"next": [[0, 0, 0, 0, 1]]},
        "next-negative": {"next": [[0, 0, 0, 0, -1]]},
        "next-huge": {"next": [[0, 0, 0, 0, 10**3000]]},
    }
    for what, changed in changes.items():
        label = {"name": "automaton", **states, **changed}
        yield f"bad-automaton--{what}", edited(last, put(*LABEL, value=label))


def rules_about_max_of_k() -> Iterator[tuple[str, Statement]]:
    """wrong-problem: each is max-of-k but for one thing."""
    whole: Json = max_of_k(5, 4)
    others: dict[str, Json] = {
        "smallest": least(),
        "last-of-all": whole | {"label": {"name": "last"}},
        "one-position-less": {"inputs": ALL_OF_5 * 3, "label": {"name": "max"}},
        "one-token-less": whole | {"inputs": [*ALL_OF_5 * 3, {"tokens": "0-3"}]},
        "one-token-of-weight-0": whole | {"inputs": [*ALL_OF_5 * 3, {"tokens": "0-4", "weights": [1, 1, 1, 1, 0]}]},
        "one-weight": whole | {"inputs": [*ALL_OF_5 * 3, {"tokens": "0-4", "weights": [1, 1, 1, 1, 2]}]},
        "all-weights": whole | {"inputs": [{"tokens": "0-4", "weights": [2] * 5}] * 4},
        "of-three": whole | {"label": {"name": "max", "of": [0, 1, 2]}},
        "readout-first": whole | {"readout": 0},
    }
    for what, problem in others.items():
        yield f"wrong-problem--{what}", edited(tiny(problem), put(*EVALUATE, value=enumerating(5)))
    yield "wrong-problem--architecture", edited(exact("no-blocks"), put(*EVALUATE, value=enumerating(5)))


def enumerating(v: int) -> Json:
    """A step that counts nothing, of a rule about max-of-k."""
    counts = [[m, 1 << q, 15 if q == m else 7, 0, 0] for m in range(v) for q in range(m + 1)]
    return {
        "rule": "enumerate_sequences",
        "premises": [],
        "args": {"exponent": -64, "bits": 64},
        "conclusion": {"counts": counts},
    }


def about_other_models() -> Iterator[tuple[str, Statement]]:
    """other-model/CODE--what.cert.json"""
    full, model = exact("full-sum"), ("predicate", "model", "tensors")
    stored = exact("two-blocks")["predicate"]["model"]["tensors"]
    yield "model-digest--general", edited(full, put("subject", 0, "digest", "sha256", value="0" * 64))
    yield "tensor-digest--general", edited(full, put(*model, "readout.0.W", value="0" * 64))
    yield (
        "tensor-digest--one-more-block",
        edited(full, put(*model, "blocks.1.attn.b_O", value=stored["blocks.1.attn.b_O"])),
    )
    yield "tensor-digest--no-mlp", edited(full, drop(*model, "blocks.0.mlp.W_in"))


def over_limits() -> Iterator[tuple[str, Statement]]:
    """resource-limit/CODE--what.cert.json"""
    last = exact("no-blocks")
    again = [4089, 4090, 4091, 4092, 4093, 4094, 4095, 4096]
    yield "over-budget--ties-again-and-again", edited(last, put(*BITS, value=again))


def over_limits_of(long: Statement) -> Iterator[tuple[str, Statement]]:
    """The same for a model of twelve positions."""
    step = {"rule": "evaluate_inputs", "premises": [], "args": {"bits": [64]}, "conclusion": {"counts": []}}
    yield "over-budget--5-to-the-12-inputs", edited(long, put("predicate", "steps", value=[step]))


def malformed() -> Iterator[tuple[str, bytes]]:
    """malformed/CODE--what.cert.json: outside the format before any model is looked at."""
    base = tiny(least())
    for what, text in (
        ("backwards", "4-0"),
        ("one-number", "4"),
        ("empty", ""),
        ("spaces", "0 - 4"),
        ("newline", "0-4\n"),
        ("negative", "-1-4"),
        ("leading-zero", "0-04"),
        ("plus", "+0-4"),
        ("full-width", "0-４"),
        ("underscore", "0-1_0"),
        ("ten-digits", "0-1000000000"),
        ("list-of-ranges", "0-1,3-4"),
    ):
        yield f"bad-range--{what}", to_bytes(edited(base, put(*INPUTS, 1, "tokens", value=text)))
    yield "too-large--tokens", to_bytes(edited(base, put(*INPUTS, 1, "tokens", value="0-999999999")))
    for what, name in (("misspelt", "maximum"), ("empty", ""), ("upper-case", "MAX"), ("dunder", "__class__")):
        yield f"unsupported--label-{what}", to_bytes(edited(base, put(*LABEL, "name", value=name)))
    wrong: dict[str, tuple[tuple[str | int, ...], object]] = {
        "true-as-token": ((*INPUTS, 1, "tokens"), [0, True]),
        "number-as-tokens": ((*INPUTS, 1, "tokens"), 4),
        "true-as-weight": ((*INPUTS, 1, "weights"), [1, 1, 1, 1, True]),
        "null-as-weights": ((*INPUTS, 1, "weights"), None),
        "list-as-entry": ((*INPUTS, 1), [0, 1]),
        "object-as-inputs": (INPUTS, {}),
        "true-as-readout": ((*TASK, "readout"), True),
        "null-as-readout": ((*TASK, "readout"), None),
        "true-as-position": ((*LABEL, "of"), [True]),
        "null-as-of": ((*LABEL, "of"), None),
        "number-as-label-name": ((*LABEL, "name"), 0),
        "true-as-modulus": (LABEL, {"name": "sum-mod", "modulus": True}),
        "true-as-state": (LABEL, {"name": "automaton", "states": 2, "start": 0, "next": [[True]], "output": [0, 0]}),
        "true-as-bits": (BITS, [True]),
        "number-as-bits": (BITS, 64),
        "text-as-bits": (BITS, ["64"]),
        "count-of-four-integers": ((*COUNTS, 0), [0, 1, 15, 0]),
        "count-of-six-integers": ((*COUNTS, 0), [0, 1, 15, 0, 0, 0]),
        "true-as-correct-weight": ((*COUNTS, 0, 3), True),
        "list-as-task": (TASK, []),
    }
    for what, (path, value) in wrong.items():
        yield f"wrong-type--{what}", to_bytes(edited(base, put(*path, value=value)))
    for what, path in (
        ("problem", (*TASK, "margin")),
        ("entry", (*INPUTS, 1, "weight")),
        ("label", (*LABEL, "n")),
        ("depth-of-evaluate_inputs", (*EVALUATE, "args", "depth")),
        ("bits-of-total", (*TOTAL, "args", "bits")),
    ):
        yield f"unknown-field--{what}", to_bytes(edited(base, put(*path, value=1)))
    # the name of the old task decides; a problem has none
    yield (
        "unknown-field--inputs-of-max-of-k",
        to_bytes(edited(base, put(*TASK, value=max_of_k(5, 4) | {"name": "max-of-k", "k": 4}))),
    )
    for what, path in (
        ("inputs", INPUTS),
        ("label", LABEL),
        ("tokens", (*INPUTS, 1, "tokens")),
        ("label-name", (*LABEL, "name")),
        ("bits-of-evaluate_inputs", BITS),
    ):
        code = "wrong-type" if what == "label-name" else "missing-field"
        yield f"{code}--no-{what}", to_bytes(edited(base, drop(*path)))
    for what, label in (
        ("n-zero", {"name": "nth-largest", "n": 0}),
        ("n-negative", {"name": "nth-largest", "n": -1}),
        ("modulus-zero", {"name": "sum-mod", "modulus": 0}),
        ("modulus-huge", {"name": "sum-mod", "modulus": (1 << 64) + 1}),
        ("token-negative", {"name": "contains", "token": -1}),
        ("states-zero", {"name": "automaton", "states": 0, "start": 0, "next": [], "output": []}),
        ("start-negative", {"name": "automaton", "states": 1, "start": -1, "next": [[0] * 5], "output": [0]}),
    ):
        yield f"out-of-range--label-{what}", to_bytes(edited(base, put(*LABEL, value=label)))
    for what, bits in (
        ("none", []),
        ("7", [7, 64]),
        ("4097", [64, 4097]),
        ("nine", [8, 9, 10, 11, 12, 13, 14, 15, 16]),
        ("decreasing", [64, 32]),
        ("twice", [64, 64]),
        ("negative", [-64]),
        ("huge", [10**3000]),
    ):
        code = "not-increasing" if what in ("twice", "decreasing") else "out-of-range"
        yield f"{code}--precisions-{what}", to_bytes(edited(base, put(*BITS, value=bits)))
