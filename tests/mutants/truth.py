"""Why a mutant that is accepted does no harm: what it claims is true, and so is what each of its steps states.

Claims, counts and facts are decided input by input from the definition of the function (tests/support), not by the
checker. The file of the model is read here, the problem by tests/support/any_problem.py.
"""

import json
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from flint import arb, fmpq

from checker.facts import Accuracy, Count, CubicTokens, Profile, RegionGaps, Regions, Tally
from checker.kernel import Verdict
from checker.rules import RULES
from tests.mutants.changes import Mutant, Path
from tests.support.any_case import Case
from tests.support.any_model import Architecture, Tensors
from tests.support.any_problem import Inputs, Json, max_of_k
from tests.support.derivations import Meaning
from tests.support.losses import profile_holds
from tests.support.oracle import precision
from tests.support.region_truth import RegionTruth

BITS = 256


@cache
def model_of(data: bytes) -> tuple[Tensors, Architecture | None]:
    """The tensors as float64, and the architecture if the file says one."""
    length = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    entry = header.pop("__metadata__", {}).get("architecture")
    tensors = {}
    for name, fields in header.items():
        raw = body[slice(*fields["data_offsets"])]
        if fields["dtype"] == "BF16":
            numbers = (np.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4")
        else:
            numbers = np.frombuffer(raw, {"F64": "<f8", "F32": "<f4", "F16": "<f2"}[fields["dtype"]])
        tensors[name] = numbers.astype(float).reshape(fields["shape"])
    return tensors, None if entry is None else json.loads(entry)


class Row(NamedTuple):
    """An input: its weight and label; its query, how many other positions do not hold the label, and its leads: what
    the logit of each other output exceeds that of the label by, about."""

    tokens: tuple[int, ...]
    weight: int
    label: int
    query: int
    others: int
    leads: list[arb]


class Question:
    """A model and a problem, with the truth at any margin."""

    def __init__(self, model: bytes, task: Json) -> None:
        tensors, entry = model_of(model)
        problem = max_of_k(len(tensors["embed.W_E"]), task["k"]) if "name" in task else task
        self.case = Case(tensors, entry, problem)
        inputs = Inputs(problem)
        self.readout, self.total = inputs.readout(self.case.oracle.pooled), inputs.total
        place = len(inputs.weights) - 1 if self.readout is None else self.readout
        self.rows = []
        with precision(BITS):
            for tokens, weight, label in inputs:
                others = sum(token != label for p, token in enumerate(tokens) if p != place)
                leads = self.case.oracle.leads(tokens, self.readout, label, BITS)
                self.rows.append(Row(tokens, weight, label, tokens[place], others, leads))
        self.correct = cache(self.find_correct)
        self.meaning = cache(lambda margin: Meaning(tensors, margin))
        self.regions = cache(self.region_truth)
        self.true = cache(self.find_true)

    def find_correct(self, margin: Fraction) -> frozenset[tuple[int, ...]]:
        """The inputs that are correct by more than this margin."""
        found = set()
        with precision(BITS):
            bound = arb(fmpq(*margin.as_integer_ratio()))
            for row in self.rows:
                leads = [lead + bound for lead in row.leads]
                if not any(lead >= 0 for lead in leads) and self.settled(row, leads, margin):
                    found.add(row.tokens)
        return frozenset(found)

    def settled(self, row: Row, leads: list[arb], margin: Fraction) -> bool:
        """Is an input correct? What these bits leave open is decided by more and more."""
        if all(lead < 0 for lead in leads):
            return True
        return self.case.oracle.sign(row.tokens, self.readout, row.label, margin, 1 << 14) == -1

    def weight(self, margin: Fraction) -> int:
        """Of all correct inputs."""
        return sum(row.weight for row in self.rows if row.tokens in self.correct(margin))

    def region_truth(self, margin: Fraction) -> RegionTruth:
        problem = self.case.problem | {"readout": self.readout}
        return RegionTruth(Case(self.case.tensors, self.case.entry, problem, margin))

    def counts_hold(self, count: Count, margin: Fraction) -> bool:
        """Are at most as many counted as there are?"""
        correct = wrong = 0
        for row in self.rows:
            if row.label == count.label and count.queries >> row.query & 1 and count.ns >> row.others & 1:
                good = row.tokens in self.correct(margin)
                correct, wrong = correct + good * row.weight, wrong + (not good) * row.weight
        return count.correct <= correct and count.wrong <= wrong

    def find_true(self, rule: str, conclusion: str, margin: Fraction) -> bool:
        """Is what a step concludes, as JSON text, true?"""
        fact: Any = RULES[rule].concludes.decode(json.loads(conclusion), "")
        if isinstance(fact, Tally):
            return all(self.counts_hold(count, margin) for count in fact.counts)
        if isinstance(fact, Profile) and not profile_holds(fact, self.case):
            return False
        if isinstance(fact, Accuracy):
            correct = self.weight(margin)
            return fact.correct <= correct and fact.wrong <= self.total - correct
        if isinstance(fact, CubicTokens):
            return self.meaning(margin).cubic_tokens_hold(fact, set(self.correct(margin)))
        if isinstance(fact, Regions | RegionGaps):
            return not self.regions(margin).lies([fact])
        return self.meaning(margin).is_true(fact)


@cache
def question(model: bytes, task: str) -> Question:
    return Question(model, json.loads(task))


def lies(mutant: Mutant, verdict: Verdict) -> str:
    """What is false in a mutant that is accepted: its claim, or a fact that a step states; nothing if all is true."""
    predicate = json.loads(mutant.data)["predicate"]
    asked = question(mutant.model, json.dumps(predicate["task"]))
    margin = Fraction(predicate["margin"])
    correct = asked.weight(margin)
    if (Fraction(*verdict.margin), verdict.total) != (margin, asked.total):
        return "the verdict is about another margin or total"
    if not (verdict.correct <= correct and verdict.wrong <= asked.total - correct):
        return f"{verdict.correct} correct and {verdict.wrong} wrong, of {correct} and {asked.total - correct}"
    if not profile_holds(verdict, asked.case):
        return "the profile"
    for number, step in enumerate(predicate["steps"]):
        own = Fraction(step.get("margin", predicate["margin"]))
        if not asked.true(step["rule"], json.dumps(step["conclusion"]), own):
            return f"step {number}, {step['rule']}"
    return ""


def differences(one: Any, other: Any, path: Path = ()) -> Iterator[tuple[Path, Any, Any]]:
    """Where two JSON values differ: at leaves, or at containers of other sizes."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in [*one, *(key for key in other if key not in one)]:
            yield from differences(one.get(key), other.get(key), (*path, key))
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for key, (entry, other_entry) in enumerate(zip(one, other, strict=True)):
            yield from differences(entry, other_entry, (*path, key))
    elif one != other:
        yield path, one, other


def without_premises(step: Json) -> Json:
    return {name: value for name, value in step.items() if name != "premises"}


def weaker(path: Path, one: Any, other: Any) -> bool:
    """Does a number of a conclusion or claim say less than before?"""
    names = [key for key in path if isinstance(key, str)]
    if type(one) is not type(other) or not isinstance(one, int | str):
        return False
    match names[-1]:
        case "correct" | "wrong":
            return bool(other < one)
        case "counts":
            return path[-1] in (3, 4) and bool(other < one)
        case "rows" | "gaps" | "error":
            return bool(other > one)
        case "masks":
            return bool(other >= 0 and other & one == other)
        case "mean_loss":
            return Fraction(other) > Fraction(one)
        case "ranges":
            lower = path[-1] == 1 if len(path) - path.index("ranges") == 5 else path[-1] % 2 == 0
            return bool(other < one if lower else other > one)
    return False


def reason(original: Json, model: bytes, mutant: Mutant) -> str:
    """In which way a mutant, all of whose facts are true, is not the original."""
    statement = json.loads(mutant.data)
    if mutant.model != model:
        return "another model, of which all this is true, too"
    found = list(differences(original, statement))
    if not found:
        return "the same value in another text"
    paths = [path for path, _, _ in found]
    if all(path[:2] == ("predicate", "strategy") or path == ("subject", 0, "name") for path in paths):
        return "a name that nothing depends on"
    if any(path[1] in ("task", "margin") for path in paths):
        return "another question, which the verdict states"
    steps = [sorted(map(json.dumps, map(without_premises, one["predicate"]["steps"]))) for one in (original, statement)]
    if ("predicate", "steps") in paths or steps[0] == steps[1]:
        return "a step that nothing needs, or steps in another order"
    said = [difference for difference in found if difference[0][1] == "claim" or "conclusion" in difference[0]]
    if said and all(weaker(*difference) for difference in said):
        return "it states less"
    if said:
        return "it states more than before, or something else, and that is derived, too"
    places = {path[3] for path in paths}
    if places == {"premises"}:
        return "premises that serve as well"
    return "a hint that serves as well" if places == {"args"} else "margins of steps that serve as well"
