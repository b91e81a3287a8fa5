"""One certificate from proofs at several margins, and a bound on the mean loss; and the first proof of such a one."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate, pairwise

import flint

from certgen.certificate.arguments import LossArgs
from certgen.certificate.facts import AtMargin, Profile
from certgen.certificate.statement import EXACT, Certificate, Claim
from certgen.certificate.steps import AnyStep, infer

LOSS_BITS = 64  # of a loss, after the point
MEAN_BITS = 40  # of their mean, so that it is short to write


def composed(proofs: Sequence[Certificate], outputs: int) -> Certificate:
    """What proofs about one model and problem say together: the claim of the first, the profile of all, the mean loss.

    At the lowest of their margins, which are different, all inputs have to be correct. The steps of the first proof
    come first, under the numbers that they have.
    """
    first, *others = proofs
    steps = list(first.predicate.steps)
    last = {margin_of(first): len(steps) - 1}
    last |= {margin_of(proof): append(steps, proof) for proof in others}
    margins, total = sorted(last), first.predicate.claim.total
    profile = profile_of(proofs)
    bits = LOSS_BITS + outputs.bit_length()
    losses = [loss_upper(margin, outputs, bits) for margin in margins]
    counts = [row.correct for row in profile]
    summed = sum(loss * (here - after) for loss, (here, after) in zip(losses, pairwise([*counts, 0]), strict=True))
    mean_loss = Fraction(-(-(summed << MEAN_BITS) // (total << bits)), 1 << MEAN_BITS)
    (own,) = (row for row in profile if row.margin == first.predicate.margin)
    conclusion = Profile(correct=own.correct, wrong=own.wrong, profile=profile, mean_loss=str(mean_loss))
    steps.append(
        infer("expected_loss", conclusion, LossArgs(bits=bits, losses=losses), [last[margin] for margin in margins])
    )
    claim = Claim(**dict(conclusion), total=total)
    return first.model_copy(update={"predicate": first.predicate.model_copy(update={"claim": claim, "steps": steps})})


def margin_of(proof: Certificate) -> Fraction:
    """As a number."""
    return Fraction(proof.predicate.margin)


def append(steps: list[AnyStep], proof: Certificate) -> int:
    """Add the steps of a proof, at its margin; returns the number of its last one."""
    start, margin = len(steps), proof.predicate.margin
    for step in proof.predicate.steps:
        premises = [start + premise for premise in step.premises]
        steps.append(step.model_copy(update={"premises": premises, "margin": margin}))
    return len(steps) - 1


def profile_of(proofs: Sequence[Certificate]) -> list[AtMargin]:
    """By increasing margin: what is correct is so at lower ones, and what is wrong at higher ones."""
    ordered = sorted(proofs, key=margin_of)
    claims = [proof.predicate.claim for proof in ordered]
    correct = list(accumulate([claim.correct for claim in claims[::-1]], max))[::-1]
    wrong = accumulate([claim.wrong for claim in claims], max)
    counts = zip(ordered, correct, wrong, strict=True)
    return [AtMargin(margin=proof.predicate.margin, correct=n, wrong=m) for proof, n, m in counts]


def loss_upper(margin: Fraction, outputs: int, bits: int) -> int:
    """At least log(1 + (outputs - 1) exp(-margin)) in units of 2^-bits, with room for what the checker rounds."""
    flint.ctx.prec, before = 2 * bits + abs(margin.numerator).bit_length(), flint.ctx.prec
    try:
        ahead = (-flint.arb(flint.fmpq(margin.numerator, margin.denominator))).exp() * (outputs - 1)
        loss = int(((1 + ahead).log() * flint.arb(2) ** bits).upper().ceil().unique_fmpz() or 0)
    finally:
        flint.ctx.prec = before
    least = -(margin.numerator << bits) // margin.denominator  # matters with one output, whose loss is 0
    return max(loss + 4 * outputs, least + 1)


def first_proof(certificate: Certificate) -> Certificate:
    """Of a certificate with a profile the proof at the margin of its claim, with the numbers that its steps have there;
    of one about float32 that of what is correct in real numbers, if there is one; any other as it is."""
    predicate = certificate.predicate
    if predicate.steps and predicate.steps[-1].rule == "float32_any_order":
        return exact_proof(certificate)
    if predicate.claim.profile is None:
        return certificate
    own = (None, predicate.margin)
    ends = (n for n, step in enumerate(predicate.steps) if step.rule == "total" or step.margin not in own)
    end = next(ends, -1) + 1
    claim = Claim(correct=predicate.claim.correct, wrong=predicate.claim.wrong, total=predicate.claim.total)
    update = {"claim": claim, "steps": predicate.steps[:end]}
    return certificate.model_copy(update={"predicate": predicate.model_copy(update=update)})


def exact_proof(certificate: Certificate) -> Certificate:
    """The steps up to the first sum, as a certificate about real numbers at their margin."""
    predicate = certificate.predicate
    end = next((n for n, step in enumerate(predicate.steps) if step.rule == "total"), -1) + 1
    steps = predicate.steps[:end]
    update: dict[str, object] = {"semantics": EXACT, "steps": steps}
    if steps:
        found = steps[-1].conclusion
        claim = Claim(correct=found.correct, wrong=found.wrong, total=predicate.claim.total)
        update |= {"claim": claim, "margin": steps[-1].margin or predicate.margin}
    return certificate.model_copy(update={"predicate": predicate.model_copy(update=update)})
