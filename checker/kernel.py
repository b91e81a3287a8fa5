"""The kernel: derive each step from facts of earlier steps; the last fact must entail the claim."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from checker.budget import Cost
from checker.certificate import Certificate, Step
from checker.errors import InternalError, OtherModel, Rejected, ResourceLimit, about, located, show
from checker.facts import Accuracy, AtMargin, Profile, Proved
from checker.model.weights import Weights
from checker.problem import Problem
from checker.problem.problem_file import Stated
from checker.rules import RULES
from checker.rules.costs import COSTS

Prover = Callable[[Problem, tuple[Step, ...]], list[int]]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A verified claim: of the inputs of a task, which weigh `total`, at least the weight `correct` is correct by more
    than the margin, and at least the weight `wrong` is not; on the model with this digest. `problem` is the digest of
    the problem, None for max-of-k; `architecture` is None for a model file that does not say one. `semantics` says what
    computes the model. `profile` says the same at other margins, and `mean_loss` bounds the mean cross entropy; empty
    and None if they are not claimed."""

    correct: int
    wrong: int
    total: int
    task: str
    d_vocab: int
    architecture: str | None
    semantics: str
    margin: tuple[int, int]
    problem: str | None
    digest: str
    profile: tuple[AtMargin, ...] = ()
    mean_loss: tuple[int, int] | None = None


def require_same_model(certificate: Certificate, weights: Weights) -> None:
    """The certificate is about this very file, and states the sizes that the file itself has."""
    if certificate.file_digest != weights.file_digest:
        raise OtherModel("model-digest", "subject[0].digest.sha256", certificate.file_digest, weights.file_digest)
    if certificate.tensor_digests != weights.tensor_digests:
        raise OtherModel("tensor-digest", "predicate.model.tensors")
    if certificate.sizes != weights.sizes:
        raise Rejected("wrong-size", "predicate.model", str(weights.sizes))


def applied(problem: Problem, steps: tuple[Step, ...], index: int) -> tuple[Problem, tuple[Any, ...]]:
    """What the rule of a step is applied to: the problem at the step's margin, and what earlier steps state."""
    step = steps[index]
    rule, here = RULES[step.rule], problem.at(stated_by(step, problem).margin)
    if len(step.premises) > len(steps):
        raise Rejected("bad-premise", "premises", f"at most {len(steps)}, as many as steps", str(len(step.premises)))
    earlier = [step_before(steps, index, number, at) for at, number in enumerate(step.premises)]
    premises = [stated_by(one, problem) for one in earlier]
    rule.require_applies(here, premises)
    return here, tuple(premises if rule.ladder else [one.fact for one in premises])


def declared(problem: Problem, steps: tuple[Step, ...]) -> Iterator[Cost]:
    """What each step takes beside what those before it have made; a ResourceLimit for one with which it is too much."""
    for index, step in enumerate(steps):
        with located(f"predicate.steps[{index}]"):
            args = {name: int(value) if isinstance(value, int) else value for name, value in step.args.items()}
            yield problem.budget.charge(COSTS[step.rule](*applied(problem, steps, index), args))


def prove(problem: Problem, steps: tuple[Step, ...], index: int) -> int:
    """The step's number, if its rule derives what it states from what earlier steps state; or a Refusal."""
    step = steps[index]
    problem.budget.rule, problem.budget.step = step.rule, index
    with located(f"predicate.steps[{index}]"):
        try:
            derived = RULES[step.rule].derive(*applied(problem, steps, index), step.args)
        except ResourceLimit as limit:  # whatever piece of the step it was: with --jobs it may be another
            raise ResourceLimit(limit.code, "", limit.expected, limit.got) from None
        with located("conclusion"):
            derived.require_entails(step.conclusion)
    return index


def one_by_one(problem: Problem, steps: tuple[Step, ...]) -> list[int]:
    """The numbers of the steps that hold, which are all; or the refusal of the first that does not."""
    return [prove(problem, steps, index) for index in range(len(steps))]


def verify(
    certificate: Certificate, weights: Weights, budget: int, wanted: Stated | None = None, prover: Prover = one_by_one
) -> Verdict:
    """The verdict, about the wanted problem if one is given, or a Refusal. Only the return is success.

    A step may be looked at before those that it builds on: what they state is true once all of them hold.
    """
    problem = problem_of(certificate, weights, budget)
    if wanted is not None:
        with about("PROBLEM"):
            required = Problem(weights, wanted, certificate.margin, budget).normal
        if problem.normal != required:
            raise Rejected("other-problem", "predicate.task", "the problem in PROBLEM")
    if certificate.total != problem.total:
        raise Rejected("wrong-total", "predicate.claim.total", show(problem.total), show(certificate.total))
    for _ in declared(problem, certificate.steps):
        pass  # all of it is affordable
    if prover(problem, certificate.steps) != list(range(len(certificate.steps))):
        raise InternalError("step-lost", "predicate.steps", "every step proved, in its place")
    claim, steps = certificate.claim, certificate.steps
    if not steps or type(steps[-1].conclusion) is not type(claim):
        kind = {Accuracy: "an accuracy", Profile: "a profile"}.get(type(claim), claim.semantics)
        raise Rejected("nothing-proved", "predicate.steps", f"a last step that concludes {kind}")
    if stated_by(steps[-1], problem).margin != problem.margin:
        raise Rejected("wrong-margin", f"predicate.steps[{len(steps) - 1}]", "the margin of the claim")
    with located("predicate.claim"):
        steps[-1].conclusion.require_entails(claim)
    counts, about_what = (claim.correct, claim.wrong, problem.total), (problem.text, problem.v, weights.entry)
    more = (claim.profile, claim.mean_loss) if isinstance(claim, Profile) else ()
    return Verdict(*counts, *about_what, claim.semantics, problem.margin, problem.digest, weights.file_digest, *more)


def problem_of(certificate: Certificate, weights: Weights, budget: int) -> Problem:
    """What a certificate is about, if it is this model."""
    require_same_model(certificate, weights)
    with located("predicate.task"):
        return Problem(weights, certificate.problem, certificate.margin, budget)


def stated_by(step: Step, problem: Problem) -> Proved:
    """What a step states, at its own margin or else that of the claim."""
    return Proved(problem.margin if step.margin is None else step.margin, step.conclusion)


def step_before(steps: Sequence[Step], index: int, number: int, at: int) -> Step:
    """A step before that of the index: a premise is the number of such a step."""
    if not 0 <= number < index:
        raise Rejected("bad-premise", f"premises[{at}]", f"an earlier step, 0 to {index - 1}", show(number))
    return steps[number]
