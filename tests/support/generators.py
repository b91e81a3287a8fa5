"""Generators (hypothesis) of tiny models and margins: d_vocab 1 to 5, n_ctx 1 to 4, so that an oracle can enumerate.

A model is drawn as a kind, sizes and a seed, which decide the weights; kind "drawn" draws every weight. Kinds:

    normal   normal entries, all six biases
    near     often correct: scores grow with the token, EVOU near a multiple of the identity, plus noise
    ramp     often correct with few dimensions: EVOU[t, y] near 2 t y - y^2
    lattice  entries -1, 0, 1: ties everywhere; possibly W_Q = 0, equal rows or columns, or one tensor off by a hair
    wild     every entry of its own size, 1e-30 to 1e30; or every tensor of its own size
    extreme  as wild, up to the largest and smallest float64 numbers, subnormals included
    drawn    every weight drawn by hypothesis
"""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

from tests.support.tiny import AXES, BIASES, Tensors, near_correct, random_tensors, tiny_model, zero_tensors

SEEDS = st.integers(0, 2**32 - 1)
KINDS = ("normal", "near", "ramp", "lattice", "wild", "extreme", "drawn")
GOOD_KINDS = ("near", "ramp")


class TinyModel(NamedTuple):
    """Weights and the dtype to store them in, which holds them exactly."""

    kind: str
    dtype: str
    tensors: Tensors

    def write(self, path: str | Path) -> Path:
        return tiny_model(path, self.tensors, self.dtype)


class Sizes(NamedTuple):
    v: int
    k: int
    d: int
    h: int


def ramp(rng: np.random.Generator, sizes: Sizes, noise: float) -> Tensors:
    """Scores and EVOU depend on the token through its size alone, so two dimensions suffice; needs d >= 2, h >= 2."""
    v, k, d, h = sizes
    tensors = zero_tensors(v, k, d, h)
    tokens = np.arange(v) - (v - 1) / 2
    tensors["embed.W_E"][:, 0], tensors["embed.W_E"][:, 1] = tokens, 1
    W_Q, W_K, W_V, W_O = (tensors[f"blocks.0.attn.W_{letter}"][0] for letter in "QKVO")
    tensors["blocks.0.attn.b_Q"][0, 0] = rng.choice([0, 1, 3])
    W_Q[1, 0], W_K[0, 0] = rng.choice([1, 2]), rng.choice([1, 2, 5])
    W_V[0, 0] = W_V[1, 1] = W_O[0, 0] = W_O[1, 1] = 2
    tensors["unembed.W_U"][0], tensors["unembed.W_U"][1] = 2 * tokens, -(tokens**2)
    tensors["embed.W_E"] /= 2
    for values in tensors.values():
        values += rng.normal(scale=noise, size=values.shape)
    return tensors


def lattice(rng: np.random.Generator, sizes: Sizes) -> Tensors:
    """Small integers: equal scores and equal logits abound."""
    tensors = zero_tensors(*sizes)
    share = rng.choice([0.2, 0.5, 0.9])
    for values in tensors.values():
        values += rng.integers(-1, 2, size=values.shape) * (rng.random(values.shape) < share)
    W_E, W_U = tensors["embed.W_E"], tensors["unembed.W_U"]
    choice = rng.integers(8)
    if choice == 0:
        tensors["blocks.0.attn.W_Q"][:] = 0
        tensors["blocks.0.attn.b_Q"][:] = 0
    elif choice == 1:
        W_E[rng.integers(sizes.v)] = W_E[rng.integers(sizes.v)]
    elif choice == 2:
        tensors["pos_embed.W_pos"][:] = tensors["pos_embed.W_pos"][0]
    elif choice == 3:
        W_U[:, rng.integers(sizes.v)] = W_U[:, rng.integers(sizes.v)]
        tensors["unembed.b_U"][:] = 0
    elif choice == 4:  # ties broken by a hair
        name = rng.choice([name for name in AXES if ".b_" not in name])
        tensors[name] = tensors[name] * (1 + rng.choice([-1, 1]) * 2.0 ** -rng.integers(8, 23))
    elif choice == 5:
        name = rng.choice(BIASES)
        tensors[name] = tensors[name] + rng.choice([-1, 1]) * 2.0 ** -rng.integers(8, 60)
    return tensors


