"""The kernel: derive each step from facts of earlier steps; the last fact must entail the claim."""

from dataclasses import dataclass

from checker.certificate import Certificate
from checker.errors import OtherModel, Rejected, located, show
from checker.facts import Accuracy, Fact
from checker.model.weights import Weights
from checker.problem import Problem
from checker.rules import RULES


@dataclass(frozen=True, slots=True)
class Verdict:
    """A verified claim: at least `correct` of `total` sequences are correct and at least `wrong` are not, on the model
    with this digest."""

    correct: int
    wrong: int
    total: int
    k: int
    d_vocab: int
    margin: tuple[int, int]
    digest: str


def require_same_problem(certificate: Certificate, weights: Weights) -> None:
    """The certificate is about this very file, and about the task and sizes that the file itself has."""
    if certificate.file_digest != weights.file_digest:
        raise OtherModel("model-digest", "subject[0].digest.sha256", certificate.file_digest, weights.file_digest)
    if certificate.tensor_digests != weights.tensor_digests:
        raise OtherModel("tensor-digest", "predicate.model.tensors")
    if certificate.sizes != weights.sizes:
        raise Rejected("wrong-size", "predicate.model", str(weights.sizes))
    if certificate.k != weights.sizes["n_ctx"]:
        raise Rejected("wrong-task", "predicate.task.k", show(weights.sizes["n_ctx"]), show(certificate.k))
    total = weights.sizes["d_vocab"] ** weights.sizes["n_ctx"]
    if certificate.total != total:
        raise Rejected("wrong-total", "predicate.claim.total", show(total), show(certificate.total))


def verify(certificate: Certificate, weights: Weights, budget: int) -> Verdict:
    """The verdict, or a Refusal. Reaching the return is the only way to succeed."""
    require_same_problem(certificate, weights)
    problem = Problem(weights, certificate.margin, budget)
    proved: list[Fact] = []
    for index, step in enumerate(certificate.steps):
        with located(f"predicate.steps[{index}]"):
            rule = RULES[step.rule]
            premises = tuple([fact_before(proved, number, at) for at, number in enumerate(step.premises)])
            rule.require_premises(premises)
            derived = rule.derive(problem, premises, step.args)
            with located("conclusion"):
                derived.require_entails(step.conclusion)
        proved.append(step.conclusion)
    claim = Accuracy(certificate.correct, certificate.wrong)
    if not proved or not isinstance(proved[-1], Accuracy):
        raise Rejected("nothing-proved", "predicate.steps", "a last step that concludes an accuracy")
    with located("predicate.claim"):
        proved[-1].require_entails(claim)
    return Verdict(
        claim.correct,
        claim.wrong,
        certificate.total,
        certificate.k,
        problem.v,
        certificate.margin,
        weights.file_digest,
    )


def fact_before(proved: list[Fact], number: int, at: int) -> Fact:
    """A premise is the number of an earlier step."""
    if not 0 <= number < len(proved):
        raise Rejected("bad-premise", f"premises[{at}]", f"an earlier step, 0 to {len(proved) - 1}", show(number))
    return proved[number]
