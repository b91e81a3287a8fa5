"""Random tiny models of every architecture with random tiny problems, each decided by a seed.

    case = any_case(7)
    path = case.write(folder / "model")
    case.oracle.regions(case.problem, case.margin)

Weights are of a kind:

    normal   normal entries, of 8 significant bits
    lattice  entries -1, 0, 1, many zeros: ties everywhere
    hair     as lattice, and one tensor off by a hair
    wild     every entry or tensor of its own size, 1e-30 to 1e30
    extreme  as wild, up to the largest and smallest numbers of the dtype, subnormals included
    steep    a small embedding and large weights after it: with few bits, errors of rounding grow as large as the values
"""

import hashlib
import random
from collections.abc import Mapping
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from checker.model.weights import read_weights
from checker.problem import Problem
from checker.problem.problem_file import decode_problem
from checker.rules.costs import COSTS
from checker.rules.evaluate_inputs import evaluate_inputs
from tests.support.any_model import (
    Architecture,
    Tensors,
    any_model_bytes,
    architecture,
    axes_of,
    legacy_architecture,
    storable,
)
from tests.support.any_oracle import AnyOracle, Region
from tests.support.any_problem import Inputs, Json, Tokens, max_of_k
from tests.support.tiny import encode, short

KINDS = ("normal", "normal", "normal", "lattice", "lattice", "hair", "wild", "extreme", "steep", "steep")
DTYPES = ("F64", "F64", "F32", "F16", "BF16", "mixed")
ACTIVATIONS = ("none", "relu", "silu", "gelu_tanh", "gelu_erf")
LABELS = ("max", "min", "nth-largest", "argmax", "sum-mod", "contains", "first", "last", "majority", "automaton")


class Sizes(NamedTuple):
    """How large a case may be."""

    blocks: int = 3
    k: int = 4
    inputs: int = 20


SMALL = Sizes()


class Case:
    """A model, a problem, a margin. `entry` is None for a file that says nothing of its architecture."""

    def __init__(
        self,
        tensors: Tensors,
        entry: Architecture | None,
        problem: Json,
        margin: Fraction | int = 0,
        dtypes: str | Mapping[str, str] = "F64",
    ) -> None:
        self.tensors, self.entry, self.problem, self.margin = tensors, entry, problem, Fraction(margin)
        self.dtypes = dtypes
        self.architecture = legacy_architecture(tensors) if entry is None else entry

    @cached_property
    def oracle(self) -> AnyOracle:
        return AnyOracle(self.tensors, self.architecture)

    def asked(self, problem: Json, margin: Fraction | int) -> "Case":
        """The same model with another problem; the oracle is shared, with all that it has evaluated."""
        other = Case(self.tensors, self.entry, problem, margin, self.dtypes)
        other.oracle = self.oracle
        return other

    @property
    def data(self) -> bytes:
        """The model file."""
        return any_model_bytes(self.tensors, self.entry, self.dtypes)

    def write(self, path: str | Path) -> Path:
        Path(path).write_bytes(self.data)
        return Path(path)

    @property
    def sizes(self) -> dict[str, int]:
        """The extents of the axes that occur, as a certificate states them."""
        sizes: dict[str, int] = {}
        for name, axes in axes_of(self.architecture).items():
            sizes |= dict(zip(axes, self.tensors[name].shape, strict=True))
        if self.entry is None:
            del sizes["n_heads"], sizes["d_vocab_out"]
        return sizes


def any_architecture(rng: random.Random, sizes: Sizes = SMALL) -> Architecture:
    """Every field at random."""
    normalization = rng.choice(["none", "none", "LN", "LNPre"])
    norms: list[str] = []
    if normalization != "none":
        norms = rng.choice([["pre"], ["pre", "final"], ["post"], ["post", "final"], ["final"]])
    return architecture(
        blocks=rng.choice([0, 1, 1, 1, 2, 2, 3][: 3 * sizes.blocks + 1]),
        heads=rng.choice([1, 1, 2, 3]),
        mask=rng.choice(["causal", "full"]),
        attn_scale_squared=rng.choice(["1", "2", "3", "16", "1/4", "7/3", "1/1000000"]),
        activation=rng.choice(ACTIVATIONS),
        normalization=normalization,
        norms=norms,
        eps=rng.choice(["0", "1/100000", "1/4", "3", "1/1000000000000"]) if norms else "0",
        pool=rng.choice(["none", "none", "none", "sum", "mean"]),
        readout_layers=rng.choice([0, 0, 0, 1, 2]),
    )