def wild(rng: np.random.Generator, sizes: Sizes, span: float) -> Tensors:
    """Sizes 10^-span to 10^span, with zeros; of entries, of whole tensors, or of a few entries only."""
    tensors = random_tensors(rng, *sizes)
    mode = rng.integers(3)
    for name, values in tensors.items():
        powers = rng.uniform(-span, span, size=values.shape if mode == 0 else ())
        rare = rng.random(values.shape) < 0.1 if mode == 2 else np.ones(values.shape, dtype=bool)
        with np.errstate(over="ignore", under="ignore"):
            scaled = np.where(rare, values * 10.0**powers, values)
        tensors[name] = np.where(np.isfinite(scaled), scaled, np.sign(values) * 1.5e308)
        tensors[name][rng.random(values.shape) < 0.1] = 0
    return tensors


def tensors_of(kind: str, sizes: Sizes, seed: int) -> Tensors:
    """The model of a kind that a seed decides."""
    rng = np.random.default_rng(seed)
    match kind:
        case "normal":
            return random_tensors(rng, *sizes, scale=rng.choice([0.1, 1.0, 3.0]))
        case "near":
            sharpness, noise = rng.choice([0.5, 2.0, 5.0]), rng.choice([0.0, 0.02, 0.1, 0.2])
            v, k = sizes[:2]
            return near_correct(rng, v, k, sharpness=sharpness, noise=noise, biases=bool(rng.integers(2)))
        case "ramp":
            return ramp(rng, sizes, rng.choice([0.0, 0.02, 0.1, 0.2]))
        case "lattice":
            return lattice(rng, sizes)
        case "wild":
            return wild(rng, sizes, 30)
        case "extreme":
            return wild(rng, sizes, 320)
    raise ValueError(kind)


def trained_looking(seed: int, most_tokens: int = 5, longest: int = 4) -> TinyModel:
    """Two tokens and positions or more; most often coarse proofs find something but not everything."""
    rng = np.random.default_rng(seed)
    sizes = Sizes(*(int(rng.integers(low, most + 1)) for low, most in ((2, most_tokens), (2, longest), (3, 6), (2, 4))))
    kind = ("near", "ramp", "normal")[seed % 3]
    return TinyModel(kind, "F64", tensors_of(kind, sizes, seed))


SPECIAL = [0.0, 1.0, -1.0, 0.5, -2.0, 3.0, 0.1, 1e30, -1e30, 1e-30, -1e-30, 1e6, 1 + 2.0**-52, 1 + 2.0**-23, 50.0]


@st.composite
def models(draw: st.DrawFn, kinds: Sequence[str] = KINDS, most_tokens: int = 5, longest: int = 4) -> TinyModel:
    """A tiny model of one of these kinds."""
    kind = draw(st.sampled_from(kinds))
    v = draw(st.integers(1, min(most_tokens, 4) if kind == "near" else most_tokens))
    k = draw(st.integers(1, longest))
    smallest = 2 if kind == "ramp" else 1
    sizes = Sizes(v, k, draw(st.integers(smallest, 6)), draw(st.integers(smallest, 4)))
    if kind == "drawn":
        numbers = st.sampled_from(SPECIAL) | st.floats(-10, 10) | st.floats(-1e30, 1e30)
        tensors = zero_tensors(*sizes)
        for values in tensors.values():
            values[...] = np.reshape(draw(st.lists(numbers, min_size=values.size, max_size=values.size)), values.shape)
    else:
        tensors = tensors_of(kind, sizes, draw(st.integers(0, 2**32 - 1)))
    if kind == "extreme" or draw(st.booleans()):
        return TinyModel(kind, "F64", tensors)
    return TinyModel(kind, "F32", {name: np.asarray(x, dtype=np.float32).astype(float) for name, x in tensors.items()})


def margins() -> st.SearchStrategy[Fraction]:
    """Zero often; sizes where exact ties arise; tiny, huge and non-dyadic numbers."""
    usual = [
        Fraction(1),
        Fraction(2),
        Fraction(1, 2),
        Fraction(1, 3),
        Fraction(2, 3),
        Fraction(10),
        Fraction(1, 10**12),
    ]
    rare = [Fraction(10**20), Fraction(1, 10**60), Fraction(10**999 - 1), Fraction(1, 10**999 - 1), Fraction(355, 113)]
    return (
        st.just(Fraction(0))
        | st.sampled_from(usual)
        | st.sampled_from(rare)
        | st.fractions(min_value=0, max_value=5, max_denominator=1000)
    )
