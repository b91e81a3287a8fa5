"""Whether the parts of a certificate fit together well enough to be told: a small part of what check-cert asks."""

from __future__ import annotations

from collections import Counter

from certgen.certificate.facts import AttentionRanges, CubicTokens, Tally
from certgen.certificate.losses import regions, with_maximum
from certgen.certificate.statement import Certificate
from certgen.certificate.steps import AnyStep
from certgen.counts.cells import ns_of_pair
from certgen.errors import UserError


def require_consistent(certificate: Certificate) -> None:
    """Raise UserError unless steps rest on earlier ones, regions are of this task, and no claim exceeds the counts.

    What is left has the sizes that its own tables have, so that telling it takes no longer than reading it.
    """
    predicate = certificate.predicate
    v, k, steps, claim = predicate.model.d_vocab, predicate.task.k, predicate.steps, predicate.claim
    for number, step in enumerate(steps):
        if any(premise >= number for premise in step.premises):
            raise misfit(f"step {number} rests on a step that is not an earlier one")
    if not steps or steps[-1].rule != "total":
        raise misfit("its last step does not add up what was counted")
    if not all(isinstance(steps[premise].conclusion, Tally) for premise in steps[-1].premises):
        raise misfit("its last step adds up a step that counts nothing")

    require_regions(steps, v, k)  # from here on v and k are no larger than the tables
    if k != predicate.model.n_ctx or claim.total != v**k:
        raise misfit("the sizes of the task, the model and the claim differ")
    require_counts(certificate, k)
    for number, step in enumerate(steps):
        conclusion = step.conclusion
        if isinstance(conclusion, CubicTokens) and not is_of_cells(conclusion, v, k):
            raise misfit(f"the masks of step {number} are not those of the cells of its task")
        if isinstance(conclusion, AttentionRanges) and any(
            len(cell) not in (0, 3) for rows in conclusion.ranges for row in rows for cell in row
        ):
            raise misfit(f"step {number} has a range that is not a gap and two ends")


def misfit(what: str) -> UserError:
    return UserError(f"the certificate does not fit together: {what}", "check-cert MODEL CERT says exactly where")


def require_regions(steps: list[AnyStep], v: int, k: int) -> None:
    """Every region is one of max-of-k over v tokens, and no maximum and no n is left out altogether."""
    maxima, ns = set(), 0
    for region in regions(steps):
        if not (region.m < v and 0 < region.queries.bit_length() <= region.m + 1 and 0 < region.ns.bit_length() <= k):
            raise misfit("it counts sequences that its task does not have")
        maxima.add(region.m)
        ns |= region.ns
    if len(maxima) != v or ns.bit_length() != k:
        raise misfit("it leaves out sequences of its task")


def require_counts(certificate: Certificate, k: int) -> None:
    """Of no maximum are more sequences counted than there are; the last step claims the sum, the claim its part."""
    steps, claim = certificate.predicate.steps, certificate.predicate.claim
    correct: Counter[int] = Counter()
    wrong: Counter[int] = Counter()
    for region in regions(steps):
        correct[region.m] += region.correct
        wrong[region.m] += region.wrong
    if any(correct[m] + wrong[m] > with_maximum(m, k) for m in correct):
        raise misfit("it counts more sequences than there are")
    if claim.correct > correct.total() or claim.wrong > wrong.total():
        raise misfit("it claims more than its steps count")


def is_of_cells(tokens: CubicTokens, v: int, k: int) -> bool:
    """Whether there is a mask of tokens below m for each q <= m and each n >= 1 that the pair (q, m) can have."""
    return len(tokens.masks) == v and all(
        len(rows) == m + 1
        and all(len(row) == len(ns_of_pair(k, q, m)[1:]) for q, row in enumerate(rows))
        and all(mask.bit_length() <= m for row in rows for mask in row)
        for m, rows in enumerate(tokens.masks)
    )
