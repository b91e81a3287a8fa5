"""separable-relaxed, separable-exact, exact: sequences by the worst that each position can do, counted where needed."""

from __future__ import annotations

from certgen.certificate import (
    BranchArgs,
    BranchSequences,
    Certificate,
    Counts,
    SeparableArgs,
    SeparableExact,
    SeparableRelaxed,
)
from certgen.circuits import Circuits
from certgen.progress import Track
from certgen.proof import Proof
from certgen.separable import exact_correct, pair_total, relaxed_correct
from certgen.sequences import USUAL_PRECISION, Precision, count_correct, full_precision, lane_args, require_enumerable

STEPS = 256  # units into which a pair's budget is divided for counting
Pair = tuple[int, int]


def pairs_of(circuits: Circuits) -> list[Pair]:
    """All (q, m) in the order of the rules: by m, then q."""
    return [(q, m) for m in range(circuits.v) for q in range(m if circuits.k == 1 else 0, m + 1)]


def masks(circuits: Circuits, pairs: list[Pair]) -> list[int]:
    """Queries per maximum, as bit masks."""
    return [sum(1 << q for q, other in pairs if other == m) for m in range(circuits.v)]


def tally(circuits: Circuits, pairs: list[Pair], correct: dict[Pair, int]) -> Counts:
    """One region per pair."""
    return Counts(counts=[[m, 1 << q, (1 << circuits.k - (q < m)) - 1, correct[q, m]] for q, m in pairs])


def relaxed_step(circuits: Circuits, pairs: list[Pair], correct: dict[Pair, int], steps: int) -> SeparableRelaxed:
    lanes = lane_args(circuits, USUAL_PRECISION)
    args = SeparableArgs(**lanes.model_dump(), queries=masks(circuits, pairs), steps=steps)
    return SeparableRelaxed(premises=[], args=args, conclusion=tally(circuits, pairs, correct))


def separable_relaxed(circuits: Circuits, track: Track) -> Certificate:
    """At each position the wrong token that gains most there. Cost v^3 k maxima over v, and v^2 counts."""
    pairs = pairs_of(circuits)
    correct = {
        pair: relaxed_correct(circuits, *pair, USUAL_PRECISION, STEPS) for pair in track(pairs, "separable-relaxed")
    }
    proof = Proof(circuits.model, circuits.margin)
    return proof.certificate("separable-relaxed", [proof.add(relaxed_step(circuits, pairs, correct, STEPS))])


def settled_pairs(circuits: Circuits, track: Track) -> tuple[dict[Pair, int], list[Pair]]:
    """Pairs whose sequences are all correct even in the relaxed sense, and the others."""
    settled, open_pairs = {}, []
    for pair in track(pairs_of(circuits), "settled pairs"):
        total = pair_total(circuits, *pair)
        if relaxed_correct(circuits, *pair, USUAL_PRECISION, steps=1) == total:
            settled[pair] = total
        else:
            open_pairs.append(pair)
    return settled, open_pairs


def separable_exact(circuits: Circuits, track: Track) -> Certificate:
    """Each wrong token by itself, where taking them together loses anything. Cost v^4 k for those pairs."""
    settled, open_pairs = settled_pairs(circuits, track)
    correct = {
        pair: exact_correct(circuits, *pair, USUAL_PRECISION, STEPS) for pair in track(open_pairs, "wrong tokens")
    }
    proof = Proof(circuits.model, circuits.margin)
    first = proof.add(relaxed_step(circuits, list(settled), settled, steps=1))
    args = SeparableArgs(
        **lane_args(circuits, USUAL_PRECISION).model_dump(), queries=masks(circuits, open_pairs), steps=STEPS
    )
    second = proof.add(SeparableExact(premises=[], args=args, conclusion=tally(circuits, open_pairs, correct)))
    return proof.certificate("separable-exact", [first, second])


def exact(circuits: Circuits, track: Track) -> Certificate:
    """Every correct sequence counted, in bundles: only around wrong ones is a sequence looked at by itself."""
    require_enumerable(circuits)
    settled, open_pairs = settled_pairs(circuits, track)
    precision, counted = closest_counts(circuits, open_pairs, track)
    proof = Proof(circuits.model, circuits.margin)
    first = proof.add(relaxed_step(circuits, list(settled), settled, steps=1))
    args = BranchArgs(**lane_args(circuits, precision).model_dump(), queries=masks(circuits, open_pairs))
    second = proof.add(BranchSequences(premises=[], args=args, conclusion=tally(circuits, open_pairs, counted)))
    return proof.certificate("exact", [first, second])


def closest_counts(circuits: Circuits, pairs: list[Pair], track: Track) -> tuple[Precision, dict[Pair, int]]:
    """The number of correct sequences of each pair, with more precision if some are too close to tell."""
    for precision in (USUAL_PRECISION, full_precision(circuits)):
        tallies = {pair: count_correct(circuits, *pair, precision) for pair in track(pairs, "open pairs")}
        if not any(found.undecided for found in tallies.values()):
            break
    return precision, {pair: found.correct for pair, found in tallies.items()}
