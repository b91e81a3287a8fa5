"""brute-force: every sequence evaluated. The certificate is short, checking it is not."""

from __future__ import annotations

from certgen.certificate import Certificate, Counts, EnumerateSequences
from certgen.circuits import Circuits
from certgen.progress import Track
from certgen.proof import Proof
from certgen.sequences import USUAL_PRECISION, count_correct, full_precision, lane_args, require_enumerable


def brute_force(circuits: Circuits, track: Track) -> Certificate:
    """Count the correct sequences of every pair (q, m); more precision if some are too close to tell.

    Cost up to v^k evaluations of v logits, in numpy.
    """
    v, k = circuits.v, circuits.k
    require_enumerable(circuits)
    pairs = [(q, m) for m in range(v) for q in range(m if k == 1 else 0, m + 1)]
    precision = USUAL_PRECISION
    tallies = [count_correct(circuits, q, m, precision) for q, m in track(pairs, "brute-force")]
    if any(tally.undecided for tally in tallies):
        precision = full_precision(circuits)
        tallies = [count_correct(circuits, q, m, precision) for q, m in track(pairs, "closer")]
    counts = [
        [m, 1 << q, (1 << k - (q < m)) - 1, tally.correct, 0] for (q, m), tally in zip(pairs, tallies, strict=True)
    ]
    args = lane_args(circuits, precision)
    proof = Proof(circuits.model, circuits.margin)
    step = proof.add(EnumerateSequences(premises=[], args=args, conclusion=Counts(counts=counts)))
    return proof.certificate("brute-force", [step])
