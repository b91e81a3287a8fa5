"""Readings of model, problem and claim that are wrong, each with a tiny case on which it claims more than is true."""

from collections.abc import Callable
from fractions import Fraction
from itertools import permutations
from typing import NamedTuple

import numpy as np

from tests.support.any_case import Case
from tests.support.any_model import Tensors, architecture, axes_of, zeros
from tests.support.any_oracle import LAST_PRECISION
from tests.support.any_problem import Json

DIGITS: Json = {"tokens": "0-1"}
ALWAYS_ONE: Json = {"name": "automaton", "states": 1, "start": 0, "next": [[0, 0]], "output": [1]}


class Trap(NamedTuple):
    """`misread` is the case that a wrong reading takes `case` for."""

    name: str
    case: Case
    misread: Case


def sizes_of(v: int = 2, d: int = 2, n_ctx: int = 2, out: int = 2, **others: int) -> dict[str, int]:
    return {"d_vocab": v, "d_model": d, "n_ctx": n_ctx, "d_vocab_out": out, "n_heads": 1, "d_head": 1, **others}


def problem(label: Json, readout: int | None = None, inputs: list[Json] | None = None) -> Json:
    """Two positions of two tokens, unless inputs are given."""
    made: Json = {"inputs": inputs or [DIGITS, DIGITS], "label": label}
    return made if readout is None else made | {"readout": readout}


COPY = architecture(blocks=0)


def copies(**given: object) -> Tensors:
    """Says the token at the readout."""
    return zeros(COPY, sizes_of(), **{"W_E": np.eye(2), "W_U": np.eye(2)} | given)


def says(tensors: Tensors, label: Json, readout: int | None = None, inputs: list[Json] | None = None) -> Case:
    """A model without blocks and a problem."""
    return Case(tensors, COPY, problem(label, readout, inputs))


def outputs(out: int, read: int) -> tuple[Case, Case]:
    """The largest of `out` logits is always the last; a reading looks at `read` of them."""
    tensors = zeros(COPY, sizes_of(out=out), W_E=np.eye(2), W_U=np.eye(2, out))
    tensors["unembed.b_U"][-1] = 9
    cut = zeros(COPY, sizes_of(out=read), W_E=np.eye(2), W_U=np.eye(2, read))
    return says(tensors, {"name": "last"}), says(cut, {"name": "last"})


def looks_at_1(mask: str, label: Json) -> Case:
    """At position 0 it says token 1 if it can see it, else token 0."""
    given = architecture(mask=mask)
    tensors = zeros(
        given,
        sizes_of(d=3),
        W_E=[[-1, 0, 0], [1, 0, 0]],
        W_pos=[[0, 0, 0], [0, 1, 0]],
        W_K=[0, 20, 0],
        b_Q=[1],
        W_V=[1, 0, 0],
        W_O=[0, 0, 1],
        W_U=[[0, 0], [0, 0], [0, 1]],
    )
    return Case(tensors, given, problem(label, 0))


def looks_at_1_by_way_of_0(mask: str, label: Json) -> Case:
    """Position 0 notes token 1 if it can see it, else token 0; the next block reads the note from position 1."""
    given = architecture(mask=mask, blocks=2)
    to_1, to_0 = [0, 20, 0, 0], [0, -20, 0, 0]
    tensors = zeros(
        given,
        sizes_of(d=4),
        W_E=[[-1, 0, 0, 0], [1, 0, 0, 0]],
        W_pos=[[0, 0, 0, 0], [0, 1, 0, 0]],
        blocks_0_attn_W_K=to_1,
        blocks_1_attn_W_K=to_0,
        blocks_0_attn_b_Q=[1],
        blocks_1_attn_b_Q=[1],
        blocks_0_attn_W_V=[1, 0, 0, 0],
        blocks_0_attn_W_O=[0, 0, 1, 0],
        blocks_1_attn_W_V=[0, 0, 1, 0],
        blocks_1_attn_W_O=[0, 0, 0, 1],
        W_U=[[0, 0], [0, 0], [0, 0], [0, 1]],
    )
    return Case(tensors, given, problem(label, 1))


