"""Random tiny problems for the rules about regions, each decided by a seed: one layer, 1-3 heads, groups of regions.

    case, groups = region_case(7)

Most models are nearly correct: the unembedding is fitted to the labels, and the margin is near the lead of some input.
Automata of groups come from functions of an input (where the label stands, how often, a sum, ...), in a small form.
"""

import random
from collections.abc import Callable, Mapping
from fractions import Fraction
from math import erf
from typing import Any

import numpy as np

from tests.support.any_case import Case, any_inputs, any_label, any_tensors
from tests.support.any_model import Architecture, Tensors, architecture
from tests.support.any_problem import Inputs, Json, Tokens
from tests.support.tiny import short

KINDS = ("normal",) * 8 + ("lattice", "hair", "steep", "steep", "wild", "extreme")
Array = np.ndarray
Weighed = tuple[Tokens, int, int]  # an input, its weight, its label


class Floats:
    """The layer of a case in floating point, from the definition: features are logits without b_U, then neurons."""

    def __init__(self, tensors: Mapping[str, Array], given: Architecture, k: int, readout: int) -> None:
        t = {name.rpartition("blocks.0.")[2]: array for name, array in tensors.items()}
        self.given, self.readout, self.t = given, readout, t
        maps, biases = [t["unembed.W_U"]], [t["attn.b_O"] @ t["unembed.W_U"]]
        self.out: Array | None = None
        if given["activation"] != "none":
            maps, self.out = [*maps, t["mlp.W_in"]], t["mlp.W_out"] @ t["unembed.W_U"]
            biases = [biases[0] + t["mlp.b_out"] @ t["unembed.W_U"], t["attn.b_O"] @ t["mlp.W_in"] + t["mlp.b_in"]]
        both = np.hstack(maps)
        x = t["embed.W_E"][None] + t["pos_embed.W_pos"][:k, None]
        y = self.norm(x, "ln1")
        self.direct = x[readout] @ both + np.concatenate(biases)
        queries, keys, values = (
            np.einsum("ptd,hde->hpte", y, t[f"attn.W_{name}"]) + t[f"attn.b_{name}"][:, None, None] for name in "QKV"
        )
        self.written = np.einsum("hpte,hed->hptd", values, t["attn.W_O"])
        self.values = self.written @ both
        scores = np.einsum("hqe,hpte->hqpt", queries[:, readout], keys)
        self.scores = scores / float(Fraction(given["attn_scale_squared"])) ** 0.5
        self.seen = readout + 1 if given["mask"] == "causal" else k
        self.residual = x[readout] + t["attn.b_O"]

    def norm(self, x: Array, name: str) -> Array:
        place = "final" if name == "ln_final" else "pre"
        if place not in self.given["norms"]:
            return x
        centred = x - x.mean(-1, keepdims=True)
        y = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + float(Fraction(self.given["eps"])))
        return y * self.t[f"{name}.w"] + self.t[f"{name}.b"] if self.given["normalization"] == "LN" else y

    def attention(self, tokens: Tokens) -> Array:
        """[head, position]"""
        at = list(range(self.seen))
        scores = self.scores[:, tokens[self.readout], at, list(tokens[: self.seen])]
        powers = np.exp(scores - scores.max(1, keepdims=True))
        return powers / powers.sum(1, keepdims=True)

    def means(self, tokens: Tokens, values: Array) -> Array:
        """[head, feature] of values[head, position, token, feature]."""
        seen = values[:, list(range(self.seen)), list(tokens[: self.seen])]
        return np.einsum("hp,hpf->hf", self.attention(tokens), seen)

    def final(self, tokens: Tokens) -> Array:
        """The residual that is unembedded."""
        x = self.residual[tokens[self.readout]] + self.means(tokens, self.written).sum(0)
        if self.out is not None:
            z = self.norm(x, "ln2") @ self.t["mlp.W_in"] + self.t["mlp.b_in"]
            x = x + activation(self.given["activation"], z) @ self.t["mlp.W_out"] + self.t["mlp.b_out"]
        return self.norm(x, "ln_final")

    def logits(self, tokens: Tokens) -> Array:
        return self.final(tokens) @ self.t["unembed.W_U"] + self.t["unembed.b_U"]


