"""The kernel: derive each step from facts of earlier steps; the last fact must entail the claim."""

from dataclasses import dataclass
from functools import cache

from checker.certificate import Certificate
from checker.errors import OtherModel, Rejected, about, located, show
from checker.facts import AtMargin, Profile, Proved
from checker.model.weights import Weights
from checker.problem import Problem
from checker.problem.problem_file import Stated
from checker.rules import RULES


@dataclass(frozen=True, slots=True)
class Verdict:
    """A verified claim: of the inputs of a task, which weigh `total`, at least the weight `correct` is correct by more
    than the margin, and at least the weight `wrong` is not; on the model with this digest. `problem` is the digest of
    the problem, None for max-of-k; `architecture` is None for a model file that does not say one. `profile` says the
    same at other margins, and `mean_loss` bounds the mean cross entropy; empty and None if they are not claimed."""

    correct: int
    wrong: int
    total: int
    task: str
    d_vocab: int
    architecture: str | None
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


def verify(certificate: Certificate, weights: Weights, budget: int, wanted: Stated | None = None) -> Verdict:
    """The verdict, about the wanted problem if one is given, or a Refusal. Only the return is success."""
    require_same_model(certificate, weights)
    with located("predicate.task"):
        problem = Problem(weights, certificate.problem, certificate.margin, budget)
    if wanted is not None:
        with about("PROBLEM"):
            required = Problem(weights, wanted, certificate.margin, budget).normal
        if problem.normal != required:
            raise Rejected("other-problem", "predicate.task", "the problem in PROBLEM")
    if certificate.total != problem.total:
        raise Rejected("wrong-total", "predicate.claim.total", show(problem.total), show(certificate.total))
    problem_at = cache(problem.at)
    proved: list[Proved] = []
    for index, step in enumerate(certificate.steps):
        with located(f"predicate.steps[{index}]"):
            rule = RULES[step.rule]
            margin = certificate.margin if step.margin is None else step.margin
            here = problem_at(margin)
            premises = [fact_before(proved, number, at) for at, number in enumerate(step.premises)]
            rule.require_applies(here, premises)
            problem.budget.restart()
            derived = rule.derive(here, tuple(premises if rule.ladder else [p.fact for p in premises]), step.args)
            with located("conclusion"):
                derived.require_entails(step.conclusion)
        proved.append(Proved(margin, step.conclusion))
    claim = certificate.claim
    if not proved or type(proved[-1].fact) is not type(claim):
        expected = f"a last step that concludes {'a profile' if isinstance(claim, Profile) else 'an accuracy'}"
        raise Rejected("nothing-proved", "predicate.steps", expected)
    if proved[-1].margin != problem.margin:
        raise Rejected("wrong-margin", f"predicate.steps[{len(proved) - 1}]", "the margin of the claim")
    with located("predicate.claim"):
        proved[-1].fact.require_entails(claim)
    counts, about_what = (claim.correct, claim.wrong, problem.total), (problem.text, problem.v, weights.entry)
    more = (claim.profile, claim.mean_loss) if isinstance(claim, Profile) else ()
    return Verdict(*counts, *about_what, problem.margin, problem.digest, weights.file_digest, *more)


def fact_before(proved: list[Proved], number: int, at: int) -> Proved:
    """A premise is the number of an earlier step."""
    if not 0 <= number < len(proved):
        raise Rejected("bad-premise", f"premises[{at}]", f"an earlier step, 0 to {len(proved) - 1}", show(number))
    return proved[number]
