"""A certificate about float32 programs, from proofs about real numbers at margins with room for rounding errors."""

from __future__ import annotations

from fractions import Fraction

from certgen.certificate.facts import Float32Accuracy
from certgen.certificate.profile import shifted
from certgen.certificate.statement import FLOAT32, Certificate, Claim
from certgen.certificate.steps import AnyStep, infer


def in_float32(margin: Fraction, above: Certificate, below: Certificate | None) -> Certificate:
    """What is correct in `above`, and what is wrong in `below`, if there is that, at a margin between those of the two.

    The steps of `above` come first, under the numbers that they have.
    """
    steps: list[AnyStep] = []
    last = []
    for proof in (above, below):
        if proof is not None:
            start = len(steps)
            steps += [shifted(step, start, proof.predicate.margin) for step in proof.predicate.steps]
            last.append(len(steps) - 1)
    claims = above.predicate.claim, below.predicate.claim if below else None
    found = Float32Accuracy(correct=claims[0].correct, wrong=claims[1].wrong if claims[1] else 0)
    steps.append(infer("float32_any_order", found, premises=last))
    claim = Claim(**dict(found), total=claims[0].total)
    update = {"semantics": FLOAT32, "margin": str(margin), "claim": claim, "steps": steps}
    return above.model_copy(update={"predicate": above.predicate.model_copy(update=update)})
