"""Programs that compute one attention layer with numbers of so many binary digits, 24 for float32, one input at a time.

Two kinds of arithmetic. `Anyhow` is a machine: it rounds to the nearest, sums along any tree, fuses a product with a
sum or does not, flushes small numbers or does not, and its exp is off by up to 4 units of the last place. `Against`
moves every result by as much as an operation may be off, so that one logit gains on another, and sums so that what is
on the way is large. With few digits errors are large, and a bound that forgets one of them is soon exceeded.
Nothing here knows how the bound is made.
"""

import inspect
import random
from collections.abc import Callable, Sequence
from fractions import Fraction
from math import copysign, erf, exp, frexp, ldexp, log, pi, sqrt, tanh
from types import ModuleType
from typing import NamedTuple

import numpy as np

import checker.lemmas.float32 as lemma
from tests.support.any_case import Case
from tests.support.any_model import architecture, axes_of
from tests.support.any_problem import Inputs

SMALLEST = 2.0**-126
LOG2E = 1 / log(2)
ACTIVATIONS: dict[str, Callable[[float], float]] = {
    "relu": lambda z: max(z, 0.0),
    "silu": lambda z: z / (1 + exp(-z)) if z > -700 else 0.0,
    "gelu_tanh": lambda z: z / 2 * (1 + tanh(sqrt(2 / pi) * (z + 0.044715 * z**3))),
    "gelu_erf": lambda z: z / 2 * (1 + erf(z / sqrt(2))),
}
Vector = list[float]
Leaf = tuple[float, float] | float  # a product, or a summand


class Layer(NamedTuple):
    """The tensors of one block by their last names, heads first, and what else makes the function."""

    W: dict[str, np.ndarray]
    scale: float
    act: str
    full: bool


def layer_of(case: Case) -> Layer:
    """A case whose model has one block."""
    given = case.architecture
    W = {name.rpartition(".")[2]: x for name, x in case.tensors.items()}
    return Layer(W, float(Fraction(given["attn_scale_squared"])), given["activation"], given["mask"] == "full")


class Anyhow:
    """A machine that does whatever it may, at random."""

    def __init__(self, digits: int, rng: random.Random) -> None:
        self.digits, self.rng, self.unit = digits, rng, 2.0**-digits
        self.flushes, self.fuses = rng.random() < 0.3, rng.choice([0.0, 0.5, 1.0])
        self.ulps = rng.choice([0, 1, 4])
        self.scaling = rng.choice(["divide", "multiply", "query", "both"])
        self.softmax = rng.choice(["weights", "late", "online"])
        self.base_2, self.inverts = rng.random() < 0.3, rng.random() < 0.5

    def rounded(self, x: float, sign: float = 0) -> float:
        m, e = frexp(self.flushed(x))
        return self.flushed(ldexp(round(ldexp(m, self.digits)), e - self.digits))

    def flushed(self, x: float) -> float:
        return 0.0 if self.flushes and abs(x) < SMALLEST else x

    def sum(self, leaves: Sequence[Leaf], sign: float = 0, ends: bool = True) -> float:
        """Along a random tree. A product waits for a number that it is fused with, or is rounded by itself."""
        products = [leaf for leaf in leaves if isinstance(leaf, tuple)]
        numbers = [leaf for leaf in leaves if not isinstance(leaf, tuple)]
        self.rng.shuffle(products)
        while products or len(numbers) > 1:
            if products and (len(numbers) < 2 or self.rng.random() < 0.5):
                a, b = map(self.flushed, products.pop())
                fused = numbers and self.rng.random() < self.fuses
                c = self.flushed(numbers.pop(self.rng.randrange(len(numbers)))) if fused else 0.0
                numbers.append(self.rounded(a * b + c))
            else:
                a, b = (self.flushed(numbers.pop(self.rng.randrange(len(numbers)))) for _ in range(2))
                numbers.append(self.rounded(a + b))
        return numbers[0]

    def exp(self, x: float, sign: float = 0) -> float:
        """Within units of the last place."""
        value = exp(max(x, -700.0))
        ulp = ldexp(1.0, frexp(value)[1] - self.digits)
        return max(self.rounded(value + self.rng.randint(-self.ulps, self.ulps) * ulp), 0.0)

    def quotient(self, x: float, total: float, sign: float = 0) -> float:
        """Of a mean, or the product with an inverse."""
        return self.rounded(x * self.fast(1 / total, sign), sign) if self.inverts else self.fast(x / total, sign)

    def fast(self, x: float, sign: float) -> float:
        """A division within 4 units of rounding."""
        return self.rounded(x * (1 + self.rng.uniform(-2.9, 2.9) * self.unit))

    def act(self, name: str, z: float, sign: float = 0) -> float:
        return self.rounded(ACTIVATIONS[name](z))


