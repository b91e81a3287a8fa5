"""The oracle of any model, against torch in float64 and against sums done by hand; the labels, against each other."""

import random
from fractions import Fraction
from itertools import product

import numpy as np
import torch
import torch.nn.functional as F

from tests.support.any_case import Case, any_case, any_label
from tests.support.any_model import architecture, zeros
from tests.support.any_oracle import AnyOracle, Region, precision
from tests.support.any_problem import Inputs, Json, label_of

ACTIVATIONS = {
    "relu": F.relu,
    "silu": F.silu,
    "gelu_tanh": lambda z: F.gelu(z, approximate="tanh"),
    "gelu_erf": F.gelu,
}


def forward(case: Case, tokens: tuple[int, ...], readout: int | None) -> torch.Tensor:
    """The logits, in the words of torch."""
    given = case.architecture
    t = {name: torch.tensor(array, dtype=torch.float64) for name, array in case.tensors.items()}
    eps, scale = float(Fraction(given["eps"])), float(Fraction(given["attn_scale_squared"])) ** -0.5

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        return F.layer_norm(x, x.shape[-1:], t.get(f"{name}.w"), t.get(f"{name}.b"), eps)

    x = t["embed.W_E"][list(tokens)] + t["pos_embed.W_pos"][: len(tokens)]
    for i in range(given["blocks"]):
        w = {name.removeprefix(f"blocks.{i}."): x for name, x in t.items() if name.startswith(f"blocks.{i}.")}
        y = norm(x, f"blocks.{i}.ln1") if "pre" in given["norms"] else x
        q, k, v = (torch.einsum("pd,hde->hpe", y, w[f"attn.W_{n}"]) + w[f"attn.b_{n}"][:, None] for n in "QKV")
        z = F.scaled_dot_product_attention(q, k, v, is_causal=given["mask"] == "causal", scale=scale)
        x = x + torch.einsum("hpe,hed->pd", z, w["attn.W_O"]) + w["attn.b_O"]
        x = norm(x, f"blocks.{i}.ln1") if "post" in given["norms"] else x
        if given["activation"] != "none":
            y = norm(x, f"blocks.{i}.ln2") if "pre" in given["norms"] else x
            hidden = ACTIVATIONS[given["activation"]](y @ w["mlp.W_in"] + w["mlp.b_in"])
            x = x + hidden @ w["mlp.W_out"] + w["mlp.b_out"]
            x = norm(x, f"blocks.{i}.ln2") if "post" in given["norms"] else x
    x = norm(x, "ln_final") if "final" in given["norms"] else x
    read = {"sum": lambda: x.sum(0), "mean": lambda: x.mean(0), "none": lambda: x[readout]}[given["pool"]]()
    for j in range(given["readout_layers"]):
        read = F.relu(read @ t[f"readout.{j}.W"] + t[f"readout.{j}.b"])
    return read @ t["unembed.W_U"] + t["unembed.b_U"]


def test_logits_are_those_of_torch() -> None:
    seen = set()
    for seed in range(150):
        case = any_case(seed)
        if max(np.abs(array).max() for array in case.tensors.values()) > 20:
            continue
        inputs = Inputs(case.problem)
        readout = inputs.readout(case.oracle.pooled)
        for tokens, _, _ in list(inputs)[:3]:
            with precision(2048):
                exact = [logit.mid() for logit in case.oracle.balls(2048).logits(tokens, readout)]
                expected = np.array([float(logit) for logit in exact])
            found = forward(case, tokens, readout).numpy()
            if np.isfinite(expected).all() and np.abs(expected).max() < 1e6:
                np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
                given = case.architecture
                seen |= {given["activation"], given["mask"], given["pool"], given["normalization"], *given["norms"]}
    assert seen == {*ACTIVATIONS, "none", "causal", "full", "sum", "mean", "LN", "LNPre", "pre", "post", "final"}


