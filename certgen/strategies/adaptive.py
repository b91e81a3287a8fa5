"""adaptive: refine where most sequences are won per operation of the check, until the proof is long or good enough."""

from __future__ import annotations

from fractions import Fraction
from math import inf

from certgen.certificate import BranchArgs, BranchSequences, Certificate, Counts
from certgen.circuits import Circuits
from certgen.errors import UserError
from certgen.files import read_bytes
from certgen.progress import Track
from certgen.proof import Proof
from certgen.refinement import Search, Units
from certgen.score_error import SCORE_ERRORS, ScoreStep
from certgen.separable import Maximum, SeparableSearch, mask
from certgen.sequences import USUAL_PRECISION, lane_args
from certgen.strategies.separable import counts_step
from certgen.strategies.sub_cubic import sub_cubic

USUAL_GROWTH = 3  # without a limit or a target, the proof may be so many times as long as the coarsest one
CALIBRATIONS = 6  # attempts to meet a limit, as costs are only estimated
CLOSE, SHY = 0.96, 0.98  # what share of the limit is near enough, and what share is aimed at
# Shorter than every count, weakest first: (EUPU, ATTENTION, ERROR).
SHORTER = (
    ("max-diff-exact", "drop-average-query-per-output-logit-reasoning", "exact-EQKE"),
    ("mean-query+max-diff", "drop-average-query-per-output-logit-reasoning", "exact-EQKE"),
    ("mean-query+max-diff", "mean-query+diff", "exact-EQKE"),
)


def adaptive(
    circuits: Circuits, track: Track, max_length: int | None = None, target: Fraction | None = None
) -> Certificate:
    """At most `max_length` operations (docs/length.md), and no more than needed for the bound `target`.

    With neither, three times the length of the coarsest proof; with a target alone, as long as it takes. Raises
    UserError if no proof is found that is so short or so good. Cost: seconds to minutes, mostly for counting in numpy.
    """
    step = SCORE_ERRORS["exact-EQKE"](circuits)
    search = SeparableSearch(circuits, step.conclusion)
    units = [Units(Maximum(search, m)) for m in range(circuits.v)]
    needed = circuits.v**circuits.k if target is None else -(-(circuits.v**circuits.k) * target // 1)
    coarsest = Search(units)
    certificate = written(circuits, step, coarsest)
    length = measured(circuits, certificate)
    if max_length is not None and length > max_length:
        return shorter(circuits, track, max_length, needed, target is not None)
    if max_length is None and target is None:
        max_length = USUAL_GROWTH * length
    start = coarsest.stage.cost
    limit = inf if max_length is None else start + max_length - length
    for _ in range(CALIBRATIONS):
        refined = Search(units)
        refine(refined, limit, needed, track)
        found = written(circuits, step, refined)
        if max_length is None:
            certificate = found
            break
        reached = measured(circuits, found)
        if reached <= max_length:
            certificate = max(certificate, found, key=lambda proof: proof.predicate.claim.correct)
            if reached > CLOSE * max_length or not refined.limited:
                break
        # costs are estimates, off by about the same factor each time; what was tried is remembered
        limit = start + (limit - start) * min(SHY * (max_length - length) / max(reached - length, 1), 2)
    return required(certificate, needed, target is not None)


def measured(circuits: Circuits, certificate: Certificate) -> int:
    """The length of the proof. Only measuring needs the checker, so it is not loaded before."""
    from certgen.length import length_of

    return length_of(read_bytes(circuits.model.path), certificate.to_bytes()).total


def refine(search: Search, limit: float, needed: int, track: Track) -> None:
    """Refine until the cost exceeds the limit, enough is proved, or nothing is left to win; never above the limit."""
    start = search.stage
    for percent in track(range(1, 101), "adaptive"):
        goal = start.correct + (needed - start.correct) * percent // 100
        while search.stage.correct < goal and search.refine(limit):
            pass


def written(circuits: Circuits, step: ScoreStep, search: Search) -> Certificate:
    """The certificate of the units as they are."""
    proof = Proof(circuits.model, circuits.margin)
    outcomes = search.outcomes()
    counted = [(units.plan(unit), list(found.correct)) for units, unit, found in outcomes if not unit.branched]
    tallies = [counts_step(proof, circuits, proof.add(step), counted)] if counted else []
    branched = [(unit, found) for _, unit, found in outcomes if unit.branched]
    if branched:
        queries = [mask([unit.queries[0] for unit, _ in branched if unit.m == m]) for m in range(circuits.v)]
        args = BranchArgs(**lane_args(circuits, USUAL_PRECISION).model_dump(), queries=queries)
        counts = [
            [
                unit.m,
                mask(unit.queries),
                (1 << circuits.k - (unit.queries[0] < unit.m)) - 1,
                *found.correct,
                found.wrong,
            ]
            for unit, found in branched
        ]
        tallies.append(proof.add(BranchSequences(premises=[], args=args, conclusion=Counts(counts=counts))))
    return proof.certificate("adaptive", tallies)


def shorter(circuits: Circuits, track: Track, max_length: int, needed: int, demanded: bool) -> Certificate:
    """A sub-cubic proof within the limit."""
    for direct, attention, error in SHORTER:
        certificate = sub_cubic(circuits, track, direct, attention, error)
        if measured(circuits, certificate) <= max_length:
            return required(certificate, needed, demanded)
    raise UserError(f"no proof of at most {max_length} operations was found", "raise --max-length")


def required(certificate: Certificate, needed: int, demanded: bool) -> Certificate:
    """The certificate, if it proves enough."""
    claim = certificate.predicate.claim
    if demanded and claim.correct < needed:
        reached = f"only {claim.correct}/{claim.total} could be proved, less than --target"
        raise UserError(reached, "lower --target, raise --max-length, or try --strategy exact")
    return certificate
