"""Tiny models of one attention layer with groups of regions, and what the kernel says of steps about them.

case = layer_case(heads=2, activation="relu")
steps = region_steps(case.data, case.problem, by_label(case))
said(case, steps)                                     # ("", ""), or a code and where
"""

import json
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from checker.certificate import decode_certificate
from checker.errors import Refusal
from checker.kernel import verify
from checker.model.weights import read_weights
from tests.support.any_case import Case, any_tensors, certificate
from tests.support.any_model import architecture
from tests.support.any_problem import Inputs, Json, Tokens

PROBLEM: Json = {
    "inputs": [{"tokens": "0-2", "weights": [1, 2, 3]}, {"tokens": [2, 0]}, {"tokens": "0-1", "weights": [5, 1]}],
    "label": {"name": "sum-mod", "modulus": 2},
    "readout": 1,
}


def layer_case(seed: int = 0, problem: Json = PROBLEM, outputs: int = 3, v: int = 3, **given: Any) -> Case:
    """Normal weights, two or three tokens at three positions, read at the one in the middle."""
    form = architecture(**{"attn_scale_squared": "2", **given})
    sizes = {
        "d_vocab": v,
        "d_model": 3,
        "n_ctx": len(problem["inputs"]),
        "n_heads": form["heads"],
        "d_head": 2,
        "d_mlp": 2,
        "d_readout_0": 2,
        "d_vocab_out": outputs,
    }
    return Case(any_tensors(np.random.default_rng(seed), "normal", form, sizes), form, problem)


def in_eighths(case: Case) -> Case:
    """The same with weights that are multiples of 1/8, none above 5/8; those of LayerNorm are 1 more."""
    for name, x in case.tensors.items():
        x[...] = ((np.arange(x.size) * 7 + 3) % 11 - 5).reshape(x.shape) / 8 + name.endswith(".w")
    return case


def by_label(case: Case, parts: int = 1) -> list[Json]:
    """For every label that occurs, and all queries, the automaton that knows every input; in so many parts."""
    inputs = Inputs(case.problem)
    v, outputs = len(case.tensors["embed.W_E"]), len(case.tensors["unembed.b_U"])
    everything = [(tokens, label) for tokens, _, label in inputs]
    readout = inputs.readout(False) or 0
    groups = []
    for label in sorted({label for _, label in everything}):
        wanted = [tokens for tokens, own in everything if own == label]
        states: dict[Tokens, int] = {}
        for length in range(len(inputs.weights) + 1):
            for tokens in wanted:
                states.setdefault(tokens[:length], len(states))
        groups.append(
            {
                "label": label,
                "queries": sum(1 << q for q in {tokens[readout] for tokens in wanted}),
                "rivals": [1 << y for y in range(outputs) if y != label],
                "symbols": list(range(v)),
                "next": [[states.get((*prefix, t), -1) for t in range(v)] for prefix in states],
                "parts": [wanted.index(prefix) % parts if prefix in wanted else -1 for prefix in states],
            }
        )
    return groups


def of_maximum(v: int, m: int, times: int = 1, queries: int | None = None, rivals: list[int] | None = None) -> Json:
    """The group of max-of-k with maximum m, in parts by how often m occurs, at most `times` of them."""
    counted = range(times + 1)
    return {
        "label": m,
        "queries": (2 << m) - 1 if queries is None else queries,
        "rivals": [1 << y for y in range(v) if y != m] if rivals is None else rivals,
        "symbols": [0 if t < m else 1 if t == m else 2 for t in range(v)],
        "next": [[n, min(n + 1, times), -1] for n in counted],
        "parts": [n - 1 for n in counted],
    }


def said(case: Case, steps: list[Json]) -> tuple[str, str]:
    """The first refusal of these steps, code and path after "predicate.steps"; two empty strings if all hold."""
    statement = certificate(case, [], [], steps=steps)
    try:
        verify(decode_certificate(json.dumps(statement).encode()), read_weights(case.data), 1 << 32)
    except Refusal as refusal:
        if refusal.code == "nothing-proved":
            return "", ""
        assert refusal.exit_code in (1, 3), str(refusal)
        return refusal.code, refusal.path.removeprefix("predicate.steps")
    raise AssertionError("steps that conclude no accuracy prove nothing")


def architectures() -> Iterator[dict[str, Any]]:
    """Every kind that the rules are about."""
    for heads, mask in product((1, 2), ("causal", "full")):
        yield {"heads": heads, "mask": mask}
        yield {"heads": heads, "mask": mask, "normalization": "LN", "norms": ["pre"], "eps": "1/100000"}
        yield {"heads": heads, "mask": mask, "normalization": "LNPre", "norms": ["pre"], "eps": "1/4"}
        yield {"heads": heads, "mask": mask, "normalization": "LN", "norms": ["final"], "eps": "1/16"}
        yield {"heads": heads, "mask": mask, "normalization": "LNPre", "norms": ["pre", "final"], "eps": "1/3"}
        for activation in ("relu", "silu", "gelu_tanh", "gelu_erf"):
            yield {"heads": heads, "mask": mask, "activation": activation}
