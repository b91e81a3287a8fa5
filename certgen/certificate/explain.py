"""Telling a certificate's proof as a person would: the claim, the steps, and what of all sequences is left open."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from math import comb

from rich.console import Group, RenderableType
from rich.table import Table

from certgen.certificate.consistency import require_consistent, task_of
from certgen.certificate.explain_looks import require_same, tell_looks
from certgen.certificate.explain_regions import tell_regions
from certgen.certificate.facts import (
    AttentionRanges,
    CubicTokens,
    DirectPathSpread,
    MaxTokenPath,
    RegionGaps,
    Regions,
    ScoreApproximation,
    Tally,
    UpperTable,
)
from certgen.certificate.losses import parts_of, regions
from certgen.certificate.profile import first_proof
from certgen.certificate.region_facts import region_facts
from certgen.certificate.statement import FLOAT32, Certificate, Claim
from certgen.certificate.steps import RULES, AnyStep
from certgen.certificate.words import MOST_ROWS, Paragraph, counted, scaled, written
from certgen.counts.evaluation import Question
from certgen.decimals import at_most, percent_at_least, percent_at_most
from certgen.errors import UserError
from certgen.models.model_file import Model
from certgen.problem import Task
from certgen.terminal import printable

MOST_CLAIMED_BITS = 133  # in the claim itself: up to 40 digits


def explain(certificate: Certificate, model: Model | None = None) -> RenderableType:
    """The proof as text and tables. It restates what the certificate says; only check-cert says whether it holds.

    With the model, a proof about regions is told with where heads look. Raises UserError if the parts of the
    certificate do not fit together, it is not about this model, or it has no regions and a model is given.
    """
    require_consistent(certificate)
    if model is not None:
        require_same(certificate, model)
        if not any(isinstance(step.conclusion, RegionGaps) for step in first_proof(certificate).predicate.steps):
            raise UserError("there are no regions in this proof, and only for these the model is read", "leave it out")
    return Group(*paragraphs(certificate, model))


def paragraphs(certificate: Certificate, model: Model | None) -> Iterator[RenderableType]:
    first, task = first_proof(certificate), task_of(certificate)
    predicate = first.predicate
    yield from claimed(certificate if certificate.predicate.semantics == FLOAT32 else first, task)
    if certificate.predicate.semantics == FLOAT32:
        more = f" What is right in real numbers by more than {predicate.margin} is right in all of them."
        yield Paragraph(f"It is about every float32 program of the model.{more if first is not certificate else ''}")
    yield from profiled(certificate.predicate.claim)
    if not task.is_max_of_k:
        yield Paragraph(f"Task {task.text}.")
    yield Paragraph(f"Model {printable(certificate.subject[0].name)}")
    yield Paragraph(f"sha256 {certificate.subject[0].digest.sha256}")
    steps = len(certificate.predicate.steps)
    of_them = (
        "" if first is certificate else f", of which the first {len(predicate.steps):,} are about the claim itself"
    )
    yield Paragraph(f"Strategy {printable(predicate.strategy)}: {counted(steps, 'step')}{of_them}.")
    for number, step in enumerate(predicate.steps):
        origin = f"from {', '.join(map(str, step.premises))}" if step.premises else "from the weights"
        head = f"{number:>3}. "
        yield ""
        yield Paragraph(f"{step.rule} ({origin}): {stated(step, noun_of(task))}", head, style="bold")
        yield Paragraph(RULES[step.rule].meaning, " " * len(head))
    yield ""
    for facts in region_facts(first):
        told = list(tell_regions(facts, noun_of(task)))
        if model is not None:
            told += tell_looks(facts, Question(model, predicate.task.bound_to(model), Fraction(0)))
        for part in told:
            yield from (part, "")
    if any(isinstance(step.conclusion, Tally) for step in predicate.steps):
        found = tables(task, predicate.model.d_vocab, predicate.steps)
        yield from (table for table in found if table.row_count)


def claimed(certificate: Certificate, task: Task) -> Iterator[Paragraph]:
    """What the certificate claims, as equality where it counts all inputs."""
    predicate, claim = certificate.predicate, certificate.predicate.claim
    total = f"{predicate.model.d_vocab}^{task.k} sequences"
    if not task.is_max_of_k:
        total = f"{written(task.number)} inputs"
        total += "" if task.number == task.total else f", by their weights, which are {written(task.total)} together"
    undecided = claim.total - claim.correct - claim.wrong
    correct, whole = (written(count, MOST_CLAIMED_BITS) for count in (claim.correct, claim.total))
    bound = f"{'>=' if undecided else '='} {correct} / {whole}"
    share = percent_at_least(Fraction(claim.correct, claim.total))
    yield Paragraph(f"Claim (not checked here; run check-cert): accuracy {bound} ({share}) over all {total}.")
    if predicate.margin != "0":
        yield Paragraph(f"An answer is correct if its logit wins by more than {predicate.margin}.")
    yield Paragraph(f"Proved: {decided(claim.correct, claim.wrong, noun_of(task))}. Left open: {written(undecided)}.")


def profiled(claim: Claim) -> Iterator[RenderableType]:
    """The accuracy by how much an answer wins, and the mean loss; nothing if there is no profile."""
    if claim.profile is None or claim.mean_loss is None:
        return
    yield Paragraph(f"The mean cross entropy over all inputs is at most {at_most(Fraction(claim.mean_loss), 5)}.")
    table = Table("margin", "at least", "at most", title="Accuracy if an answer has to win by more than a margin")
    for row in claim.profile:
        ends = Fraction(row.correct, claim.total), Fraction(claim.total - row.wrong, claim.total)
        table.add_row(row.margin, percent_at_least(ends[0]), percent_at_most(ends[1]))
    yield table


def noun_of(task: Task) -> str:
    """What is counted: sequences of max-of-k, inputs of other problems, or their weight if they do not weigh 1 each."""
    if task.is_max_of_k:
        return "sequence"
    return "input" if task.number == task.total else "unit"


def stated(step: AnyStep, noun: str = "sequence") -> str:
    """One line on a conclusion."""
    conclusion = step.conclusion
    if isinstance(conclusion, UpperTable):
        return f"{span(conclusion)} logits"
    if isinstance(conclusion, DirectPathSpread):
        return f"{span(conclusion.spread)} logits"
    if isinstance(conclusion, MaxTokenPath):
        return counted(sum(len(row) for row in conclusion.lines.rows) // 2, "line")
    if isinstance(conclusion, ScoreApproximation):
        errors = UpperTable(exponent=conclusion.exponent, rows=[conclusion.error])
        return f"errors: {span(errors)} (scores before division by sqrt(d_head))"
    if isinstance(conclusion, AttentionRanges):
        cells = [cell for rows in conclusion.ranges for row in rows for cell in row]
        least = [cell[1] for cell in cells if cell]
        gaps = f"gaps in {written(len(least))} of {counted(len(cells), 'cell')}"
        if not least:
            return gaps
        return f"{gaps}; their mean least attention on m is {scaled(sum(least) // len(least), -conclusion.bits)}"
    if isinstance(conclusion, CubicTokens):
        masks = [mask for rows in conclusion.masks for row in rows for mask in row]
        accepted = counted(sum(mask.bit_count() for mask in masks), "token")
        return f"{accepted} accepted in {counted(len(masks), 'cell')}"
    if isinstance(conclusion, Regions):
        neurons = max((len(ends) // 2 for ends in conclusion.ranges), default=0)
        of_each = f", ranges of {counted(neurons, 'neuron')} in each" if neurons else ""
        return f"{counted(len(conclusion.ranges), 'region')}{of_each}"
    if isinstance(conclusion, RegionGaps):
        settled = sum(all(gap < 0 for gap in row) for row in conclusion.gaps)
        return f"no wrong output gets ahead in {settled:,} of {counted(len(conclusion.gaps), 'region')}"
    if isinstance(conclusion, Tally):
        correct, wrong = (sum(count[entry] for count in conclusion.counts) for entry in (3, 4))
        return f"{decided(correct, wrong, noun)} in {counted(len(conclusion.counts), 'region')}"
    return decided(conclusion.correct, conclusion.wrong, noun)


def decided(correct: int, wrong: int, noun: str = "sequence") -> str:
    """What a step decides."""
    if noun == "unit":
        return f"correct inputs of weight {written(correct)}" + (f", wrong ones of {written(wrong)}" if wrong else "")
    if not wrong:
        return counted(correct, f"correct {noun}")
    return f"{written(correct)} correct and {counted(wrong, f'wrong {noun}')}"


def span(table: UpperTable) -> str:
    """How many bounds, and between which values."""
    numbers = [number for row in table.rows for number in row]
    if not numbers:
        return "no bounds"
    low, high = (scaled(number, table.exponent) for number in (min(numbers), max(numbers)))
    return f"{counted(len(numbers), 'bound')} {f'from {low} to {high}' if low != high else f'of {low}'}"


def tables(task: Task, v: int, steps: list[AnyStep]) -> Iterator[Table]:
    """Where inputs are left open, and where they are wrong. A table may have no rows."""
    what = "sequences" if task.is_max_of_k else "inputs" if task.number == task.total else "weight"
    name, parts = parts_of(task, steps)
    if name:
        total = {key: part.total for key, part in parts.items()}
        undecided = {key: part.total - part.correct - part.wrong for key, part in parts.items()}
        passed_over = task.total - sum(total.values())
        slack = f"Where the slack is: {what} left open"
        yield by_part(slack, (name, what, "left open"), undecided, total, percent_at_most, passed_over)
        proved, wrong = f"{what.capitalize()} proved wrong", {key: part.wrong for key, part in parts.items()}
        yield by_part(proved, (name, what, "proved wrong"), wrong, total, percent_at_least)
    if not task.is_max_of_k:
        yield wrong_by_label(what, steps)
    for step in steps:
        if isinstance(step.conclusion, CubicTokens):
            yield losses_by_cell(v, task.k, step.conclusion)


def by_part(
    title: str,
    columns: tuple[str, str, str],
    parts: dict[int, int],
    total: dict[int, int],
    percent: Callable[[Fraction], str],
    passed_over: int = 0,
) -> Table:
    """The maxima m, or queries, with most of these inputs; the others, and what is `passed_over`, together."""
    table = Table(*columns, f"share of all {columns[-1]}", title=title)
    everything = sum(parts.values()) + passed_over
    largest = sorted(((part, key) for key, part in parts.items() if part), reverse=True)
    for part, key in largest[:MOST_ROWS]:
        there = f"{written(part)} ({percent(Fraction(part, total[key]))})"
        table.add_row(str(key), written(total[key]), there, percent(Fraction(part, everything)))
    rest = sum(part for part, _ in largest[MOST_ROWS:]) + passed_over
    if rest:
        table.add_row("others", "", written(rest), percent(Fraction(rest, everything)))
    return table


def wrong_by_label(what: str, steps: list[AnyStep]) -> Table:
    """The labels with most inputs that are proved wrong."""
    table = Table("label", "proved correct", "proved wrong", title=f"{what.capitalize()} proved wrong, by label")
    sums: dict[int, tuple[int, int]] = {}
    for region in regions(steps):
        wrong, correct = sums.get(region.label, (0, 0))
        sums[region.label] = wrong + region.wrong, correct + region.correct
    largest = sorted(((*sums[label], label) for label in sums if sums[label][0]), reverse=True)
    for wrong, correct, label in largest[:MOST_ROWS]:
        table.add_row(str(label), written(correct), written(wrong))
    if largest[MOST_ROWS:]:
        wrong, correct = (sum(row[place] for row in largest[MOST_ROWS:]) for place in (0, 1))
        table.add_row("others", written(correct), written(wrong))
    return table


def losses_by_cell(v: int, k: int, tokens: CubicTokens) -> Table:
    """For each small number n of non-query positions that do not hold m: sequences, and how many the tokens cover."""
    table = Table("n", "sequences", "proved", "mean share of tokens accepted", title="By number of positions without m")
    for n in range(1, min(k, MOST_ROWS + 1)):
        cells = [(m, row[n - 1]) for m, rows in enumerate(tokens.masks) for row in rows if len(row) >= n]
        there = sum(comb(k - 1, n) * m**n for m, _ in cells)
        proved = sum(comb(k - 1, n) * mask.bit_count() ** n for _, mask in cells)
        shares = [mask.bit_count() / m for m, mask in cells if m]
        if there:
            mean = sum(shares) / len(shares)
            share = percent_at_least(Fraction(proved, there))
            table.add_row(str(n), written(there), f"{written(proved)} ({share})", f"{mean:.3f}")
    return table
