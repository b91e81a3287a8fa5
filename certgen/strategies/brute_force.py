"""brute-force: every sequence evaluated. The certificate is short, checking it is not."""

from __future__ import annotations

from certgen.certificate.facts import Tally
from certgen.certificate.proof import Proof
from certgen.certificate.statement import Certificate
from certgen.certificate.steps import infer
from certgen.counts.branching import count_correct, require_enumerable
from certgen.counts.cells import cells_of_pair, pairs_of
from certgen.counts.numerators import DEFAULT_PRECISION, full_precision, lane_args
from certgen.models.circuits import Circuits
from certgen.progress import Track


def brute_force(circuits: Circuits, track: Track) -> Certificate:
    """Count the correct sequences of every pair (q, m); more precision if some are too close to tell.

    Cost up to v^k evaluations of v logits, in numpy.
    """
    v, k = circuits.v, circuits.k
    require_enumerable(circuits)
    pairs = list(pairs_of(v, k))
    precision = DEFAULT_PRECISION
    tallies = [count_correct(circuits, q, m, precision) for q, m in track(pairs, "brute-force")]
    if any(tally.undecided for tally in tallies):
        precision = full_precision(circuits)
        tallies = [count_correct(circuits, q, m, precision) for q, m in track(pairs, "closer")]
    counts = [
        [m, 1 << q, cells_of_pair(k, q, m), tally.correct, 0] for (q, m), tally in zip(pairs, tallies, strict=True)
    ]
    args = lane_args(circuits, precision)
    proof = Proof(circuits.model, circuits.margin)
    step = proof.add(infer("enumerate_sequences", Tally(counts=counts), args))
    return proof.certificate("brute-force", [step])
