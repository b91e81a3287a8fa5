"""Draws the pictures of README.md and docs/, writes the tables of measurements: python docs/assets/make_pictures.py.

Bounds, lengths and times are from measured.csv, which bench/measured.py writes; what grows how is from scaling.csv, by
bench/scaling.py; what is said of kinds of models, from kinds*.csv, by bench/kinds.py. A table stands between
two comments, <!-- measured: NAME --> and <!-- end -->.
The pictures use the colour of the text around them, and middle tones that can be read on light and on dark.
"""

import csv
import math
import random
import re
from fractions import Fraction
from pathlib import Path

from certgen.decimals import at_least, at_most
from certgen.length import reading_length
from certgen.measures.area import area_under_frontier, brute_force_length
from certgen.models.model_file import load_model

HERE = Path(__file__).resolve().parent
MODELS = HERE.parents[1] / "models"
README, FRONTIER, SCALING = HERE.parents[1] / "README.md", HERE.parent / "frontier.md", HERE.parent / "scaling.md"
KINDS = HERE.parent / "kinds.md"
MODEL = "max-of-4-seed-123"
BLUE, ORANGE, GREEN, RED, GREY = "#4c83d6", "#d9822b", "#2f9e6e", "#d4524e", "#8a8f98"
COLOURS = (BLUE, ORANGE, GREEN, RED, "#9a6fc9", "#3aa6b9", "#b58900")
MEAN = "sub-cubic/max-diff-exact/mean-query+diff/exact-EQKE"
EXACT_SCORES = "sub-cubic/max-diff-exact/"
SHORT = {  # labels in the picture, where there is room for one: x and y offsets, anchor
    f"{EXACT_SCORES}drop-average-query-per-output-logit-reasoning/exact-EQKE": ("sub-cubic, one line", 10, 16, "start"),
    MEAN: ("sub-cubic, two lines", 10, 28, "start"),
    "separable-by-max": ("separable-by-max", 10, 14, "start"),
    "cubic": ("cubic, as in the paper", 10, 5, "start"),
    "separable-exact": ("separable-exact", 10, 14, "start"),
    "separable-relaxed": ("separable-relaxed", -10, 5, "end"),
    "exact": ("exact: nothing left open", 8, 20, "start"),
}
README_ROWS = (  # of the model of MODEL, and of another
    *((MODEL, name) for name in (MEAN, "separable-by-max", "adaptive --max-length 10000000")),
    *((MODEL, name) for name in ("adaptive", "cubic", "adaptive --max-length 22000000", "exact")),
    *(("max-of-20-seed-123", name) for name in ("cubic", "separable-by-max", "adaptive", "two-sided")),
)


