"""Telling where heads look: on which positions, on which tokens, and how much on the answer itself."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from rich.table import Table

from certgen.certificate.explain_regions import MOST_HEADS, nearest_of_each_label
from certgen.certificate.region_facts import RegionFacts
from certgen.certificate.statement import Certificate
from certgen.certificate.words import MOST_ROWS, Paragraph
from certgen.counts.evaluation import Question
from certgen.errors import UserError
from certgen.models.forward import FloatArray
from certgen.models.model_file import Model
from certgen.regions.looking import SAMPLE, Look, looks

TOKENS = ("max", "min", "nth-largest", "first", "last", "majority")  # tasks whose answer is one of the tokens read
MOST_NAMED = 3
LEAST_NAMED = 0.05


def require_same(certificate: Certificate, model: Model) -> None:
    """UserError unless the certificate is about this model."""
    if certificate.subject[0].digest.sha256 != model.sha256:
        raise UserError(
            f"{model.path} is not the model that the certificate is about",
            f"it is about the file with SHA-256 {certificate.subject[0].digest.sha256}",
        )


def tell_looks(facts: RegionFacts, question: Question) -> Iterator[Paragraph | Table]:
    """Over all answers for each head, and for the answers whose wrong outputs are nearest."""
    labels = [label for label in facts.by_label if facts.of_label(label).total]
    found = {look.label: look for look in looks(question, labels)}
    yield Paragraph(
        f"Where heads look: their attention, on average over {SAMPLE} inputs of each answer, drawn at random. A sample,"
        " not a part of the proof."
    )
    weights = np.array([float(facts.of_label(label).total) for label in labels])
    yield by_head([found[label] for label in labels], weights / weights.sum(), question.task.label.name in TOKENS)
    if facts.heads <= MOST_HEADS and len(labels) > 1:
        near = [nearest.region.label for nearest in nearest_of_each_label(facts)] or labels[:MOST_ROWS]
        yield by_answer([found[label] for label in near])


def by_head(found: list[Look], weights: FloatArray, of_tokens: bool) -> Table:
    """All answers together, by the weights of their inputs."""
    columns = ("head", *["the answer"] * of_tokens, "positions", "tokens")
    table = Table(*columns, title="Attention on average")
    for head in range(len(found[0].positions)):
        own = sum(weight * look.tokens[head, look.label] for weight, look in zip(weights, found, strict=True))
        positions, tokens = (
            sum(weight * getattr(look, name)[head] for weight, look in zip(weights, found, strict=True))
            for name in ("positions", "tokens")
        )
        share = [f"{own:.0%}"] * of_tokens
        table.add_row(str(head), *share, most(np.asarray(positions)), most(np.asarray(tokens)))
    return table


def by_answer(found: list[Look]) -> Table:
    """The tokens that each head looks at when the answer is this one."""
    heads = range(len(found[0].tokens))
    table = Table("answer", *(f"head {head}" for head in heads), title="Tokens looked at, by answer")
    for look in found:
        table.add_row(str(look.label), *(most(look.tokens[head], MOST_NAMED - 1) for head in heads))
    return table


def most(shares: FloatArray, number: int = MOST_NAMED) -> str:
    """Those with the largest shares, such as 9 with 80 % and 2 with 11 %."""
    order = np.argsort(-shares, kind="stable")[:number]
    return ", ".join(f"{i} {shares[i]:.0%}" for i in order.tolist() if shares[i] >= LEAST_NAMED) or "spread out"
