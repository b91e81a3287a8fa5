"""A proof under construction: steps in order, each naming the steps it rests on."""

from __future__ import annotations

from fractions import Fraction

from certgen.certificate.facts import Accuracy, Float32Accuracy, Tally
from certgen.certificate.statement import (
    EXACT,
    FLOAT32,
    Certificate,
    Claim,
    ModelInfo,
    Predicate,
    Sha256,
    Subject,
    read_task,
)
from certgen.certificate.steps import AnyStep, infer
from certgen.counts.work import enumeration_operations, evaluation_operations, squaring_operations
from certgen.errors import UserError
from certgen.files import in_unicode
from certgen.models.model_file import MAX_DIGITS, Model
from certgen.problem import Task, max_of_k

RETRIED = 2  # the most that evaluating inputs again costs, as a factor; see counts/evaluation.py
# Operations that check-cert allows unless it is told another number: in any case, this part of bytes squared, at most.
LEAST, PART, MOST = 1 << 26, 20, 1 << 34
OTHERS = 1 << 22  # more than the other steps take beside those that evaluate every input
PACKED = 8  # a packed certificate counts as so many times its bytes


def require_expressible(model: Model, task: Task) -> None:
    """UserError if a certificate would need longer numbers than the format has: of inputs, or sets as bit masks."""
    v, k = model.d_vocab, task.k
    most = 10**MAX_DIGITS
    if not task.is_max_of_k:
        if (k > MAX_DIGITS and task.number > 1) or task.total >= most:
            reason = f"the weight of all inputs has more than {MAX_DIGITS:,} digits, too many for a certificate"
            raise UserError(reason, "choose a smaller problem: fewer positions, or smaller weights")
        v = task.space.choices[task.query_position][-1] + 1  # of other tokens there are no sets
    elif v > 1 and (k > most.bit_length() or v**k >= most):
        reason = f"{v}^{k} sequences: that number has more than {MAX_DIGITS:,} digits, too many for a certificate"
        raise UserError(reason, "prove a model with shorter sequences, or with fewer tokens")
    if max(v, k) >= most.bit_length():
        reason = f"a certificate holds sets of at most {most.bit_length() - 1:,} tokens or positions"
        raise UserError(f"{model.path}: {reason}", "prove a model with shorter sequences, or with fewer tokens")


def needed_budget(certificate: Certificate, model: Model) -> int:
    """At least the operations that check-cert counts for a proof that evaluates every input; 0 for any other."""
    evaluating = evaluating_operations(certificate, model)
    return LEAST + evaluating if evaluating else 0  # other steps take less


def evaluating_operations(certificate: Certificate, model: Model) -> int:
    """Those of the steps that evaluate every input."""
    needed = 0
    for step in certificate.predicate.steps:
        if step.rule == "enumerate_sequences":
            needed += enumeration_operations(model, certificate.predicate.claim.total, step.args)
        if step.rule in ("evaluate_inputs", "float32_inputs"):
            task, bits = certificate.predicate.task.bound_to(model), step.args.bits
            once = evaluation_operations(model, task, bits[0])
            if step.rule == "float32_inputs":
                once = 2 * once + squaring_operations(model)
            needed += once if len(bits) == 1 else RETRIED * once
    return needed


def budget_options(certificate: Certificate, model: Model, size: int, packed: bool) -> list[str]:
    """The options with which check-cert affords a proof of so many bytes: none, or a budget."""
    files = len(model.file_bytes) + size * (PACKED if packed else 1)
    allowed = min(LEAST + files * files // PART, MOST)
    enough = evaluating_operations(certificate, model) + OTHERS <= allowed
    return [] if enough else [f"--budget={needed_budget(certificate, model)}"]


class Proof:
    """Collects steps; `certificate` closes the proof with the sum of its tallies."""

    def __init__(self, model: Model, margin: Fraction, task: Task | None = None) -> None:
        self.model, self.margin = model, margin
        self.task = max_of_k(model) if task is None else task
        self.steps: list[AnyStep] = []

    def add(self, step: AnyStep) -> int:
        """Append a step; returns its number, for later premises."""
        self.steps.append(step)
        return len(self.steps) - 1

    def certificate(self, strategy: str, counted: list[int]) -> Certificate:
        """The statement of what all regions of these steps together count."""
        conclusions = [self.steps[number].conclusion for number in counted]
        counts = [count for found in conclusions if isinstance(found, Tally) for count in found.counts]
        correct, wrong = (sum(count[entry] for count in counts) for entry in (-2, -1))
        self.add(infer("total", Accuracy(correct=correct, wrong=wrong), premises=counted))
        return self.concluded(strategy)

    def concluded(self, strategy: str) -> Certificate:
        """The statement of what the last step concludes."""
        model, found = self.model, self.steps[-1].conclusion
        return Certificate(
            subject=[Subject(name=in_unicode(model.path.name), digest=Sha256(sha256=model.sha256))],
            predicate=Predicate(
                task=read_task(self.task.json),
                model=ModelInfo.model_validate({**model.sizes, "tensors": dict(model.tensor_sha256)}),
                margin=str(self.margin),
                semantics=FLOAT32 if isinstance(found, Float32Accuracy) else EXACT,
                claim=Claim(correct=found.correct, wrong=found.wrong, total=self.task.total),
                strategy=strategy,
                steps=self.steps,
            ),
        )
