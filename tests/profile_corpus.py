"""Certificates of accuracies at several margins and the mean loss, for tests/make_corpus.py."""

import json
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

from certgen.certificate.profile import composed
from certgen.certificate.statement import Certificate
from tests import general_corpus
from tests.support.any_case import Case
from tests.support.edits import Edit, Statement, at, change, drop, edited, put, to_bytes

Prove = Callable[[str, str, str], Statement]  # model, strategy, margin
TINY = ("0", "-100", "-1", "1/8", "2")
CLAIM = ("predicate", "claim")


def together(proofs: list[Statement], outputs: int) -> Statement:
    """One certificate from proofs at several margins, the first of them that of the claim."""
    read = [Certificate.model_validate_json(to_bytes(proof)) for proof in proofs]
    statement: Statement = json.loads(composed(read, outputs).to_bytes())
    tensors = proofs[0]["predicate"]["model"]["tensors"]
    return edited(statement, put("predicate", "model", "tensors", value=tensors))


def tiny(prove: Prove) -> Statement:
    """Each sequence evaluated at each margin."""
    return together([prove("tiny", "brute-force", margin) for margin in TINY], 5)


def general() -> Statement:
    """A model of two blocks, weights of inputs, an automaton."""
    case = general_corpus.cases()["two-blocks"]
    margins = (case.margin, Fraction(-1000), Fraction(-1, 3), Fraction(1))
    about = [Case(case.tensors, case.entry, case.problem, margin, case.dtypes) for margin in margins]
    return together([general_corpus.about("two-blocks", each, [64]) for each in about], 3)


def accepted(prove: Prove) -> Iterator[tuple[str, Statement]]:
    """accept/MODEL--what"""
    base = tiny(prove)
    last, rows = at(base, "expected_loss"), range(len(TINY))
    yield "tiny--profile", base
    yield "two-blocks--profile", general()
    cubic = [prove("tiny", "cubic", margin) for margin in TINY]
    yield "tiny--profile-two-strategies", together([cubic[0], prove("tiny", "brute-force", "-100"), *cubic[2:]], 5)
    less = [change(*place, "profile", n, "correct", by=-1) for place in ((*last, "conclusion"), CLAIM) for n in rows]
    loss = [put(*place, "mean_loss", value="100") for place in ((*last, "conclusion"), CLAIM)]
    yield "tiny--profile-weaker", edited(base, *less, *loss)
    yield "tiny--profile-claims-less", edited(base, *less[len(TINY) :], put(*CLAIM, "correct", value=0), loss[1])
    repeated = [put("predicate", "steps", n, "margin", value="0") for n in (0, 1, len(base["predicate"]["steps"]) - 1)]
    yield "tiny--margin-of-the-claim-repeated", edited(base, *repeated)


def without_last(*margins: str) -> Edit:
    """No profile, and the last step is the total at one of the others."""

    def edit(statement: Any) -> None:
        predicate = statement["predicate"]
        predicate["steps"] = [step for step in predicate["steps"][:-1] if step.get("margin", "0") in margins]
        for number, step in enumerate(predicate["steps"]):
            step["premises"] = [number - 1] * len(step["premises"])
        for name in ("profile", "mean_loss"):
            del predicate["claim"][name]
        predicate["claim"]["correct"] = predicate["steps"][-1]["conclusion"]["correct"]

    return edit


