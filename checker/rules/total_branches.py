"""Rule total_branches; proof: docs/rules.md#total_branches."""

from checker.facts import Accuracy, Branches
from checker.problem import Problem


def total_branches(problem: Problem, premises: tuple[Branches], args: dict[str, object]) -> Accuracy:
    """The sum over the branches.

    Requires   a Branches fact, which has every branch once.
    Concludes  Accuracy.
    Cost       two additions per branch.
    """
    counts = premises[0].counts
    return Accuracy(sum([branch.correct for branch in counts]), sum([branch.wrong for branch in counts]))
