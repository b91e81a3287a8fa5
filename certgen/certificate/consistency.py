"""Whether the parts of a certificate fit together well enough to be told: a small part of what check-cert asks."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import cast

from certgen.certificate.facts import AttentionRanges, Branches, CubicTokens, Tally
from certgen.certificate.losses import regions, with_maximum
from certgen.certificate.statement import Certificate
from certgen.certificate.steps import AnyStep
from certgen.counts.cells import ns_of_pair
from certgen.errors import UserError
from certgen.models.model_file import Model
from certgen.problem import MaxOfK, Problem, Task

MOST_ENTRIES = 1 << 24  # of the table of weights, k times d_vocab: beyond, nobody could evaluate every input


def task_of(certificate: Certificate) -> Task:
    """What the certificate says that its model is asked; UserError if that is no question to such a model."""
    predicate = certificate.predicate
    sizes = predicate.model
    if sizes.d_vocab * positions(predicate.task) > MOST_ENTRIES:
        raise misfit("its sizes are beyond what can be evaluated")
    outputs = sizes.d_vocab if sizes.d_vocab_out is None else sizes.d_vocab_out
    pooled = SimpleNamespace(pool="none")  # whether the model pools is not known here, and nothing is read
    model = SimpleNamespace(d_vocab=sizes.d_vocab, n_ctx=sizes.n_ctx, d_vocab_out=outputs, architecture=pooled)
    return predicate.task.bound_to(cast(Model, model))


def counts_branches(certificate: Certificate) -> bool:
    """Does it count inputs token by token, and not sequences by their maximum?"""
    steps = certificate.predicate.steps
    return bool(steps) and steps[-1].rule == "total_branches"


def require_consistent(certificate: Certificate) -> None:
    """Raise UserError unless steps rest on earlier ones, regions are of this task, and no claim exceeds the counts.

    What is left has the sizes that its own tables have, so that telling it takes no longer than reading it.
    """
    predicate = certificate.predicate
    steps, claim = predicate.steps, predicate.claim
    for number, step in enumerate(steps):
        if any(premise >= number for premise in step.premises):
            raise misfit(f"step {number} rests on a step that is not an earlier one")
    if not steps or steps[-1].rule not in ("total", "total_branches"):
        raise misfit("its last step does not add up what was counted")
    if counts_branches(certificate):
        require_branches(certificate)
        return
    v, k = predicate.model.d_vocab, positions(predicate.task)
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


def positions(task: MaxOfK | Problem) -> int:
    return task.k if isinstance(task, MaxOfK) else len(task.inputs)


def require_branches(certificate: Certificate) -> None:
    """The branches are those of the problem, none counts more than there is, and the claim is their sum, or less."""
    predicate, task = certificate.predicate, task_of(certificate)
    claim, premises = predicate.claim, predicate.steps[-1].premises
    found = [predicate.steps[premise].conclusion for premise in premises]
    if len(found) != 1 or not isinstance(found[0], Branches):
        raise misfit("its last step adds up a step that counts nothing")
    counts = found[0].counts
    if [count[0] for count in counts] != [branch.token for branch in task.branches]:
        raise misfit("it counts branches that its problem does not have, or leaves some out")
    if claim.total != task.total:
        raise misfit("the inputs of the problem weigh another sum than the claim says")
    if any(correct + wrong > task.weight_of(token) for token, correct, wrong in counts):
        raise misfit("it counts more inputs than there are")
    if claim.correct > sum(count[1] for count in counts) or claim.wrong > sum(count[2] for count in counts):
        raise misfit("it claims more than its steps count")


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
