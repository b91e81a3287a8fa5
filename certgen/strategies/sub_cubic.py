"""sub-cubic/EUPU/ATTENTION/ERROR: never two tokens other than m looked at together, only "at least a gap below m".

The paper's family (arXiv 2406.11779): 5 treatments of the direct path, 2 of the wrong logits (and a third of ours),
10 of the score error. Each is a choice of one step; the search below for the gaps is the same for all.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import comb

import numpy as np
import numpy.typing as npt

from certgen.bounds.attention import BITS, Attention, score_bound
from certgen.bounds.direct_path import DIRECT_PATHS, DirectStep
from certgen.bounds.rounding import value_path_spread
from certgen.bounds.scores import SCORE_ERRORS
from certgen.bounds.wrong_token_lines import (
    CENTRE_BITS,
    Lines,
    drop_average,
    mean_difference,
    upper_envelope,
    wrong_token_lines,
)
from certgen.certificate.arguments import CentresArgs, GapArgs
from certgen.certificate.facts import AttentionRanges, MaxTokenPath, Tally, UpperTable
from certgen.certificate.proof import Proof
from certgen.certificate.statement import Certificate
from certgen.certificate.steps import Step, infer
from certgen.counts.cells import ns_of_pair
from certgen.models.circuits import RELATIVE_SLACK, Circuits
from certgen.models.dyadic import BoolArray, FloatArray
from certgen.progress import Track

ATTENTIONS = ("mean-query+diff", "drop-average-query-per-output-logit-reasoning", "upper-envelope")
CENTRES = 25  # attentions tried as a centre for each (m, n)

cached_spread = lru_cache(maxsize=4)(value_path_spread)


@lru_cache(maxsize=16)
def direct_step(circuits: Circuits, name: str) -> DirectStep:
    return DIRECT_PATHS[name](circuits)


def sub_cubic(circuits: Circuits, track: Track, direct: str, attention: str, error: str) -> Certificate:
    """Prove with one member of the family. Cost v^3 k in numpy, for the search over gaps."""
    bound, value = score_bound(circuits, error), cached_spread(circuits)
    direct_proof = direct_step(circuits, direct)
    search = GapSearch(circuits, direct_proof.conclusion.spread, value)
    proof = Proof(circuits.model, circuits.margin)
    premise = proof.add(direct_proof)
    path_step = max_token_step(search, direct_proof, attention, premise, bound.attention)
    path = proof.add(path_step)
    spread = proof.add(infer("value_path_spread", value))
    scores = proof.add(bound.step)

    gaps, ranges, counts = [], [], []
    for m in track(range(circuits.v), direct):
        lines, attended = search.lines_of(path_step.conclusion.lines, m), bound.attention(m)
        chosen = search.smallest_gaps(attended, search.works(m, attended, lines))
        gaps.append([row[: len(ns_of_pair(circuits.k, q, m))] for q, row in enumerate(chosen.tolist())])
        ranges.append(stated_ranges(attended, gaps[m]))
        counts += cell_counts(circuits.k, m, gaps[m], search.lone_maximum(m, lines[0]))
    args = GapArgs(bits=BITS, gaps=gaps)
    stated = proof.add(infer("attention_ranges", AttentionRanges(bits=BITS, ranges=ranges), args, [scores]))
    cells = infer("gap_cells", Tally(counts=counts), premises=[stated, path, spread])
    return proof.certificate(f"sub-cubic/{direct}/{attention}/{error}", [proof.add(cells)])


class GapSearch:
    """Which gaps prove which cells, from the stated bounds. Floats are in units of 2^unit."""

    def __init__(self, circuits: Circuits, spread: UpperTable, value: UpperTable) -> None:
        self.circuits = circuits
        self.unit = circuits.value_scale
        self.spread = np.ldexp(np.array(spread.rows[0], dtype=float), spread.exponent - self.unit)
        grain = min(spread.exponent, value.exponent)  # the checker rounds the margin up to a unit no coarser than this
        self.margin = circuits.float_margin + (np.ldexp(1.0, grain - self.unit) if circuits.margin else 0.0)
        self.value = np.ldexp(np.array(value.rows[0], dtype=float), value.exponent - self.unit)

    def lines_of(self, table: UpperTable, m: int) -> list[FloatArray]:
        """Lines [line, (slope, intercept)] for each n of one maximum."""
        k = self.circuits.k
        rows = table.rows[m * k : (m + 1) * k] if len(table.rows) > self.circuits.v else [table.rows[m]] * k
        return [self.in_unit(table, row) for row in rows]

    def in_unit(self, table: UpperTable, row: list[int]) -> FloatArray:
        """Numbers slope, intercept, slope, ... as pairs."""
        return np.asarray(np.ldexp(np.array(row, dtype=float).reshape(-1, 2), table.exponent - self.unit))

    def works(self, m: int, attention: Attention, lines: list[FloatArray]) -> BoolArray:
        """[q, n, g - 1]: is every wrong logit below that of m at both ends of the attention range?"""
        others = self.value[m - np.arange(1, m + 1)]
        fixed = (self.spread[: m + 1] + self.margin)[:, None]
        good = attention.allowed.copy()
        for n, rows in enumerate(lines):
            for end in (attention.low[:, n], attention.high[:, n]):
                a = end * 2.0**-BITS
                rest = (1 - a) * others + fixed
                size = np.abs(1 - a) * others + np.abs(fixed)
                for slope, intercept in rows:
                    slack = RELATIVE_SLACK * (size + np.abs(slope * a) + abs(intercept))
                    good[:, n] &= slope * a + intercept + rest < -slack
        return good

    def smallest_gaps(self, attention: Attention, good: BoolArray) -> npt.NDArray[np.intp]:
        """[q, n]: the smallest gap that works, which leaves most tokens; 0 where none does."""
        if good.shape[2] == 0:
            return np.zeros(good.shape[:2], dtype=np.intp)
        return np.asarray(np.where(good.any(axis=2), good.argmax(axis=2) + 1, 0))

    def lone_maximum(self, m: int, rows: FloatArray) -> bool:
        """Is the sequence of k times m correct?"""
        worst = rows.sum(axis=1).max(initial=-np.inf) + self.spread[m] + self.margin
        return bool(worst < -RELATIVE_SLACK * (np.abs(rows).sum(axis=1).max(initial=0.0) + abs(self.spread[m])))


def max_token_step(
    search: GapSearch, direct: DirectStep, treatment: str, premise: int, attention: Callable[[int], Attention]
) -> Step[MaxTokenPath]:
    """The step that bounds wrong logits as a function of the attention on m."""
    lines = wrong_token_lines(search.circuits, direct.conclusion)
    spread = direct.conclusion.spread
    if treatment == "upper-envelope":
        conclusion = MaxTokenPath(spread=spread, lines=upper_envelope(lines))
        return infer("max_token_envelope", conclusion, premises=[premise])
    if treatment == "drop-average-query-per-output-logit-reasoning":
        conclusion = MaxTokenPath(spread=spread, lines=drop_average(lines))
        return infer("max_token_drop", conclusion, premises=[premise])
    centres = best_centres(search, lines, attention)
    conclusion = MaxTokenPath(spread=spread, lines=mean_difference(lines, centres))
    args = CentresArgs(centres=UpperTable(exponent=-CENTRE_BITS, rows=centres))
    return infer("max_token_mean", conclusion, args, [premise])


def best_centres(search: GapSearch, lines: Lines, attention: Callable[[int], Attention]) -> list[list[int]]:
    """For each (m, n) the attention, out of CENTRES, around which most sequences are proved."""
    k = search.circuits.k
    candidates = [round(x * 2**CENTRE_BITS) for x in np.linspace(0.0, 1.0, CENTRES)]
    tables = [mean_difference(lines, [[centre]] * search.circuits.v) for centre in candidates]
    best = []
    for m in range(search.circuits.v):
        proved, attended = np.empty((CENTRES, k)), attention(m)
        for index, table in enumerate(tables):
            rows = [search.in_unit(table, table.rows[m])] * k
            gaps = search.smallest_gaps(attended, search.works(m, attended, rows))
            # of each n only the ratios matter: a power of two keeps the numbers of sequences within float64
            sequences = np.where(gaps > 0, np.ldexp(m + 1.0 - gaps, -m.bit_length()) ** np.arange(k), 0.0)
            proved[index] = sequences.sum(axis=0)
        best.append([candidates[index] for index in proved.argmax(axis=0)])
    return best


def stated_ranges(attention: Attention, gaps: list[list[int]]) -> list[list[list[int]]]:
    """[gap, low, high] for every cell that has a gap."""
    return [
        [
            [gap, int(attention.low[q, n, gap - 1]), int(attention.high[q, n, gap - 1])] if gap else []
            for n, gap in enumerate(row)
        ]
        for q, row in enumerate(gaps)
    ]


def cell_counts(k: int, m: int, gaps: list[list[int]], lone_maximum: bool) -> list[list[int]]:
    """[m, queries, ns, correct, wrong], one cell each."""
    counts = []
    for q, row in enumerate(gaps):
        for n, gap in enumerate(row):
            correct = comb(k - 1, n) * (m - gap + 1) ** n if gap else int(q == m and n == 0 and lone_maximum)
            counts.append([m, 1 << q, 1 << n, correct, 0])
    return counts


def family() -> list[tuple[str, str, str]]:
    """Every member: (EUPU, ATTENTION, ERROR)."""
    return [(direct, attention, error) for direct in DIRECT_PATHS for attention in ATTENTIONS for error in SCORE_ERRORS]


def cost_class(direct: str, error: str) -> str:
    """The row of the paper's Table 1: what of the direct path and of the scores the proof never multiplies out."""
    low_rank_EU = direct in ("mean-query+max-diff", "svd-query+max-diff", "max-diff")
    if error in ("exact-EQKE", "max-diff-exact"):
        return "low-rank EU" if low_rank_EU else "sub-cubic"
    scores = "quadratic QK" if error.endswith("recursive") else "low-rank QK"
    return f"{scores} and EU" if low_rank_EU else scores
