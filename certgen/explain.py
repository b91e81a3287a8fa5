"""Telling a certificate's proof as a person would: the claim, the steps, and where sequences were lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from math import comb

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from certgen.certificate import (
    AnyStep,
    Certificate,
    Counts,
    DirectSpread,
    Ranges,
    Scores,
    TokenMasks,
    TokenPath,
    UpperTable,
)
from certgen.losses import regions, with_maximum

RULES = {
    "direct_path_upper": "how far the query token itself can favour a wrong token over m (EUPU, plus the margin)",
    "value_path_upper": "how far attending to a token can favour a wrong token over m (EVOU + PVOU, worst position)",
    "pure_sequences": "the sequences m, ..., m, q, each evaluated",
    "cubic_tokens": "tokens t that leave m ahead when n positions hold t and the others m: (q, m, n) by (q, m, n)",
    "count_cubic": "sequences whose other tokens are all accepted: |T|^n C(k-1, n) in each cell",
    "direct_path_spread": "how far the query token can favour any logit over any other: the exact spread of EUPU[q]",
    "direct_path_centred_spread": "one vector is kept; how far the rest of that path spreads, factor by factor",
    "value_path_spread": "how far attending to tokens up to t can favour any logit over any other (EVOU)",
    "max_token_drop": "wrong logits against the attention on m: largest slope with largest intercept",
    "max_token_mean": "wrong logits against the attention on m: exact at a centre, extreme slopes beside it",
    "max_token_envelope": "wrong logits against the attention on m: the upper envelope of their lines",
    "score_exact": "all scores, no error",
    "score_residual_spread": "scores of low rank; the residual multiplied out for its spread",
    "score_product_spread": "scores of low rank; the residual's spread from two factors",
    "score_recursive_spread": "scores of low rank; the residual's spread factor by factor",
    "score_singular_value": "scores of low rank; the residual's largest singular value",
    "attention_ranges": "attention on m when every other token is at least a gap below it",
    "gap_cells": "cells (q, m, n) in which m wins whatever the tokens a gap below it are",
    "separable_counts": "sequences left after counting those that some class of wrong tokens can win, block by block",
    "branch_sequences": "sequences decided in bundles that share a prefix",
    "enumerate_sequences": "every sequence evaluated",
    "total": "all regions together; they partition the sequences",
}
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
        yield Text(f"     {RULES[step.rule]}\n")

    yield losses_by_maximum(v, k, predicate.steps)
    for step in predicate.steps:
        if isinstance(step.conclusion, TokenMasks):
            yield losses_by_cell(v, k, step.conclusion)


def percent(part: int, whole: int) -> str:
    """Rounded down to three decimals, as the verdict's decimals are."""
    return f"{part * 100_000 // whole / 1000:.3f}%"


def stated(step: AnyStep) -> str:
    """One line on a conclusion."""
    conclusion = step.conclusion
    if isinstance(conclusion, UpperTable):
        return f"{span(conclusion)} logits"
    if isinstance(conclusion, DirectSpread):
        return f"{span(conclusion.spread)} logits"
    if isinstance(conclusion, TokenPath):
        return f"{sum(len(row) for row in conclusion.lines.rows) // 2:,} lines"
    if isinstance(conclusion, Scores):
        errors = UpperTable(exponent=conclusion.exponent, rows=[conclusion.error])
        return f"errors: {span(errors)} (scores before division by sqrt(d_head))"
    if isinstance(conclusion, Ranges):
        cells = [cell for rows in conclusion.ranges for row in rows for cell in row]
        used = [cell for cell in cells if cell]
        mean = sum(cell[1] for cell in used) / max(1, len(used)) / 2.0**conclusion.bits
        return f"{len(used):,} of {len(cells):,} cells have a gap; their mean least attention on m is {mean:.3f}"
    if isinstance(conclusion, TokenMasks):
        masks = [mask for rows in conclusion.masks for row in rows for mask in row]
        return f"{sum(mask.bit_count() for mask in masks):,} tokens accepted in {len(masks):,} cells"
    if isinstance(conclusion, Counts):
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


def losses_by_cell(v: int, k: int, tokens: TokenMasks) -> Table:
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
