"""A proof under construction: steps in order, each naming the steps it rests on."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

from certgen.certificate.facts import Accuracy, Tally
from certgen.certificate.statement import Certificate, Claim, ModelInfo, Predicate, Sha256, Subject, Task
from certgen.certificate.steps import AnyStep, infer
from certgen.models.model_file import Model


def readable_name(path: Path) -> str:
    """The file's name as Unicode text: bytes of it that are not UTF-8 are written as \\xNN."""
    return os.fsencode(path.name).decode("utf-8", "backslashreplace")


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
            subject=[Subject(name=readable_name(model.path), digest=Sha256(sha256=model.sha256))],
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