class Svg:
    """An SVG picture under construction."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self.title = title
        self.parts = [
            f'<svg class="picture" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
            'font-family="sans-serif" font-size="14" fill="currentColor">',
            f"<title>{title}</title>",
            "<style>:root.picture{color:#1c2128;background:#fff}</style>",  # as a file of its own only
        ]

    def text(self, x: float, y: float, text: str, anchor: str = "middle", size: int = 14, **more: str) -> None:
        self.parts.append(
            f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" font-size="{size}"{attributes(more)}>'
            f"{escaped(text)}</text>"
        )

    def box(self, x: float, y: float, w: float, h: float, colour: str, strength: float = 0.25, **more: str) -> None:
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="3" fill="{colour}" '
            f'fill-opacity="{strength}" stroke="{colour}"{attributes(more)}/>'
        )

    def line(self, *points: tuple[float, float], colour: str = "currentColor", width: float = 1.5, **more: str) -> None:
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        self.parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width:g}"{attributes(more)}/>'
        )

    def dot(self, x: float, y: float, colour: str, radius: float = 4) -> None:
        self.parts.append(f'<circle cx="{x:g}" cy="{y:g}" r="{radius:g}" fill="{colour}"/>')

    def arrow(self, x1: float, y1: float, x2: float, y2: float, colour: str = GREY) -> None:
        self.line((x1, y1), (x2, y2), colour=colour)
        angle = math.atan2(y2 - y1, x2 - x1)
        tips = [(x2 - 8 * math.cos(angle + s), y2 - 8 * math.sin(angle + s)) for s in (0.4, -0.4)]
        self.line(tips[0], (x2, y2), tips[1], colour=colour)

    def save(self, name: str) -> None:
        (HERE / f"{name}.svg").write_text("\n".join([*self.parts, "</svg>", ""]), encoding="utf-8")


def attributes(more: dict[str, str]) -> str:
    return "".join(f' {name.replace("_", "-")}="{value}"' for name, value in more.items())


def escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def separation() -> None:
    svg = Svg(760, 300, "A sequence becomes a sum over its positions")
    tokens, values, zero = (17, 42, 8, 30), (-14, -62, 34, -20), 170
    for p, (token, value) in enumerate(zip(tokens, values, strict=True)):
        x = 70 + 120 * p
        query, largest = p == 3, token == 42
        svg.box(x - 30, 30, 60, 34, GREEN if largest else BLUE if query else GREY)
        svg.text(x, 52, str(token), size=17)
        svg.text(x, 20, "largest, m = 42" if largest else "query, q = 30" if query else f"position {p}", size=12)
        svg.arrow(x, 68, x, 92)
        svg.box(x - 22, zero - max(value, 0), 44, abs(value), RED if value > 0 else GREEN, 0.55)
        svg.text(x, zero + (20 if value > 0 else -8), f"F{'₀₁₂₃'[p]}({token})", size=13)
    svg.line((30, zero), (480, zero))
    svg.text(24, zero + 4, "0", "end", 12)
    svg.text(520, zero + 5, "=", size=22)
    svg.line((550, zero), (650, zero))
    svg.box(578, zero, 44, 62, GREEN, 0.55)
    svg.text(600, zero - 8, "the sum", size=13)
    svg.text(600, zero + 82, "below 0: y does not win", size=13)
    svg.text(
        380,
        282,
        "One picture for each wrong token y. Each bar depends on its own token, on q, m and y: not on the others.",
    )
    svg.save("separation")


def cells() -> None:
    svg = Svg(760, 265, "Cubic: a cell (q, m, n) and the tokens accepted in it")
    rows = (("n = 1", (1, 0, 0), "3"), ("n = 2", (1, 1, 0), "3"))
    svg.text(20, 24, "cell (q, m, n), k = 4: n of the 3 positions before the query do not hold m", "start")
    for row, (name, others, places) in enumerate(rows):
        y = 48 + 58 * row
        svg.text(20, y + 22, name, "start")
        for p, other in enumerate((*others, 2)):
            x = 90 + 62 * p
            svg.box(x, y, 54, 34, (GREEN, ORANGE, BLUE)[other])
            svg.text(x + 27, y + 23, ("m", "t ∈ T", "q")[other], size=15)
        svg.text(360, y + 23, f"× {places} choices of the positions", "start")
        svg.text(742, y + 23, f"|T|{'¹²'[row]} · {places} sequences", "end")
    svg.text(20, 188, "tokens below m", "start")
    accepted = [t not in (3, 19, 20, 21, 22, 23) for t in range(24)]
    for t, good in enumerate(accepted):
        svg.box(134 + 22 * t, 172, 18, 24, ORANGE if good else GREY, 0.55 if good else 0.08)
    svg.box(134 + 22 * 24, 172, 18, 24, GREEN, 0.55)
    svg.text(143 + 22 * 24, 214, "m", size=13)
    svg.text(143, 214, "0", size=13)
    svg.text(380, 214, "T: the tokens with which m stays ahead when they fill all n positions", size=13)
    svg.text(
        380, 248, "If every token of T passes alone, so does every mixture: the worst of them bounds each position."
    )
    svg.save("cells")


def gap() -> None:
    svg = Svg(760, 290, "Sub-cubic: a gap below the maximum, and a line that is negative at both ends")
    svg.text(20, 24, "tokens", "start")
    for t in range(26):
        near, x = t > 19, 20 + 20.5 * t
        svg.box(x, 36, 17, 24, GREEN if t == 25 else GREY if near else ORANGE, 0.08 if near and t != 25 else 0.55)
    svg.text(28, 78, "0", size=13)
    svg.text(418, 78, "m − g", size=13)
    svg.text(541, 78, "m", size=13)
    svg.line((430, 86), (430, 94), (540, 94), (540, 86), colour=GREY)
    svg.text(485, 110, "gap g", size=13)
    svg.text(580, 46, "All other tokens are at", "start", 13)
    svg.text(580, 64, "least g below m: only", "start", 13)
    svg.text(580, 82, "their worst is looked at.", "start", 13)
    left, zero, right = 90, 190, 540
    svg.line((left, 130), (left, 262), colour=GREY)
    svg.line((left, zero), (right, zero))
    svg.text(right + 8, zero + 5, "a: attention on m, from 0 to 1", "start", 13)
    svg.text(left - 8, zero + 5, "0", "end", 12)
    svg.text(left - 8, 146, "f(a)", "end", 13)
    ends = (330, 505)
    svg.box(ends[0], 134, ends[1] - ends[0], 124, BLUE, 0.12)
    svg.text(sum(ends) / 2, 280, "range of a, proved from the scores", size=13)

    def height(x: float) -> float:
        return zero + min(0.34 * (x - 265), 62 - 0.22 * (x - 430))

    svg.line(*[(x, height(x)) for x in range(left + 15, right, 5)], colour=RED, width=2.5)
    for x in ends:
        svg.dot(x, height(x), RED, 5)
    svg.text(right + 8, 222, "f: advantage of the best", "start", 13)
    svg.text(right + 8, 240, "wrong token. Negative at", "start", 13)
    svg.text(right + 8, 258, "both ends: m wins.", "start", 13)
    svg.save("gap")


def counts() -> None:
    svg = Svg(760, 350, "Separable counts: classes, blocks, pools, and losses counted in steps")

    def strip(x: float, y: float, name: str, note: str, sizes: list[int], colour: str, unit: float) -> None:
        svg.text(x, y - 8, name, "start", font_weight="bold")
        for number, size in enumerate(sizes):
            svg.box(x, y, size * unit - 4, 28, colour, 0.2 + 0.15 * (number % 2))
            x += size * unit
        svg.text(x + 8, y + 19, note, "start", 13)

    strip(20, 34, "classes of wrong tokens y", "in each class, the token that gains most", [1, 1, 2, 16], ORANGE, 19)
    strip(20, 98, "blocks of queries q ≤ m", "in each block, the query that is worst", [10, 5, 5], BLUE, 19)
    strip(20, 162, "pools of positions before the last", "in each pool, the position that is worst", [7, 13], GREEN, 19)
    svg.line((20, 212), (740, 212), colour=GREY, width=0.8)
    top, base = 232, 312
    source = random.Random(3)
    for column, name in enumerate(("position 0", "position 1", "position 2", "query")):
        x = 24 + 106 * column
        heights = sorted((source.random() ** 0.5 * 70 for _ in range(12 if column < 3 else 6)), reverse=True)
        for t, value in enumerate(heights):
            svg.box(x + 7 * t, base - value, 5, value, GREY, 0.45, stroke_width="0.5")
        svg.line((x, base), (x + 84, base), width=1)
        svg.text(x + 42, base + 20, name, size=12)
    svg.text(24, top - 4, "loss of each token against the best for y at that position, in whole steps", "start", 13)
    svg.text(470, 258, "How many sequences have losses that", "start", 13)
    svg.text(470, 277, "sum to at most the budget? The product", "start", 13)
    svg.text(470, 296, "of one polynomial per position tells;", "start", 13)
    svg.text(470, 315, "all other sequences are correct.", "start", 13)
    svg.save("counts")


def tree() -> None:
    svg = Svg(760, 290, "Exact: a tree of prefixes, settled as early as possible")

    def node(x: float, y: float, label: str, colour: str, note: str = "") -> None:
        svg.box(x - 54, y, 108, 30, colour, 0.3)
        svg.text(x, y + 20, label, size=13)
        if note:
            svg.text(x, y + 46, note, size=12)

    for start, end in (((380, 40), (130, 92)), ((380, 40), (380, 92)), ((380, 40), (630, 92))):
        svg.line(start, end, colour=GREY)
    for x in (260, 380, 500):
        svg.line((380, 122), (x, 176), colour=GREY)
    for x in (440, 560):
        svg.line((500, 206), (x, 240), colour=GREY)
    node(380, 10, "(·, ·, ·, 63)", BLUE)
    node(130, 92, "(0, ·, ·, 63)", GREEN, "4,096 at once")
    node(380, 92, "(16, ·, ·, 63)", BLUE)
    node(630, 92, "(62, ·, ·, 63)", GREEN, "4,096 at once")
    svg.text(255, 112, "…", size=18)
    svg.text(505, 112, "…", size=18)
    node(260, 176, "(16, 0, ·, 63)", GREEN, "64 at once")
    node(380, 176, "(16, 1, ·, 63)", GREEN, "64 at once")
    node(500, 176, "(16, 15, ·, 63)", BLUE)
    node(440, 240, "(16, 15, 14, 63)", GREEN)
    node(560, 240, "(16, 15, 15, 63)", RED)
    svg.text(20, 200, "green: correct, however the", "start", 13)
    svg.text(20, 218, "open positions are filled", "start", 13)
    svg.text(624, 250, "one sequence left,", "start", 13)
    svg.text(624, 268, "and it is wrong", "start", 13)
    svg.save("tree")


def measured() -> list[dict[str, str]]:
    """The rows of measured.csv."""
    return list(csv.DictReader((HERE / "measured.csv").open(encoding="utf-8")))


def name(row: dict[str, str]) -> str:
    """A strategy with its options."""
    return f"{row['strategy']} {row['options']}".strip()


def lost(row: dict[str, str]) -> float:
    """The share of sequences that a proof leaves open or proves wrong."""
    return 1 - int(row["correct"]) / int(row["total"])


def frontier() -> None:
    """What is not proved against the length of the proof, for one model, both logarithmic."""
    rows = [row for row in measured() if row["model"] == MODEL and row["length_ops"]]
    rows.sort(key=lambda row: (int(row["length_ops"]), lost(row)))
    svg = Svg(760, 440, "What a proof leaves open, against its length: max-of-4 over 64 tokens, seed 123")
    left, right, top, bottom = 84, 740, 30, 380
    first, last, most, least = math.log(5.4e6), math.log(9e7), math.log(0.4), math.log(0.0006)

    def height(share: float) -> float:
        return bottom - (most - math.log(share)) / (most - least) * (bottom - top)

    def place(row: dict[str, str]) -> tuple[float, float]:
        x = left + (math.log(int(row["length_ops"])) - first) / (last - first) * (right - left)
        return x, height(lost(row))

    for share in (0.3, 0.1, 0.03, 0.01, 0.003, 0.001):
        svg.line((left, height(share)), (right, height(share)), colour=GREY, width=0.5, stroke_opacity="0.5")
        svg.text(left - 8, height(share) + 5, f"{100 * (1 - share):g} %", "end", 12)
    for tick in (6, 8, 10, 15, 20, 30, 50, 80):
        x = left + (math.log(tick * 1e6) - first) / (last - first) * (right - left)
        svg.line((x, bottom), (x, bottom + 5), colour=GREY)
        svg.text(x, bottom + 20, f"{tick} million" if tick in (6, 10, 20, 50) else str(tick), size=12)
    svg.line((left, top), (left, bottom), (right, bottom))
    svg.text((left + right) / 2, bottom + 46, "length of the proof: operations that checking it takes", size=13)
    svg.text(left - 8, top - 12, "proved correct", "start", 13)
    exact = next(row for row in rows if row["strategy"] == "exact")
    svg.line((left, height(lost(exact))), (right, height(lost(exact))), colour=GREEN, width=1.5, stroke_dasharray="6 4")
    accuracy = int(exact["correct"]) * 100_000 // int(exact["total"]) / 1000
    svg.text(left + 8, height(lost(exact)) - 7, f"the accuracy itself: {accuracy} %", "start", 13, fill=GREEN)
    best, steps = 1.0, list[tuple[float, float]]()
    for row in rows:
        if lost(row) < best:
            x, y = place(row)
            steps += [(x, steps[-1][1]), (x, y)] if steps else [(x, y)]
            best = lost(row)
    svg.line(*steps, (right, steps[-1][1]), colour=BLUE, width=2)
    for row in rows:
        x, y = place(row)
        if row["strategy"] == "adaptive":
            svg.dot(x, y, BLUE, 4)
            continue
        svg.box(x - 4, y - 4, 8, 8, ORANGE, 1)
        if row["strategy"] in SHORT:
            label, across, down, anchor = SHORT[row["strategy"]]
            svg.text(x + across, y + down, label, anchor, 13)
    svg.dot(right - 236, bottom - 64, BLUE, 4)
    svg.text(right - 226, bottom - 59, "adaptive, to a chosen length", "start", 13, fill=BLUE)
    svg.box(right - 240, bottom - 46, 8, 8, ORANGE, 1)
    svg.text(right - 226, bottom - 37, "other strategies", "start", 13)
    svg.line((right - 248, bottom - 20), (right - 232, bottom - 20), colour=BLUE, width=2)
    svg.text(right - 226, bottom - 15, "the frontier", "start", 13)
    svg.save("frontier")


def growth() -> dict[tuple[str, str], list[dict[str, str]]]:
    """The rows of scaling.csv for each size that grows, and strategy."""
    rows: dict[tuple[str, str], list[dict[str, str]]] = {}
    for row in csv.DictReader((HERE / "scaling.csv").open(encoding="utf-8")):
        rows.setdefault((row["grows"], row["strategy"]), []).append(row)
    return rows


def exponent(points: list[tuple[float, float]]) -> float:
    """The slope of the line through logarithms that misses them least."""
    xs, ys = [math.log(x) for x, _ in points], [math.log(y) for _, y in points]
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    return sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / sum((a - x) ** 2 for a in xs)


def scaling() -> None:
    rows = growth()
    names = list(dict.fromkeys(strategy for _, strategy in rows))
    svg = Svg(760, 400 + 20 * len(names), "Proof length against d_vocab and k")
    for panel, (size, ticks) in enumerate((("d_vocab", (32, 64, 128, 256)), ("k", (2, 4, 8, 12, 20)))):
        left, right, top, bottom = 60 + 370 * panel, 380 + 370 * panel, 20, 340
        chosen = {name: [r for r in rows.get((size, name), []) if r["length_ops"]] for name in names}
        lengths = [float(r["length_ops"]) for members in chosen.values() for r in members]
        low, high = math.log(min(lengths) / 1.3), math.log(max(lengths) * 1.3)
        first, last = math.log(ticks[0] / 1.15), math.log(ticks[-1] * 1.15)

        def place(
            x: float,
            y: float,
            left: float = left,
            right: float = right,
            first: float = first,
            last: float = last,
            low: float = low,
            high: float = high,
        ) -> tuple[float, float]:
            across = left + (math.log(x) - first) / (last - first) * (right - left)
            return across, 340 - (math.log(y) - low) / (high - low) * 320

        for power in range(5, 13):
            if low < math.log(10**power) < high:
                y = place(ticks[0], 10**power)[1]
                svg.line((left, y), (right, y), colour=GREY, width=0.5, stroke_opacity="0.5")
                svg.text(
                    left - 6,
                    y + 4,
                    f"10{'⁰¹²³⁴⁵⁶⁷⁸⁹'[power // 10 or power]}" if power < 10 else f"10¹{'⁰¹²'[power - 10]}",
                    "end",
                    12,
                )
        for tick in ticks:
            svg.text(place(tick, 1)[0], bottom + 18, str(tick), size=12)
        svg.line((left, top), (left, bottom), (right, bottom))
        svg.text((left + right) / 2, bottom + 40, "d_vocab, k = 4" if size == "d_vocab" else "k, d_vocab = 64", size=13)
        for name, colour in zip(names, COLOURS, strict=False):
            points = [place(float(r[size]), float(r["length_ops"])) for r in chosen[name]]
            if points:
                svg.line(*points, colour=colour, width=2)
                for x, y in points:
                    svg.dot(x, y, colour, 3)
    for number, (name, colour) in enumerate(zip(names, COLOURS, strict=False)):
        svg.dot(70, 402 + 20 * number, colour, 5)
        svg.text(84, 407 + 20 * number, name, "start", 13)
    svg.save("scaling")


def write_scaling() -> None:
    """Fitted exponents and the rows themselves, as the tables of docs/scaling.md."""
    rows, measures = growth(), ("length_ops", "check_s", "prove_s")
    names = list(dict.fromkeys(strategy for _, strategy in rows))
    fits = [
        "| strategy | " + " | ".join(f"{m}, {size}" for size in ("v", "k") for m in ("length", "check", "prove")) + " |"
    ]
    fits.append("|---|" + "---|" * 6)
    for name in names:
        cells = []
        for size in ("d_vocab", "k"):
            for measure in measures:
                points = [(float(r[size]), float(r[measure])) for r in rows.get((size, name), []) if r[measure]]
                cells.append(f"{exponent(points):.1f}" if len(points) > 1 else "–")
        fits.append(f"| `{name}` | " + " | ".join(cells) + " |")
    table = [
        "| d_vocab | k | strategy | bound | prove, s | check, s | million operations |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in (row for size in ("d_vocab", "k") for name in names for row in rows.get((size, name), [])):
        length = f"{float(row['length_ops']) / 1e6:.1f}" if row["length_ops"] else ""
        times = " | ".join(f"{float(row[measure]):.1f}" for measure in ("prove_s", "check_s"))
        bound = int(float(row["bound"]) * 100_000) / 100_000
        table.append(f"| {row['d_vocab']} | {row['k']} | `{row['strategy']}` | {bound:.5f} | {times} | {length} |")
    for page_table in (fits, table):
        replace_table(SCALING, page_table)


Row = dict[str, str]


def of_kinds(table: str = "") -> dict[str, list[Row]]:
    """The rows of a table of bench/kinds.py, kind by kind."""
    rows: dict[str, list[Row]] = {}
    for row in csv.DictReader((HERE / f"kinds{table}.csv").open(encoding="utf-8")):
        rows.setdefault(row["kind"], []).append(row)
    return rows


def mean(rows: list[Row], field: str) -> float:
    """Of the rows that have the field."""
    found = [float(row[field]) for row in rows if row[field]]
    return sum(found) / len(found)


def kinds() -> None:
    """A panel for each kind: what each proof leaves open, against its length; brute force beside them."""
    styles = (("regions", ORANGE), ("separable", GREEN), ("adaptive", BLUE), ("brute-force", RED))
    found, columns, wide, high = of_kinds(), 3, 232, 158
    panels = -(-len(found) // columns)
    svg = Svg(760, panels * high + 78, "What proofs leave open, against their length, for kinds of models")
    low, top_power, least = 5, 9, 5  # decades: operations from 10^low to 10^top_power, shares from 10^-least to 1
    for number, (kind, rows) in enumerate(found.items()):
        left, top = 56 + number % columns * (wide + 6), 26 + number // columns * high
        right, bottom = left + wide - 40, top + high - 56

        def place(row: Row, left: float = left, right: float = right, top: float = top) -> tuple[float, float]:
            across = (math.log10(int(row["length_ops"])) - low) / (top_power - low)
            open_share = lost(row)
            down = 1.15 if open_share == 0 else min(-math.log10(open_share) / least, 1.0)
            return left + across * (right - left), top + down * (high - 56) / 1.15

        svg.text(left, top - 8, kind, "start", 13, font_weight="bold")
        for power in range(0, least + 1, 1):
            y = top + power / least * (high - 56) / 1.15
            svg.line((left, y), (right, y), colour=GREY, width=0.5, stroke_opacity="0.4")
            if number % columns == 0:
                svg.text(left - 6, y + 4, "1" if power == 0 else f"10⁻{'⁰¹²³⁴⁵'[power]}", "end", 11)
        if number % columns == 0:
            svg.text(left - 6, bottom + 4, "0", "end", 11)
        for power in range(low, top_power + 1):
            x = left + (power - low) / (top_power - low) * (right - left)
            svg.line((x, bottom), (x, bottom + 4), colour=GREY)
            svg.text(x, bottom + 16, f"10{'⁰¹²³⁴⁵⁶⁷⁸⁹'[power]}", size=11)
        svg.line((left, top), (left, bottom), (right, bottom), width=1)
        for strategy, colour in styles:
            for row in rows:
                if row["strategy"] == strategy and row["length_ops"]:
                    x, y = place(row)
                    if strategy == "brute-force":
                        svg.box(x - 4, y - 4, 8, 8, colour, 0.9)
                    else:
                        svg.dot(x, y, colour, 3)
    y = panels * high + 40
    svg.text(
        56, y, "up: the share of inputs that is not proved correct; right: operations that checking takes", "start", 13
    )
    for number, (strategy, colour) in enumerate(styles):
        svg.dot(62 + 130 * number, y + 18, colour, 5)
        svg.text(74 + 130 * number, y + 23, strategy, "start", 13)
    svg.save("kinds")


def write_kinds() -> None:
    """The tables of docs/kinds.md."""
    found = of_kinds()
    lines = [
        "| kind | strategy | not proved correct | of all | times truth | million operations | of brute force | regions "
        "| prove | check |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for kind, rows in found.items():
        brute = [row for row in rows if row["strategy"] == "brute-force"]
        (whole,) = (int(row["length_ops"]) for row in brute if row["length_ops"])
        wrong, total = sum(missing(row) for row in brute), sum(int(row["total"]) for row in brute)
        for strategy in ("regions", "separable", "adaptive"):
            own = [row for row in rows if row["strategy"] == strategy]
            if not own:
                continue
            left_open, length = sum(missing(row) for row in own) / len(own), mean(own, "length_ops")
            ratio = f"{left_open * len(brute) / wrong:,.2f}" if wrong else "–"
            regions = f"{mean(own, 'regions'):,.0f}" if own[0]["regions"] else "–"
            lines.append(
                f"| {kind} | `{strategy}` | {left_open:,.1f} | {left_open * len(brute) / total:.5f} | {ratio} "
                f"| {length / 1e6:.2f} | {share_of(length / whole)} | {regions} "
                f"| {mean(own, 'prove_s'):.1f} s | {mean(own, 'check_s'):.2f} s |"
            )
        lines.append(
            f"| {kind} | `brute-force` | {wrong / len(brute):,.1f} | {wrong / total:.5f} | 1 | {whole / 1e6:.1f} | 1 "
            f"| – | {mean(brute, 'prove_s'):.1f} s | {mean(brute, 'check_s'):.1f} s |"
        )
    replace_measured(KINDS, "kinds", lines)
    replace_measured(KINDS, "heads", heads_table())
    replace_measured(KINDS, "neurons", neurons_table())


def missing(row: Row) -> int:
    """Inputs that are not proved correct."""
    return int(row["total"]) - int(row["correct"])


def share_of(x: float) -> str:
    """As in 1/120."""
    return f"1/{1 / x:.0f}" if x < 0.67 else f"{x:.1f}"


def numbers(row: Row, field: str) -> list[float]:
    return [float(word) for word in row[field].split()]


def effective(shares: list[float]) -> float:
    """How many of equal size would be as spread out: the exponential of the entropy."""
    return math.exp(-sum(share * math.log(share) for share in shares if share > 0))


def heads_table() -> list[str]:
    """What heads look at, whether they copy, and how they share the work; means over the models of a kind."""
    lines = [
        "| kind | attention on the largest token, the next, … | tokens copied | poll | line | residue "
        "| heads at work for one answer | for all |",
        "|---|---|---|---|---|---|---|---|",
    ]
    labels = of_kinds("-labels")
    for kind, rows in of_kinds("-heads").items():
        looks = [numbers(row, "attention") for row in rows]
        cells = [kind, " ".join(f"{sum(column) / len(column):.2f}" for column in zip(*looks, strict=True))]
        cells += [
            f"{mean(rows, field):.2f}" if rows[0][field] else "–" for field in ("copies", "poll", "line", "residue")
        ]
        shares = [numbers(row, "heads") for row in labels[kind] if row["heads"]]
        models: dict[str, list[float]] = {}
        for row in rows:
            if row["work"]:
                models.setdefault(row["seed"], []).append(float(row["work"]))
        for members in (shares, list(models.values())):
            cells.append(f"{sum(map(effective, members)) / len(members):.1f}" if members else "–")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def neurons_table() -> list[str]:
    """How many neurons of a region are always on, always off, or bent, on average."""
    lines = ["| kind | strategy | always on | always off | bent |", "|---|---|---|---|---|"]
    for kind, rows in of_kinds().items():
        for strategy in ("regions", "separable", "adaptive"):
            own = [row for row in rows if row["strategy"] == strategy and row["bent"]]
            if own:
                sums = [sum(int(row[field]) for row in own) for field in ("on", "off", "bent")]
                cells = " | ".join(f"{100 * number / sum(sums):.0f} %" for number in sums)
                lines.append(f"| {kind} | `{strategy}` | {cells} |")
    return lines


def replace_table(page: Path, lines: list[str]) -> None:
    """Put a table into a page, in place of the one with the same head."""
    before, head, after = page.read_text(encoding="utf-8").partition(lines[0])
    if not head:
        raise SystemExit(f"{page} has no table with the head {lines[0]}")
    page.write_text(before + "\n".join(lines) + "\n\n" + after.partition("\n\n")[2], encoding="utf-8")


def bound(row: dict[str, str], places: int) -> str:
    """The proved share, rounded down, "=" if nothing is left open; and what is proved from above, rounded up."""
    correct, wrong, total = (int(row[field]) for field in ("correct", "wrong", "total"))
    relation = "= " if correct + wrong == total else ""
    above = -(-(total - wrong) * 10**places // total) / 10**places
    upper = f" to {above:.{places}f}" if wrong and not relation else ""
    return f"{relation}{correct * 10**places // total / 10**places:.{places}f}{upper}"


def million(row: dict[str, str]) -> str:
    """The length, in millions of operations."""
    return f"{int(row['length_ops']) / 1e6:,.1f}" if row["length_ops"] else "–"


def seconds(text: str) -> str:
    return f"{float(text):.1f} s" if float(text) < 10 else f"{float(text):.0f} s"


def task(row: dict[str, str]) -> str:
    """As in: max-of-10, v = 128."""
    known = re.match(r"(max-of-\d+)(?:-vocab-(\d+))?", row["model"])
    assert known
    return f"{known[1]}, v = {known[2] or 64}"


def write_measured() -> None:
    """The tables of README.md and docs/frontier.md."""
    rows = sorted(measured(), key=lambda row: int(row["length_ops"] or 10**12))
    by_name = {(row["model"], name(row)): row for row in rows}
    head = "| model | strategy | proved correct | million operations to check | prove | check |"
    lines = [head, "|---|---|---|---|---|---|"]
    for row in (by_name[key] for key in README_ROWS if key in by_name):
        cells = (bound(row, 5), million(row), seconds(row["prove_s"]), seconds(row["check_s"]))
        lines.append(f"| {task(row)} | `{name(row)}` | " + " | ".join(cells) + " |")
    replace_measured(README, "some", lines)
    lines = ["| strategy | sequences proved | of all | operations |", "|---|---|---|---|"]
    for row in rows:
        if row["model"] == MODEL:
            lines.append(f"| `{name(row)}` | {int(row['correct']):,} | {bound(row, 5)} | {int(row['length_ops']):,} |")
    replace_measured(FRONTIER, "one model", lines)
    lines = ["| model | strategy | proved correct | million operations | prove | check |", "|---|---|---|---|---|---|"]
    for model in dict.fromkeys(row["model"] for row in measured()):
        for row in rows:
            if row["model"] == model != MODEL:
                cells = (bound(row, 5), million(row), seconds(row["prove_s"]), seconds(row["check_s"]))
                lines.append(f"| {task(row)} | `{name(row)}` | " + " | ".join(cells) + " |")
    replace_measured(FRONTIER, "other models", lines)
    replace_measured(FRONTIER, "areas", areas_table())


def areas_table() -> list[str]:
    """The area under the frontier of each model, of its proofs that have a length."""
    lines = [
        "| model | proofs | reading the weights | brute force, about | truth at most | area |",
        "|---|---|---|---|---|---|",
    ]
    rows = measured()
    for model in dict.fromkeys(row["model"] for row in rows):
        own = [row for row in rows if row["model"] == model]
        proofs = [(int(row["length_ops"]), 1 - lost(row)) for row in own if row["length_ops"]]
        truth = min(1 - Fraction(int(row["wrong"]), int(row["total"])) for row in own)
        weights = load_model(MODELS / f"{model}.safetensors")
        reading, brute_force = reading_length(weights.file_bytes), brute_force_length(weights.d_vocab, weights.n_ctx)
        area = area_under_frontier(proofs, reading, brute_force, float(truth)) or 0.0
        power = math.floor(math.log10(brute_force))
        lines.append(
            f"| {task(own[0])} | {len(proofs)} | {reading:,} | ${brute_force / 10**power:.1f} \\cdot 10^{{{power}}}$ "
            f"| {at_most(truth, 5)} | {at_least(area, 4)} |"
        )
    return lines


def replace_measured(page: Path, what: str, lines: list[str]) -> None:
    """Put a table between the two comments of its name."""
    text = page.read_text(encoding="utf-8")
    opening = f"<!-- measured: {what} -->\n"
    before, found, after = text.partition(opening)
    if not found:
        raise SystemExit(f"{page} has no place for the table {what}")
    after = after[after.index("<!-- end -->") :]
    page.write_text(before + opening + "\n" + "\n".join(lines) + "\n\n" + after, encoding="utf-8")


def draw() -> None:
    """All pictures and tables."""
    for picture in (separation, cells, gap, counts, tree, frontier, scaling, kinds):
        picture()
    write_measured()
    write_scaling()
    write_kinds()


if __name__ == "__main__":
    draw()
