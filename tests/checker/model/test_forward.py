"""Attention of balls: whatever queries, keys and values they hold, what comes out is in the ball that comes out. Logits
of all kinds of models against the definition; tests/rules/test_evaluate_inputs.py has many more of them."""

import random
from functools import reduce
from itertools import product
from typing import Any

import numpy as np
import pytest
from flint import arb, fmpq

from checker.arithmetic.balls import Ball, TooCoarse
from checker.arithmetic.enclosures import Power
from checker.arithmetic.packing import side_by_side
from checker.model.forward import Block, Forward
from checker.model.weights import read_weights
from tests.support.any_case import Case
from tests.support.any_model import any_model_bytes, architecture, zeros
from tests.support.any_oracle import precision
from tests.support.float32_unseen import UNSEEN
from tests.support.layer_cases import in_eighths, layer_case


class Reading:
    """Stands for a position: the balls that attention reads of it."""

    def __init__(self, **parts: Ball) -> None:
        self.parts = parts

    def heads(self, part: str) -> list[Ball]:
        return [self.parts[part]]

    def largest(self, head: int) -> int:
        return max(map(abs, self.parts["V"].centre))

    def packed(self, head: int, span: int) -> int:
        return side_by_side(self.parts["V"].centre, span)


def block(bits: int, width: int, scale_squared: str = "3") -> Block:
    """The block of a model with one head."""
    given = architecture(attn_scale_squared=scale_squared)
    sizes = {"d_vocab": 1, "d_model": 1, "n_ctx": 1, "d_vocab_out": 1, "n_heads": 1, "d_head": width}
    return Forward(read_weights(any_model_bytes(zeros(given, sizes), given)), 1, 0, bits).blocks[0]


def ball(rng: random.Random, width: int, size: int, radius: int) -> Ball:
    return Ball([rng.randint(-size, size) for _ in range(width)], radius)


def sign(number: int) -> int:
    return 1 if number >= 0 else -1


