"""Whether the parts of a certificate fit together well enough to be told: a small part of what check-cert asks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

from certgen.certificate.facts import AttentionRanges, CubicTokens, Float32Accuracy, Profile, Tally
from certgen.certificate.losses import parts_of, regions
from certgen.certificate.profile import first_proof
from certgen.certificate.statement import FLOAT32, Certificate
from certgen.counts.cells import ns_of_pair
from certgen.errors import UserError
from certgen.models.model_file import MAX_DIGITS, Model
from certgen.problem import MaxOfK, Task

MOST_ENTRIES = 1 << 24  # of the table of weights, k times d_vocab: beyond, nobody could evaluate every input
MOST_BITS = (10**MAX_DIGITS).bit_length()  # of a number in a certificate; of 2^k sequences, too


def task_of(certificate: Certificate) -> Task:
    """What the certificate says that its model is asked; UserError if that is no question to such a model."""
    predicate = certificate.predicate
    sizes = predicate.model
    k = predicate.task.k if isinstance(predicate.task, MaxOfK) else len(predicate.task.inputs)
    too_long = isinstance(predicate.task, MaxOfK) and sizes.d_vocab > 1 and k > MOST_BITS
    if sizes.d_vocab * k > MOST_ENTRIES or too_long:
        raise misfit("its sizes are beyond what can be evaluated")
    outputs = sizes.d_vocab if sizes.d_vocab_out is None else sizes.d_vocab_out
    pooled = SimpleNamespace(pool="none")  # whether the model pools is not known here, and nothing is read
    model = SimpleNamespace(d_vocab=sizes.d_vocab, n_ctx=sizes.n_ctx, d_vocab_out=outputs, architecture=pooled)
    return predicate.task.bound_to(cast(Model, model))


def require_consistent(certificate: Certificate) -> None:
    """Raise UserError unless steps rest on earlier ones, regions are of this task, and no claim exceeds the counts.

    What is left has the sizes that its own tables have, so that telling it takes no longer than reading it. Of a
    certificate with a profile this is asked of the proof that is told, the first.
    """
    require_profile(certificate)
    require_float32(certificate)
    certificate = first_proof(certificate)
    predicate = certificate.predicate
    steps, claim = predicate.steps, predicate.claim
    for number, step in enumerate(steps):
        if any(premise >= number for premise in step.premises):
            raise misfit(f"step {number} rests on a step that is not an earlier one")
    if not steps or steps[-1].rule not in ("total", "float32_inputs"):
        raise misfit("its last step does not add up what was counted")
    premises, evaluated = steps[-1].premises, steps[-1].rule == "float32_inputs"
    if bool(premises) == evaluated or not all(isinstance(steps[premise].conclusion, Tally) for premise in premises):
        raise misfit("its last step adds up a step that counts nothing")

    task = task_of(certificate)
    if claim.total != task.total:
        raise misfit("the inputs of its task weigh another sum than the claim says")
    require_regions(certificate, task)
    if not evaluated:
        require_counts(certificate, task)
    v, k = predicate.model.d_vocab, task.k
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


def require_regions(certificate: Certificate, task: Task) -> None:
    """Every region has a label, queries and numbers n that inputs of the task can have."""
    sizes = certificate.predicate.model
    outputs = sizes.d_vocab if sizes.d_vocab_out is None else sizes.d_vocab_out
    for region in regions(certificate.predicate.steps):
        queries = region.label + 1 if task.is_max_of_k else sizes.d_vocab  # as many tokens can be the query
        if not (region.label < outputs and 0 < region.queries.bit_length() <= queries):
            raise misfit("it counts inputs that its task does not have")
        if not 0 < region.ns.bit_length() <= task.k:
            raise misfit("it counts inputs that its task does not have")


def require_counts(certificate: Certificate, task: Task) -> None:
    """Of no maximum, or no query, is more counted than there is; the last step claims the sum, the claim its part."""
    steps, claim = certificate.predicate.steps, certificate.predicate.claim
    parts = parts_of(task, steps).counted.values()
    if any(part.correct + part.wrong > part.total for part in parts):
        raise misfit("it counts more inputs than there are")
    correct, wrong = (sum(part[place] for part in parts) for place in (0, 1))
    if claim.correct > correct or claim.wrong > wrong:
        raise misfit("it claims more than its steps count")


def require_profile(certificate: Certificate) -> None:
    """Accuracies at several margins that are claimed are what the last step concludes, of no more than all inputs."""
    claim, steps = certificate.predicate.claim, certificate.predicate.steps
    if claim.profile is None:
        return
    last = steps[-1].conclusion if steps else None
    if not isinstance(last, Profile) or [row.margin for row in last.profile] != [row.margin for row in claim.profile]:
        raise misfit("its last step does not conclude accuracies at the margins that it claims")
    if any(row.correct + row.wrong > claim.total for row in claim.profile):
        raise misfit("it counts more inputs than there are")


def require_float32(certificate: Certificate) -> None:
    """What is claimed about float32 programs, and nothing else, is what the last step concludes about these."""
    predicate = certificate.predicate
    last = predicate.steps[-1].conclusion if predicate.steps else None
    if isinstance(last, Float32Accuracy) != (predicate.semantics == FLOAT32):
        raise misfit("its last step and its claim are not both about float32")
    if isinstance(last, Float32Accuracy) and not (
        predicate.claim.correct <= last.correct
        and predicate.claim.wrong <= last.wrong
        and last.correct + last.wrong <= predicate.claim.total
    ):
        raise misfit("it claims more than its last step concludes")


def is_of_cells(tokens: CubicTokens, v: int, k: int) -> bool:
    """Whether there is a mask of tokens below m for each q <= m and each n >= 1 that the pair (q, m) can have."""
    return len(tokens.masks) == v and all(
        len(rows) == m + 1
        and all(len(row) == len(ns_of_pair(k, q, m)[1:]) for q, row in enumerate(rows))
        and all(mask.bit_length() <= m for row in rows for mask in row)
        for m, rows in enumerate(tokens.masks)
    )