def pooled(pool: str) -> Case:
    """Sum: one token 1 is enough for the answer 1; mean: it needs both."""
    given = architecture(blocks=0, pool=pool)
    tensors = zeros(given, sizes_of(d=1), W_E=[0, 1], W_U=[0, 1], b_U=[0, -0.75])
    return Case(tensors, given, problem({"name": "max"} if pool == "mean" else {"name": "min"}))


def rows_of_W_pos() -> tuple[Case, Case]:
    """Three rows for two positions; the third decides everything."""
    tensors = zeros(COPY, sizes_of(n_ctx=3), W_E=np.eye(2), W_pos=[[0, 0], [0, 0], [0, 9]], W_U=np.eye(2))
    rolled = tensors | {"pos_embed.W_pos": np.roll(tensors["pos_embed.W_pos"], -1, axis=0)}
    return says(tensors, ALWAYS_ONE), says(rolled, ALWAYS_ONE)


PARITY: Json = {"name": "sum-mod", "modulus": 2}
FIRST, LAST = {"name": "first"}, {"name": "last"}
WEIGHED = [DIGITS, {"tokens": [0, 1], "weights": [0, 5]}]
OTHERWISE_WEIGHED = [DIGITS, {"tokens": [0, 1], "weights": [4, 1]}]

TRAPS = [
    Trap("outputs are those of the labels", *outputs(3, 2)),
    Trap("outputs are the tokens", *outputs(4, 2)),
    Trap("automaton cut off at the readout", says(copies(), PARITY, 0), says(copies(), PARITY | {"of": [0]}, 0)),
    Trap("weights cut off at the readout", says(copies(), PARITY, 0, WEIGHED), says(copies(), PARITY, 0)),
    Trap("weights forgotten", says(copies(), PARITY, 0, WEIGHED), says(copies(), PARITY, 0, OTHERWISE_WEIGHED)),
    Trap("no mask", looks_at_1("causal", LAST), looks_at_1("full", LAST)),
    Trap("causal for full", looks_at_1("full", FIRST), looks_at_1("causal", FIRST)),
    Trap(
        "prefixes kept under a full mask",
        looks_at_1_by_way_of_0("full", FIRST),
        looks_at_1_by_way_of_0("causal", FIRST),
    ),
    Trap("the last position for the readout", says(copies(), LAST, 0), says(copies(), LAST, 1)),
    Trap("position 0 for the readout", says(copies(), FIRST, 1), says(copies(), FIRST, 0)),
    Trap("the last rows of W_pos", *rows_of_W_pos()),
]


# Readings of the function. Of each, the seed of a case (any_case) on which it claims too much.


def reads(case: Case, **fields: object) -> Case:
    """The same tensors, another architecture; tensors that it does not have are forgotten."""
    given = case.architecture | fields
    return Case({name: case.tensors[name] for name in axes_of(given)}, given, case.problem, case.margin)


def changed(case: Case, ending: str, change: Callable[[np.ndarray], np.ndarray]) -> Case:
    """Every tensor whose name ends like this, changed."""
    tensors = {name: change(array) if name.endswith(ending) else array for name, array in case.tensors.items()}
    return Case(tensors, case.architecture, case.problem, case.margin)


def without(ending: str) -> Callable[[Case], Case]:
    """Some tensors taken for zero."""
    return lambda case: changed(case, ending, np.zeros_like)


def without_norm(norm: str) -> Callable[[Case], Case]:
    def misread(case: Case) -> Case:
        norms = [name for name in case.architecture["norms"] if name != norm]
        return reads(case, norms=norms, **({} if norms else {"normalization": "none", "eps": "0"}))

    return misread


def activation(name: str, instead: str) -> Callable[[Case], Case]:
    return lambda case: reads(case, activation=instead) if case.architecture["activation"] == name else case


def other_scale(case: Case) -> Case:
    """Divided by the number, not by its square root."""
    return reads(case, attn_scale_squared=str(Fraction(case.architecture["attn_scale_squared"]) ** 2))


def margin_forgotten(case: Case) -> Case:
    return Case(case.tensors, case.entry, case.problem, 0)


def last_block_forgotten(case: Case) -> Case:
    return reads(case, blocks=max(case.architecture["blocks"] - 1, 0))


def pre_for_post(case: Case) -> Case:
    other = {"pre": "post", "post": "pre"}
    return reads(case, norms=[other.get(name, name) for name in case.architecture["norms"]])


