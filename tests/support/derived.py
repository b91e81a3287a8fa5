"""What the rules derive from the steps of tests/certificates/accept, and of variants of them that no file shows.

A file states what is derived from it, or less; verdicts alone would not show a rule that derives more or less of other
numbers. So each step is derived again from what its premises state: as the file is, at another margin, with other
precisions, with premises in other units, of models with a few weights changed. Digests of what comes out are recorded:

    python -m tests.support.derived        # records them anew, in tests/certificates/derived.tsv
"""

import hashlib
import json
import random
from dataclasses import fields, is_dataclass, replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

from checker.certificate import Step, decode_certificate
from checker.errors import Refusal
from checker.facts import ScoreApproximation, UpperTable
from checker.kernel import stated_by
from checker.model.weights import read_weights
from checker.problem import Problem
from checker.rules import RULES
from tests.support.corpus import FILES, VERDICTS, content, model_of

RECORDED = VERDICTS.parent / "derived.tsv"
SLOW = ("4096-bits", "smallest-step", "8-precisions", "8-bits-then-more", "post-mean", "two-blocks--", "full-sum--")
VARIANTS = ("as it is", "margin", "precision", "units", "weights", "other weights")
BUDGET = 1 << 22


@cache
def names() -> list[str]:
    """FILE / VARIANT."""
    accepted = [path for path in FILES if path.parent.name == "accept" and not any(word in path.name for word in SLOW)]
    return [f"{path.name} / {variant}" for path in accepted for variant in VARIANTS]


def derived(name: str) -> str:
    """Digest of the facts, or the codes of the refusals, of all steps."""
    file, variant = name.split(" / ")
    path = VERDICTS.parent / "accept" / file
    certificate, model = decode_certificate(content(path)), model_of(path).read_bytes()
    if "weights" in variant:
        model = other_weights(model, name)
    margin = certificate.margin if variant != "margin" else (Fraction(*certificate.margin) + Fraction(3, 7))
    pair = margin.as_integer_ratio() if isinstance(margin, Fraction) else margin
    problem = Problem(read_weights(model), certificate.problem, pair, BUDGET)
    found = [outcome(problem, certificate.steps, index, variant) for index in range(len(certificate.steps))]
    return hashlib.sha256("\n".join(found).encode()).hexdigest()[:16]


def outcome(problem: Problem, steps: tuple[Step, ...], index: int, variant: str) -> str:
    """What a step derives, as text; or the code with which it is refused."""
    step = steps[index]
    rule, args = RULES[step.rule], dict(step.args)
    numbers = {key: value for key, value in args.items() if isinstance(value, int)}
    if variant == "precision":
        args |= {key: numbers[key] + by for key, by in (("exponent", 1), ("bits", 3)) if key in numbers}
    premises = [stated_by(steps[number], problem) for number in step.premises]
    if variant == "units":
        premises = [one._replace(fact=in_finer_units(one.fact, at + 1)) for at, one in enumerate(premises)]
    own = problem.at(stated_by(step, problem).margin)
    try:
        rule.require_applies(own, premises)
        own.budget.restart()
        fact: Any = rule.derive(own, tuple(premises if rule.ladder else [one.fact for one in premises]), args)
    except Refusal as refusal:
        return f"{refusal.code} {refusal.path}"
    return repr(fact)


def in_finer_units(fact: Any, bits: int) -> Any:
    """The same bounds in other units; every table of a fact in one of its own."""
    if isinstance(fact, UpperTable):
        rows = tuple([tuple([x << bits for x in row]) for row in fact.rows])
        return replace(fact, exponent=fact.exponent - bits, rows=rows)
    if isinstance(fact, ScoreApproximation):
        kept, error = (in_finer_units(UpperTable(fact.exponent, rows), bits) for rows in (fact.kept, (fact.error,)))
        return replace(fact, exponent=kept.exponent, kept=kept.rows, error=error.rows[0])
    if not is_dataclass(fact) or isinstance(fact, type):
        return fact
    tables = {field.name: getattr(fact, field.name) for field in fields(fact)}
    return replace(
        fact,
        **{
            name: in_finer_units(value, bits + at + 1)
            for at, (name, value) in enumerate(tables.items())
            if isinstance(value, UpperTable)
        },
    )


def other_weights(model: bytes, name: str) -> bytes:
    """The file with low bits of a tenth of its bytes flipped, in the part of each number that is no exponent."""
    start, rng, data = 8 + int.from_bytes(model[:8], "little"), random.Random(name), bytearray(model)
    header = json.loads(model[8:start])
    for entry in (entry for key, entry in header.items() if key != "__metadata__"):
        size = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}[entry["dtype"]]
        first, last = entry["data_offsets"]
        for place in range(start + first, start + last, size):
            if rng.random() < 0.4:
                data[place + size - 2] ^= 1 << rng.randrange(6)
    return bytes(data)


def lines() -> str:
    return "".join(f"{name}\t{derived(name)}\n" for name in names())


if __name__ == "__main__":
    Path(RECORDED).write_text(lines())
