"""Programs that compute a model of any architecture with numbers of so many binary digits, 24 for float32.

The machines of float32_runs.py do its steps: `AnyhowElse` whatever it may, at random; `Taped` notes every number and
which way it moves the difference of two logits, and then moves each of them this way, as far as an operation may be
off. Nothing here knows how the checker bounds that.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from tests.support.any_case import Case, any_architecture
from tests.support.any_model import axes_of
from tests.support.float32_runs import ACTIVATIONS, Anyhow, mixed


class Node:
    """A number of a run, and how it depends on others: (other, derivative)."""

    def __init__(self, value: float, parents: Sequence[tuple[Node, float]] = ()) -> None:
        self.value, self.parents, self.grad = value, parents, 0.0


Number = Node | float


def value(x: Number) -> float:
    return x.value if isinstance(x, Node) else x


class AnyhowElse(Anyhow):
    """With the operations of LayerNorm."""

    def __init__(self, digits: int, rng: random.Random) -> None:
        super().__init__(digits, rng)
        self.moments = rng.choice(["two passes", "one by one", "merged"])
        self.ending = rng.choice(["quotient", "inverse", "apart", "weight first"])

    def product(self, a: float, b: float) -> float:
        return self.rounded(self.flushed(a) * self.flushed(b))

    def root(self, x: float) -> float:
        return self.rounded(math.sqrt(x))

    def inverse(self, x: float) -> float:
        return self.fast(1 / x, 0)

    def divided(self, x: float, y: float) -> float:
        return self.fast(x / y, 0)

    def negative(self, x: float) -> float:
        return -x

    def mean(self, s: list[float], v: list[list[float]]) -> list[float]:
        return mixed(self, s, v, [0.0] * len(s), [0.0] * len(s), 0.0, [0.0] * len(v[0]))


class Taped(AnyhowElse):
    """The numbers of a run are nodes. Made twice with one seed: without signs it is exact, and says them."""

    def __init__(self, digits: int, seed: int, signs: Sequence[float] | None = None) -> None:
        super().__init__(digits, random.Random(seed))
        self.fuses, self.flushes, self.base_2 = 0.0, False, False
        self.tape: list[Node] = []
        self.signs = signs
        self.order = self.rng.choice([1, -1])

    def note(
        self, x: float, parents: Sequence[tuple[Number, float]], units: float = 1, of: float | None = None
    ) -> Node:
        """The result of an operation, which is off by so many units of its size, or of another one."""
        if self.signs is not None:
            x += self.signs[len(self.tape)] * units * self.unit * abs(x if of is None else of)
        self.tape.append(Node(x, [(node, slope) for node, slope in parents if isinstance(node, Node)]))
        return self.tape[-1]

    def signs_of(self, end: Number) -> list[float]:
        """Of all nodes, how `end` depends on them."""
        assert isinstance(end, Node)
        end.grad = 1.0
        for node in reversed(self.tape):
            for other, slope in node.parents:
                other.grad += node.grad * slope
        return [float(np.sign(node.grad)) for node in self.tape]

    def product(self, a: Number, b: Number) -> Node:  # type: ignore[override]
        return self.note(value(a) * value(b), [(a, value(b)), (b, value(a))])

    def sum(self, leaves: Sequence[tuple[Number, Number] | Number], sign: float = 0, ends: bool = True) -> Node:  # type: ignore[override]
        """Products are rounded, then added one after another, the largest or the least first; once more at the end."""
        numbers = [self.product(*leaf) if isinstance(leaf, tuple) else leaf for leaf in leaves]
        numbers.sort(key=lambda x: self.order * value(x))
        total = numbers[0]
        for x in numbers[1:]:
            total = self.note(value(total) + value(x), [(total, 1.0), (x, 1.0)])
        return self.note(value(total), [(total, 1.0)]) if ends else self.exact(total)

    def exact(self, x: Number) -> Node:
        return self.note(value(x), [(x, 1.0)], 0)

    def exp(self, x: Number, sign: float = 0) -> Node:  # type: ignore[override]
        e = math.exp(max(value(x), -700.0))
        return self.note(e, [(x, e)], 8)

    def root(self, x: Number) -> Node:  # type: ignore[override]
        root = math.sqrt(max(value(x), 0.0))
        return self.note(root, [(x, 0.5 / root if root else 0.0)])

    def inverse(self, x: Number) -> Node:  # type: ignore[override]
        return self.note(1 / value(x), [(x, -1 / value(x) ** 2)], 4)

    def divided(self, x: Number, y: Number) -> Node:  # type: ignore[override]
        return self.note(value(x) / value(y), [(x, 1 / value(y)), (y, -value(x) / value(y) ** 2)], 4)

    def quotient(self, x: Number, total: Number, sign: float = 0) -> Node:  # type: ignore[override]
        return self.product(x, self.inverse(total)) if self.inverts else self.divided(x, total)

    def act(self, name: str, z: Number, sign: float = 0) -> Node:  # type: ignore[override]
        f, step = ACTIVATIONS[name], 1e-6
        slope = (f(value(z) + step) - f(value(z) - step)) / (2 * step)
        return self.note(f(value(z)), [(z, slope)], 0 if name == "relu" else 16, value(z))

    def negative(self, x: Number) -> Number:  # type: ignore[override]
        return self.note(-value(x), [(x, -1.0)], 0)

    def mean(self, s: list[Number], v: list[list[Number]]) -> list[Number]:  # type: ignore[override]
        most = max(map(value, s))
        w = [self.exp(self.sum([x, -most], ends=False)) for x in s]
        total, columns = self.sum(w), list(zip(*v, strict=True))
        if self.softmax == "weights":
            w = [self.quotient(x, total) for x in w]
        sums = [self.sum(list(zip(w, column, strict=True))) for column in columns]
        return [*sums] if self.softmax == "weights" else [self.quotient(x, total) for x in sums]


def run_any(case: Case, tokens: Sequence[int], machine: Any) -> list[Any]:
    """The logits that a machine computes for an input of all k tokens."""
    given, T, m = case.architecture, case.tensors, machine
    k, d, heads = len(tokens), T["embed.W_E"].shape[1], given["heads"]
    readout = case.problem.get("readout", k - 1)
    read = [readout] if given["pool"] == "none" else list(range(k))

    def linear(x: Any, W: np.ndarray, *more: Any) -> Any:
        columns = range(W.shape[1])
        return [m.sum([*[(x[i], float(W[i, j])) for i in range(len(x))], *[row[j] for row in more]]) for j in columns]

    def bias(name: str, *at: int) -> list[float]:
        return [float(b) for b in T[name][at]]

    def norm(x: Any, name: str) -> Any:
        return normed(m, x, m.rounded(float(Fraction(given["eps"]))), T.get(f"{name}.w"), T.get(f"{name}.b"))

    scale = float(Fraction(given["attn_scale_squared"])) ** 0.5
    x = [
        [m.sum([float(T["embed.W_E"][t, i]), float(T["pos_embed.W_pos"][p, i])]) for i in range(d)]
        for p, t in enumerate(tokens)
    ]
    for block in range(given["blocks"]):
        name = f"blocks.{block}"
        y = [norm(row, f"{name}.ln1") for row in x] if "pre" in given["norms"] else x
        z: list[list[Any]] = [[] for _ in range(k)]
        for h in range(heads):
            q, keys, values = [
                [linear(row, T[f"{name}.attn.W_{part}"][h], bias(f"{name}.attn.b_{part}", h)) for row in y]
                for part in "QKV"
            ]
            for p in range(k):
                seen = range(k) if given["mask"] == "full" else range(p + 1)
                s = [m.divided(m.sum(list(zip(q[p], keys[j], strict=True))), scale) for j in seen]
                z[p] += m.mean(s, [values[j] for j in seen])
        W_O = T[f"{name}.attn.W_O"].reshape(-1, d)
        x = [linear(z[p], W_O, bias(f"{name}.attn.b_O"), x[p]) for p in range(k)]
        if "post" in given["norms"]:
            x = [norm(row, f"{name}.ln1") for row in x]
        if given["activation"] != "none":
            y = [norm(row, f"{name}.ln2") for row in x] if "pre" in given["norms"] else x
            into = [linear(row, T[f"{name}.mlp.W_in"], bias(f"{name}.mlp.b_in")) for row in y]
            active = [[m.act(given["activation"], n) for n in row] for row in into]
            x = [linear(active[p], T[f"{name}.mlp.W_out"], bias(f"{name}.mlp.b_out"), x[p]) for p in range(k)]
            if "post" in given["norms"]:
                x = [norm(row, f"{name}.ln2") for row in x]
    x = [norm(x[p], "ln_final") if "final" in given["norms"] else x[p] for p in read]
    out = x[0]
    if given["pool"] != "none":
        out = [m.sum(list(column)) for column in zip(*x, strict=True)]
    if given["pool"] == "mean":
        out = [m.product(each, m.rounded(1 / k)) for each in out]
    for layer in range(given["readout_layers"]):
        out = [m.act("relu", n) for n in linear(out, T[f"readout.{layer}.W"], bias(f"readout.{layer}.b"))]
    return linear(out, T["unembed.W_U"], bias("unembed.b_U"))


def normed(m: Any, x: Any, eps: float, w: np.ndarray | None, b: np.ndarray | None) -> Any:
    """LayerNorm in one of the ways that a machine may take."""
    n = len(x)
    if m.moments == "two passes":
        mean = m.product(m.sum(x), m.rounded(1 / n))
        far = [m.sum([each, m.negative(mean)], ends=False) for each in x]
        variance = m.product(m.sum([(each, each) for each in far]), m.rounded(1 / n))
    else:
        order = list(range(n))
        m.rng.shuffle(order)
        sets = [(1, x[i], None) for i in order]
        while len(sets) > 1:
            second = sets.pop(1 if m.moments == "one by one" else m.rng.randrange(1, len(sets)))
            sets[0] = merged(m, sets[0], second)
            if m.moments == "merged":
                m.rng.shuffle(sets)
        ((_, mean, squares),) = sets
        variance = m.product(0.0 if squares is None else squares, m.rounded(1 / n))
    root = m.root(m.sum([variance, eps], ends=False))
    weights = [1.0] * n if w is None else [float(each) for each in w]
    biases = [0.0] * n if b is None else [float(each) for each in b]
    out = []
    for each, weight, bias in zip(x, weights, biases, strict=True):
        if m.ending == "weight first":
            factor = m.product(m.inverse(root), weight)
            rest = m.sum([bias, m.negative(m.product(mean, factor))], ends=False)
            out.append(m.sum([(each, factor), rest], ends=False))
            continue
        if m.ending == "apart":
            inverse = m.inverse(root)
            y = m.sum([(each, inverse), m.negative(m.product(mean, inverse))], ends=False)
        else:
            far = m.sum([each, m.negative(mean)], ends=False)
            y = m.divided(far, root) if m.ending == "quotient" else m.product(far, m.inverse(root))
        out.append(m.sum([(y, weight), bias], ends=False) if w is not None else y)
    return out


def merged(m: Any, first: Any, second: Any) -> Any:
    """Two sets: numbers of entries, means, sums of squares, None of one entry."""
    (n1, m1, q1), (n2, m2, q2) = first, second
    n = n1 + n2
    share, delta = m.rounded(n2 / n), m.sum([m2, m.negative(m1)], ends=False)
    if m.rng.random() < 0.3:
        mean = m.product(m.sum([(m1, float(n1)), (m2, float(n2))], ends=False), m.rounded(1 / n))
    else:
        mean = m.sum([m1, (delta, share)], ends=False)
    if n2 == 1 and m.rng.random() < 0.7:
        term = m.product(delta, m.sum([m2, m.negative(mean)], ends=False))
    else:
        term = m.product(m.product(m.product(delta, delta), share), float(n1))
    squares = [each for each in (q1, q2, term) if each is not None]
    return n, mean, m.sum(squares, ends=False) if len(squares) > 1 else term


def against(case: Case, tokens: Sequence[int], digits: int, seed: int, y: int, other: int) -> list[float]:
    """The logits of a run in which everything that is rounded helps one logit against another."""
    first = Taped(digits, seed)
    logits = run_any(case, tokens, first)
    signs = first.signs_of(first.sum([logits[y], first.negative(logits[other])], ends=False))
    return [value(each) for each in run_any(case, tokens, Taped(digits, seed, signs))]


def any_float_model(seed: int, digits: int, **fixed: Any) -> Case:
    """A tiny model of any architecture, whose weights have so many digits; all tokens at each position."""
    rng, draw = random.Random(seed), np.random.default_rng(seed)
    given = any_architecture(rng) | fixed
    if given["attn_scale_squared"] == "1/1000000":
        given["attn_scale_squared"] = "1/4"
    k, v = rng.choice([1, 2, 3]), 2
    sizes = {"d_vocab": v, "n_ctx": k, "n_heads": given["heads"], "d_vocab_out": rng.choice([2, 3])}
    sizes |= {"d_model": rng.choice([2, 3, 4, 6]), "d_head": rng.choice([1, 2]), "d_mlp": rng.choice([1, 2, 4])}
    sizes |= {f"d_readout_{layer}": rng.choice([1, 2, 3]) for layer in range(given["readout_layers"])}
    tensors = {}
    for name, axes in axes_of(given).items():
        x = draw.normal(size=[sizes[axis] for axis in axes]) * rng.choice([0, 0.25, 1, 1, 1, 2])
        if name == "embed.W_E" or name.endswith(".w"):
            x = x + draw.normal(size=x.shape)
        mantissa, exponent = np.frexp(x)
        tensors[name] = np.ldexp(np.round(np.ldexp(mantissa, digits)), exponent - digits)
    problem: dict[str, Any] = {"inputs": [{"tokens": f"0-{v - 1}"} for _ in range(k)]}
    problem["label"] = {"name": "contains", "token": 0}
    if given["pool"] == "none":
        problem["readout"] = rng.randrange(k)
    return Case(tensors, given, problem)