def any_inputs(rng: random.Random, v: int, k: int, most: int) -> list[Json]:
    """Tokens and weights for each position, in all the forms of a problem file, with at most so many inputs."""
    entries: list[Json] = []
    left = most
    for _ in range(k):
        count = rng.choice([1, min(2, left, v), min(3, left, v), min(v, left)])
        left //= count
        if rng.random() < 0.4:
            first = rng.randint(0, v - count)
            entries.append({"tokens": f"{first}-{first + count - 1}"})
        else:
            entries.append({"tokens": rng.sample(range(v), count)})
        if rng.random() < 0.4:
            weights = [rng.choice([0, 1, 1, 2, 3, 10**20, 1 << 80]) for _ in range(count)]
            if any(weights):
                entries[-1]["weights"] = weights
    return entries


def any_label(rng: random.Random, v: int, k: int) -> Json:
    """A label of any name, of some or of all positions."""
    name = rng.choice(LABELS)
    label: Json = {"name": name}
    of = k
    if rng.random() < 0.5:
        label["of"] = sorted(rng.sample(range(k), rng.randint(1, k)))
        of = len(label["of"])
    match name:
        case "nth-largest":
            label["n"] = rng.randint(1, of)
        case "sum-mod":
            label["modulus"] = rng.randint(1, 4)
        case "contains":
            label["token"] = rng.randrange(v)
        case "automaton":
            states = rng.randint(1, 4)
            label |= {"states": states, "start": rng.randrange(states)}
            label["next"] = [[rng.randrange(states) for _ in range(v)] for _ in range(states)]
            label["output"] = [rng.randrange(3) for _ in range(states)]
    return label


def any_tensors(rng: np.random.Generator, kind: str, given: Architecture, sizes: Mapping[str, int]) -> Tensors:
    """Weights of a kind."""
    tensors: Tensors = {}
    scale, share = rng.choice([0.3, 1.0, 3.0]), rng.choice([0.2, 0.5, 0.9])
    span, mode = (30 if kind == "wild" else 320), rng.integers(3)
    for name, axes in axes_of(given).items():
        shape = [sizes[axis] for axis in axes]
        if kind in ("lattice", "hair"):
            tensors[name] = rng.integers(-1, 2, size=shape) * (rng.random(shape) < share).astype(float)
        else:
            tensors[name] = short(rng.normal(scale=scale, size=shape))
        if kind == "steep":
            tensors[name] *= 2.0 ** (
                -rng.integers(6, 11) if "embed.W" in name and "un" not in name else rng.integers(8)
            )
        if kind in ("wild", "extreme"):
            powers = rng.uniform(-span, span, size=shape if mode == 0 else ())
            rare = rng.random(shape) < (0.1 if mode == 2 else 1.0)
            with np.errstate(over="ignore", under="ignore"):
                values = np.where(rare, tensors[name] * 10.0**powers, tensors[name])
            tensors[name] = np.where(np.isfinite(values), values, np.sign(tensors[name]) * 1.5e308)
        if rng.random() < 0.15:
            tensors[name] *= 0
    if kind == "hair":
        name = str(rng.choice(list(tensors)))
        tensors[name] = tensors[name] + float(rng.choice([-1, 1])) * 2.0 ** -int(rng.integers(5, 40))
    return tensors


def any_case(seed: int, most: Sizes = SMALL) -> Case:
    """Anything."""
    rng, draw = random.Random(seed), np.random.default_rng(seed)
    given: Architecture | None = any_architecture(rng, most)
    v, k = rng.randint(1, 4), rng.randint(1, most.k)
    d_head = rng.randint(1, 3)
    old = rng.random() < 0.12
    if old:
        given = architecture(attn_scale_squared=str(d_head))
    assert given is not None
    pooled = given["pool"] != "none"
    problem: Json = {"inputs": any_inputs(rng, v, k, most.inputs), "label": any_label(rng, v, k)}
    if old and v**k <= 4 * most.inputs and rng.random() < 0.3:
        problem = max_of_k(v, k)
    elif not pooled and rng.random() < 0.6:
        problem["readout"] = rng.randrange(k)
    largest = max(label for _, _, label in Inputs(problem))
    out = max(largest + 1 + rng.choice([0, 1, 1, 2]), rng.choice([1, 2, v]))
    if old:
        out = v
        if largest >= v:
            problem["label"] = {"name": "last"}
    sizes = {
        "d_vocab": v,
        "d_model": rng.randint(1, 4),
        "n_ctx": k + rng.choice([0, 0, 1, 2]) * (not old),
        "n_heads": given["heads"],
        "d_head": d_head,
        "d_mlp": rng.randint(1, 4),
        "d_readout_0": rng.randint(1, 4),
        "d_readout_1": rng.randint(1, 4),
        "d_vocab_out": out,
    }
    dtype = rng.choice(DTYPES)
    tensors = any_tensors(draw, rng.choice(KINDS), given, sizes)
    dtypes = {name: rng.choice(["F64", "F32", "F16", "BF16"]) if dtype == "mixed" else dtype for name in tensors}
    tensors = {name: storable(array, dtypes[name]) for name, array in tensors.items()}
    margin = Fraction(0) if rng.random() < 0.6 else Fraction(rng.randint(0, 40), rng.choice([1, 3, 7, 16, 1000]))
    entry = None if old and rng.random() < 0.8 else given
    case = Case(tensors, entry, problem, margin, dtypes)
    if rng.random() < 0.5:
        case = taught(case, rng)
    return at_a_hair(case, rng) if rng.random() < 0.5 else case