def activation(name: str, z: Array) -> Array:
    """About."""
    if name == "relu":
        return np.maximum(z, 0)
    if name == "gelu_erf":
        return z * np.array([(1 + erf(x / 2**0.5)) / 2 for x in z])
    u = z if name == "silu" else (8 / np.pi) ** 0.5 * (z + 0.044715 * z**3)
    return z / (1 + np.exp(-u))


def region_case(seed: int, **fixed: Any) -> tuple[Case, list[Json]]:
    """Anything with one layer; of a few drawn, the first of which some inputs are correct and some are not. What is
    fixed are fields of the architecture, the readout, or coarse=True for one part in each group."""
    rng, draw = random.Random(seed), np.random.default_rng(seed)
    coarse = fixed.pop("coarse", False)
    for _ in range(rng.choice([1, 6])):
        case = any_case(rng, draw, dict(fixed))
        if mixed(case):
            break
    v, outputs = case.tensors["embed.W_E"].shape[0], case.tensors["unembed.b_U"].size
    return case, any_groups(rng, case.problem, v, outputs, coarse)


def mixed(case: Case) -> bool:
    """About: some inputs are correct, some are not."""
    with np.errstate(all="ignore"):
        floats = Floats(case.tensors, case.architecture, len(case.problem["inputs"]), case.problem["readout"])
        signs = set()
        for tokens, _, label in Inputs(case.problem):
            logits = floats.logits(tokens)
            signs.add(bool(logits[label] > np.delete(logits, label).max(initial=-np.inf) + float(case.margin)))
    return len(signs) > 1


def any_case(rng: random.Random, draw: np.random.Generator, fixed: Json) -> Case:
    """A model, a problem, a margin."""
    at = fixed.pop("readout", None)
    form = rng.choice(["plain", "plain", "mlp", "mlp", "norm", "final"])
    given = architecture(
        heads=rng.choice([1, 2, 2, 3]),
        mask=rng.choice(["causal", "full"]),
        attn_scale_squared=rng.choice(["1", "2", "3", "1/4", "7/3"]),
        **({"activation": rng.choice(["relu", "relu", "silu", "gelu_tanh", "gelu_erf"])} if form == "mlp" else {}),
        **(
            {"normalization": rng.choice(["LN", "LNPre"]), "norms": ["pre"], "eps": "1/100000"}
            if form == "norm"
            else {}
        ),
    )
    given |= fixed
    v, k = rng.choice([(2, 3), (2, 4), (3, 2), (3, 3), (3, 3), (3, 3), (4, 2), (5, 2), (rng.randint(1, 4), 1)])
    readout = rng.choice([k - 1, k - 1, k - 1, rng.randrange(k)]) if at is None else at
    most = v**k if rng.random() < 0.6 else 12
    problem: Json = {"inputs": any_inputs(rng, v, k, most), "readout": readout}
    if most == v**k:
        for entry in problem["inputs"]:
            entry["tokens"] = list(range(v))
            entry["weights"] = [rng.choice([0, 1, 1, 1, 2, 3]) for _ in range(v - 1)] + [1]
    for _ in range(3):
        problem["label"] = any_label(rng, v, k) if rng.random() < 0.5 else any_automaton(rng, v)
        labels = {label for _, _, label in Inputs(problem)}
        if len(labels) > 1:
            break
    sizes = {
        "d_vocab": v,
        "d_model": rng.randint(2, 6),
        "n_ctx": k + rng.choice([0, 0, 1]),
        "n_heads": given["heads"],
        "d_head": rng.randint(1, 2),
        "d_mlp": rng.randint(1, 3),
        "d_vocab_out": max(max(labels) + 1, rng.choice([2, 3, 4])),
    }
    tensors = any_tensors(draw, rng.choice(KINDS), given, sizes)
    with np.errstate(all="ignore"):
        if rng.random() < 0.9:
            fit(tensors, given, problem, draw)
        margin = any_margin(rng, tensors, given, problem)
    return Case(tensors, given, problem, margin)


def any_norms(rng: random.Random, form: str) -> Json:
    norms = ["pre"] if form == "norm" else rng.choice([["pre", "final"], ["final"]])
    return {"normalization": rng.choice(["LN", "LNPre"]), "norms": norms, "eps": rng.choice(["1/100000", "0", "1/4"])}


