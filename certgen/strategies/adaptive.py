"""adaptive: start coarse and refine where an operation of the check proves most, until long or good enough."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from math import inf
from typing import NamedTuple

from certgen.bounds.scores import SCORE_ERRORS, ScoreStep
from certgen.certificate.proof import Proof
from certgen.certificate.statement import Certificate
from certgen.counts.branching import MOST_SEQUENCES
from certgen.counts.cells import cells_of_pair, mask
from certgen.counts.costs import of_tables
from certgen.counts.gains import Maximum, SeparableSearch
from certgen.counts.numerators import DEFAULT_PRECISION
from certgen.counts.refinement import FEW_SEQUENCES, Search, Stage
from certgen.counts.two_sided import FINEST, LEVELS, usual
from certgen.counts.units import Branched, Counted, UnitsOfMaximum
from certgen.decimals import at_least
from certgen.errors import UserError
from certgen.models.circuits import Circuits
from certgen.progress import Track
from certgen.strategies.separable import branch_step, counts_step
from certgen.strategies.sub_cubic import sub_cubic
from certgen.strategies.two_sided import pair_by_pair

ATTEMPTS = 8  # to find the last stage within a limit, where expected and measured lengths are far apart
FURTHER = "lower the target, allow a longer proof, or try the strategy exact"
LONG, CLOSE = 1 << 20, 0.9  # long proofs take seconds to measure; then this share of the limit is near enough
NEARLY = 2  # up to this multiple of the coarsest count, a sub-cubic proof may be better: (EUPU, ATTENTION, ERROR)
SHORTER = (
    ("max-diff-exact", "drop-average-query-per-output-logit-reasoning", "exact-EQKE"),
    ("mean-query+max-diff", "drop-average-query-per-output-logit-reasoning", "exact-EQKE"),
    ("mean-query+max-diff", "mean-query+diff", "exact-EQKE"),
)


def adaptive(
    circuits: Circuits,
    track: Track,
    max_length: int | None = None,
    target: Fraction | None = None,
    both: bool = False,
    jobs: int = 1,
) -> Certificate:
    """At most `max_length` operations (docs/length.md), and no more than needed for the bound `target`.

    With neither, pair by pair until little is left to win, with a bound from above as well if `both`; with a target
    alone, as long as it takes. Pairs are counted by `jobs` processes. Raises UserError if no proof is found that is so
    short or so good. Cost: seconds to minutes, mostly for counting in numpy.
    """
    sequences = circuits.v**circuits.k
    needed = sequences if target is None else -(-sequences * target // 1)
    if max_length is None and target is None and sequences > FEW_SEQUENCES:  # fewer are all followed, and so settled
        return pair_by_pair(circuits, track, "adaptive", FINEST if both else usual(circuits.k), both, jobs)
    demanded = target is not None
    if sequences <= MOST_SEQUENCES:
        return unit_by_unit(circuits, track, max_length, needed, demanded)
    if max_length is None:  # refining takes minutes
        level = first_level(circuits, track, needed, jobs)
        return level or unit_by_unit(circuits, track, None, needed, demanded)
    found = finest_level(circuits, track, max_length, needed, jobs)
    if found is None:
        return unit_by_unit(circuits, track, max_length, needed, demanded)
    if found.predicate.claim.correct < needed:
        with suppress(UserError):  # it may be longer at its coarsest
            refined = unit_by_unit(circuits, track, max_length, needed, False)
            found = max(found, refined, key=lambda certificate: certificate.predicate.claim.correct)
    return required(found, needed, demanded)


def first_level(circuits: Circuits, track: Track, needed: int, jobs: int) -> Certificate | None:
    """Pair by pair, at the first level that proves enough; None if none does, or the coarsest: then less will do."""
    for level in LEVELS:
        certificate = pair_by_pair(circuits, track, "adaptive", level, both=False, jobs=jobs)
        if certificate.predicate.claim.correct >= needed:
            return None if level == LEVELS[0] else certificate
    return None


def finest_level(circuits: Circuits, track: Track, max_length: int, needed: int, jobs: int) -> Certificate | None:
    """Pair by pair, at the finest level within this length, or one that proves enough; None if all are too long."""
    best, first, last = None, 0, len(LEVELS)
    while first < last:
        middle = (first + last) // 2
        certificate = pair_by_pair(circuits, track, "adaptive", LEVELS[middle], both=False, jobs=jobs)
        if measured(circuits, certificate) > max_length:
            last = middle
        else:
            best, first = certificate, middle + 1
            if certificate.predicate.claim.correct >= needed:
                break
    return best


def unit_by_unit(circuits: Circuits, track: Track, max_length: int | None, needed: int, demanded: bool) -> Certificate:
    """Start with one count for each maximum, and refine where an operation of the check proves most."""
    step = SCORE_ERRORS["exact-EQKE"](circuits)
    scores = SeparableSearch(circuits, step.conclusion)
    search = Search([UnitsOfMaximum(Maximum(scores, m)) for m in range(circuits.v)])
    tables = of_tables(circuits, branched=False), of_tables(circuits, branched=True)
    proofs = Proofs(circuits, step, search, track, needed, tables)
    if max_length is None:
        return required(proofs.certificate(proofs.furthest()), needed, demanded)
    best = proofs.furthest_within(max_length)
    if best is None or max_length < NEARLY * proofs.expected(0):
        return required(no_longer(proofs, best, max_length), needed, demanded)
    return required(proofs.certificate(best), needed, demanded)


class Proofs(NamedTuple):
    """The proofs of the stages of a search, which goes on as far as asked, but no further than `needed` sequences.

    `tables` are the costs of what all stages share: without, and with branched queries.
    """

    circuits: Circuits
    step: ScoreStep
    search: Search
    track: Track
    needed: int
    tables: tuple[float, float]

    def certificate(self, number: int) -> Certificate:
        return written(self.circuits, self.step, self.search.stages[number])

    def expected(self, number: int) -> float:
        """About how long the proof is; to measure that takes longer than to check it."""
        stage = self.search.stages[number]
        return stage.cost + self.tables[any(isinstance(unit, Branched) for unit in stage.chosen)]

    def last_within(self, limit: float) -> int:
        """The last stage that is expected to be within the limit, after refining up to it; 0 if none is."""
        start = self.search.stages[-1].correct
        for percent in self.track(range(1, 101), "adaptive"):
            goal = start + (self.needed - start) * percent // 100
            while self.search.stages[-1].correct < goal and self.expected(-1) <= limit and self.search.refine():
                pass
        return max([number for number in range(len(self.search.stages)) if self.expected(number) <= limit], default=0)

    def furthest(self) -> int:
        """The number of the last stage, or of an earlier one that proves as much and is no longer."""
        number = self.last_within(inf)
        first = self.first_as_good(number)
        return first if self.expected(first) <= self.expected(number) else number

    def furthest_within(self, max_length: int) -> int | None:
        """The number of the last stage with a proof of at most `max_length`, or nearly the last; None if there is none.

        Where the first one measured is close to the limit, it is the only one.
        """
        limit: float = max_length
        fits, exceeds = -1, 1 << 62
        for _ in range(ATTEMPTS):
            expected = self.last_within(limit)
            if len(self.search.stages) == fits + 1 or exceeds == fits + 1:
                break
            number = min(max(expected, fits + 1), exceeds - 1)
            length = self.length(number)
            if length > max_length:
                exceeds = number
            else:
                fits = number
                if max_length > LONG and length > CLOSE * max_length:
                    break
            # expectations are off by about the same factor at neighbouring stages
            limit = self.expected(number) * min(max_length / length, 2)
        if fits < 0:
            return 0 if exceeds and self.length(0) <= max_length else None
        first = self.first_as_good(fits)
        return first if first == fits or self.length(first) <= max_length else fits

    def first_as_good(self, number: int) -> int:
        """The first stage that proves as much: the last ones may have led nowhere."""
        claim = self.certificate(number).predicate.claim
        if claim.exact:
            return number
        return next(i for i, stage in enumerate(self.search.stages) if stage.correct == claim.correct)

    def length(self, number: int) -> int:
        """What it really is."""
        return measured(self.circuits, self.certificate(number))


def measured(circuits: Circuits, certificate: Certificate) -> int:
    """The length of the proof. Only measuring needs the checker, so it is not loaded before."""
    from certgen.length import length_of

    return length_of(circuits.model.file_bytes, certificate.to_bytes()).total


def written(circuits: Circuits, step: ScoreStep, stage: Stage) -> Certificate:
    """The certificate of the units as they are."""
    proof = Proof(circuits.model, circuits.margin)
    outcomes = stage.outcomes()
    counted = [
        (units.maximum.group(units.plan(unit)), list(found.correct))
        for units, unit, found in outcomes
        if isinstance(unit, Counted)
    ]
    tallies = [counts_step(proof, circuits, proof.add(step), counted)] if counted else []
    branched = [(unit, found) for _, unit, found in outcomes if isinstance(unit, Branched)]
    if branched:
        counts = [
            [unit.m, mask(unit.queries), cells_of_pair(circuits.k, unit.query, unit.m), *found.correct, found.wrong]
            for unit, found in branched
        ]
        tallies.append(branch_step(proof, circuits, DEFAULT_PRECISION, counts))
    return proof.certificate("adaptive", tallies)


def no_longer(proofs: Proofs, best: int | None, max_length: int) -> Certificate:
    """The proof of stage `best`, or a sub-cubic proof within the limit that proves more."""
    found = [sub_cubic(proofs.circuits, proofs.track, *names) for names in SHORTER]
    found += [] if best is None else [proofs.certificate(best)]
    for certificate in sorted(found, key=lambda proof: -proof.predicate.claim.correct):
        if measured(proofs.circuits, certificate) <= max_length:
            return certificate
    raise UserError(f"no proof of at most {max_length} operations was found", "allow a longer one")


def required(certificate: Certificate, needed: int, demanded: bool, hint: str = FURTHER) -> Certificate:
    """The certificate, if it proves enough; `hint` is what to try if it may be possible to prove more."""
    claim = certificate.predicate.claim
    if demanded and claim.correct < needed:
        possible = claim.total - claim.wrong
        if possible < needed:
            relation = "" if claim.correct == possible else "at most "
            message = f"the target is out of reach: the accuracy itself is {relation}{fraction(possible, claim.total)}"
            raise UserError(message, f"choose a target of {possible}/{claim.total} or less")
        reached = f"only {fraction(claim.correct, claim.total)} could be proved, less than the target"
        raise UserError(reached, hint)
    return certificate


def fraction(part: int, whole: int) -> str:
    """With its decimals rounded down, as in a verdict."""
    return f"{part}/{whole} ({at_least(Fraction(part, whole), 5)})"