@pytest.mark.parametrize("seed", range(40))
def test_exponentials_hold_those_of_all_queries_and_keys(seed: int) -> None:
    """The extreme ones have every error in one direction; with small centres the product of radii is what counts."""
    rng = random.Random(seed)
    bits, width = rng.choice([8, 30, 64]), rng.randint(1, 4)
    one = 1 << bits
    size, radius = rng.choice([(one, 1), (one, one // 9), (0, one // 2), (2, one), (3 * one, one // 50)])
    query, key = ball(rng, width, size, radius), ball(rng, width, size, rng.choice([1, radius]))
    scaled: Any = block(bits, width)
    (power,) = scaled.exponentials(Reading(Q=query), Reading(K=key))
    with precision(600):
        for turn in (1, -1):
            q = [c + turn * sign(k) * query.radius for c, k in zip(query.centre, key.centre, strict=True)]
            k = [c + turn * sign(x) * key.radius for c, x in zip(key.centre, q, strict=True)]
            score = arb(fmpq(sum(a * b for a, b in zip(q, k, strict=True)), one * one)) / arb(3).sqrt()
            value = score.exp() * arb(2) ** (bits + power.shift)
            assert arb(power.low) <= value <= arb(power.high)


def test_exponentials_are_close_where_scores_are_known() -> None:
    """And a score of which nothing is known is too coarse at once."""
    scaled: Any = block(40, 2)
    (power,) = scaled.exponentials(Reading(Q=Ball([1 << 40, 3 << 40], 1)), Reading(K=Ball([-5 << 40, 1 << 40], 1)))
    assert power.high - power.low < 40 and power.low >> 38
    with pytest.raises(TooCoarse):
        scaled.exponentials(Reading(Q=Ball([0, 0], 1 << 20_000)), Reading(K=Ball([0, 0], 1 << 20_000)))
    scaled = block(40, 2, "1/1000000")
    with pytest.raises(TooCoarse):
        scaled.exponentials(Reading(Q=Ball([0, 0], 1 << 40)), Reading(K=Ball([0, 0], 1 << 40)))


@pytest.mark.parametrize("seed", range(60))
def test_means_hold_those_of_all_weights_and_values(seed: int) -> None:
    """The extreme ones have heavy weights on the largest values, or on the smallest."""
    rng = random.Random(seed)
    bits, width, count = rng.choice([8, 20, 50]), rng.randint(1, 3), rng.randint(1, 5)
    one = 1 << bits
    values = [ball(rng, width, rng.choice([0, one, 9 * one]), rng.choice([1, 1, one // 7])) for _ in range(count)]
    powers = []
    for _ in range(count):
        low = rng.randint(one // 4, one // 2)
        powers.append(
            Power(low, min(one, low * rng.choice([100, 101, 150, 300]) // 100 + 1), rng.choice([-3, 0, 1, 6]))
        )
    attention: Any = block(bits, width)
    out = attention.mean(0, powers, tuple(Reading(V=value) for value in values))
    ends = [[fmpq(end) / fmpq(2) ** (power.shift + 5) for end in power[:2]] for power in powers]
    worst = fmpq(0)
    for j in range(width):
        for turn in (1, -1):
            v = [value.centre[j] + turn * value.radius for value in values]
            for cut in v:  # the worst weights are heavy beyond some value and light before
                w = [high if turn * (x - cut) >= 0 else low for x, (low, high) in zip(v, ends, strict=True)]
                mean = sum((a * b for a, b in zip(w, v, strict=True)), fmpq(0)) / sum(w, fmpq(0))
                worst = max(worst, abs(mean - out.centre[j]))
    assert worst <= out.radius


def test_the_radius_of_a_mean_to_the_unit() -> None:
    """That of a value; twice the largest entry of any value times what weights leave open; and one unit."""
    attention: Any = block(8, 2)
    powers, values = [Power(40, 50, 0), Power(60, 70, 0)], [Ball([7, -9], 20), Ball([8, 1], 3)]
    out = attention.mean(0, powers, tuple(Reading(V=value) for value in values))
    assert out == Ball([(40 * 7 + 60 * 8) // 100, (40 * -9 + 60) // 100], 20 + -(-2 * (9 + 20) * 20 // 100) + 1)


def test_weights_that_may_all_be_0_are_too_coarse() -> None:
    attention: Any = block(8, 1)
    seen = (Reading(V=Ball([5], 1)),)
    with pytest.raises(TooCoarse):
        attention.mean(0, [Power(0, 1, 0)], seen)
    assert attention.mean(0, [Power(1, 1, 0)], seen) == Ball([5], 2)


@pytest.mark.parametrize("bits", [8, 100, 4500])
def test_no_lane_of_a_mean_reaches_into_the_next(bits: int) -> None:
    """All entries at their largest, in turn of either sign."""
    one, attention = 1 << bits, block(bits, 4)
    for signs in ((1, -1, 1, -1), (-1, 1, 1, -1), (-1, -1, -1, 1)):
        value: Any = Reading(V=Ball([s * (one - 1) for s in signs], 1))
        out = attention.mean(0, [Power(one, one, 0)] * 2, (value, value))
        assert out.centre == [s * (one - 1) for s in signs]


def test_the_mean_of_heads_has_the_largest_radius() -> None:
    """Whichever head it is that knows its values badly."""
    given = architecture(heads=2)
    sizes = {"d_vocab": 1, "d_model": 1, "n_ctx": 1, "d_vocab_out": 1, "n_heads": 2, "d_head": 1}
    for radii in ((3, 500), (500, 3)):
        attention: Any = Forward(read_weights(any_model_bytes(zeros(given, sizes), given)), 1, 0, 10).blocks[0]
        means = iter([Ball([0], radius) for radius in radii])
        seen: list[Ball] = []
        attention.mean = lambda *_, means=means: next(means)
        attention.linear["O"] = lambda x, *more, seen=seen: seen.append(x) or x
        position: Any = Reading()
        position.heads = lambda part: [Ball([0], 0), Ball([0], 0)]
        position.residual = lambda: Ball([0, 0], 0)
        attention(position, (position,))
        assert seen == [Ball([0, 0], 500)]


BITS = 64
LN = {"normalization": "LN", "eps": "1/4"}
KINDS: list[tuple[dict[str, Any], int, int]] = [
    ({"heads": 2}, 203, 216011148346429),
    ({"heads": 2, "mask": "full"}, 206, 216755755512799),
    ({"activation": "relu"}, 67, 122260008377778),
    ({"activation": "silu", "blocks": 2}, 1702, 652891666316815),
    ({"blocks": 2, "heads": 2, "pool": "mean"}, 6825, 717398130365928),
    ({"blocks": 2, "mask": "full", "pool": "sum"}, 468, 517855891557335),
    ({"blocks": 1, "readout_layers": 1, "heads": 2}, 158, 164600404025544),
    ({**LN, "norms": ["pre", "final"], "activation": "gelu_erf"}, 6045, 1411426265055079),
    ({**LN, "norms": ["post"], "activation": "gelu_tanh"}, 777, 777571806243097),
    ({**LN, "normalization": "LNPre", "norms": ["final"]}, 71, 184503306580512),
]
"""Architectures, and the radius of the logits for the tokens 2, 0, 1, in units of 2^-64: of real numbers, and with what
float32 programs compute. Recorded, so that no unit goes missing; other tests say that they are large enough."""


def evaluated(case: Case, tokens: tuple[int, ...], float32: bool = False) -> Ball | None:
    readout = case.problem["readout"] if case.architecture["pool"] == "none" else None
    forward = Forward(read_weights(case.data), len(tokens), readout, BITS, float32)
    return forward.logits(reduce(forward.after, tokens, forward.start))


def logits(case: Case, tokens: tuple[int, ...], float32: bool = False) -> Ball:
    found = evaluated(case, tokens, float32)
    assert found is not None
    return found


@pytest.mark.parametrize("given", [given for given, *_ in KINDS], ids=str)
def test_logits_are_those_of_the_definition(given: dict[str, Any]) -> None:
    """The second block has not the weights of the first one, but these in another order."""
    case = in_eighths(layer_case(**given))
    for name, x in case.tensors.items():
        x[...] = np.roll(x, 1) if name.startswith("blocks.1.") else x
    readout = case.problem["readout"] if case.architecture["pool"] == "none" else None
    with precision(256):
        for tokens in product(range(3), (0, 2), range(2)):
            found = logits(case, tokens)
            exact = case.oracle.model_of(256).logits(tokens, readout)
            for centre, logit in zip(found.centre, exact, strict=True):
                assert abs(logit * arb(2) ** BITS - centre) <= found.radius < 1 << 20


@pytest.mark.parametrize(("given", "radius", "in_float32"), KINDS, ids=str)
def test_radii_of_logits_to_the_unit(given: dict[str, Any], radius: int, in_float32: int) -> None:
    case = in_eighths(layer_case(**given))
    assert logits(case, (2, 0, 1)).radius == radius
    assert logits(case, (2, 0, 1), float32=True).radius == in_float32


@pytest.mark.parametrize("case", UNSEEN.values(), ids=UNSEEN)
def test_what_is_not_seen_must_be_a_number_in_float32_only(case: Case) -> None:
    seen = {float32: [evaluated(case, (0, t), float32) is not None for t in (0, 1)] for float32 in (False, True)}
    assert seen == {False: [True, True], True: [True, False]}


def test_numbers_may_be_large_if_they_are_real() -> None:
    case = in_eighths(layer_case(pool="sum"))
    case.tensors["embed.W_E"] *= 1 << 25
    assert evaluated(case, (2, 0, 1)) is not None and evaluated(case, (2, 0, 1), float32=True) is None
