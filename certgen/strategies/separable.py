"""The separable strategies: sequences by the worst that each position can do, counted instead of enumerated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from certgen.bounds.scores import SCORE_ERRORS
from certgen.certificate.arguments import BranchArgs, Group, GroupArgs
from certgen.certificate.facts import Tally
from certgen.certificate.proof import Proof
from certgen.certificate.statement import Certificate
from certgen.certificate.steps import infer
from certgen.counts.branching import count_correct, require_enumerable
from certgen.counts.cells import any_cell, cells_of_pair, sequences_of_pair
from certgen.counts.gains import Maximum, SeparableSearch
from certgen.counts.groups import Members, Plan
from certgen.counts.numerators import DEFAULT_PRECISION, Precision, full_precision, lane_args
from certgen.counts.polynomials import PRECISION
from certgen.models.circuits import Circuits
from certgen.progress import Track

STEPS = 256  # units into which the allowance is divided for counting
BLOCK_STEPS = 128  # the same for blocks of queries, whose bounds are coarser
ROUGH_STEPS = 64  # and for approximate scores
Planned = tuple[Group, list[int]]  # what is counted together, and the correct sequences of each of its blocks


def counts_step(proof: Proof, circuits: Circuits, scores: int, plans: Sequence[Planned]) -> int:
    """The step that counts by these plans; `scores` is the number of the step that bounds the scores."""
    counts = [
        [group.m, block.queries, any_cell(circuits.k), found, 0]
        for group, correct in plans
        for block, found in zip(group.blocks, correct, strict=True)
    ]
    args = GroupArgs(**lane_args(circuits, PRECISION).model_dump(), groups=[group for group, _ in plans])
    return proof.add(infer("separable_counts", Tally(counts=counts), args, [scores]))


def others(circuits: Circuits, m: int) -> tuple[list[int], ...]:
    """All wrong tokens in one class; no class if there are none."""
    return ([y for y in range(circuits.v) if y != m],) if circuits.v > 1 else ()


def apart(circuits: Circuits) -> tuple[list[int], ...]:
    """Each position but the last by itself."""
    return tuple([p] for p in range(circuits.k - 1))


def together(circuits: Circuits) -> tuple[range, ...]:
    """All positions but the last in one pool."""
    return (range(circuits.k - 1),) if circuits.k > 1 else ()


def prove_by(
    circuits: Circuits, track: Track, name: str, error: str, plans_of: Callable[[Maximum], list[Planned]]
) -> Certificate:
    """One count per block of each maximum's plans."""
    proof = Proof(circuits.model, circuits.margin)
    step = SCORE_ERRORS[error](circuits)
    search = SeparableSearch(circuits, step.conclusion)
    plans = [plan for m in track(range(circuits.v), name) for plan in plans_of(Maximum(search, m))]
    return proof.certificate(name, [counts_step(proof, circuits, proof.add(step), plans)])


