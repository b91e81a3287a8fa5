"""two-sided: bounds on the accuracy from below and from above, each pair counted as finely as it is worth."""

from __future__ import annotations

from certgen.bounds.scores import SCORE_ERRORS
from certgen.certificate.arguments import Block, GroupArgs
from certgen.certificate.facts import Tally
from certgen.certificate.proof import Proof
from certgen.certificate.statement import Certificate
from certgen.certificate.steps import infer
from certgen.counts.cells import pairs_of
from certgen.counts.gains import SeparableSearch
from certgen.counts.maxima import Maxima, Written
from certgen.counts.numerators import Precision
from certgen.counts.two_sided import FINEST, Fineness, Search
from certgen.models.circuits import Circuits
from certgen.processes import Processes
from certgen.progress import Track
from certgen.strategies.separable import branch_step, closest_counts

OF_A_STEP = 1 << 22  # a second or two of the check
MOST_STEPS = 8
PRECISION = Precision(weight_bits=40, value_bits=40)  # parts without the most attended tokens have small weights


def two_sided(circuits: Circuits, track: Track, jobs: int = 1) -> Certificate:
    """Cost v^3 k, and a few counts per pair in which anything may be wrong; in `jobs` processes."""
    return pair_by_pair(circuits, track, "two-sided", FINEST, both=True, jobs=jobs)


def pair_by_pair(
    circuits: Circuits, track: Track, name: str, fineness: Fineness, both: bool, jobs: int = 1
) -> Certificate:
    """From above only, if not `both`."""
    proof = Proof(circuits.model, circuits.margin)
    if 1 in (circuits.v, circuits.k):  # a handful of sequences, and nothing that could be split
        pairs = list(pairs_of(circuits.v, circuits.k))
        return proof.certificate(name, [branch_step(proof, circuits, *closest_counts(circuits, pairs, track))])
    step = SCORE_ERRORS["exact-EQKE"](circuits)
    scores = SeparableSearch(circuits, step.conclusion, PRECISION)
    with Processes(jobs, Maxima(scores, fineness.steps, both)) as processes:
        written = Search(processes, track, fineness.ladder).written()
    premises, args, found = [proof.add(step)], scores.args().model_dump(), []
    for of_step in in_steps(written, circuits.k):
        own = GroupArgs(**args, groups=[one.group for one in of_step])
        counts = [row for one in of_step for row in one.counts]
        found.append(proof.add(infer("separable_counts", Tally(counts=counts), own, premises)))
    return proof.certificate(name, found)


def in_steps(written: list[Written], k: int) -> list[list[Written]]:
    """In order, for steps of about equal work: check-cert --jobs looks at these side by side. A short proof stays in
    one step, as each step makes tables of its own."""
    work = [(group.m + 1) * k * sum(map(of_block, group.blocks)) for group, _ in written]
    number = min(sum(work) // OF_A_STEP + 1, MOST_STEPS)
    steps: list[list[Written]] = [[] for _ in range(number)]
    done = 0
    for one, size in zip(written, work, strict=True):
        steps[done * number // sum(work)].append(one)
        done += size
    return [step for step in steps if step]


def of_block(block: Block) -> int:
    """About what it takes for each position and token: a table, wrong tokens of its own, and what is counted."""
    members = sum([tokens.bit_count() for tokens, *_ in block.classes])
    return 1 + members // 10 + 2 * sum([len(part.above) + len(part.below) for part in block.parts])
