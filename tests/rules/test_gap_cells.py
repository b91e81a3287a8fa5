"""gap_cells: accepted, refused by reason, attacked."""

from collections import Counter
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import given, settings

from checker.facts import AttentionRanges, MaxTokenPath, UpperTable, ValuePathSpread
from checker.rules.gap_cells import gap_cells
from tests.support import sub_cubic_readings
from tests.support.derivations import Derivation, gap_counts
from tests.support.gap_proofs import counts_of, gap_proof
from tests.support.generators import SEEDS
from tests.support.one_rule import (
    MARGIN,
    Refused,
    all_cells,
    attacked,
    holds,
    honest,
    longer,
    more,
    refusal,
    refusals,
    said,
    shorter,
    small_model,
)
from tests.support.quick_and_slow import quick_and_slow
from tests.support.sub_cubic_readings import inferences_of
from tests.support.tiny import tiny_model, zero_tensors

RULE = "gap_cells"


def test_accepted() -> None:
    """Exactly what the three premises give in fractions; all of it true."""
    proof = honest(RULE)
    assert said(proof) == ("", "")
    fact, model = proof.facts[-1], small_model()
    attention, bound, value = (proof.facts[number] for number in proof.steps[-1]["premises"])
    assert [count.correct for count in fact.counts] == gap_counts(attention, bound, value, 3, MARGIN)
    assert [count[:3] for count in fact.counts] == all_cells(3, 3)
    assert holds(fact, model)
    assert sum(count.correct for count in fact.counts) > 3


REFUSED: list[Refused] = [
    ("conclusion.counts[1][3]", more, "count-too-large", "conclusion.counts[1][3]"),
    ("conclusion.counts[1][4]", more, "count-too-large", "conclusion.counts[1][4]"),
    ("conclusion.counts[1][0]", more, "wrong-region", "conclusion.counts[1]"),
    ("conclusion.counts[1][1]", more, "wrong-region", "conclusion.counts[1]"),
    ("conclusion.counts[1][2]", more, "wrong-region", "conclusion.counts[1]"),
    ("conclusion.counts[1]", shorter, "wrong-type", "conclusion.counts[1]"),
    ("conclusion.counts", shorter, "wrong-shape", "conclusion.counts"),
    ("conclusion.counts", longer, "wrong-shape", "conclusion.counts"),
    ("premises", [0, 0, 0], "wrong-premises", "premises"),
    ("premises", shorter, "wrong-premises", "premises"),
    ("premises", longer, "wrong-premises", "premises"),
    ("premises[0]", 9, "bad-premise", "premises[0]"),
    ("premises[0]", -1, "bad-premise", "premises[0]"),
    ("premises", lambda given: given[::-1], "wrong-premises", "premises"),
]


@refusals(REFUSED)
def test_refused_by_reason(place: str, change: Any, code: str, at: str) -> None:
    assert refusal(honest(RULE), place, change) == (code, at)