def separable_by_max(
    circuits: Circuits, track: Track, error: str = "exact-EQKE", blocks: int = 1, gauged: bool = False
) -> Certificate:
    """Queries pessimised too: one count per maximum and block of neighbouring queries. Cost v^3 k.

    If `gauged`, wrong tokens have factors that make alike what they lose where a position holds m. With approximate
    scores the positions are pooled: no finer than what the scores are known to.
    """
    exact_scores = error == "exact-EQKE"
    positions, steps = (apart(circuits), BLOCK_STEPS) if exact_scores else (together(circuits), ROUGH_STEPS)
    shared = "/gauged" if gauged else f"/{blocks}-blocks" if blocks > 1 else ""
    name = "separable-by-max" + shared + ("" if exact_scores else f"/{error}")

    def plans(maximum: Maximum) -> list[Planned]:
        m = maximum.m
        cuts = [(m + 1) * i // blocks for i in range(blocks + 1)]
        parts = tuple([range(a, b) for a, b in pairwise(cuts) if a < b])
        plan = Plan(m, steps, others(circuits, m), parts, positions, gauged=gauged)
        return [(maximum.group(plan), maximum.correct(plan))]

    return prove_by(circuits, track, name, error, plans)


def separable_relaxed(circuits: Circuits, track: Track) -> Certificate:
    """At each position the wrong token that gains most there, query by query. Cost v^3 k maxima over v."""

    def plans(maximum: Maximum) -> list[Planned]:
        m = maximum.m
        plans = [Plan(m, STEPS, others(circuits, m), ([q],), apart(circuits)) for q in range(m + 1)]
        return [(maximum.group(plan), maximum.correct(plan)) for plan in plans]

    return prove_by(circuits, track, "separable-relaxed", "exact-EQKE", plans)


def by_token(maximum: Maximum, queries: Members, steps: int) -> Planned:
    """Each query by itself, each wrong token that reaches m for one of them by itself, the others in classes that never
    do."""
    circuits, blocks = maximum.search.circuits, tuple([q] for q in queries)
    wrong = [y for y in range(circuits.v) if y != maximum.m]
    classes = maximum.classes_that_stay_behind(wrong, blocks, apart(circuits))
    plan = Plan(maximum.m, steps, tuple(classes), blocks, apart(circuits))
    return maximum.group(plan), maximum.correct(plan)


def separable_exact(circuits: Circuits, track: Track) -> Certificate:
    """Each wrong token by itself where it can reach the maximum. Cost v^3 k, and v^2 k for each such token."""

    def plans(maximum: Maximum) -> list[Planned]:
        return [by_token(maximum, range(maximum.m + 1), STEPS)]

    return prove_by(circuits, track, "separable-exact", "exact-EQKE", plans)


def exact(circuits: Circuits, track: Track) -> Certificate:
    """Every correct sequence counted, in bundles: only around wrong ones is a sequence looked at by itself."""
    require_enumerable(circuits)
    proof = Proof(circuits.model, circuits.margin)
    step = SCORE_ERRORS["exact-EQKE"](circuits)
    search = SeparableSearch(circuits, step.conclusion)
    clear: list[Planned] = []
    pairs: list[tuple[int, int]] = []
    for m in track(range(circuits.v), "settled pairs"):
        maximum = Maximum(search, m)
        _, correct = by_token(maximum, range(m + 1), 1)
        settled = [q for q, found in enumerate(correct) if found == sequences_of_pair(circuits.k, q, m)]
        if settled:
            clear.append(by_token(maximum, settled, 1))
        pairs += [(q, m) for q in range(m + 1) if q not in settled]
    first = counts_step(proof, circuits, proof.add(step), clear)
    return proof.certificate("exact", [first, branch_step(proof, circuits, *closest_counts(circuits, pairs, track))])


def branch_step(proof: Proof, circuits: Circuits, precision: Precision, counts: list[list[int]]) -> int:
    """The step that follows sequences as far as they are not settled; each count is about a pair."""
    queries = [sum(row[1] for row in counts if row[0] == m) for m in range(circuits.v)]
    args = BranchArgs(**lane_args(circuits, precision).model_dump(), queries=queries)
    return proof.add(infer("branch_sequences", Tally(counts=counts), args))


def closest_counts(circuits: Circuits, pairs: list[tuple[int, int]], track: Track) -> tuple[Precision, list[list[int]]]:
    """Regions with their correct and wrong sequences, with more precision if some are too close to tell."""
    for precision in (DEFAULT_PRECISION, full_precision(circuits)):
        tallies = [count_correct(circuits, *pair, precision) for pair in track(pairs, "open pairs")]
        if not any(found.undecided for found in tallies):
            break
    counts = [
        [m, 1 << q, cells_of_pair(circuits.k, q, m), found.correct, found.wrong]
        for (q, m), found in zip(pairs, tallies, strict=True)
    ]
    return precision, counts
