"""From a model to a certificate."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from numbers import Integral, Rational
from typing import TypeAlias

from certgen.bounds.float32 import float32_gap, why_not_float32
from certgen.certificate.float32 import in_float32
from certgen.certificate.profile import composed
from certgen.certificate.proof import require_expressible
from certgen.certificate.statement import EXACT, FLOAT32, Certificate, Semantics
from certgen.counts.evaluation import Question, evaluate_pieces
from certgen.counts.work import UNASKED, evaluation_work, region_work
from certgen.decimals import at_least, at_most
from certgen.errors import UserError, did_you_mean
from certgen.models.circuits import Circuits
from certgen.models.model_file import MAX_DIGITS, Model, load_model
from certgen.problem import MaxOfK, Problem, load_problem, max_of_k
from certgen.progress import Tell, Track, quiet, silent
from certgen.regions.tables import require_one_layer, why_not
from certgen.strategies import STRATEGIES
from certgen.strategies.adaptive import adaptive
from certgen.strategies.brute_force import MOST_WORK, Search, evaluate_all, require_affordable
from certgen.strategies.by_regions import by_settling, by_splitting
from certgen.strategies.memory import (
    USUAL,
    needed_memory,
    option,
    read_memory,
    require_memory,
    said_duration,
    size,
    worthwhile_jobs,
)
from certgen.strategies.two_sided import two_sided

QUICK = 1 << 20  # thousands of multiply-adds: so few inputs are evaluated one by one, in seconds
SMALL = "separable-by-max/gauged"  # for max-of-k where adaptive takes too much memory
NEXT_MARGIN = -4  # below margins that are not negative; then twice as low again and again
LOWEST_MARGIN = -(1 << 16)

Number: TypeAlias = Fraction | Decimal | str | float
AnyProblem: TypeAlias = Problem | MaxOfK | str | os.PathLike[str]


def prove(
    model: Model | str | os.PathLike[str],
    strategy: str | None = None,
    *,
    problem: AnyProblem | None = None,
    margin: Number = 0,
    margins: Iterable[Number] = (),
    semantics: str = EXACT,
    max_length: int | None = None,
    target: Number | None = None,
    both: bool = False,
    memory: int | str | None = None,
    jobs: int = 1,
    track: Track = quiet,
    search: Search = evaluate_pieces,
    tell: Tell = silent,
) -> Certificate:
    """A certificate of a lower bound on the inputs answered correctly, by more than `margin` (in logits).

    `model` comes from `load_model`, or is the path of a model file. `problem` is what it is asked, from `load_problem`
    or the path of a problem file: max-of-k unless given. `margin` is an exact number: a Fraction, an integer, or text
    such as 1/8 or 0.125. With `margins` the same is proved at each of them, and at lower ones than all of them, down to
    one where every input is correct; the mean cross entropy then has an upper bound, too. They may be negative: -2
    counts the inputs in which no wrong output is ahead by 2. With the `semantics` exact-real the claim is about
    real numbers, with float32-any-order about every program that computes the model in float32. Without a
    `strategy` it is adaptive for every model with one attention layer, unless its inputs are few, and else
    brute-force, which is for every model and problem. `target` (a bound on the accuracy, from 0 to 1) is for the
    strategy adaptive; so is `max_length` (operations of the check, as `certgen length` measures them), and `both`
    (bounds from below and from above), for max-of-k by one layer with one head. `memory` is how much the search may
    take, in bytes or as text such as 2GB: without a `strategy` one is chosen that takes no more, and what takes
    more is refused before it begins. The search of adaptive and two-sided, for such models, is shared by `jobs`
    processes, or by fewer where these would take more memory; what is found is the same. `track` shows the progress
    of the search; `tell` hears what was chosen, how the bound grew, where regions are split, and what is proved at
    each of several margins; `search` is how brute-force gets at all inputs, one after another by default. The
    certificate is a claim until the checker has verified it. Raises UserError for a strategy that is unknown or not
    for this model and problem, a margin or target that makes no sense, or a proof too large for the strategy, and
    TypeError for an argument of a wrong type.
    The cost is the strategy's, at each margin; see `certgen strategies`.
    """
    if not isinstance(model, Model | str | os.PathLike):
        raise wrong_type("model", "a Model from load_model(), or the path of a model file", model)
    if strategy is not None and not isinstance(strategy, str):
        raise wrong_type("strategy", "a name such as 'adaptive'", strategy)
    if problem is not None and not isinstance(problem, Problem | MaxOfK | str | os.PathLike):
        raise wrong_type("problem", "a problem from load_problem(), or the path of a problem file", problem)
    if max_length is not None and not isinstance(max_length, Integral):
        raise wrong_type("max_length", "a number of operations, an int", max_length)
    if memory is not None and not isinstance(memory, Integral | str):
        raise wrong_type("memory", "a number of bytes, or text such as 2GB", memory)
    if not isinstance(jobs, Integral):
        raise wrong_type("jobs", "a number of processes, an int", jobs)
    if jobs < 1:
        raise UserError(f"a search by {jobs} processes is none", "choose 1 or more")
    limit = None if memory is None else read_memory(memory)
    exact_margin = read_margin(margin)
    ladder = [read_number(each, "margin") for each in margins]
    exact_target = None if target is None else read_target(target)
    read_semantics(semantics)
    if semantics == FLOAT32 and ladder:
        reason = "the accuracy at several margins, and the mean loss, are proved of real numbers only"
        raise UserError(reason, "leave the margins out, or the semantics")
    if strategy is not None and strategy not in STRATEGIES:
        hint = did_you_mean(strategy, STRATEGIES, "certgen strategies")
        raise UserError(f"there is no strategy {strategy!r}", hint)
    if strategy not in ("adaptive", None) and (max_length is not None or target is not None or both):
        raise UserError(
            f"the strategy {strategy} has no length or target to choose, nor both bounds",
            "the strategy adaptive has them",
        )
    question = ask(model, problem, exact_margin)
    require_expressible(question.model, question.task)
    require_applicable(question, strategy)
    float32 = semantics == FLOAT32
    chosen = strategy or default_strategy(question, demanding=target is not None, float32=float32)
    if max_length is not None and not question.is_classic:
        raise UserError(f"no length can be chosen for {given(question)}", "leave it out")
    if both and (not question.is_classic or max_length is not None or target is not None):
        reason = "both bounds are proved of max-of-k by one layer with one head, without a length or a target"
        raise UserError(reason, "leave out one or the other")
    if target is not None and chosen == "brute-force":
        raise UserError(f"{why_brute_force(question, float32)}; it has no target to choose", "leave it out")
    if ladder and (max_length is not None or target is not None):
        raise UserError("a length or a target is for one margin", "leave it out, or the other margins")
    refined = max_length is not None or target is not None
    limit = limit or (USUAL if strategy is None and question.is_classic else None)
    if strategy is None and question.is_classic and not (both or refined):
        chosen = what_fits(question, limit or USUAL, tell)
    else:
        mind_memory(question, chosen, limit, refined)
    processes = worthwhile_jobs(question, chosen, limit, int(jobs), refined)
    if line := said_duration(question, chosen):
        tell(line)
    if strategy is None and chosen == "brute-force":
        require_default(question, float32)
    if float32 and chosen == "brute-force":
        return evaluate_all(question, track, search, float32=True).about(question.task.json)
    room = float32_gap(question) if float32 else Fraction(0)

    def at(margin: Fraction) -> Certificate:
        asked = replace(question, margin=margin)
        if chosen == "adaptive" and asked.is_classic:
            length = None if max_length is None else int(max_length)
            return adaptive(Circuits(asked.model, margin), track, length, exact_target, both, processes)
        if chosen == "adaptive":
            return by_splitting(asked, track, exact_target, tell)
        if chosen == "two-sided":
            return two_sided(Circuits(asked.model, margin), track, processes)
        if chosen == "brute-force" and not asked.is_classic:
            return evaluate_all(asked, track, search)
        return STRATEGIES[chosen].prove(asked, track)

    certificate = at(exact_margin + room)
    if float32:
        tell(f"Float32 arithmetic may move a difference of logits by {at_most(room, 5)}: so much more is proved")
        below = at(exact_margin - room) if certificate.predicate.claim.wrong else None
        certificate = in_float32(exact_margin, certificate, below)
    if ladder:

        def coarsely(margin: Fraction) -> Certificate | None:
            if why_not(question):
                return None
            with suppress(UserError):  # too few bits
                return by_settling(replace(question, margin=margin), track)
            return None

        proofs = down_to_all([exact_margin, *ladder], certificate, at, coarsely, tell)
        certificate = composed(proofs, question.model.d_vocab_out)
    return certificate.about(question.task.json)


def down_to_all(
    margins: list[Fraction],
    first: Certificate,
    at: Callable[[Fraction], Certificate],
    coarsely: Callable[[Fraction], Certificate | None],
    tell: Tell,
) -> list[Certificate]:
    """Proofs at all of these margins, the first of which there is, and at lower ones until every input is correct.

    A strategy may leave inputs open at any margin, for the precision of its numbers; `coarsely` proves with another
    one, where a lower margin does not help. `tell` hears what is proved at each. UserError if there is no such margin.
    """
    proofs = {first.predicate.margin: first}
    for margin in map(str, margins):
        proofs[margin] = proofs.get(margin) or at(Fraction(margin))
        tell(at_margin(proofs[margin]))
    lowest, found = min(margins), max(proof.predicate.claim.correct for proof in proofs.values())
    while found < first.predicate.claim.total:
        lowest = min(2 * lowest, Fraction(NEXT_MARGIN))
        if lowest < LOWEST_MARGIN:
            reason = f"not even at margin {lowest / 2} every input is proved correct, so the loss has no bound"
            raise UserError(reason, "leave the margins out, or try the strategy brute-force or adaptive")
        proof = at(lowest)
        if proof.predicate.claim.correct <= found:
            proof = max(proof, coarsely(lowest) or proof, key=lambda each: each.predicate.claim.correct)
        found = max(found, proof.predicate.claim.correct)
        proofs[str(lowest)] = proof
        tell(at_margin(proof))
    return list(proofs.values())


def at_margin(proof: Certificate) -> str:
    """What it proves, in one line."""
    claim = proof.predicate.claim
    return f"Margin {proof.predicate.margin}: accuracy {'=' if claim.exact else '>='} {at_least(claim.accuracy, 5)}"


def ask(model: Model | str | os.PathLike[str], problem: AnyProblem | None, margin: Fraction) -> Question:
    """The question whether the model solves the problem; UserError if they do not fit together."""
    loaded = model if isinstance(model, Model) else load_model(model)
    task = max_of_k(loaded) if problem is None else read_problem(problem).bound_to(loaded)
    return Question(loaded, task, margin)


def read_problem(problem: AnyProblem) -> Problem | MaxOfK:
    """The problem, from its file if a path is given; UserError if that is none."""
    return load_problem(problem) if isinstance(problem, str | os.PathLike) else problem


def read_semantics(name: str) -> Semantics:
    """One of the two; UserError if it is none."""
    for known in (EXACT, FLOAT32):
        if name == known:
            return known
    raise UserError(f"there is no semantics {name!r}", f"choose {EXACT} or {FLOAT32}")


def require_applicable(question: Question, strategy: str | None) -> None:
    """UserError unless the strategy can prove something about this question; None leaves the choice open."""
    if strategy in ("brute-force", None) or question.is_classic:
        return
    if strategy == "adaptive" or STRATEGIES[strategy].general:
        require_one_layer(question, strategy)
        return
    reason = f"the strategy {strategy} is for max-of-k by one layer with one head, attention only"
    hint = "the strategy brute-force is for every model and problem, adaptive for every model with one attention layer"
    raise UserError(f"{reason}; this is {given(question)}", hint)


def applies(question: Question, strategy: str) -> bool:
    """Can the strategy prove something about this question?"""
    try:
        require_applicable(question, strategy)
    except UserError:
        return False
    return True


def default_strategy(question: Question, demanding: bool = False, float32: bool = False) -> str:
    """Regions where they apply, unless evaluating every input is quick, or no more work, and no bound demanded."""
    if question.is_classic:
        return "adaptive"
    if why_others_are_not(question, float32):
        return "brute-force"
    work, most = evaluation_work(question.model, question.task), region_work(question.model, question.task)
    return "adaptive" if demanding or work > max(QUICK, min(most, UNASKED)) else "brute-force"


def what_fits(question: Question, limit: int, tell: Tell) -> str:
    """The default strategy for max-of-k by one head, or if that takes more memory a simpler one, as `tell` hears."""
    needed = needed_memory(question, "adaptive")
    if needed <= limit:
        return "adaptive"
    require_memory(question, SMALL, limit)
    tell(
        f"The strategy adaptive takes about {size(needed)} of memory here, more than {size(limit)}: {SMALL} is used, "
        f"which proves less; --memory {option(needed)} allows the other"
    )
    return SMALL


def mind_memory(question: Question, strategy: str, limit: int | None, refined: bool) -> None:
    """UserError if the strategy takes more memory than the limit, if there is one."""
    if limit is not None:
        smaller = question.is_classic and needed_memory(question, SMALL) <= limit
        require_memory(question, strategy, limit, refined, f", or try the strategy {SMALL}" if smaller else "")


def require_default(question: Question, float32: bool = False) -> None:
    """UserError if brute force, chosen because nothing else applies, takes more than check-cert does by default."""
    require_affordable(question, UNASKED, otherwise=f"{why_brute_force(question, float32)}{also_larger(question)}")


def why_others_are_not(question: Question, float32: bool) -> str | None:
    """For this model; None if a strategy besides brute-force is."""
    return why_not_float32(question) if float32 else why_not(question)


def why_brute_force(question: Question, float32: bool = False) -> str:
    """One line."""
    reason = why_others_are_not(question, float32)
    if reason is None:
        return "brute-force is no more work here, and exact"
    return (
        f"only the strategy brute-force is for models such as this one, {question.model.architecture.brief}: {reason}"
    )


def given(question: Question) -> str:
    """What is asked of which model."""
    return f"{question.task.text}, {question.model.architecture.brief}"


def also_larger(question: Question) -> str:
    """What a hint adds when brute force is a matter of patience."""
    if evaluation_work(question.model, question.task) > MOST_WORK:
        return "; choose a smaller problem: fewer positions, or fewer tokens at a position"
    return "; --strategy brute-force does it all the same"


def wrong_type(name: str, wanted: str, given: object) -> TypeError:
    """The error for an argument of the Python API that is of another type than is `wanted`."""
    return TypeError(f"{name} must be {wanted}, not {type(given).__name__}")


def read_number(number: Number, what: str) -> Fraction:
    """An exact number; UserError if it is none, TypeError if it could not be one."""
    if not isinstance(number, Rational | Decimal | float | str):
        raise wrong_type(what, "a number, or text such as 1/8 or 0.125", number)
    try:
        if isinstance(number, str | Decimal):
            exponent = re.search(r"e([+-]?\d+)\s*$", str(number), re.IGNORECASE)
            if len(str(number)) > MAX_DIGITS or (exponent and abs(int(exponent[1])) > MAX_DIGITS):
                raise UserError(f"the {what} has more than {MAX_DIGITS:,} digits", "a certificate cannot hold it")
        return Fraction(number)
    except (ValueError, ZeroDivisionError, OverflowError):
        raise UserError(f"the {what} {number!r} is not a number", "write it as 0, 1/8 or 0.125") from None


def read_target(target: Number) -> Fraction:
    """A bound on the accuracy; UserError if it cannot be one."""
    exact_target = read_number(target, "target")
    if not 0 <= exact_target <= 1:
        raise UserError(f"the target {target} is no accuracy", "choose a number from 0 to 1")
    return exact_target


def read_margin(margin: Number) -> Fraction:
    """The margin as an exact number of logits; UserError if it is none, or negative."""
    exact_margin = read_number(margin, "margin")
    if exact_margin < 0:
        raise UserError(f"the margin {margin} is negative", "a claim with a negative margin would count wrong answers")
    return exact_margin