def any_automaton(rng: random.Random, v: int) -> Json:
    """A label that reads all positions with a few states."""
    states = rng.randint(1, 4)
    rows = [[rng.randrange(states) for _ in range(v)] for _ in range(states)]
    output = [rng.randrange(3) for _ in range(states)]
    return {"name": "automaton", "states": states, "start": rng.randrange(states), "next": rows, "output": output}


def fit(tensors: Tensors, given: Architecture, problem: Json, draw: np.random.Generator) -> None:
    """The unembedding that comes nearest to the labels by least squares, and a little noise."""
    inputs = list(Inputs(problem))
    floats = Floats(tensors, given, len(problem["inputs"]), problem["readout"])
    x = np.array([np.append(floats.final(tokens), 1) for tokens, _, _ in inputs])
    wanted = np.eye(tensors["unembed.b_U"].size)[[label for _, _, label in inputs]]
    if not np.all(np.isfinite(x)) or np.abs(x).max() > 1e12:
        return
    W = np.linalg.lstsq(x, wanted, rcond=1e-6)[0] * draw.choice([1, 4, 16])
    W += draw.normal(scale=np.abs(W).mean() * draw.choice([0, 0.05, 0.3]), size=W.shape)
    W = short(np.clip(W, -1e4, 1e4))
    tensors["unembed.W_U"], tensors["unembed.b_U"] = W[:-1], W[-1]


def any_margin(rng: random.Random, tensors: Tensors, given: Architecture, problem: Json) -> Fraction:
    """0, or a little more or less than the lead of some correct input."""
    floats = Floats(tensors, given, len(problem["inputs"]), problem["readout"])
    leads = []
    for tokens, _, label in Inputs(problem):
        logits = floats.logits(tokens)
        rest = np.delete(logits, label)
        if rest.size and np.all(np.isfinite(logits)) and 1e-9 < logits[label] - rest.max() < 1e9:
            leads.append(float(logits[label] - rest.max()))
    if rng.random() < 0.3 or not leads:
        return Fraction(0) if rng.random() < 0.8 else Fraction(rng.randint(0, 9), rng.choice([3, 7, 1000]))
    lead = sorted(leads)[int(len(leads) * 0.7 * rng.random() * rng.random())]
    return Fraction(lead) * (1 + Fraction(rng.choice([-1, 1]), 1 << rng.choice([1, 2, 3, 3, 5, 8, 20, 40])))


# Groups.


def any_groups(rng: random.Random, problem: Json, v: int, outputs: int, coarse: bool) -> list[Json]:
    """Disjoint groups for most of the inputs; now and then some that overlap, or are none."""
    inputs, readout = list(Inputs(problem)), problem["readout"]
    groups: list[Json] = []
    for c in sorted({label for _, _, label in inputs}):
        queries = sorted({tokens[readout] for tokens, _, label in inputs if label == c or rng.random() < 0.1})
        rng.shuffle(queries)
        while queries and rng.random() < 0.98:
            some = [queries.pop() for _ in range(rng.choice([len(queries), rng.randint(1, len(queries))]))]
            made = any_group(rng, problem, inputs, c, some, v, coarse)
            groups.append(made | {"rivals": any_classes(rng, [y for y in range(outputs) if y != c])})
    if groups and rng.random() < 0.05:
        groups.append(rng.choice(groups))
    return groups


def any_classes(rng: random.Random, others: list[int]) -> list[int]:
    """Masks that together hold all of them."""
    if not others:
        return []
    mode = rng.randrange(3)
    if mode == 0:
        return [1 << y for y in others]
    if mode == 1:
        return [sum(1 << y for y in others)]
    classes = [[y for y in others if rng.random() < 0.5] for _ in range(rng.randint(1, 3))]
    left = [y for y in others if not any(y in members for members in classes) and rng.random() < 0.9]
    return [sum(1 << y for y in members) for members in [*classes, left] if members]


