"""Certificates about float32 programs, for tests/make_corpus.py."""

import json
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from certgen.certificate.float32 import in_float32
from certgen.certificate.statement import Certificate
from tests import general_corpus, region_corpus
from tests.second_verifier.float32_inputs import float32_inputs
from tests.second_verifier.model_file import read_model
from tests.second_verifier.problem import fitting
from tests.second_verifier.setting import Model, Setting
from tests.support.any_case import Case
from tests.support.edits import Edit, Statement, at, change, drop, edited, put, to_bytes
from tests.support.tiny import near_correct, tiny_model, zero_tensors

Prove = Callable[[str, str, str], Statement]  # model, strategy, margin
CLAIM = ("predicate", "claim")
RULE, EVALUATED = "float32_any_order", "float32_inputs"
ROOM = "1/1024"  # tiny.safetensors needs 0.00089


def write_models(folder: Path) -> None:
    """Two that no claim about float32 can be about: one weight of 26 digits, and a large one. And a deep one."""
    fine = near_correct(np.random.default_rng(5), 2, 2, biases=True)
    fine["unembed.b_U"][0] += 2.0**-40
    assert fine["unembed.b_U"][0] != np.float32(fine["unembed.b_U"][0])
    tiny_model(folder / "float64.safetensors", fine, "F64")
    flat().write(folder / "flat.safetensors")
    tiny_model(folder / "large.safetensors", zero_tensors(2, 1, 1, 1, W_E=[[0], [1 << 24]], W_U=[[-1, 1]]), "F32")


def flat() -> Case:
    """Two blocks with LayerNorm and an MLP, whose weights are small enough that most inputs are decided in float32."""
    case = general_corpus.cases()["two-blocks"]
    tensors = {name: x / 4 if ".W_" in name and "embed" not in name else x for name, x in case.tensors.items()}
    return Case(tensors, case.entry, case.problem, case.margin, case.dtypes)


def in_one(margin: str, above: Statement, below: Statement | None) -> Statement:
    """One certificate from a proof at a larger margin and one at a smaller one."""
    read = [Certificate.model_validate_json(to_bytes(proof)) if proof else None for proof in (above, below)]
    assert read[0] is not None
    statement: Statement = json.loads(in_float32(Fraction(margin), read[0], read[1]).to_bytes())
    return edited(statement, put("predicate", "model", "tensors", value=above["predicate"]["model"]["tensors"]))


def tiny(prove: Prove) -> Statement:
    """Each sequence evaluated twice."""
    return in_one("0", prove("tiny", "brute-force", ROOM), prove("tiny", "brute-force", f"-{ROOM}"))


def layer(room: Fraction = Fraction(1, 512)) -> Statement:
    """Two heads and an MLP, weights of inputs, read in the middle."""
    name = "two-heads-relu"
    case = region_corpus.cases()[name]
    proofs = []
    for side in (1, -1):
        margin = case.margin + side * room
        proofs.append(general_corpus.about(name, case.asked(case.problem, margin), [64]))
    return in_one(str(case.margin), *proofs)


def evaluated(name: str, case: Case | None = None) -> Statement:
    """Every input evaluated in one step, of a model of any architecture; with the counts that the text determines."""
    case = case or general_corpus.cases()[name]
    file = read_model(case.data)
    setting = Setting(Model(file), fitting(case.problem, file), False, case.margin)
    conclusion = float32_inputs(setting, [], {})
    step = {"rule": EVALUATED, "premises": [], "args": {"bits": [64]}, "conclusion": conclusion}
    about = put("predicate", "semantics", value="float32-any-order"), put("predicate", "steps", value=[step])
    claim = [put(*CLAIM, side, value=number) for side, number in conclusion.items()]
    return edited(general_corpus.about(name, case, [64]), *about, *claim)


def accepted(prove: Prove) -> Iterator[tuple[str, Statement]]:
    """accept/MODEL--what"""
    yield "flat--float32-inputs", evaluated("flat", flat())
    for name in ("full-sum", "post-mean", "three-heads", "no-blocks"):
        yield f"{name}--float32-inputs", evaluated(name)
    pre_norm = region_corpus.cases()["pre-norm"]
    yield "pre-norm--float32-inputs", evaluated("pre-norm", pre_norm)
    retried = put("predicate", "steps", 0, "args", "bits", value=[12, 40, 80])
    yield "pre-norm--float32-inputs-again", edited(evaluated("pre-norm", pre_norm), retried)
    base = tiny(prove)
    last = at(base, RULE)
    yield "tiny--float32", base
    yield "two-heads-relu--float32", layer()
    yield "tiny--float32-cubic", in_one("0", prove("tiny", "cubic", ROOM), None)
    yield "tiny--float32-margin", in_one("1/8", prove("tiny", "cubic", "1/4"), prove("tiny", "brute-force", "0"))
    both = base["predicate"]["steps"][-1]["premises"]
    yield "tiny--float32-premises-exchanged", edited(base, put(*last, "premises", value=both[::-1]))
    less = [change(*place, "correct", by=-1) for place in ((*last, "conclusion"), CLAIM)]
    yield "tiny--float32-claims-less", edited(base, *less)


def again(statement: Statement) -> None:
    """One more step, from what the last one concludes."""
    steps = statement["predicate"]["steps"]
    steps.append({**steps[-1], "premises": [len(steps) - 1]})


