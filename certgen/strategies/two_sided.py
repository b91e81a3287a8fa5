"""two-sided: bounds on the accuracy from below and from above, each pair counted as finely as it is worth."""

from __future__ import annotations

from certgen.bounds.scores import SCORE_ERRORS
from certgen.certificate.arguments import GroupArgs
from certgen.certificate.facts import Tally
from certgen.certificate.proof import Proof
from certgen.certificate.statement import Certificate
from certgen.certificate.steps import infer
from certgen.counts.cells import pairs_of
from certgen.counts.gains import SeparableSearch
from certgen.counts.numerators import Precision
from certgen.counts.two_sided import FINEST, Fineness, Search
from certgen.models.circuits import Circuits
from certgen.progress import Track
from certgen.strategies.separable import branch_step, closest_counts

PRECISION = Precision(weight_bits=40, value_bits=40)  # parts without the most attended tokens have small weights


def two_sided(circuits: Circuits, track: Track) -> Certificate:
    """Cost v^3 k, and a few counts per pair in which anything may be wrong."""
    return pair_by_pair(circuits, track, "two-sided", FINEST, both=True)


def pair_by_pair(circuits: Circuits, track: Track, name: str, fineness: Fineness, both: bool) -> Certificate:
    """From above only, if not `both`."""
    proof = Proof(circuits.model, circuits.margin)
    if 1 in (circuits.v, circuits.k):  # a handful of sequences, and nothing that could be split
        pairs = list(pairs_of(circuits.v, circuits.k))
        return proof.certificate(name, [branch_step(proof, circuits, *closest_counts(circuits, pairs, track))])
    step = SCORE_ERRORS["exact-EQKE"](circuits)
    scores = SeparableSearch(circuits, step.conclusion, PRECISION)
    search = Search(scores, track, fineness, both)
    args = GroupArgs(**scores.args().model_dump(), groups=search.groups())
    found = proof.add(infer("separable_counts", Tally(counts=search.counts), args, [proof.add(step)]))
    return proof.certificate(name, [found])
