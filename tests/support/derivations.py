"""Proofs built step by step from what the checker's rules derive, and what each fact means, checked by enumeration.

`Derivation` asks a rule for its conclusion under any arguments and may state it outward. `Meaning` knows one tiny model
in exact fractions (softmax in Arb balls), shares no code with the checker, and says whether a fact is true.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import cached_property
from itertools import product
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
from flint import arb, fmpq

from checker.certificate import decode_certificate
from checker.errors import Refusal
from checker.facts import (
    Accuracy,
    Count,
    CubicTokens,
    DirectPathUpper,
    Fact,
    Proved,
    Tally,
    UpperTable,
    ValuePathUpper,
)
from checker.kernel import Verdict, verify
from checker.model.weights import read_weights
from checker.rules import RULES
from tests.support.oracle import Oracle, precision
from tests.support.problems import max_of_k
from tests.support.region_hints import fact_json
from tests.support.tiny import Tensors

DirectPathSpread: Any = RULES["direct_path_spread"].concludes
ValuePathSpread: Any = RULES["value_path_spread"].concludes
MaxTokenPath: Any = RULES["max_token_drop"].concludes
ScoreApproximation: Any = RULES["score_exact"].concludes
AttentionRanges: Any = RULES["attention_ranges"].concludes

BUDGET = 1 << 32
Statement = dict[str, Any]
Loosen = Callable[[Any], Any]


class Derivation:
    """A proof about one model; every step states what its rule derives, or something weaker."""

    def __init__(self, path: Path, margin: Fraction = Fraction(0)) -> None:
        self.weights = read_weights(path.read_bytes())
        self.problem = max_of_k(self.weights, (margin.numerator, margin.denominator), BUDGET)
        self.margin = margin
        self.facts: list[Any] = []
        self.steps: list[dict[str, Any]] = []
        self.own: dict[int, tuple[int, int]] = {}  # margins of steps that state one

    @contextmanager
    def at(self, margin: Fraction) -> Iterator[None]:
        """Steps with a margin of their own."""
        before = self.problem
        self.problem = before.at(margin.as_integer_ratio())
        yield
        self.problem = before

    def derive(self, rule: str, premises: list[int], args: dict[str, Any]) -> Any:
        """The fact that a rule derives; raises what the checker would refuse."""
        kinds = RULES[rule].args
        decoded = {key: kinds[key](args[key], key) for key in kinds}
        facts = [self.facts[number] for number in premises]
        if RULES[rule].ladder:
            margin = self.margin.as_integer_ratio()
            facts = [Proved(self.own.get(number, margin), self.facts[number]) for number in premises]
        return RULES[rule].derive(self.problem, tuple(facts), decoded)

    def step(self, rule: str, premises: list[int], args: dict[str, Any], loosen: Loosen | None = None) -> int:
        """Append a step; `loosen` makes the stated fact out of the derived one."""
        fact = self.derive(rule, premises, args)
        fact = loosen(fact) if loosen else fact
        self.facts.append(fact)
        self.steps.append(step(rule, premises, args, as_json(fact)))
        if self.problem.margin != self.margin.as_integer_ratio():
            self.own[len(self.steps) - 1] = self.problem.margin
            self.steps[-1]["margin"] = str(Fraction(*self.problem.margin))
        return len(self.steps) - 1

    def statement(self, tallies: list[int]) -> Statement:
        """The certificate that sums these tallies."""
        number = self.step("total", tallies, {})
        return statement(self.weights, self.margin, self.steps, self.facts[number])

    def outcome(self, certificate: Statement) -> Verdict | Refusal:
        """What the kernel says about a certificate of this model. Exceptions other than refusals are not caught."""
        try:
            return verify(decode_certificate(json.dumps(certificate).encode()), self.weights, BUDGET)
        except Refusal as refusal:
            return refusal


def as_json(fact: Fact) -> Any:
    """A fact as a certificate writes it."""
    return fact_json(fact)


def statement(weights: Any, margin: Fraction, steps: list[dict[str, Any]], claim: Accuracy) -> Statement:
    """The certificate with these steps that claims these numbers."""
    sizes = weights.sizes
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "model", "digest": {"sha256": weights.file_digest}}],
        "predicateType": "urn:compact-proofs:accuracy-certificate:v1",
        "predicate": {
            "formatVersion": 1,
            "task": {"name": "max-of-k", "k": sizes["n_ctx"]},
            "model": {**sizes, "tensors": weights.tensor_digests},
            "semantics": claim.semantics,
            "margin": str(margin),
            "claim": {**as_json(claim), "total": sizes["d_vocab"] ** sizes["n_ctx"]},
            "strategy": "by hand",
            "steps": steps,
        },
    }


def step(rule: str, premises: list[int], args: dict[str, Any], conclusion: dict[str, Any]) -> dict[str, Any]:
    """A step as a certificate writes it."""
    return {"rule": rule, "premises": premises, "args": args, "conclusion": conclusion}


def mask_of(members: Iterable[int]) -> int:
    """A set as a bit mask."""
    return sum(1 << member for member in members)


def fractions(rows: Any, exponent: int) -> np.ndarray:
    """Integers in units of 2^exponent as an object array of fractions."""
    unit = Fraction(2) ** exponent
    return np.array([[x * unit for x in row] for row in rows], dtype=object)


def fractions_of_rows(fact: UpperTable) -> list[list[Fraction]]:
    """A table of rows of any lengths."""
    return [[x * Fraction(2) ** fact.exponent for x in row] for row in fact.rows]


def spread(row: Any) -> Fraction:
    return max(row) - min(row)


def ball(x: Fraction) -> arb:
    return arb(fmpq(x.numerator, x.denominator))


def whole(x: arb) -> int:
    """The integer that an exact ball is."""
    number = x.unique_fmpz()
    assert number is not None
    return int(number)


class Meaning:
    """One tiny model: its tables as fractions, and the truth of facts about it."""

    def __init__(self, tensors: Tensors, margin: Fraction = Fraction(0)) -> None:
        W = {name.rpartition(".")[2]: np.vectorize(Fraction, otypes=[object])(x) for name, x in tensors.items()}
        W = {name: x[0] if x.ndim == 3 or name in ("b_Q", "b_K", "b_V") else x for name, x in W.items()}
        self.W, self.margin = W, margin
        self.v, self.k, self.h = len(W["W_E"]), len(W["W_pos"]), W["W_Q"].shape[1]
        self.residual = W["W_E"] + W["W_pos"][-1]
        OVU = W["W_V"] @ W["W_O"] @ W["W_U"]
        self.constant = (W["b_V"] @ W["W_O"] + W["b_O"]) @ W["W_U"] + W["b_U"]
        self.EUPU = self.residual @ W["W_U"] + self.constant
        self.EVOU, self.PVOU = W["W_E"] @ OVU, W["W_pos"] @ OVU
        self.query = (self.residual @ W["W_Q"] + W["b_Q"]) @ W["W_K"].T
        self.token_scores, self.position_scores = self.query @ W["W_E"].T, self.query @ W["W_pos"].T

    def positions(self, m: int) -> np.ndarray:
        """max over p of PVOU[p,y] - PVOU[p,m], for each y."""
        return (self.PVOU - self.PVOU[:, m : m + 1]).max(axis=0)

    @cached_property
    def weights(self) -> list[list[list[arb]]]:
        """[q][p][t]: exp(s(q,p,t)) up to a factor for each q."""
        with precision(300):
            root = arb(self.h).sqrt()
            table = []
            for q in range(self.v):
                scores = self.token_scores[q][None, :] + self.position_scores[q][:, None]
                top = scores.max()
                table.append([[(ball(x - top) / root).exp() for x in row] for row in scores])
            return table

    def attention(self, sequence: tuple[int, ...]) -> arb:
        """The attention on the positions that hold the maximum."""
        m, weights = max(sequence), self.weights[sequence[-1]]
        with precision(300):
            terms = [weights[p][t] for p, t in enumerate(sequence)]
            return sum((w for w, t in zip(terms, sequence, strict=True) if t == m), arb(0)) / sum(terms, arb(0))

    def cell(self, q: int, m: int, n: int, gap: int) -> Iterator[tuple[int, ...]]:
        """The sequences of the cell (q, m, n) whose tokens other than m are at most m - gap."""
        tokens = [*range(m - gap + 1), m]
        if q in tokens:
            for others in product(tokens, repeat=self.k - 1):
                if max(*others, q) == m and sum(t != m for t in others) == n:
                    yield (*others, q)

    def is_true(self, fact: Any) -> bool:
        """Does the fact hold? Decided exactly, except that attention is compared with 300 bits."""
        if isinstance(fact, DirectPathSpread):
            return self.direct_path_holds(fact)
        if isinstance(fact, DirectPathUpper):
            return self.direct_upper_holds(fractions_of_rows(fact))
        if isinstance(fact, ValuePathUpper):
            return self.value_upper_holds(fractions_of_rows(fact))
        if isinstance(fact, ValuePathSpread):
            (bounds,) = fractions(fact.rows, fact.exponent)
            return all(spread(self.EVOU[s]) <= bounds[t] for t in range(self.v) for s in range(t + 1))
        if isinstance(fact, MaxTokenPath):
            return self.max_token_holds(fact)
        if isinstance(fact, ScoreApproximation):
            change = self.token_scores - fractions(fact.kept, fact.exponent)
            (bounds,) = fractions([fact.error], fact.exponent)
            return all(spread(row) <= bound for row, bound in zip(change, bounds, strict=True))
        if isinstance(fact, AttentionRanges):
            return self.ranges_hold(fact)
        raise TypeError(fact)

    def direct_upper_holds(self, bounds: list[list[Fraction]]) -> bool:
        return all(
            self.EUPU[q, y] - self.EUPU[q, m] + self.margin <= bounds[m][q]
            for m in range(self.v)
            for q, y in product(range(m + 1), range(self.v))
            if y != m
        )

    def value_upper_holds(self, bounds: list[list[Fraction]]) -> bool:
        return all(
            self.EVOU[t, y] - self.EVOU[t, m] + self.PVOU[p, y] - self.PVOU[p, m] <= bounds[m][t]
            for m in range(self.v)
            for t, y, p in product(range(m + 1), range(self.v), range(self.k))
            if y != m
        )

    def cubic_tokens_hold(self, fact: CubicTokens, correct: set[tuple[int, ...]]) -> bool:
        """Is every sequence of accepted tokens in the set `correct`?"""
        for x in product(range(self.v), repeat=self.k):
            q, m = x[-1], max(x)
            below = [t for t in x[:-1] if t != m]
            accepted = bool(below) and all(fact.masks[m][q][len(below) - 1] >> t & 1 for t in below)
            if accepted and x not in correct:
                return False
        return True

    def direct_path_holds(self, fact: Any) -> bool:
        kept = self.constant * 0
        if fact.centre.rows:
            (centre,) = fractions(fact.centre.rows, fact.centre.exponent)
            kept = centre @ self.W["W_U"] + self.constant
        (bounds,) = fractions(fact.spread.rows, fact.spread.exponent)
        return all(spread(row - kept) <= bound for row, bound in zip(self.EUPU, bounds, strict=True))

    def max_token_holds(self, fact: Any) -> bool:
        """Left and right side are compared at 0, 1 and where two lines cross: between, the right side is convex."""
        (bounds,) = fractions(fact.spread.rows, fact.spread.exponent)
        unit = Fraction(2) ** fact.lines.exponent
        rows = fact.lines.rows
        per_n = len(rows) == self.v * self.k
        for m in range(self.v):
            position, slopes = self.positions(m), self.EVOU[m] - self.EVOU[m, m]
            others = [y for y in range(self.v) if y != m]
            for row in rows[m * self.k : (m + 1) * self.k] if per_n else [rows[m]]:
                lines = [(s * unit, b * unit) for s, b in zip(row[::2], row[1::2], strict=True)]
                points = {Fraction(0), Fraction(1)}
                points |= {
                    (b - d) / (c - s) for s, b in lines for c, d in lines if c != s and 0 < (b - d) / (c - s) < 1
                }
                for a, y, q in product(points, others, range(m + 1)):
                    left = self.EUPU[q, y] - self.EUPU[q, m] + position[y] + a * slopes[y]
                    if left > bounds[q] + max(s * a + b for s, b in lines):
                        return False
        return True

    def ranges_hold(self, fact: Any) -> bool:
        for m, rows in enumerate(fact.ranges):
            for q, row in enumerate(rows):
                for n, cell in enumerate(row):
                    if cell:
                        gap, low, high = cell
                        for sequence in self.cell(q, m, n, gap):
                            share = self.attention(sequence) * arb(2) ** fact.bits
                            if share < low or share > high:
                                return False
        return True

    def correct_sequences(self, path: Path) -> set[tuple[int, ...]]:
        """All of them, decided by the oracle."""
        return Oracle(path).correct_sequences(self.margin)


def in_region(count: Count, x: tuple[int, ...]) -> bool:
    """Does the region of a count hold this sequence?"""
    n = sum(t != max(x) for t in x[:-1])
    return bool(max(x) == count.label and count.queries >> x[-1] & 1 and count.ns >> n & 1)


def truth_of_region(count: Count, v: int, k: int, correct: set[tuple[int, ...]]) -> tuple[int, int]:
    """How many sequences of a region are in the set `correct`, and how many are not."""
    held = [x in correct for x in product(range(v), repeat=k) if in_region(count, x)]
    return sum(held), len(held) - sum(held)


def tally_holds(fact: Tally, v: int, k: int, correct: set[tuple[int, ...]]) -> bool:
    """Does every region hold at least as many correct and as many wrong sequences as it counts?"""
    return all(
        stated <= true
        for count in fact.counts
        for stated, true in zip(count[3:], truth_of_region(count, v, k, correct), strict=True)
    )


def gap_counts(attention: Any, path: Any, value: Any, k: int, margin: Fraction) -> list[int]:
    """What gap_cells may conclude from three facts, cell by cell, in fractions."""
    (spreads,) = fractions(path.spread.rows, path.spread.exponent)
    (values,) = fractions(value.rows, value.exponent)
    lines = [[Fraction(x) * Fraction(2) ** path.lines.exponent for x in row] for row in path.lines.rows]
    each = len(lines) // len(values)  # rows per m: 1, or one for each n
    counts = []
    for m, rows in enumerate(attention.ranges):
        for q, row in enumerate(rows):
            for n, cell in enumerate(row):
                gap, *ends = (1, 1 << attention.bits) if n == 0 and q == m else cell or (0,)
                line = lines[m * each + n % each]
                good = gap > 0
                for a in [Fraction(end, 1 << attention.bits) for end in ends]:
                    rest = spreads[q] + margin + ((1 - a) * values[m - gap] if a != 1 else 0)
                    good &= all(s * a + b + rest < 0 for s, b in zip(line[::2], line[1::2], strict=True))
                counts.append(comb(k - 1, n) * (m - gap + 1) ** n if good else 0)
    return counts
