"""What separable_counts and branch_sequences find on one model, and arguments for them."""

import random
from fractions import Fraction
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from checker.facts import Tally
from tests.support.attacks import Draw
from tests.support.derivations import Derivation, ScoreApproximation, mask_of
from tests.support.groups import Args, Cutter, fitting, with_cuts


def all_pairs(v: int, k: int) -> list[tuple[int, int]]:
    """(q, m) for which a sequence exists, in the order of the rules."""
    return [(q, m) for m in range(v) for q in range(m if k == 1 else 0, m + 1)]


def masks(v: int, pairs: list[tuple[int, int]]) -> list[int]:
    return [mask_of(q for q, other in pairs if other == m) for m in range(v)]


ARGS = {"exponent": -40, "bits": 40}


USUAL = fitting(1000)


def tally(path: Path, *wanted: Args, margin: Fraction = Fraction(0), cutter: Cutter = USUAL, **args: int) -> Tally:
    """What separable_counts finds, block by block, with exact scores."""
    derivation = Derivation(path, margin)
    scores = derivation.step("score_exact", [], {})
    made = with_cuts(derivation, scores, {**ARGS, **args, "groups": list(wanted)}, cutter)
    return derivation.derive("separable_counts", [scores], made)


def counted(path: Path, *wanted: Args, **given: Any) -> list[int]:
    """The correct sequences of `tally`."""
    return [count.correct for count in tally(path, *wanted, **given).counts]


def branched(path: Path, pairs: list[tuple[int, int]], margin: Fraction = Fraction(0), **args: Any) -> Tally:
    """What branch_sequences derives for these pairs."""
    derivation = Derivation(path, margin)
    return derivation.derive("branch_sequences", [], {**ARGS, "queries": masks(derivation.problem.v, pairs), **args})


@st.composite
def coarse(draw: st.DrawFn, most: int = 1 << 14) -> dict[str, int]:
    """Any precision, mostly coarse; the exponent at most so far from 0, so that a step can be as large as entries."""
    bits = st.integers(8, 24) | st.integers(8, 80) | st.sampled_from([8, 500, min(most, 1000)])
    return {"exponent": draw(st.integers(-60, 5) | st.integers(-most, most)), "bits": draw(bits)}


def far_off(draw: Draw, fact: Any) -> Any:
    """Any scores near or far from the stated ones, with an error that is just sufficient, or larger."""
    rng = random.Random(draw(st.integers(0, 2**32 - 1)))
    shift = rng.choice([0, 0, 3])
    size = 1 << max(0, -fact.exponent + shift + rng.choice([-40, -10, -3, -1, 0, 2, 6]))
    rows, errors = [], []
    for row, error in zip(fact.kept, fact.error, strict=True):
        mode = rng.randrange(4)
        if mode == 0:  # nothing moves
            moves = [0] * len(row)
        elif mode == 1:  # one token, up or down
            moves = [0] * len(row)
            moves[rng.randrange(len(row))] = rng.choice([-size, size])
        else:
            moves = [rng.randint(-size, size) for _ in row]
        rows.append(tuple((x << shift) + move for x, move in zip(row, moves, strict=True)))
        extra = rng.choice([0, 0, 1, size]) if mode else rng.choice([0, 0, size])
        errors.append(max(moves) - min(moves) + (error << shift) + extra)
    return ScoreApproximation(fact.exponent - shift, tuple(rows), tuple(errors))


def some_scores(derivation: Derivation, draw: Draw) -> int:
    """A step that bounds the scores: exactly, or with anything that follows from that."""
    return derivation.step("score_exact", [], {}, (lambda fact: far_off(draw, fact)) if draw(st.booleans()) else None)