class Against(Anyhow):
    """Everything is off in the direction that the sign says, by as much as it may be."""

    def __init__(self, digits: int, rng: random.Random) -> None:
        super().__init__(digits, rng)
        self.flushes = False

    def rounded(self, x: float, sign: float = 0) -> float:
        return x + copysign(self.unit * abs(x), sign) if sign else x

    def sum(self, leaves: Sequence[Leaf], sign: float = 0, ends: bool = True) -> float:
        products = [self.rounded(leaf[0] * leaf[1], sign) if isinstance(leaf, tuple) else leaf for leaf in leaves]
        totals = []
        for ordered in (sorted(products), sorted(products, reverse=True)):  # what is on the way is large in one of them
            totals.append(ordered[0])
            for x in ordered[1:]:
                totals[-1] = self.rounded(totals[-1] + x, sign)
        total = max(totals) if sign > 0 else min(totals)
        return self.rounded(total, sign) if ends else total  # once more

    def exp(self, x: float, sign: float = 0) -> float:
        value = exp(max(x, -700.0))
        return value + copysign(8 * self.unit * value, sign) if sign else value

    def fast(self, x: float, sign: float) -> float:
        return x + copysign(4 * self.unit * abs(x), sign) if sign else x

    def act(self, name: str, z: float, sign: float = 0) -> float:
        value = ACTIVATIONS[name](z)
        return value + copysign(16 * self.unit * abs(z), sign) if sign and name != "relu" else value


class Signs(NamedTuple):
    """For each number of a run, the sign with which it moves the difference of two logits."""

    r: np.ndarray
    q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    score: np.ndarray
    share: np.ndarray  # of a numerator, by head and position
    mean: np.ndarray  # of the mean itself, by head
    z: np.ndarray
    x: np.ndarray
    neuron: np.ndarray
    after: np.ndarray
    logit: np.ndarray


class Exact(NamedTuple):
    logits: np.ndarray
    signs: Callable[[int, int], Signs]


def exact(layer: Layer, tokens: Sequence[int], readout: int) -> Exact:
    """The logits in float64, and which way everything moves them."""
    W = layer.W
    seen = len(tokens) if layer.full else readout + 1
    r = W["W_E"][list(tokens)][:seen] + W["W_pos"][:seen]
    q = np.einsum("d,hde->he", r[readout], W["W_Q"]) + W["b_Q"]
    k = np.einsum("pd,hde->hpe", r, W["W_K"]) + W["b_K"][:, None]
    v = np.einsum("pd,hde->hpe", r, W["W_V"]) + W["b_V"][:, None]
    c = layer.scale**-0.5
    s = c * np.einsum("he,hpe->hp", q, k)
    w = np.exp(s - s.max(axis=1, keepdims=True))
    a = w / w.sum(axis=1, keepdims=True)
    z = np.einsum("hp,hpe->he", a, v)
    x = r[readout] + np.einsum("he,hed->d", z, W["W_O"]) + W["b_O"]
    neurons, after = np.zeros(0), x
    if layer.act != "none":
        neurons = x @ W["W_in"] + W["b_in"]
        after = x + np.array([ACTIVATIONS[layer.act](float(n)) for n in neurons]) @ W["W_out"] + W["b_out"]

    def signs(y: int, other: int) -> Signs:
        g_after = W["W_U"][:, y] - W["W_U"][:, other]
        g, g_neuron = g_after, np.zeros(0)
        if layer.act != "none":
            f, e = ACTIVATIONS[layer.act], 1e-6
            slope = np.array([(f(float(n) + e) - f(float(n) - e)) / (2 * e) for n in neurons])
            g_neuron = W["W_out"] @ g_after
            g = g_after + W["W_in"] @ (slope * g_neuron)
            g_neuron = np.stack([g_neuron, slope * g_neuron])
        g_z = np.einsum("hed,d->he", W["W_O"], g)
        f_j = np.einsum("hpe,he->hp", v, g_z)
        mean = (a * f_j).sum(axis=1)
        g_s = a * (f_j - mean[:, None])
        g_q = np.einsum("hp,hpe->he", g_s, k)
        g_k = np.einsum("hp,he->hpe", g_s, q)
        g_v = np.repeat(g_z[:, None], seen, axis=1) * (a > 0)[..., None]
        g_r = np.einsum("hpe,hde->pd", g_k, W["W_K"]) * c + np.einsum("hp,he,hde->pd", a, g_z, W["W_V"])
        g_r[readout] += g + c * np.einsum("he,hde->d", g_q, W["W_Q"])
        logit = np.zeros(W["W_U"].shape[1])
        logit[y], logit[other] = 1, -1
        found = (g_r, g_q, g_k, g_v, g_s, f_j, mean, g_z, g, g_neuron, g_after, logit)
        return Signs(*[np.sign(each) for each in found])

    return Exact(after @ W["W_U"] + W["b_U"], signs)