def test_the_margin_is_not_rounded() -> None:
    """In whatever units the premises are stated."""
    proof = honest(RULE)
    attention, bound, value = (proof.facts[number] for number in proof.steps[-1]["premises"])

    def in_units(table: UpperTable, exponent: int) -> Any:
        down = exponent - table.exponent
        return UpperTable(exponent, tuple(tuple(-(-x >> down) for x in row) for row in table.rows))

    rounded = 0
    for exponent in (0, 2):
        path = replace(bound, spread=in_units(bound.spread, exponent), lines=in_units(bound.lines, exponent))
        others = in_units(value, exponent)
        for margin in [Fraction(n, 7) for n in range(-90, 20, 7)]:
            counts = gap_cells(proof.problem.at(margin.as_integer_ratio()), (attention, path, others), {}).counts
            assert [count.correct for count in counts] == gap_counts(attention, path, others, 3, margin)
            unit = 2**exponent
            rounded += gap_counts(attention, path, others, 3, margin) != gap_counts(
                attention, path, others, 3, Fraction(unit * -(-margin // unit))
            )
    assert rounded


def test_attacked() -> None:
    """Whatever the arguments and the premises, what is granted is true."""
    seen = attacked(RULE)
    assert seen["some correct"] > 5


@inferences_of(RULE)
def test_the_inference_is_refused(example: sub_cubic_readings.Example, tmp_path: Path) -> None:
    sub_cubic_readings.require_refused(example, tmp_path)


@inferences_of(RULE)
def test_the_right_inference_is_accepted_on_the_same_model(example: sub_cubic_readings.Example, tmp_path: Path) -> None:
    sub_cubic_readings.require_right_accepted(example, tmp_path)


@quick_and_slow(120)
def test_weaker_premises_never_prove_more(run: settings, workspace: Path) -> None:
    """Larger spreads of the direct path or the values, larger lines, larger errors of the scores, a larger margin."""
    seen: Counter[str] = Counter()

    @run
    @given(seed=SEEDS)
    def fewer(seed: int) -> None:
        proof, rng, gaps, precision = gap_proof(seed, workspace)
        lines = proof.step("max_token_envelope", [0], {})
        scores = proof.step("score_exact", [], {})
        args = {**precision, "gaps": gaps}
        ranges = proof.step("attention_ranges", [scores], args)
        counts = counts_of(proof, ranges, lines)

        def raised(fact: UpperTable) -> UpperTable:
            size = max((abs(x) for row in fact.rows for x in row), default=0) >> rng.choice([1, 3, 6])
            return replace(fact, rows=tuple(tuple(x + rng.randint(0, size) for x in row) for row in fact.rows))

        value, path, exact = (proof.facts[number] for number in (1, lines, scores))
        proof.facts.append(raised(value))
        proof.facts += [replace(path, lines=raised(path.lines)), replace(path, spread=raised(path.spread))]
        size = 1 + (max(max(row) - min(row) for row in exact.kept) >> rng.choice([2, 4]))
        proof.facts.append(replace(exact, error=tuple(rng.randint(0, size) for _ in exact.error)))
        proof.facts.append(proof.derive("attention_ranges", [len(proof.facts) - 1], args))
        weaker = {
            "values": counts_of(proof, ranges, lines, -5 + len(proof.facts)),
            "lines": counts_of(proof, ranges, -4 + len(proof.facts)),
            "spread": counts_of(proof, ranges, -3 + len(proof.facts)),
            "error": counts_of(proof, len(proof.facts) - 1, lines),
        }
        proof.problem.margin = (proof.margin + Fraction(rng.randint(1, 5), 8)).as_integer_ratio()
        weaker["margin"] = counts_of(proof, ranges, lines)
        for name, fewer_counts in weaker.items():
            assert all(less <= more for less, more in zip(fewer_counts, counts, strict=True)), name
            seen[name] += sum(fewer_counts) < sum(counts)
        seen["cases"] += 1

    fewer()
    print(f"\nweaker premises, proved less: {dict(seen)}")
    assert min(seen[name] for name in ("values", "lines", "spread", "error", "margin")) > 0


def test_small_numbers_of_any_kind_count_as_fractions_do(workspace: Path) -> None:
    """Facts of small integers in units of their own, so that bounds of exactly 0 abound: a tie is not correct."""
    v, k, seen = 4, 3, Counter[str]()
    path = tiny_model(workspace / "any", zero_tensors(v, k, 1, 1))
    proofs = [Derivation(path, Fraction(margin)) for margin in range(3)]
    for seed in range(250):
        rng = Random(seed)
        proof = rng.choice(proofs)
        small, units = partial(rng.randint, -3, 3), [rng.randint(-2, 0) for _ in range(3)]
        spread = UpperTable(units[0], (tuple(rng.randint(0, 1) for _ in range(v)),))
        lines = [tuple(small() - 2 * n for n in (1, 2) * rng.randint(1, 2)) for _ in range(rng.choice([v, v * k]))]
        value = ValuePathSpread(units[1], (tuple(sorted(rng.randint(0, 4) for _ in range(v))),))
        ranges = [
            [[cell_of(rng, q, m, n) for n in range(k if q == m else k - 1)] for q in range(m + 1)] for m in range(v)
        ]
        attention = AttentionRanges(2, tuple(tuple(map(tuple, rows)) for rows in ranges))
        bound = MaxTokenPath(spread, UpperTable(units[2], tuple(lines)))
        proof.facts = [attention, bound, value]
        counts = [count.correct for count in proof.derive(RULE, [0, 1, 2], {}).counts]
        assert counts == gap_counts(attention, bound, value, k, proof.margin)
        seen.update(some=any(counts), all=all(counts), cells=sum(count > 1 for count in counts))
    assert seen["some"] > 60
    assert seen["cells"] > 100


def cell_of(rng: Random, q: int, m: int, n: int) -> tuple[int, ...]:
    """No range, or a gap that the cell can have with a range in quarters."""
    gaps = [gap for gap in range(1, m + 1) if (n > 0 if q == m else q <= m - gap)]
    if not gaps or rng.random() < 0.2:
        return ()
    low = rng.randint(0, 4)
    return (rng.choice(gaps), low, rng.randint(low, 4))
