"""A proof under construction: steps in order, each naming the steps it rests on."""

from __future__ import annotations

from fractions import Fraction

from certgen.certificate.facts import Accuracy, Tally
from certgen.certificate.statement import Certificate, Claim, ModelInfo, Predicate, Sha256, Subject, Task
from certgen.certificate.steps import AnyStep, infer
from certgen.errors import UserError
from certgen.files import in_unicode
from certgen.models.model_file import MAX_DIGITS, Model

DEFAULT_BUDGET = 1 << 25  # sequences that check-cert enumerates unless it is told more


def require_expressible(model: Model) -> None:
    """UserError if a certificate would need longer numbers than the format has: of sequences, or sets as bit masks."""
    v, k = model.d_vocab, model.n_ctx
    most = 10**MAX_DIGITS
    if v > 1 and (k > most.bit_length() or v**k >= most):
        reason = f"{v}^{k} sequences: that number has more than {MAX_DIGITS:,} digits, too many for a certificate"
        raise UserError(reason, "prove a model with shorter sequences, or with fewer tokens")
    if max(v, k) >= most.bit_length():
        reason = f"a certificate holds sets of at most {most.bit_length() - 1:,} tokens or positions"
        raise UserError(f"{model.path}: {reason}", "prove a model with shorter sequences, or with fewer tokens")


def needed_budget(certificate: Certificate) -> int:
    """What check-cert has to be allowed by --budget: all sequences if one by one is the way, else its default."""
    enumerated = any(step.rule == "enumerate_sequences" for step in certificate.predicate.steps)
    return max(DEFAULT_BUDGET, certificate.predicate.claim.total if enumerated else 0)


class Proof:
    """Collects steps; `certificate` closes the proof with the sum of its tallies."""

    def __init__(self, model: Model, margin: Fraction) -> None:
        self.model, self.margin = model, margin
        self.steps: list[AnyStep] = []

    def add(self, step: AnyStep) -> int:
        """Append a step; returns its number, for later premises."""
        self.steps.append(step)
        return len(self.steps) - 1

    def certificate(self, strategy: str, tallies: list[int]) -> Certificate:
        """The statement of what all regions of these steps together count."""
        model = self.model
        conclusions = [self.steps[number].conclusion for number in tallies]
        counts = [count for tally in conclusions if isinstance(tally, Tally) for count in tally.counts]
        correct, wrong = (sum(count[entry] for count in counts) for entry in (3, 4))
        self.add(infer("total", Accuracy(correct=correct, wrong=wrong), premises=tallies))
        return Certificate(
            subject=[Subject(name=in_unicode(model.path.name), digest=Sha256(sha256=model.sha256))],
            predicate=Predicate(
                task=Task(k=model.n_ctx),
                model=ModelInfo(
                    d_vocab=model.d_vocab,
                    d_model=model.d_model,
                    d_head=model.d_head,
                    n_ctx=model.n_ctx,
                    tensors=dict(model.tensor_sha256),
                ),
                margin=str(self.margin),
                claim=Claim(correct=correct, wrong=wrong, total=model.d_vocab**model.n_ctx),
                strategy=strategy,
                steps=self.steps,
            ),
        )