def blocks_reversed(case: Case) -> Case:
    last = case.architecture["blocks"] - 1
    tensors = {}
    for name, array in case.tensors.items():
        kind, _, rest = name.partition(".")
        if kind == "blocks":
            number, _, rest = rest.partition(".")
            name = f"blocks.{last - int(number)}.{rest}"
        tensors[name] = array
    return Case({name: tensors[name] for name in case.tensors}, case.architecture, case.problem, case.margin)


MISREADINGS: dict[str, Callable[[Case], Case]] = {
    "margin forgotten": margin_forgotten,
    "scores divided by the square": other_scale,
    "full for causal": lambda case: reads(case, mask="full"),
    "causal for full": lambda case: reads(case, mask="causal"),
    "sum for mean": lambda case: reads(case, pool="sum") if case.oracle.pooled else case,
    "mean for sum": lambda case: reads(case, pool="mean") if case.oracle.pooled else case,
    "eps forgotten": lambda case: reads(case, eps="0"),
    "eps squared": lambda case: reads(case, eps=str(Fraction(case.architecture["eps"]) ** 2)),
    "pre for post": pre_for_post,
    "no norm in blocks": without_norm("pre"),
    "no norm after blocks": without_norm("post"),
    "no final norm": without_norm("final"),
    "norm without weights": lambda case: reads(case, normalization="LNPre") if case.architecture["norms"] else case,
    "norm without its bias": without(".b"),
    "no MLP": lambda case: reads(case, activation="none"),
    "one block less": last_block_forgotten,
    "blocks from the last": blocks_reversed,
    "no readout layers": lambda case: reads(case, readout_layers=0),
    "heads of W_O in another order": lambda case: changed(case, "attn.W_O", lambda array: array[::-1]),
    "one head for all": lambda case: changed(case, "attn.W_K", lambda a: np.repeat(a[:1], len(a), axis=0)),
    "the last rows of W_pos": lambda case: changed(case, "W_pos", lambda a: np.roll(a, -1, axis=0)),
    **{f"no {name}": without(name) for name in ("W_pos", "b_Q", "b_V", "b_O", "b_in", "b_out", "b_U", "0.b")},
    **{
        f"{instead} for {name}": activation(name, instead)
        for name, instead in permutations(("relu", "silu", "gelu_tanh", "gelu_erf"), 2)
    },
}


# The first on which it claims too much.
SEEDS = {
    "blocks from the last": 5,
    "causal for full": 85,
    "eps forgotten": 30,
    "eps squared": 30,
    "full for causal": 91,
    "gelu_erf for gelu_tanh": 91,
    "gelu_erf for relu": 6,
    "gelu_erf for silu": 546,
    "gelu_tanh for gelu_erf": 1395,
    "gelu_tanh for relu": 6,
    "gelu_tanh for silu": 546,
    "heads of W_O in another order": 35,
    "margin forgotten": 1,
    "mean for sum": 91,
    "no 0.b": 43,
    "no MLP": 5,
    "no W_pos": 12,
    "no b_O": 32,
    "no b_Q": 73,
    "no b_U": 5,
    "no b_V": 8,
    "no b_in": 91,
    "no b_out": 4,
    "no final norm": 34,
    "no norm after blocks": 16,
    "no norm in blocks": 25,
    "no readout layers": 6,
    "norm without its bias": 5,
    "norm without weights": 5,
    "one block less": 5,
    "one head for all": 53,
    "pre for post": 25,
    "relu for gelu_erf": 146,
    "relu for gelu_tanh": 91,
    "relu for silu": 436,
    "scores divided by the square": 91,
    "silu for gelu_erf": 160,
    "silu for gelu_tanh": 91,
    "silu for relu": 6,
    "sum for mean": 87,
    "the last rows of W_pos": 12,
}


def claims_more(case: Case, misread: Case, last: int = LAST_PRECISION) -> bool:
    """Somewhere more correct or more not correct inputs than there are."""
    truth = {region[:2]: region[2:] for region in case.oracle.regions(case.problem, case.margin, last)}
    lie = misread.oracle.regions(misread.problem, misread.margin, last)
    return any(
        region.correct > correct or region.wrong > wrong + ties
        for region in lie
        for correct, wrong, ties in [truth.get(region[:2], (0, 0, 0))]
    )
