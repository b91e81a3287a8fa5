"""What it costs to evaluate every input: as check-cert counts it, and roughly in seconds.

The unit is a thousand multiply-adds of 64 bits side by side, or where it says so an operation of check-cert.
"""

from __future__ import annotations

import math

import numpy as np

from certgen.certificate.arguments import LaneArgs
from certgen.models.model_file import Model
from certgen.problem import Task

WORD = 256  # bits of a number that an operation of check-cert takes
SLACK = 40  # bits by which it may overestimate logits
LONGEST = 1 << 14  # bits of a number that check-cert still multiplies
UNIT, PACKED = 64, 4000  # operations, and multiply-adds of which as many take so long
UNASKED = 1 << 25  # the most that is proved by evaluating every input unless it is asked for
CHECKED_A_SECOND = 300_000.0  # of check-cert, on one core
ROUNDS = 8  # of a search for the worst input of a region
SEARCHED_A_SECOND = 4_000_000.0  # of the search in numpy, on one core


def passes(model: Model, task: Task) -> int:
    """Positions that are evaluated, and inputs that are looked at: under a causal mask each prefix once."""
    if model.architecture.mask == "full":
        return task.k * task.number
    last = task.k if task.readout is None else task.readout + 1
    choices = [len(tokens) for tokens in task.space.choices]
    return sum(math.prod(choices[: p + 1]) for p in range(last)) + task.number


def work(model: Model, k: int, bits: int, together: int = 1000) -> int:
    """Of one position of an input of k tokens, when `bits` bits are kept.

    An exponential with a score of fewer than 64 products counts as one, and so do eight columns of a matrix; a SiLU or
    a GELU as eight, and more with more bits; the rest of a block as sixteen. Weights above 16 make numbers longer from
    layer to layer.
    """
    architecture = model.architecture
    tables = [array for name, array in model.tensors.items() if not name.startswith(("embed.", "pos_embed."))]
    growth = sum(max(0, math.frexp(np.abs(array).max(initial=0.0))[1] - 4) for array in tables)
    scores = max(architecture.blocks * architecture.heads, 1) * k
    exponentials = scores * (1 + model.sizes.get("d_head", 0) // 64)
    if architecture.activation not in ("none", "relu"):
        exponentials += 8 * architecture.blocks * model.sizes.get("d_mlp", 0) * (1 + bits // 64)
    products = sum(array.size for array in tables) // together
    words = 1 + (bits + min(growth, LONGEST)) // 64
    columns = sum(int(array.shape[-1]) for array in tables)
    return (products + exponentials) * words**2 + columns // 8 + 16 * (architecture.blocks + 1)


def evaluation_work(model: Model, task: Task, bits: int = 0) -> int:
    """Of all inputs once."""
    return passes(model, task) * work(model, task.k, bits)


def evaluation_operations(model: Model, task: Task, bits: int) -> int:
    """The same in operations."""
    return passes(model, task) * (UNIT * work(model, task.k, bits, PACKED) + 2 * task.k)


def squaring_operations(model: Model) -> int:
    """Of the singular values of all matrices."""
    shapes = [
        (1, array.size) if "embed" in name else (array.size // array.shape[-1], array.shape[-1])
        for name, array in model.tensors.items()
    ]
    return sum(2 * min(n, m) ** 2 * (max(n, m) + 3 * min(n, m)) + 60 * n * m for n, m in shapes)


def enumeration_operations(model: Model, sequences: int, args: LaneArgs) -> int:
    """At least those of enumerate_sequences: for each sequence, and terms of every pair, position and token."""
    v, k, d = model.d_vocab, model.sizes["n_ctx"], model.sizes["d_model"]
    largest = {name.rpartition(".")[2]: float(np.abs(array).max(initial=0.0)) for name, array in model.tensors.items()}
    heads, residual = model.sizes["d_head"], largest["W_E"] + largest["W_pos"]
    attended = heads * largest["W_O"] * (largest["b_V"] + d * residual * largest["W_V"])
    logit = d * largest["W_U"] * (residual + attended + largest["b_O"]) + largest["b_U"]
    width = args.bits + max(math.frexp(logit)[1] + SLACK - args.exponent, 1) + 2 * k.bit_length()
    lanes = 1 + width * v // WORD
    each = 8 + lanes * v.bit_length() // 8
    return sequences * each + (v + 1) ** 2 * (k + 1) * (v + 8) * (16 + lanes * (2 + args.bits // 128))


def region_work(model: Model, task: Task) -> int:
    """Of bounds on every wrong output, once for each label and query, as proofs by regions begin."""
    outputs, neurons = model.d_vocab_out, model.sizes.get("d_mlp", 0)
    regions = outputs * len(task.space.choices[task.query_position])
    return ROUNDS * regions * outputs * (neurons + 1) * model.architecture.heads * task.k * model.d_vocab // 1000


def about(number: int) -> str:
    """With separators, or as a power of ten where nobody counts any more."""
    return f"{number:,}" if number < 10**15 else f"10^{math.log10(number):.0f}"


def lasting(thousands: int, rate: float) -> str:
    """How long so many thousands of multiply-adds take, such as 40 seconds, 3 hours, or 10^9 years."""
    for name, size in (("year", 31_557_600), ("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if 2 * thousands >= 3 * size * rate:
            return f"{about(int(thousands // int(size * rate)))} {name}s"
    return "a second" if thousands < 2 * rate else f"{thousands / rate:.0f} seconds"
