"""float32_inputs: every input evaluated, and how far any float32 program may be off, by the formulas of docs/rules.md,
"How far float32 moves", without rounding: exact vectors in balls of Arb, and lengths of errors beside them."""

from collections.abc import Callable
from fractions import Fraction
from functools import cache
from itertools import product
from typing import Any, NamedTuple

from flint import arb, fmpq

from tests.second_verifier.float32 import LEAST_SCALE, MOST, MOST_SCALE, MOST_SUMMANDS, SLOPES, flat, is_float32
from tests.second_verifier.refusal import require
from tests.second_verifier.setting import Setting, Stated
from tests.support.any_oracle import Rows, Vector, precision, rational

BITS = 400
FLUSHED = fmpq(1, 1 << 48)
TIMES = 4  # that a matrix is multiplied with itself


class TooMuch(Exception):
    """Nothing is known: numbers that are too large, or a root that may be too small."""


class Moved(NamedTuple):
    """An exact vector; what is computed is from it by this length at most."""

    x: Vector
    m: arb

    @property
    def length(self) -> arb:
        return length(self.x) + self.m


def float32_inputs(setting: Setting, premises: list[Stated], args: dict[str, Any]) -> Any:
    require_float32(setting)
    readout = setting.inputs.readout(setting.model.oracle.pooled)
    found = {"correct": 0, "wrong": 0}
    with precision(BITS):
        model = Computed(setting)
        for tokens, weight, label in setting.inputs:
            require(0 <= label < setting.outputs, "wrong-task", "task.label")
            correct = model.is_correct(tokens, readout, label, rational(setting.margin))
            if correct is not None:
                found["correct" if correct else "wrong"] += weight
    return found


def require_float32(setting: Setting) -> None:
    tensors = setting.model.file.tensors
    weights = [x for tensor in tensors.values() for x in flat(tensor)]
    require(all(map(is_float32, weights)), "not-float32", "rule")
    require(all(abs(x) < MOST for x in weights), "beyond-float32", "rule")
    widths = [len(row) for tensor in tensors.values() for row in rows_of(tensor)]
    heights = [len(rows_of(tensor)) for tensor in tensors.values()]
    require(max(widths + heights) <= MOST_SUMMANDS, "beyond-float32", "rule")
    scale = Fraction(setting.architecture["attn_scale_squared"])
    require(LEAST_SCALE <= scale <= MOST_SCALE, "beyond-float32", "rule")


def rows_of(tensor: Any) -> list[Any]:
    """A tensor as a matrix: the last axis are its columns, all others its rows."""
    if not isinstance(tensor[0], list):
        return [tensor]
    return [row for part in tensor for row in rows_of(part)]


