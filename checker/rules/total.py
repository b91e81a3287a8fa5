"""Rule total; proof: docs/rules.md#total."""

from checker.arithmetic.packing import members
from checker.errors import Rejected
from checker.facts import Accuracy, Tally
from checker.problem import Problem
from checker.problem.cells import any_cell


def total(problem: Problem, premises: tuple[Tally, ...], args: dict[str, object]) -> Accuracy:
    """The sum of all counts.

    Requires   one or more Tally facts that together count no cell (label, query, n) twice. Cells that none of them
               counts are unproved: nothing is added for them.
    Concludes  Accuracy.
    Cost       two additions per count, a few mask operations per query it covers.
    """
    covered: dict[tuple[int, int], int] = {}  # label and query -> the n that are counted
    cells, correct, wrong = any_cell(problem), 0, 0
    for at, tally in enumerate(premises):
        for index, count in enumerate(tally.counts):
            path = f"premises[{at}].counts[{index}]"
            region = 0 <= count.label < problem.outputs and 0 < count.queries < 1 << problem.v and 0 < count.ns <= cells
            if not region or min(count.correct, count.wrong) < 0:
                raise Rejected("no-such-region", path)
            for query in members(count.queries):
                before = covered.get((count.label, query), 0)
                if count.ns & before:
                    raise Rejected("region-covered-twice", path, "cells not counted before")
                covered[count.label, query] = before | count.ns
            correct, wrong = correct + count.correct, wrong + count.wrong
    return Accuracy(correct, wrong)