def taught(case: Case, rng: random.Random) -> Case:
    """The same with the label that the model itself gives to most inputs, as an automaton that knows every input."""
    inputs, v = Inputs(case.problem), len(case.tensors["embed.W_E"])
    readout = inputs.readout(case.oracle.pooled)
    rows, output = [[0] * v], [0]
    states: dict[Tokens, int] = {(): 0}
    for tokens, _, _ in inputs:
        for length in range(1, len(tokens) + 1):
            if tokens[:length] not in states:
                states[tokens[:length]] = len(rows)
                rows[states[tokens[: length - 1]]][tokens[length - 1]] = len(rows)
                rows.append([0] * v)
                output.append(0)
        output[states[tokens]] = case.oracle.largest(tokens, readout) if rng.random() < 0.9 else 0
    label = {"name": "automaton", "states": len(rows), "start": 0, "next": rows, "output": output}
    return Case(case.tensors, case.entry, case.problem | {"label": label}, case.margin, case.dtypes)


def at_a_hair(case: Case, rng: random.Random) -> Case:
    """The same with a margin at which one input is wrong, or correct, by a hair; as it is if the input is far off."""
    inputs = list(Inputs(case.problem))
    tokens, _, label = rng.choice(inputs)
    lead = case.oracle.lead(tokens, Inputs(case.problem).readout(case.oracle.pooled), label)
    if lead is None or lead >= 0 or abs(lead) < Fraction(1, 10**200) or abs(lead) > 10**200:
        return case
    bits = rng.choice([6, 10, 20, 40, 100])
    margin = Fraction(round(-lead * 2**700) + rng.choice([-1, 1]) * (abs(lead) * 2**700 // 2**bits), 2**700)
    if margin <= 0 or margin.denominator >= 10**999 or margin.numerator >= 10**999:
        return case
    return Case(case.tensors, case.entry, case.problem, margin, case.dtypes)


def derived(case: Case, bits: list[int], budget: int = 1 << 36) -> list[list[int]]:
    """What the rule concludes of a case."""
    margin = case.margin.as_integer_ratio()
    problem = Problem(read_weights(case.data), decode_problem(case.problem, ""), margin, budget)
    problem.budget.charge(COSTS["evaluate_inputs"](problem, (), {"bits": bits}))
    return [list(count) for count in evaluate_inputs(problem, (), {"bits": bits}).counts]


def counted(case: Case, regions: list[Region]) -> list[list[int]]:
    """What a certificate about the case says when this is the truth: regions of all n, ties in no count."""
    every_n = 2 ** len(case.problem["inputs"]) - 1
    return [[label, 2**query, every_n, correct, wrong] for label, query, correct, wrong, _ in regions]


def certificate(case: Case, bits: list[int], counts: list[list[int]], **changes: Any) -> Json:
    """The certificate of these counts, by evaluate_inputs and total."""
    correct, wrong = (sum(count[i] for count in counts) for i in (3, 4))
    data = case.data
    digests = {}
    for name, array in case.tensors.items():
        kind = case.dtypes if isinstance(case.dtypes, str) else case.dtypes[name]
        digests[name] = hashlib.sha256(encode(array, kind)).hexdigest()
    step = {"rule": "evaluate_inputs", "premises": [], "args": {"bits": bits}, "conclusion": {"counts": counts}}
    last = {"rule": "total", "premises": [0], "args": {}, "conclusion": {"correct": correct, "wrong": wrong}}
    predicate = {
        "formatVersion": 1,
        "task": case.problem,
        "model": {**case.sizes, "tensors": digests},
        "semantics": "exact-real",
        "margin": str(case.margin),
        "claim": {"correct": correct, "wrong": wrong, "total": Inputs(case.problem).total},
        "strategy": "brute-force",
        "steps": [step, last],
    }
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "model", "digest": {"sha256": hashlib.sha256(data).hexdigest()}}],
        "predicateType": "urn:compact-proofs:accuracy-certificate:v1",
        "predicate": predicate | changes,
    }
