"""max_token_envelope: accepted, refused by reason, attacked."""

import itertools
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from checker.rules.max_token_envelope import upper_hull
from tests.support.gap_proofs import counts_of, gap_proof
from tests.support.generators import SEEDS
from tests.support.hints import integer
from tests.support.one_rule import (
    Refused,
    attacked,
    honest,
    less,
    longer,
    refusal,
    refusals,
    said,
    shorter,
    small_model,
)
from tests.support.quick_and_slow import quick_and_slow

RULE = "max_token_envelope"


def test_accepted() -> None:
    """At every attention the worst wrong token, and no worse."""
    proof, meaning = honest(RULE), small_model().meaning
    assert said(proof) == ("", "")
    fact = proof.facts[-1]
    assert meaning.is_true(fact)
    assert fact.spread == proof.facts[-2].spread
    unit = Fraction(2) ** fact.lines.exponent
    for m, row in enumerate(fact.lines.rows):
        lines = [(meaning.EVOU[m, y] - meaning.EVOU[m, m], meaning.positions(m)[y]) for y in range(3) if y != m]
        stated = [(slope * unit, base * unit) for slope, base in zip(row[::2], row[1::2], strict=True)]
        for a in [Fraction(n, 64) for n in range(65)]:
            assert max(s * a + b for s, b in stated) == max(s * a + b for s, b in lines)


REFUSED: list[Refused] = [
    ("conclusion.spread.rows[0][1]", less, "bound-too-small", "conclusion.spread.rows[0][1]"),
    ("conclusion.spread.rows[0]", shorter, "wrong-shape", "conclusion.spread.rows[0]"),
    ("conclusion.spread.rows", longer, "wrong-shape", "conclusion.spread.rows"),
    ("conclusion.lines.rows[2][0]", less, "bound-too-small", "conclusion.lines.rows[2][0]"),
    ("conclusion.lines.rows[2][1]", less, "bound-too-small", "conclusion.lines.rows[2][1]"),
    ("conclusion.lines.rows[2]", shorter, "wrong-shape", "conclusion.lines.rows[2]"),
    ("conclusion.lines.rows", shorter, "wrong-shape", "conclusion.lines.rows"),
    ("conclusion.lines.exponent", 1 << 15, "out-of-range", "conclusion.lines.exponent"),
    ("premises", [0], "wrong-premises", "premises"),
    ("premises", shorter, "wrong-premises", "premises"),
    ("premises", longer, "wrong-premises", "premises"),
    ("premises[0]", 9, "bad-premise", "premises[0]"),
    ("premises[0]", -1, "bad-premise", "premises[0]"),
]


@refusals(REFUSED)
def test_refused_by_reason(place: str, change: Any, code: str, at: str) -> None:
    assert refusal(honest(RULE), place, change) == (code, at)


def test_attacked() -> None:
    """Whatever the arguments and the premises, what is granted is true."""
    seen = attacked(RULE)
    assert seen["granted"] == 24


@quick_and_slow(200)
def test_the_hull_is_the_maximum_of_all_lines(run: settings) -> None:
    """Where two lines cross, at 0, between and far out; and no line of it is needless."""
    numbers = st.integers(-8, 8)

    @run
    @given(lines=st.lists(st.tuples(numbers, numbers), min_size=1, max_size=8))
    def equal(lines: list[tuple[int, int]]) -> None:
        hull = upper_hull(lines)
        assert set(hull) <= set(lines)
        crossings = {Fraction(b - d, c - s) for s, b in lines for c, d in lines if c != s}
        points = sorted({Fraction(0), Fraction(100)} | {a for a in crossings if a > 0})
        points += [(a + b) / 2 for a, b in itertools.pairwise(points)]
        for a in points:
            assert max(s * a + b for s, b in hull) == max(s * a + b for s, b in lines)
        for line in hull:
            others = [other for other in hull if other != line]
            assert not others or any(line[0] * a + line[1] > max(s * a + b for s, b in others) for a in points)

    equal()


@quick_and_slow(120)
def test_the_envelope_is_never_worse(run: settings, workspace: Path) -> None:
    """Than one line of the largest slope and intercept, or two lines through any centre, in any cell."""
    seen: Counter[str] = Counter()

    @run
    @given(seed=SEEDS)
    def better(seed: int) -> None:
        proof, rng, gaps, precision = gap_proof(seed, workspace)
        v, k = proof.problem.v, proof.problem.k
        scores = proof.step("score_exact", [], {})
        ranges = proof.step("attention_ranges", [scores], {**precision, "gaps": gaps})
        hull = counts_of(proof, ranges, proof.step("max_token_envelope", [0], {}))
        centres = [[rng.choice([integer(rng, 500), *[rng.randint(0, 1024)] * 9]) for _ in range(k)] for _ in range(v)]
        mean = {"centres": {"exponent": -10, "rows": centres}}
        others = {
            "drop": counts_of(proof, ranges, proof.step("max_token_drop", [0], {})),
            "mean": counts_of(proof, ranges, proof.step("max_token_mean", [0], mean)),
        }
        for name, counts in others.items():
            assert all(ours >= theirs for ours, theirs in zip(hull, counts, strict=True))
            seen[f"envelope > {name}"] += sum(hull) > sum(counts)
            seen[f"{name} > constant sequences"] += sum(counts) > v

    better()
    print(f"\nenvelope: {dict(seen)}")
    assert min(seen.values()) > 0 and len(seen) == 4