def run(layer: Layer, tokens: Sequence[int], readout: int, machine: Anyhow, signs: Signs | None = None) -> Vector:
    """The logits that a machine computes."""
    W, c = layer.W, layer.scale
    seen = len(tokens) if layer.full else readout + 1

    def sign(name: str, *at: int) -> float:
        return 0.0 if signs is None else float(getattr(signs, name)[at])

    def linear(x: Vector, W: np.ndarray, more: Sequence[Vector], name: str, *at: int) -> Vector:
        found = []
        for j in range(W.shape[1]):
            products = [(x[i], float(W[i, j])) for i in range(len(x))]
            found.append(machine.sum([*products, *[row[j] for row in more]], sign(name, *at, j)))
        return found

    d = W["W_E"].shape[1]
    r = [
        [machine.sum([float(W["W_E"][tokens[p], i]), float(W["W_pos"][p, i])], sign("r", p, i)) for i in range(d)]
        for p in range(seen)
    ]
    root = machine.rounded(sqrt(c))
    inverse, quarter = machine.rounded(1 / root), machine.rounded(sqrt(machine.rounded(1 / root)))
    z: Vector = []
    for h in range(len(W["W_Q"])):
        q = linear(r[readout], W["W_Q"][h], [list(W["b_Q"][h])], "q", h)
        k = [linear(r[p], W["W_K"][h], [list(W["b_K"][h])], "k", h, p) for p in range(seen)]
        v = [linear(r[p], W["W_V"][h], [list(W["b_V"][h])], "v", h, p) for p in range(seen)]
        up = [sign("score", h, p) for p in range(seen)]
        if machine.scaling == "query":
            q = [machine.rounded(x * inverse, sign("q", h, i)) for i, x in enumerate(q)]
        if machine.scaling == "both":
            q = [machine.rounded(x * quarter, sign("q", h, i)) for i, x in enumerate(q)]
            k = [[machine.rounded(x * quarter, sign("k", h, p, i)) for i, x in enumerate(k[p])] for p in range(seen)]
        s = [machine.sum(list(zip(q, k[p], strict=True)), up[p]) for p in range(seen)]
        if machine.scaling == "divide":
            s = [machine.rounded(x / root, up[p]) for p, x in enumerate(s)]
        if machine.scaling == "multiply":
            s = [machine.rounded(x * inverse, up[p]) for p, x in enumerate(s)]
        share, ends = [sign("share", h, p) for p in range(seen)], [sign("z", h, i) for i in range(len(q))]
        z += mixed(machine, s, v, up, share, sign("mean", h), ends)
    heads = W["W_O"].reshape(-1, d)
    x = linear(z, heads, [list(W["b_O"]), r[readout]], "x")
    if layer.act != "none":
        neurons = linear(x, W["W_in"], [list(W["b_in"])], "neuron", 1)
        active = [machine.act(layer.act, n, sign("neuron", 0, i)) for i, n in enumerate(neurons)]
        x = linear(active, W["W_out"], [list(W["b_out"]), x], "after")
    return linear(x, W["W_U"], [list(W["b_U"])], "logit")


