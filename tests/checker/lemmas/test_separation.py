"""The tables behind the separation lemma: rounded outward, and bounded."""

from fractions import Fraction
from itertools import product
from pathlib import Path

import pytest

from checker.lemmas.separation import Numerators
from tests.support.derivations import Derivation
from tests.support.tiny import tiny_model, zero_tensors


def values(tables: Numerators) -> list[int]:
    """V_p(t) as rounded, for all q, p, t and outputs y, m."""
    problem, (EUPU, EVOU, PVOU) = tables.problem, tables.upper
    tokens, positions = range(problem.v), range(problem.k)
    return [
        EUPU[q][y] + EVOU[t][y] + PVOU[p][y] - tables.of_maximum(q, m, p, t)
        for q, t, y, m, p in product(tokens, tokens, tokens, tokens, positions)
    ]


@pytest.mark.parametrize("margin", [Fraction(0), Fraction(1, 2), Fraction(-7, 2)])
def test_the_bound_is_reached_when_every_rounding_is_for_the_wrong_token(margin: Fraction, workspace: Path) -> None:
    """1 stays 1, and -3/2 becomes -1 from above and -2 from below: three tables, 1 - (-2) each, and the margin."""
    tensors = zero_tensors(2, 2, 1, 1, W_E=[1] * 2, W_pos=[1] * 2, W_V=1, W_O=1, W_U=[1, -1.5], b_U=[-1, 1.5])
    path = tiny_model(workspace / "reached", tensors)
    problem = Derivation(path, margin).problem
    tables = Numerators(problem, 0, 8)
    assert tables.margin == -(-margin // 1)
    assert tables.bound == 9 + abs(tables.margin)
    assert max(values(tables)) == 9 + tables.margin
    assert max(map(abs, values(tables))) <= tables.bound


def test_tables_enclose_the_logits(workspace: Path) -> None:
    tensors = zero_tensors(
        3, 2, 1, 1, W_E=[1, 2, 3], W_pos=[1, -1], W_V=1, W_O=1, W_U=[0.75, -0.25, 1.5], b_U=[0.5, 0, 1]
    )
    problem = Derivation(tiny_model(workspace / "enclosed", tensors)).problem
    for exponent in (-3, -1, 0, 2):
        tables, unit = Numerators(problem, exponent, 8), Fraction(2) ** exponent
        exact = (problem.circuits.EUPU, problem.circuits.EVOU, problem.circuits.PVOU)
        for table, upper, lower in zip(exact, tables.upper, tables.lower, strict=True):
            for row, above, below in zip(table.rows, upper, lower, strict=True):
                for x, high, low in zip(row, above, below, strict=True):
                    value = x * Fraction(2) ** table.exponent / unit
                    assert (low, high) == (value // 1, -(-value // 1))
