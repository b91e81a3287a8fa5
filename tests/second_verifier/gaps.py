"""attention_ranges and gap_cells."""

from fractions import Fraction
from math import comb
from typing import Any

from tests.second_verifier.exponentials import Sum, add, sign, term, times
from tests.second_verifier.facts import rows_of
from tests.second_verifier.refusal import require
from tests.second_verifier.setting import Setting, Stated

Args = dict[str, Any]


def attention_ranges(setting: Setting, premises: list[Stated], args: Args) -> Any:
    one = setting.model.one_head
    scores, bits, gaps = premises[0].fact, args["bits"], args["gaps"]
    unit = Fraction(2) ** scores["exponent"]
    K = [[x * unit for x in row] for row in scores["kept"]]
    error = [x * unit for x in scores["error"]]
    fits = len(K) == len(error) == one.v and all(len(row) == one.v for row in K)
    require(fits, "wrong-shape", "premises[0]")
    fits = len(gaps) == one.v and all(len(rows) == m + 1 for m, rows in enumerate(gaps))
    fits = fits and all(len(row) == len(one.ns(m, q)) for m, rows in enumerate(gaps) for q, row in enumerate(rows))
    require(fits, "wrong-shape", "args.gaps")

    def share_at_least(A: Sum, B: Sum, distance: Fraction, end: int, direction: int) -> bool:
        """Is direction * (A / (A + B exp(-distance)) - end / 2^bits) >= 0?"""
        left = times(A, (1 << bits) - end)
        right = times(B, -end, -distance)
        return sign(times(add([left, right]), direction), one.h) >= 0

    def range_of(m: int, q: int, n: int, g: int) -> list[Any]:
        positions = one.position_scores[q]
        before, own = sorted(positions[:-1]), positions[-1]
        kept = [K[q][m] - K[q][t] for t in range(m - g + 1)]
        near, far = min(kept) - error[q], max(kept) + error[q]
        cut, most = len(before) - n, len(before)
        sums = {}
        for end, (held, rest) in {
            "low": (before[:cut], before[cut:]),
            "high": (before[n:], before[: most - cut]),
        }.items():
            A, B = add(term(s) for s in held), add(term(s) for s in rest)
            sums[end] = (add([A, term(own)]), B) if q == m else (A, add([B, term(own)]))
        return [
            g,
            lambda stated: share_at_least(*sums["low"], near, stated, 1),
            lambda stated: share_at_least(*sums["high"], far, stated, -1),
        ]

    ranges: list[list[list[Any]]] = []
    for m, rows in enumerate(gaps):
        ranges.append([])
        for q, row in enumerate(rows):
            ranges[-1].append([])
            for n, g in enumerate(row):
                allowed = g == 0 or (1 <= g <= m and (n >= 1 if q == m else q <= m - g))
                require(allowed, "bad-gap", f"args.gaps[{m}][{q}][{n}]")
                ranges[-1][-1].append(range_of(m, q, n, g) if g else [])
    return {"bits": bits, "ranges": ranges}


def gap_cells(setting: Setting, premises: list[Stated], args: Args) -> Any:
    one = setting.model.one_head
    attention, path, value = (premise.fact for premise in premises)
    (spread,), (D,) = rows_of(path["spread"]), rows_of(value)
    lines = rows_of(path["lines"])
    each = len(lines) // one.v  # 1, or k
    counts = []
    for m in range(one.v):
        for q in range(m + 1):
            for n in one.ns(m, q) if one.k > 1 or q == m else []:
                given = attention["ranges"][m][q][n]
                ends, g = [], 1
                if q == m and n == 0:
                    ends = [Fraction(1)]
                elif given:
                    g, ends = given[0], [Fraction(end, 1 << attention["bits"]) for end in given[1:]]
                row = lines[m * each + n % each]
                good = bool(ends)
                for a in ends:
                    rest = spread[q] + setting.margin + ((1 - a) * D[m - g] if a != 1 else 0)
                    pairs = zip(row[::2], row[1::2], strict=True)
                    good = good and all(s * a + b + rest < 0 for s, b in pairs)
                counts.append([m, 1 << q, 1 << n, comb(one.k - 1, n) * (m - g + 1) ** n if good else 0, 0])
    return {"counts": counts}