class Computed:
    """What programs make of one model."""

    def __init__(self, setting: Setting) -> None:
        self.exact, self.a = setting.model.oracle.balls(BITS), setting.architecture
        self.t, self.root = self.exact.tensors, arb(rational(self.a["attn_scale_squared"])).sqrt()
        blocks = range(self.a["blocks"])
        self.W_O = [[row for head in self.t[f"blocks.{i}.attn.W_O"] for row in head] for i in blocks]
        self.outputs, self.known = setting.outputs, dict[int, tuple[Rows, arb]]()

    def is_correct(self, tokens: tuple[int, ...], readout: int | None, label: int, margin: fmpq) -> bool | None:
        if self.outputs == 1:
            return True
        try:
            logits, moved = self.logits(tokens, readout)
        except TooMuch:
            return None
        leads = [logits[label] - logit - margin for y, logit in enumerate(logits) if y != label]
        if all(lead > 2 * moved for lead in leads):
            return True
        return False if any(lead <= -2 * moved for lead in leads) else None

    def logits(self, tokens: tuple[int, ...], readout: int | None) -> tuple[Vector, arb]:
        """The exact ones, and how far the one that moves most may move."""
        x = self.before_logits(tokens, readout)
        U, b = self.t["unembed.W_U"], self.t["unembed.b_U"]
        logits, columns = self.exact.linear(x.x, U, b), list(zip(*U, strict=True))
        off = [
            x.m * length(list(column)) + rounded(x.length * length(list(column)) + abs(bias), len(U) + 3)
            for column, bias in zip(columns, b, strict=True)
        ]
        return logits, largest(off)

    def before_logits(self, tokens: tuple[int, ...], readout: int | None) -> Moved:
        """Keys and values of all positions must be numbers: programs multiply those that they do not see by 0."""
        k, norms, full = len(tokens), self.a["norms"], self.a["mask"] == "full"

        @cache
        def leaving(i: int, p: int) -> Moved:
            """The residual at a position after i blocks."""
            return self.block(i - 1, p, range(k if full else p + 1), k, attended, leaving) if i else embedded(p)

        def embedded(p: int) -> Moved:
            return self.embedded(p, tokens[p])

        @cache
        def attended(i: int, p: int) -> Moved:
            """What attention reads there."""
            return self.norm(leaving(i, p), f"blocks.{i}.ln1") if "pre" in norms else leaving(i, p)

        for i, p in product(range(self.a["blocks"]), range(k)):
            for part, head in product("KV", range(self.a["heads"])):
                W, b = (self.t[f"blocks.{i}.attn.{kind}_{part}"][head] for kind in "Wb")
                self.linear(attended(i, p), W, b)
        z = self.read([leaving(self.a["blocks"], p) for p in (range(k) if readout is None else [readout])])
        for j in range(self.a["readout_layers"]):
            z = self.act(self.linear(z, self.t[f"readout.{j}.W"], self.t[f"readout.{j}.b"]), "relu")
        return z

    def block(
        self, i: int, p: int, seen: range, k: int, attended: Callable[..., Moved], leaving: Callable[..., Moved]
    ) -> Moved:
        name, norms, t = f"blocks.{i}", self.a["norms"], self.t
        means = []
        for head in range(self.a["heads"]):
            W = {part: (t[f"{name}.attn.W_{part}"][head], t[f"{name}.attn.b_{part}"][head]) for part in "QKV"}
            keys, values = ([self.linear(attended(i, j), *W[part]) for j in seen] for part in "KV")
            means.append(self.mean(self.linear(attended(i, p), *W["Q"]), keys, values, k))
        z = Moved([x for mean in means for x in mean.x], length([mean.m for mean in means]))
        x = self.linear(z, self.W_O[i], t[f"{name}.attn.b_O"], leaving(i, p))
        x = self.norm(x, f"{name}.ln1") if "post" in norms else x
        if self.a["activation"] == "none":
            return x
        y = self.norm(x, f"{name}.ln2") if "pre" in norms else x
        active = self.act(self.linear(y, t[f"{name}.mlp.W_in"], t[f"{name}.mlp.b_in"]), self.a["activation"])
        x = self.linear(active, t[f"{name}.mlp.W_out"], t[f"{name}.mlp.b_out"], x)
        return self.norm(x, f"{name}.ln2") if "post" in norms else x

    def read(self, xs: list[Moved]) -> Moved:
        if "final" in self.a["norms"]:
            xs = [self.norm(x, "ln_final") for x in xs]
        if self.a["pool"] == "none":
            return xs[0]
        total = [sum(column, arb(0)) for column in zip(*[x.x for x in xs], strict=True)]
        m = sum([x.m for x in xs], arb(0)) + rounded(sum([x.length for x in xs], arb(0)), len(xs) + 3)
        return Moved([each / len(xs) for each in total], m / len(xs)) if self.a["pool"] == "mean" else Moved(total, m)

    def embedded(self, p: int, token: int) -> Moved:
        x = [a + b for a, b in zip(self.t["embed.W_E"][token], self.t["pos_embed.W_pos"][p], strict=True)]
        return Moved(x, rounded(length(x), 4))

    def linear(self, x: Moved, W: Rows, b: Vector, more: Moved | None = None) -> Moved:
        image = self.exact.linear(x.x, W, b)
        size = x.length * length([entry for row in W for entry in row]) + length(b)
        m = x.m * self.singular_value(W)
        if more is not None:
            image, size, m = [y + v for y, v in zip(image, more.x, strict=True)], size + more.length, m + more.m
        return Moved(image, m + rounded(size, len(W) + 3))

    def act(self, z: Moved, name: str) -> Moved:
        m = z.m * rational(SLOPES[name])
        image = [getattr(self.exact.kind, name)(entry) for entry in z.x]
        return Moved(image, m if name == "relu" else m + rounded(z.length, 16))

    def norm(self, x: Moved, name: str) -> Moved:
        n, eps = len(x.x), arb(self.exact.eps)
        mean = sum(x.x, arb(0)) / n
        sigma = (sum([(entry - mean) ** 2 for entry in x.x], arb(0)) / n + eps).sqrt()
        wrong = rounded(x.length / arb(n).sqrt() + eps.sqrt(), 11 * n + 24)
        left = sigma - x.m / arb(n).sqrt()
        if not left >= 2 * wrong:
            raise TooMuch
        m = x.m / left + arb(n).sqrt() * wrong / (left - wrong)
        image = [(entry - mean) / sigma for entry in x.x]
        if self.a["normalization"] == "LNPre":
            return Moved(image, m)
        w, b = self.t[f"{name}.w"], self.t[f"{name}.b"]
        scale = largest([abs(entry) for entry in w])
        image = [y * a + c for y, a, c in zip(image, w, b, strict=True)]
        return Moved(image, m * scale + rounded((arb(n).sqrt() + m) * scale + length(b), 8))

    def mean(self, query: Moved, keys: list[Moved], values: list[Moved], k: int) -> Moved:
        key, value = largest([y.length for y in keys]), largest([y.length for y in values])
        product = query.length * key
        middle = [sum([y.x[i] for y in keys], arb(0)) / len(keys) for i in range(len(query.x))]
        between = largest([length([a - b for a, b in zip(y.x, middle, strict=True)]) for y in keys])
        wrong = query.m * between + largest([y.m for y in keys]) * query.length
        apart = (wrong + rounded(product, len(query.x) + 12)) / self.root
        if not apart <= fmpq(1, 2):
            raise TooMuch
        scores = [sum([a * b for a, b in zip(query.x, y.x, strict=True)], arb(0)) for y in keys]
        shares = [row[0] for row in self.shares(scores)]
        mean = [sum([w * y.x[i] for w, y in zip(shares, values, strict=True)], arb(0)) for i in range(len(values[0].x))]
        far = [length([a - b for a, b in zip(y.x, mean, strict=True)]) for y in values]
        spread = sum([w * distance for w, distance in zip(shares, far, strict=True)], arb(0))
        roundings = int((17 * product / self.root).upper().ceil().unique_fmpz() or 0) + 20 * k + 6
        moved = largest([y.m for y in values]) + spread * apart / (1 - apart)
        return Moved(mean, moved + rounded(value, roundings))

    def shares(self, scores: Vector) -> Rows:
        """The softmax: means of ones at one position and zeros at all others."""
        scale = self.exact.scale_squared
        ones = [[arb(i == j) for i in range(len(scores))] for j in range(len(scores))]
        return [[share] for share in self.exact.kind.mean(scores, scale, ones)]

    def singular_value(self, W: Rows) -> arb:
        """An upper bound."""
        if id(W) not in self.known:
            M = W if len(W) <= len(W[0]) else [list(column) for column in zip(*W, strict=True)]
            for _ in range(TIMES):
                M = [[sum([a * b for a, b in zip(row, other, strict=True)], arb(0)) for other in M] for row in M]
            found = length([entry for row in M for entry in row])
            for _ in range(TIMES):
                found = found.sqrt()
            self.known[id(W)] = W, found
        return self.known[id(W)][1]


def rounded(size: arb, roundings: int) -> arb:
    """What so many roundings move, and what is flushed."""
    if not size < MOST or 2 * roundings > 1 << 24:
        raise TooMuch
    return size * fmpq(roundings, (1 << 24) - roundings) + FLUSHED


def length(x: Vector) -> arb:
    """At least that, as balls around 0 have squares of either sign."""
    return sum([entry.abs_upper() ** 2 for entry in x], arb(0)).sqrt()


def largest(x: Vector) -> arb:
    found = x[0]
    for entry in x[1:]:
        found = found.max(entry)
    return found
