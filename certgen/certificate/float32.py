"""A certificate about float32 programs, from proofs about real numbers at margins with room for rounding errors."""

from __future__ import annotations

from fractions import Fraction

from certgen.certificate.facts import Float32Accuracy
from certgen.certificate.profile import append
from certgen.certificate.statement import FLOAT32, Certificate, Claim
from certgen.certificate.steps import AnyStep, infer


def in_float32(margin: Fraction, above: Certificate, below: Certificate | None) -> Certificate:
    """What is correct in `above`, and what is wrong in `below`, if there is that, at a margin between those of the two.

    The steps of `above` come first, under the numbers that they have.
    """
    steps: list[AnyStep] = []
    last = [append(steps, proof) for proof in (above, below) if proof is not None]
    wrong = below.predicate.claim.wrong if below else 0
    found = Float32Accuracy(correct=above.predicate.claim.correct, wrong=wrong)
    steps.append(infer("float32_any_order", found, premises=last))
    claim = Claim(**dict(found), total=above.predicate.claim.total)
    update = {"semantics": FLOAT32, "margin": str(margin), "claim": claim, "steps": steps}
    return above.model_copy(update={"predicate": above.predicate.model_copy(update=update)})