def test_ties_and_divisions_by_zero_are_open() -> None:
    """One token more is one more in the logit of 1; the label asks for 1 everywhere. The query is the last token."""
    sizes = {"d_vocab": 2, "d_model": 1, "n_ctx": 2, "d_vocab_out": 2}
    given = architecture(blocks=0, pool="sum")
    tensors = zeros(given, sizes, W_E=[0, 1], W_U=[0, 1])
    problem: Json = {
        "inputs": [{"tokens": [1, 0], "weights": [3, 5]}, {"tokens": "0-1"}],
        "label": {"name": "automaton", "states": 1, "start": 0, "next": [[0, 0]], "output": [1]},
    }
    oracle = AnyOracle(tensors, given)
    assert oracle.regions(problem) == [Region(1, 0, 3, 0, 5), Region(1, 1, 8, 0, 0)]
    assert oracle.regions(problem, 1) == [Region(1, 0, 0, 5, 3), Region(1, 1, 3, 0, 5)]
    given = architecture(blocks=0, pool="mean")
    assert AnyOracle(tensors, given).regions(problem, Fraction(1, 3)) == [Region(1, 0, 3, 5, 0), Region(1, 1, 8, 0, 0)]
    given = architecture(blocks=0, pool="sum", normalization="LNPre", norms=["final"])
    assert AnyOracle(tensors, given).regions(problem) == [Region(1, 0, 0, 0, 8), Region(1, 1, 0, 0, 8)]


def test_the_query_is_the_token_at_the_readout() -> None:
    """Tokens of no weight are no queries."""
    sizes = {"d_vocab": 3, "d_model": 1, "n_ctx": 3, "d_vocab_out": 3}
    given = architecture(blocks=0)
    problem: Json = {
        "inputs": [{"tokens": [2]}, {"tokens": [0, 1], "weights": [0, 7]}, {"tokens": "1-2"}],
        "label": {"name": "last"},
    }
    for readout, queries in ((None, [(1, 1), (2, 2)]), (0, [(1, 2), (2, 2)]), (1, [(1, 1), (2, 1)])):
        stated = problem if readout is None else problem | {"readout": readout}
        found = AnyOracle(zeros(given, sizes), given).regions(stated)
        assert [region[:2] for region in found] == queries
        assert all(region.open == 7 for region in found)


def automaton_of(label: Json, v: int) -> Json:
    """The same label for inputs of which every position is read, as an automaton with a state for each prefix."""
    states: dict[tuple[int, ...], int] = {(): 0}
    for length in range(1, 4):
        for tokens in product(range(v), repeat=length):
            states[tokens] = len(states)
    return {
        "name": "automaton",
        "states": len(states),
        "start": 0,
        "next": [[states.get((*tokens, t), 0) for t in range(v)] for tokens in states],
        "output": [label_of(label, tokens) if len(tokens) == 3 else 0 for tokens in states],
    }


def test_labels() -> None:
    x = (3, 1, 3, 0, 1)
    said: list[tuple[Json, int]] = [
        ({"name": "max"}, 3),
        ({"name": "max", "of": [1, 3]}, 1),
        ({"name": "min"}, 0),
        ({"name": "nth-largest", "n": 2}, 3),
        ({"name": "nth-largest", "n": 3}, 1),
        ({"name": "argmax"}, 0),
        ({"name": "argmax", "of": [1, 3, 4]}, 1),
        ({"name": "sum-mod", "modulus": 5}, 3),
        ({"name": "contains", "token": 0}, 1),
        ({"name": "contains", "token": 0, "of": [0, 1, 2]}, 0),
        ({"name": "first", "of": [1, 2]}, 1),
        ({"name": "last"}, 1),
        ({"name": "majority"}, 1),
        ({"name": "majority", "of": [0, 2, 4]}, 3),
    ]
    assert [label_of(label, x) for label, _ in said] == [expected for _, expected in said]
    rng = random.Random(0)
    for _ in range(30):
        label = any_label(rng, 3, 3)
        if "of" not in label and label["name"] != "automaton":
            assert all(label_of(label, x) == label_of(automaton_of(label, 3), x) for x in product(range(3), repeat=3))
