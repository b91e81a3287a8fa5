"""Attention of balls: whatever queries, keys and values they hold, what comes out is in the ball that comes out."""

import random
from typing import Any

import pytest
from flint import arb, fmpq

from checker.arithmetic.balls import Ball, TooCoarse
from checker.arithmetic.enclosures import Power
from checker.arithmetic.packing import side_by_side
from checker.model.forward import Block, Forward
from checker.model.weights import read_weights
from tests.support.any_model import any_model_bytes, architecture, zeros
from tests.support.any_oracle import precision


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