def mixed(machine: Anyhow, s: Vector, v: list[Vector], up: Vector, share: Vector, mean: float, z: Vector) -> Vector:
    """Softmax and the mean of values, in one of three ways."""

    def weight(j: int, most: float, sign: float) -> float:
        x = machine.rounded(s[j] - most, up[j])
        if machine.base_2:
            x = machine.rounded(machine.rounded(x * machine.rounded(LOG2E), up[j]) / LOG2E)
        return machine.exp(x, sign)

    places = range(len(s))
    if machine.softmax != "online":
        most = max(s)
        w = [weight(j, most, up[j]) for j in places]
        total = machine.sum(w, -mean)
        if machine.softmax == "weights":
            w = [machine.quotient(x, total, share[j]) for j, x in enumerate(w)]
            return [machine.sum([(w[j], v[j][i]) for j in places], z[i]) for i in range(len(v[0]))]
        sums = [machine.sum([(w[j], v[j][i]) for j in places], z[i]) for i in range(len(v[0]))]
        return [machine.quotient(x, total, z[i]) for i, x in enumerate(sums)]
    most, total, first = s[0], machine.exp(0.0, -mean), machine.exp(0.0, share[0])
    sums = [machine.rounded(x * first, z[i]) for i, x in enumerate(v[0])]
    for j in places[1:]:
        before, most = most, max(most, s[j])
        shrunk = machine.rounded(before - most, 0)
        total = machine.sum([(total, machine.exp(shrunk, -mean)), weight(j, most, -mean)], -mean, ends=False)
        factor, own = machine.exp(shrunk, share[0]), weight(j, most, share[j])
        sums = [machine.sum([(x, factor), (own, v[j][i])], z[i], ends=False) for i, x in enumerate(sums)]
    total = machine.rounded(total, -mean)
    return [machine.quotient(machine.rounded(x, z[i]), total, z[i]) for i, x in enumerate(sums)]


class Counted(NamedTuple):
    """Weights of inputs that are correct, and that are wrong, in each of some runs."""

    correct: int
    wrong: int


def counted(case: Case, rng: random.Random, runs: int = 2, digits: int = 24) -> Counted:
    """All inputs of a case, each run by so many machines: no claim about all programs may be above this."""
    inputs, layer, found = Inputs(case.problem), layer_of(case), [0, 0]
    readout = inputs.readout(False)
    assert readout is not None
    for tokens, weight, label in inputs:
        said = {wins(run(layer, tokens, readout, Anyhow(digits, rng)), label, case.margin) for _ in range(runs)}
        found[0] += weight * (said == {True})
        found[1] += weight * (said == {False})
    return Counted(*found)


def wins(logits: Vector, label: int, margin: Fraction) -> bool:
    """Computed logits are compared as the numbers that they are."""
    return all(Fraction(logit) + margin < Fraction(logits[label]) for y, logit in enumerate(logits) if y != label)


def with_digits(digits: int, *bends: tuple[str, str]) -> ModuleType:
    """The bound as the checker computes it, for numbers of so many digits; `bends` are changes of its code."""
    code = inspect.getsource(lemma)
    for before, after in (("LAST_PLACE = -149", f"LAST_PLACE = -149\nDIGITS = {digits}"), *bends):
        assert before in code, before
        code = code.replace(before, after)
    module = ModuleType("bent")
    exec(compile(code, "bent", "exec"), module.__dict__)
    return module


def any_layer(seed: int, digits: int) -> Case:
    """A tiny model of one layer, of any kind that the bound is about, whose weights have so many digits; all tokens at
    each position."""
    rng, draw = random.Random(seed), np.random.default_rng(seed)
    given = architecture(
        heads=rng.choice([1, 1, 2]),
        mask=rng.choice(["causal", "full"]),
        attn_scale_squared=rng.choice(["1", "2", "16", "1/4"]),
        activation=rng.choice(["none", "none", "none", *ACTIVATIONS]),
    )
    k, v = rng.choice([1, 2, 2, 3, 4]), rng.choice([1, 2])
    sizes = {"d_vocab": v, "d_model": rng.choice([1, 2, 3, 5]), "n_ctx": k, "n_heads": given["heads"]}
    sizes |= {"d_head": rng.choice([1, 2, 4]), "d_mlp": rng.choice([1, 2, 4]), "d_vocab_out": rng.choice([2, 2, 3])}
    tensors = {}
    for name, axes in axes_of(given).items():
        x = draw.normal(size=[sizes[axis] for axis in axes]) * rng.choice([0, 0.25, 1, 1, 1, 2, 4])
        mantissa, exponent = np.frexp(np.round(x) if rng.random() < 0.2 else x)
        tensors[name] = np.ldexp(np.round(np.ldexp(mantissa, digits)), exponent - digits)
    problem = {
        "inputs": [{"tokens": f"0-{v - 1}"} for _ in range(k)],
        "label": {"name": "contains", "token": 0},
        "readout": rng.randrange(k),
    }
    return Case(tensors, given, problem)
