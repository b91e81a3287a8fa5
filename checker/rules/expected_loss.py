"""Rule expected_loss; proof: docs/rules.md#expected_loss."""

from itertools import accumulate, pairwise
from typing import Any

from checker.arithmetic.enclosures import exp_upper
from checker.errors import Rejected, show
from checker.facts import AtMargin, Profile, Proved, require_same_length
from checker.problem import Problem


def expected_loss(problem: Problem, premises: tuple[Proved, ...], args: dict[str, Any]) -> Profile:
    """The mean cross entropy, from the weight of the inputs that are correct at each of several margins.

    Requires   Accuracy at increasing margins, that of the problem among them; at the lowest ones all inputs are
               correct. args.losses[i], in units of 2^-args.bits, is a bound on the loss of every input that is correct
               at the i-th margin.
    Concludes  Profile.
    Cost       two exponentials of `bits` bits per margin.
    """
    bits, losses = args["bits"], args["losses"]
    margins = [premise.margin for premise in premises]
    if problem.margin not in margins or not all(a * d < c * b for (a, b), (c, d) in pairwise(margins)):
        raise Rejected("not-a-ladder", "premises", "increasing margins, and that of the step among them")
    # what is correct is so at smaller margins, and what is not, at larger ones
    correct = list(accumulate([premise.fact.correct for premise in premises[::-1]], max, initial=0))[::-1]
    wrong = list(accumulate([premise.fact.wrong for premise in premises], max, initial=0))[1:]
    if correct[0] < problem.total:
        raise Rejected("loss-unbounded", "premises[0]", f"{show(problem.total)} correct", show(correct[0]))
    require_same_length(len(margins), len(losses), "args.losses")
    for index, (margin, loss) in enumerate(zip(margins, losses, strict=True)):
        if not is_loss(loss, margin, problem.outputs, bits):
            raise Rejected("loss-too-small", f"args.losses[{index}]", "", show(loss))
    mean = sum([loss * (here - after) for loss, (here, after) in zip(losses, pairwise(correct), strict=True)])
    profile = tuple(map(AtMargin, correct, wrong, margins))
    own = profile[margins.index(problem.margin)]
    return Profile(own.correct, own.wrong, profile, (mean, problem.total << bits))


def is_loss(loss: int, margin: tuple[int, int], outputs: int, bits: int) -> bool:
    """Whether exp(-loss) (1 + (outputs - 1) exp(-margin)) <= 1, for the loss in units of 2^-bits."""
    both = loss, loss + (margin[0] << bits) // margin[1]  # the second is loss + margin, rounded down
    if min(both) < 0:
        return False
    # beyond `bits` an exponential is one unit anyway, and would take as long as its argument has digits
    one, other = [exp_upper(min(x, bits << bits), bits, bits) for x in both]
    return one + (outputs - 1) * other <= 1 << bits