def with_far_premise(base: Statement) -> Statement:
    """Claims nothing about float32, from a proof at any margin."""
    nothing = {"correct": 0, "wrong": 0}
    steps = [{**step, "margin": "1000"} for step in base["predicate"]["steps"]]
    for step in steps:
        step["conclusion"] = nothing if step["rule"] == "total" else step["conclusion"]
        for count in step["conclusion"].get("counts", []):
            count[3:] = [0, 0]
    last = {"rule": RULE, "premises": [len(steps) - 1], "args": {}, "conclusion": nothing}
    about = put("predicate", "semantics", value="float32-any-order"), put("predicate", "steps", value=[*steps, last])
    return edited(base, *about, *[put(*CLAIM, name, value=0) for name in nothing])


def without_last(semantics: str) -> Edit:
    """The proof at the larger margin alone, as if it were the claim's own."""

    def edit(statement: Statement) -> None:
        predicate = statement["predicate"]
        predicate["semantics"], predicate["margin"] = semantics, ROOM
        predicate["steps"] = predicate["steps"][:2]
        predicate["claim"] |= predicate["steps"][-1]["conclusion"]

    return edit


def rejected_evaluations(prove: Prove) -> Iterator[tuple[str, Statement]]:
    """Where every input is evaluated."""
    base, last = evaluated("flat", flat()), ("predicate", "steps", 0)
    for side in ("correct", "wrong"):
        more = [change(*place, side, by=1) for place in ((*last, "conclusion"), CLAIM)]
        yield f"count-too-large--float32-inputs-{side}", edited(base, *more)
    yield "count-too-large--float32-inputs-few-bits", edited(base, put(*last, "args", "bits", value=[10]))
    ties = evaluated("no-blocks")
    others = ties["predicate"]["claim"]["total"] - ties["predicate"]["claim"]["correct"]
    wrong = [put(*place, "wrong", value=others) for place in ((*last, "conclusion"), CLAIM)]
    yield "count-too-large--float32-inputs-ties", edited(ties, *wrong)
    yield "wrong-margin--float32-inputs", edited(base, put(*last, "margin", value="1/4"))
    yield "nothing-proved--float32-inputs-as-exact", edited(base, put("predicate", "semantics", value="exact-real"))
    yield "bad-premise--float32-inputs", edited(base, put(*last, "premises", value=[0]))
    for name, code in (("float64", "not-float32"), ("large", "beyond-float32")):
        whole = prove(name, "brute-force", "0")
        step = {**base["predicate"]["steps"][0], "conclusion": {"correct": 0, "wrong": 0}}
        about = put("predicate", "semantics", value="float32-any-order"), put("predicate", "steps", value=[step])
        yield f"{code}--inputs", edited(whole, *about, *[put(*CLAIM, side, value=0) for side in ("correct", "wrong")])


def rejected(prove: Prove) -> Iterator[tuple[str, Statement]]:
    """reject/CODE--what"""
    base = tiny(prove)
    last, steps = at(base, RULE), base["predicate"]["steps"]
    above, below = steps[-1]["premises"]
    yield "nothing-proved--float32-claimed-as-exact", edited(base, put("predicate", "semantics", value="exact-real"))
    yield "nothing-proved--exact-claimed-as-float32", edited(base, without_last("float32-any-order"))
    yield "nothing-proved--float32-without-its-step", edited(base, drop(*last))
    own = edited(base, *[put("predicate", "steps", n, "margin", value="0") for n in (above, above - 1)])
    yield "margin-too-close--none", own
    for what, margin in (("once-instead-of-twice", "1/2000"), ("a-little", "1/1200"), ("below", "-1/1200")):
        numbers = (below, below - 1) if what == "below" else (above, above - 1)
        edits = [put("predicate", "steps", n, "margin", value=margin) for n in numbers]
        yield f"margin-too-close--{what}", edited(base, *edits)
    yield "margin-too-close--step-at-the-margin-of-its-premise", edited(base, put(*last, "margin", value=ROOM))
    yield (
        "wrong-margin--float32-at-a-lower-margin",
        edited(base, put(*last, "margin", value="-1/2"), put(*last, "conclusion", "wrong", value=0)),
    )
    far = layer(Fraction(1))
    for name, other, what in (
        ("wrong", above, "not-correct-at-the-larger"),
        ("correct", below, "correct-at-the-smaller"),
    ):
        number = far["predicate"]["steps"][other]["conclusion"][name]
        edits = [put(*place, name, value=number) for place in ((*at(far, RULE), "conclusion"), CLAIM)]
        yield f"count-too-large--{what}-margin", edited(far, *edits)
    yield "count-too-large--float32-claim", edited(base, change(*CLAIM, "correct", by=1))
    yield "wrong-premises--float32-tally", edited(base, put(*last, "premises", 0, value=above - 1))
    yield "wrong-premises--float32-of-nothing", edited(base, put(*last, "premises", value=[]))
    yield "wrong-premises--float32-twice", edited(base, again)
    yield "bad-premise--float32-itself", edited(base, put(*last, "premises", 0, value=len(steps) - 1))
    yield from rejected_evaluations(prove)
    yield "not-float32--weights-of-float64", with_far_premise(prove("float64", "brute-force", "0"))
    yield "beyond-float32--large-weights", with_far_premise(prove("large", "brute-force", "0"))
    norm = region_corpus.cases()["pre-norm"]
    yield "wrong-problem--float32-with-layernorm", with_far_premise(general_corpus.about("pre-norm", norm, [64]))
    yield "wrong-problem--float32-two-blocks", with_far_premise(general_corpus.exact("two-blocks"))