def rejected(prove: Prove) -> Iterator[tuple[str, Statement]]:
    """reject/CODE--what"""
    base = tiny(prove)
    last, steps = at(base, "expected_loss"), base["predicate"]["steps"]
    ladder, losses = steps[-1]["premises"], steps[-1]["args"]["losses"]
    top, own = ladder[-1], ladder[2]
    total = ("predicate", "steps", top)
    conclusion, claimed = (*last, "conclusion", "profile"), (*CLAIM, "profile")

    yield "wrong-margin--all-correct-at-a-low-margin", edited(base, without_last("-100"))
    yield "wrong-margin--total-of-a-lower-margin", edited(base, put(*total, "premises", value=[0]))
    yield "wrong-margin--total-without-its-margin", edited(base, drop(*total, "margin"))
    yield (
        "wrong-margin--tally-of-a-higher-margin",
        edited(base, put("predicate", "steps", ladder[0], "premises", value=[0])),
    )
    yield "wrong-margin--profile-of-another-margin", edited(base, put(*last, "margin", value="1/8"), *own_of(base, 3))
    yield "wrong-margin--conclusion", edited(base, put(*conclusion, 4, "margin", value="3"))
    yield "wrong-margin--claim", edited(base, put(*claimed, 4, "margin", value="3"))
    yield "wrong-margin--claim-sign", edited(base, put(*claimed, 1, "margin", value="1"))
    yield "not-a-ladder--from-the-top", edited(base, put(*last, "premises", value=ladder[::-1]))
    yield "not-a-ladder--two-exchanged", edited(base, put(*last, "premises", value=[*ladder[:3], top, ladder[3]]))
    yield "not-a-ladder--one-twice", edited(base, put(*last, "premises", value=[ladder[0], *ladder]))
    yield "not-a-ladder--without-the-claim", edited(base, put(*last, "premises", value=[n for n in ladder if n != own]))
    yield "not-a-ladder--margin-of-no-premise", edited(base, put(*last, "margin", value="1/3"))
    yield "loss-unbounded--lowest-margin-missing", edited(base, put(*last, "premises", value=ladder[1:]))
    lowest = ("predicate", "steps", ladder[0], "conclusion", "correct")
    yield "loss-unbounded--one-input-left-open", edited(base, change(*lowest, by=-1))
    for n in range(len(TINY)):
        yield f"loss-too-small--at-margin-{n}", edited(base, change(*last, "args", "losses", n, by=-1 << 6))
    yield "loss-too-small--negative", edited(base, put(*last, "args", "losses", 4, value=-1))
    yield "loss-too-small--of-the-next-margin", edited(base, put(*last, "args", "losses", 3, value=losses[4]))
    yield "loss-too-small--coarser-unit", edited(base, change(*last, "args", "bits", by=1))
    bound = Fraction(steps[-1]["conclusion"]["mean_loss"])
    smaller = str(bound - Fraction(1, 1 << 30))
    yield "loss-too-small--conclusion", edited(base, put(*last, "conclusion", "mean_loss", value=smaller))
    yield "loss-too-small--claim", edited(base, put(*CLAIM, "mean_loss", value=smaller))
    yield "loss-too-small--claim-zero", edited(base, put(*CLAIM, "mean_loss", value="0"))
    yield "wrong-shape--loss-missing", edited(base, drop(*last, "args", "losses", 4))
    yield "wrong-shape--loss-added", edited(base, put(*last, "args", "losses", value=[*losses, losses[-1]]))
    yield "wrong-shape--margin-missing", edited(base, drop(*conclusion, 0))
    yield "wrong-shape--claimed-margin-missing", edited(base, drop(*claimed, 0))
    yield (
        "wrong-shape--claimed-margin-added",
        edited(base, put(*claimed, value=[*steps[-1]["conclusion"]["profile"]] * 2)),
    )
    yield "wrong-premises--no-margins", edited(base, put(*last, "premises", value=[]))
    yield "wrong-premises--tally-in-a-ladder", edited(base, put(*last, "premises", 4, value=top - 1))
    higher = steps[-1]["conclusion"]["profile"][3]["correct"]  # of a smaller margin
    for what, place in (("conclusion", conclusion), ("claim", claimed)):
        yield f"count-too-large--lower-margin-{what}", edited(base, put(*place, 4, "correct", value=higher))
        yield f"count-too-large--profile-{what}-wrong", edited(base, change(*place, 4, "wrong", by=1))
    yield "count-too-large--own-of-a-lower-margin", edited(base, put(*last, "conclusion", "correct", value=625))
    yield "nothing-proved--profile-without-a-profile", edited(base, drop(*last))
    plain = edited(base, lambda s: [s["predicate"]["claim"].pop(name) for name in ("profile", "mean_loss")])
    yield "nothing-proved--profile-claimed-as-accuracy", plain


def own_of(base: Statement, row: int) -> tuple[Edit, ...]:
    """The last step and the claim are about the margin of this row."""
    numbers = {name: base["predicate"]["claim"]["profile"][row][name] for name in ("correct", "wrong")}
    return tuple(
        put(*place, name, value=number)
        for place in ((*at(base, "expected_loss"), "conclusion"), CLAIM)
        for name, number in numbers.items()
    )


def malformed(prove: Prove) -> Iterator[tuple[str, Statement]]:
    """malformed/CODE--what"""
    base = tiny(prove)
    last = at(base, "expected_loss")
    step = ("predicate", "steps", 2, "margin")
    for what, text in (("minus-zero", "-0"), ("two-signs", "--1"), ("plus", "+1"), ("not-reduced", "-2/4")):
        yield f"bad-fraction--step-margin-{what}", edited(base, put(*step, value=text))
    yield "bad-fraction--profile-margin", edited(base, put(*CLAIM, "profile", 0, "margin", value="-100/1"))
    yield "bad-fraction--negative-mean-loss", edited(base, put(*CLAIM, "mean_loss", value="-1"))
    yield "bad-fraction--claim-margin-negative", edited(base, put("predicate", "margin", value="-100"))
    yield "wrong-type--step-margin", edited(base, put(*step, value=-100))
    yield "wrong-type--step-margin-null", edited(base, put(*step, value=None))
    yield "wrong-type--mean-loss", edited(base, put(*CLAIM, "mean_loss", value=1))
    yield "wrong-type--profile", edited(base, put(*CLAIM, "profile", value={}))
    yield "wrong-type--losses", edited(base, put(*last, "args", "losses", value=1))
    yield "out-of-range--profile-count", edited(base, put(*CLAIM, "profile", 0, "wrong", value=-1))
    yield "out-of-range--accuracy", edited(base, put("predicate", "steps", 1, "conclusion", "wrong", value=-1))
    yield "missing-field--mean-loss", edited(base, drop(*CLAIM, "mean_loss"))
    yield "missing-field--margin-of-a-profile", edited(base, drop(*CLAIM, "profile", 0, "margin"))
    yield "unknown-field--mean-loss-without-profile", edited(base, drop(*CLAIM, "profile"))
    yield "unknown-field--margin-of-a-claim", edited(base, put(*CLAIM, "margin", value="0"))
