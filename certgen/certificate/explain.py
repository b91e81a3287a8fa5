"""Telling a certificate's proof as a person would: the claim, the steps, and where sequences were lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from math import comb

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from certgen.certificate.facts import (
    AttentionRanges,
    CubicTokens,
    DirectPathSpread,
    MaxTokenPath,
    ScoreApproximation,
    Tally,
    UpperTable,
)
from certgen.certificate.losses import regions, with_maximum
from certgen.certificate.statement import Certificate
from certgen.certificate.steps import RULES, AnyStep

MOST_ROWS = 12


def explain(certificate: Certificate) -> RenderableType:
    """The proof as text and tables. It restates what the certificate says; only check-cert says whether it holds."""
    return Group(*paragraphs(certificate))


def paragraphs(certificate: Certificate) -> Iterator[RenderableType]:
    predicate = certificate.predicate
    v, k, claim = predicate.model.d_vocab, predicate.task.k, predicate.claim
    ahead = "" if predicate.margin == "0" else f" by a logit margin of more than {predicate.margin}"
    yield Text(f"Claim (not checked here; run check-cert): of all {v}^{k} = {claim.total:,} sequences, at least")
    yield Text(f"{claim.correct:,} ({percent(claim.correct, claim.total)}) get the right answer{ahead}.")
    yield Text(f"Model {certificate.subject[0].name}, sha256 {certificate.subject[0].digest.sha256}")
    yield Text(f"Strategy {predicate.strategy}: {len(predicate.steps)} steps.\n")

    for number, step in enumerate(predicate.steps):
        origin = f"from {', '.join(map(str, step.premises))}" if step.premises else "from the weights"
        yield Text(f"{number:>3}. {step.rule} ({origin}): {stated(step)}", style="bold")
        yield Text(f"     {RULES[step.rule].meaning}\n")

    yield losses_by_maximum(v, k, predicate.steps)
    for step in predicate.steps:
        if isinstance(step.conclusion, CubicTokens):
            yield losses_by_cell(v, k, step.conclusion)


def percent(part: int, whole: int) -> str:
    """Rounded down to three decimals, as the verdict's decimals are."""
    return f"{part * 100_000 // whole / 1000:.3f}%"


def stated(step: AnyStep) -> str:
    """One line on a conclusion."""
    conclusion = step.conclusion
    if isinstance(conclusion, UpperTable):
        return f"{span(conclusion)} logits"
    if isinstance(conclusion, DirectPathSpread):
        return f"{span(conclusion.spread)} logits"
    if isinstance(conclusion, MaxTokenPath):
        return f"{sum(len(row) for row in conclusion.lines.rows) // 2:,} lines"
    if isinstance(conclusion, ScoreApproximation):
        errors = UpperTable(exponent=conclusion.exponent, rows=[conclusion.error])
        return f"errors: {span(errors)} (scores before division by sqrt(d_head))"
    if isinstance(conclusion, AttentionRanges):
        cells = [cell for rows in conclusion.ranges for row in rows for cell in row]
        used = [cell for cell in cells if cell]
        mean = sum(cell[1] for cell in used) / max(1, len(used)) / 2.0**conclusion.bits
        return f"{len(used):,} of {len(cells):,} cells have a gap; their mean least attention on m is {mean:.3f}"
    if isinstance(conclusion, CubicTokens):
        masks = [mask for rows in conclusion.masks for row in rows for mask in row]
        return f"{sum(mask.bit_count() for mask in masks):,} tokens accepted in {len(masks):,} cells"
    if isinstance(conclusion, Tally):
        return f"{sum(count[3] for count in conclusion.counts):,} sequences in {len(conclusion.counts):,} regions"
    return f"{conclusion.correct:,} sequences"


def span(table: UpperTable) -> str:
    """How many bounds, and between which values."""
    numbers = [number for row in table.rows for number in row]
    low, high = (number * 2.0**table.exponent for number in (min(numbers), max(numbers)))
    return f"{len(numbers):,} bounds from {low:.4g} to {high:.4g}"


def losses_by_maximum(v: int, k: int, steps: list[AnyStep]) -> Table:
    """The maxima m whose sequences the proof loses most of."""
    proved: Counter[int] = Counter()
    for region in regions(steps):
        proved[region.m] += region.correct
    total = {m: with_maximum(m, k) for m in range(v)}
    lost = sorted(((total[m] - proved[m], m) for m in range(v)), reverse=True)
    table = Table("maximum m", "sequences", "proved", "not proved", "share of all losses", title="Where the slack is")
    everything = max(1, sum(loss for loss, _ in lost))
    for loss, m in lost[:MOST_ROWS]:
        if loss:
            table.add_row(
                str(m),
                f"{total[m]:,}",
                f"{proved[m]:,}",
                f"{loss:,} ({percent(loss, total[m])})",
                percent(loss, everything),
            )
    shown = sum(loss for loss, _ in lost[:MOST_ROWS])
    if shown < everything and lost[0][0]:
        table.add_row("others", "", "", f"{everything - shown:,}", percent(everything - shown, everything))
    return table


def losses_by_cell(v: int, k: int, tokens: CubicTokens) -> Table:
    """For each number n of non-query positions that do not hold m: sequences, and how many accepted tokens cover."""
    table = Table("n", "sequences", "proved", "mean share of tokens accepted", title="By number of positions without m")
    for n in range(1, k):
        cells = [(m, row[n - 1]) for m, rows in enumerate(tokens.masks) for row in rows if len(row) >= n]
        there = sum(comb(k - 1, n) * m**n for m, _ in cells)
        proved = sum(comb(k - 1, n) * mask.bit_count() ** n for _, mask in cells)
        shares = [mask.bit_count() / m for m, mask in cells if m]
        if there:
            mean = sum(shares) / len(shares)
            table.add_row(str(n), f"{there:,}", f"{proved:,} ({percent(proved, there)})", f"{mean:.3f}")
    return table
