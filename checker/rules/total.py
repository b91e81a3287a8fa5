"""Rule total; proof: docs/rules.md#total."""

from checker.arithmetic.packing import members
from checker.errors import Rejected
from checker.facts import Accuracy, Tally
from checker.problem import Problem
from checker.problem.cells import any_cell, cells_of_pair


def total(problem: Problem, premises: tuple[Tally, ...], args: dict[str, object]) -> Accuracy:
    """The sum of all counts.

    Requires   one or more Tally facts whose regions together cover every cell (q, m, n) exactly once: q <= m,
               n < n_ctx, and n < n_ctx - 1 unless q = m: with n = n_ctx - 1 no position is left for m.
    Concludes  Accuracy.
    Cost       two additions per count, a few mask operations per query it covers.
    """
    v = problem.v
    cells = [[any_cell(problem)] * (m + 1) for m in range(v)]  # bit n: not yet covered
    correct = wrong = 0
    for at, tally in enumerate(premises):
        for index, count in enumerate(tally.counts):
            path = f"premises[{at}].counts[{index}]"
            region = 0 <= count.m < v and 0 < count.queries < 2 << count.m and count.ns > 0
            if not region or min(count.correct, count.wrong) < 0:
                raise Rejected("no-such-region", path)
            for q in members(count.queries):
                if count.ns & ~cells[count.m][q]:
                    raise Rejected("region-covered-twice", path, "cells not counted before")
                cells[count.m][q] ^= count.ns
            correct, wrong = correct + count.correct, wrong + count.wrong
    for m, row in enumerate(cells):
        for q, left in enumerate(row):
            if left & cells_of_pair(problem, q, m):
                raise Rejected("region-left-out", "premises", f"a count for query {q}, maximum {m}")
    return Accuracy(correct, wrong)
