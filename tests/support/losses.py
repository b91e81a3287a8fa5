"""The truth about profiles: how many inputs are correct at each margin, and the mean loss, in Arb balls."""

from fractions import Fraction
from functools import cache

from flint import arb, fmpq

from checker.facts import Profile
from checker.kernel import Verdict
from tests.support.any_case import Case
from tests.support.any_problem import Inputs
from tests.support.oracle import precision

BITS = 400


@cache
def leads_of(case: Case) -> list[tuple[int, list[arb]]]:
    """Of each input its weight, and logit_y - logit_label for each other output; [] if some logits are not defined."""
    inputs = Inputs(case.problem)
    readout = inputs.readout(case.oracle.pooled)
    with precision(BITS):
        found = [(weight, case.oracle.leads(tokens, readout, label, BITS)) for tokens, weight, label in inputs]
    return found if all(lead.is_finite() for _, leads in found for lead in leads) else []


@cache
def mean_loss(case: Case) -> arb:
    """Over all inputs by weight, natural logarithm."""
    with precision(BITS):
        losses = [(weight, (1 + sum((lead.exp() for lead in leads), arb(0))).log()) for weight, leads in leads_of(case)]
        return sum((weight * loss for weight, loss in losses), arb(0)) / sum(weight for weight, _ in losses)


def at_margin(case: Case, margin: Fraction) -> tuple[int, int]:
    """The weight of the inputs that are correct, and of those that are not, ties among them."""
    with precision(BITS):
        bound = arb(fmpq(*margin.as_integer_ratio()))
        held = [(weight, all(lead + bound < 0 for lead in leads)) for weight, leads in leads_of(case)]
    correct = sum(weight for weight, good in held if good)
    return correct, sum(weight for weight, _ in held) - correct


def profile_holds(fact: Profile | Verdict, case: Case) -> bool:
    """Is every count at most the truth, and the mean loss at least?"""
    if fact.mean_loss is None:
        return True
    for row in fact.profile:
        correct, wrong = at_margin(case, Fraction(*row.margin))
        if row.correct > correct or row.wrong > wrong:
            return False
    with precision(BITS):
        return not arb(fmpq(*fact.mean_loss)) < mean_loss(case)