def any_group(
    rng: random.Random, problem: Json, inputs: list[Weighed], c: int, queries: list[int], v: int, coarse: bool
) -> Json:
    """The inputs with label c and these queries, or some of them, in parts by what a few functions say of them."""
    readout = problem["readout"]
    functions = [
        any_function(rng, c, v, len(problem["inputs"])) for _ in range(0 if coarse else rng.choice([0, 1, 1, 2]))
    ]
    drop, merge, stray = rng.choice([0, 0, 0, 0, 0.2]), rng.choice([0, 0, 0.3]), rng.random() < 0.3
    known: dict[Any, int] = {}
    parts: dict[Tokens, int] = {}
    for tokens, _, label in inputs:
        if label != c and not (stray and tokens[readout] not in queries):
            continue
        key = tuple(function(tokens) for function in functions)
        if key not in known:
            known[key] = -1 if rng.random() < drop else rng.randrange(3) if rng.random() < merge else len(known)
        parts[tokens] = known[key]
    made = looping(rng, problem["label"], c, v) if rng.random() < 0.3 else None
    made = made or layered(rng, [sorted({tokens[p] for tokens, _, _ in inputs}) for p in range(len(tokens))], parts, v)
    return {"label": c, "queries": sum(1 << q for q in queries), **made}


def any_function(rng: random.Random, c: int, v: int, k: int) -> Callable[[Tokens], Any]:
    """What distinguishes the parts of a group."""
    token, modulus, p = rng.choice([min(c, v - 1), rng.randrange(v)]), rng.randint(2, 3), rng.randrange(k)
    allowed = [{t for t in range(v) if rng.random() < 0.8} for _ in range(k)]
    functions: list[Callable[[Tokens], Any]] = [
        lambda tokens: tuple(t == token for t in tokens),  # which positions hold the label
        lambda tokens: tokens.count(token),  # how many do
        lambda tokens: sum(tokens) % modulus,
        lambda tokens: tokens[p],
        lambda tokens: tokens[0] > tokens[-1],
        lambda tokens: tokens,  # each input for itself
        lambda tokens: all(t in row for t, row in zip(tokens, allowed, strict=True)),  # a product of sets
    ]
    return rng.choice(functions)


def layered(rng: random.Random, choices: list[list[int]], parts: dict[Tokens, int], v: int) -> Json:
    """The least automaton that counts positions: states are what can still become of an input."""
    keep = rng.random() < 0.2
    states: dict[Any, int] = {}
    rows: list[list[int]] = []
    ends: list[int] = []

    def outcome(prefix: Tokens) -> Any:
        if len(prefix) == len(choices):
            return parts.get(prefix, -1)
        return tuple(outcome((*prefix, t)) for t in choices[len(prefix)])

    def state_of(prefix: Tokens) -> int:
        key = len(prefix), outcome(prefix)
        dead = str(key[1]).replace("-1", "").strip("(), ") == ""
        if dead and not keep and prefix:
            return -1
        if key not in states:
            number = states[key] = len(rows)
            rows.append([rng.choice([-1, 0]) for _ in range(v)])  # at tokens that do not occur
            ends.append(rng.choice([-1, 0, 1]))  # where no input ends
            if len(prefix) == len(choices):
                ends[number] = key[1]
            else:
                for t in choices[len(prefix)]:
                    rows[number][t] = state_of((*prefix, t))
        return states[key]

    state_of(())
    return by_symbol(rows, ends)


def looping(rng: random.Random, label: Json, c: int, v: int) -> Json | None:
    """The automaton of the label itself, beside one or two states of another: one row for each state."""
    if label["name"] != "automaton" or "of" in label:
        return None
    others = rng.choice([1, 2])
    rows = [[rng.randrange(others) for _ in range(v)] for _ in range(others)]
    numbers = {(label["start"], 0): 0}
    order, made, ends = [(label["start"], 0)], [], []
    for state, other in order:
        row = []
        for t in range(v):
            after = label["next"][state][t], rows[other][t]
            if after not in numbers:
                numbers[after] = len(order)
                order.append(after)
            row.append(numbers[after])
        made.append(row)
        ends.append(other if label["output"][state] == c else -1)
    return by_symbol(made, ends)


def by_symbol(rows: list[list[int]], parts: list[int]) -> Json:
    """Tokens that lead from the same states to the same states are one symbol."""
    columns = list(zip(*rows, strict=True))
    distinct = sorted(set(columns))
    symbols = [distinct.index(column) for column in columns]
    return {"symbols": symbols, "next": [list(row) for row in zip(*distinct, strict=True)], "parts": parts}
