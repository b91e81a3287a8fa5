"""Where a proof loses sequences: by their largest token m, and by how many non-query positions do not hold it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import comb
from typing import NamedTuple

from certgen.certificate.facts import CubicTokens, Tally
from certgen.certificate.statement import Certificate
from certgen.certificate.steps import AnyStep
from certgen.problem import Task


class Region(NamedTuple):
    """Inputs with this label, a query in the bit mask `queries` and n in the bit mask `ns`.

    Of them the weight `correct` is proved correct and `wrong` is proved wrong. The label of max-of-k is the maximum m.
    """

    label: int
    queries: int
    ns: int
    correct: int
    wrong: int = 0


class Share(NamedTuple):
    """A number of sequences, and how many of them are not proved correct."""

    sequences: int
    lost: int


@dataclass(frozen=True)
class Losses:
    """Sequences and losses for each m (v of them) and each n (k of them).

    Regions that count several n at once cannot be split; they are in `unsplit` and in no entry of `by_n`.
    """

    by_maximum: list[Share]
    by_n: list[Share]
    unsplit: Share


def regions(steps: list[AnyStep]) -> Iterator[Region]:
    """The regions that the last step adds up."""
    for number in steps[-1].premises:
        if isinstance(conclusion := steps[number].conclusion, Tally):
            for count in conclusion.counts:
                yield Region(*count)


class Counted(NamedTuple):
    """Of inputs that weigh `total` the weight `correct` is proved correct and `wrong` is proved wrong."""

    correct: int
    wrong: int
    total: int


class Parts(NamedTuple):
    """What is counted by the maximum of max-of-k, by the query of another task if every region has one query, else
    (with no name) of all inputs together. Maxima and queries that no region has are not there."""

    name: str
    counted: dict[int, Counted]


def parts_of(task: Task, steps: list[AnyStep]) -> Parts:
    """Where a proof counts. Cost: the number of regions."""
    found = list(regions(steps))
    by_query = all(region.queries.bit_count() == 1 for region in found)
    name = "maximum m" if task.is_max_of_k else f"token at position {task.query_position}" if by_query else ""
    counted: dict[int, Counted] = {}
    for region in found:
        if task.is_max_of_k:
            key, total = region.label, with_maximum(region.label, task.k)
        elif by_query:
            key = region.queries.bit_length() - 1
            total = task.weight_of(key)
        else:
            key, total = 0, task.total
        correct, wrong, _ = counted.get(key, (0, 0, total))
        counted[key] = Counted(correct + region.correct, wrong + region.wrong, total)
    return Parts(name, counted)


def smallest_regions(steps: list[AnyStep], k: int) -> Iterator[Region]:
    """The same sequences, with the regions of count_cubic, which count all n of a pair together, cut by n again."""
    accepted = [steps[step.premises[0]].conclusion for step in steps if step.rule == "count_cubic"]
    masks = accepted[0].masks if len(accepted) == 1 and isinstance(accepted[0], CubicTokens) else None
    for region in regions(steps):
        if masks is None or region.ns.bit_count() == 1:
            yield region
            continue
        parts = list(cut(region, masks[region.label], k))
        # a region of another rule, or of a count that was stated weaker, adds up to something else
        yield from parts if sum(part.correct for part in parts) == region.correct else [region]


def cut(region: Region, masks: list[list[int]], k: int) -> Iterator[Region]:
    """A region for each query and n: the sequences whose other tokens are all in masks[q][n - 1]."""
    for q, row in enumerate(masks):
        for n, mask in enumerate(row, start=1):
            if (region.queries >> q) & (region.ns >> n) & 1:
                correct: int = mask.bit_count() ** n
                yield Region(region.label, 1 << q, 1 << n, comb(k - 1, n) * correct)


def with_maximum(m: int, k: int) -> int:
    """How many sequences have maximum m."""
    sequences: int = (m + 1) ** k - m**k
    return sequences


@lru_cache(maxsize=1 << 16)
def in_cell(m: int, n: int, k: int, query_is_maximum: bool) -> int:
    """How many sequences have maximum m, one given query, and n non-query positions that do not hold m."""
    choices: int = m**n
    return comb(k - 1, n) * choices if query_is_maximum or n < k - 1 else 0


def sizes_by_n(region: Region, k: int) -> list[int]:
    """The number of sequences of a region for each n."""
    at_maximum = (region.queries >> region.label) & 1
    below = (region.queries & ((1 << region.label) - 1)).bit_count()
    return [
        at_maximum * in_cell(region.label, n, k, True) + below * in_cell(region.label, n, k, False)
        if (region.ns >> n) & 1
        else 0
        for n in range(k)
    ]


def losses(certificate: Certificate) -> Losses:
    """What a certificate leaves unproved, of all v^k sequences; what no region covers is lost. Cost: regions times k.

    All losses by m add up to v^k less the sequences proved, and so do those by n together with the unsplit ones.
    """
    v, k = certificate.predicate.model.d_vocab, certificate.predicate.model.n_ctx
    proved_by_m, proved_by_n, unsplit_by_n = [0] * v, [0] * k, [0] * k
    unsplit_proved = 0
    for region in smallest_regions(certificate.predicate.steps, k):
        proved_by_m[region.label] += region.correct
        if region.ns.bit_count() == 1:
            proved_by_n[region.ns.bit_length() - 1] += region.correct
        else:
            unsplit_proved += region.correct
            unsplit_by_n = [a + b for a, b in zip(unsplit_by_n, sizes_by_n(region, k), strict=True)]
    by_maximum = [Share(with_maximum(m, k), with_maximum(m, k) - proved_by_m[m]) for m in range(v)]
    everything = [sum(in_cell(m, n, k, True) + m * in_cell(m, n, k, False) for m in range(v)) for n in range(k)]
    by_n = [Share(everything[n] - unsplit_by_n[n], everything[n] - unsplit_by_n[n] - proved_by_n[n]) for n in range(k)]
    return Losses(by_maximum, by_n, Share(sum(unsplit_by_n), sum(unsplit_by_n) - unsplit_proved))
