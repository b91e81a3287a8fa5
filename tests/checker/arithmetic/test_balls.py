"""Balls: whatever vector of the ball goes in, what comes out is in the ball that comes out."""

import random
from fractions import Fraction

import pytest
from flint import arb, fmpq

from checker.arithmetic.balls import Ball, LayerNorm, Linear, TooCoarse, norm, root, rounded
from checker.arithmetic.matrices import Matrix
from tests.support.any_oracle import precision

Vector = list[arb]
WORST = 1024  # bits of Arb


def real(ball: Ball, signs: list[int], bits: int) -> Vector:
    """A corner of a ball."""
    return [arb(fmpq(c + s * ball.radius, 1 << bits)) for c, s in zip(ball.centre, signs, strict=True)]


def require_inside(values: Vector, ball: Ball, bits: int) -> Fraction:
    """The largest distance from the centre, as a share of the radius."""
    share = Fraction(0)
    for value, centre in zip(values, ball.centre, strict=True):
        off = abs(value * arb(2) ** bits - centre)
        assert off <= ball.radius
        share = max(share, Fraction(str(off.str(10, radius=False))) / ball.radius)
    return share


def image(x: Vector, W: Matrix, b: Matrix) -> Vector:
    unit = arb(2)
    return [
        sum(
            (a * row[j] * unit**W.exponent for a, row in zip(x, W.rows, strict=True)),
            arb(b.rows[0][j]) * unit**b.exponent,
        )
        for j in range(len(W.rows[0]))
    ]


def sign(number: int) -> int:
    return 1 if number >= 0 else -1


@pytest.mark.parametrize("seed", range(30))
def test_linear_layers_contain_the_images_of_corners(seed: int) -> None:
    """The worst corner for each column; large weights, so that the radius comes from the radius that entered."""
    rng = random.Random(seed)
    n, m, bits = rng.randint(1, 6), rng.randint(1, 6), rng.choice([8, 16, 70])
    size = rng.choice([1, 10, 1 << 12, 1 << 80])
    W = Matrix([[rng.randint(-size, size) for _ in range(m)] for _ in range(n)], rng.choice([-bits - 3, -4, 0, 20]))
    b = Matrix([[rng.randint(-size, size) for _ in range(m)]], rng.choice([-90, 0, 5]))
    if seed % 3 == 0:  # one column that matters
        j = rng.randrange(m)
        W = Matrix([[x if i == j else 0 for i, x in enumerate(row)] for row in W.rows], W.exponent)
    ball = Ball([rng.randint(-500, 500) * rng.choice([0, 1, 1 << 30]) for _ in range(n)], rng.choice([1, 7, 1 << 20]))
    with precision(WORST):
        out = Linear(W, b, bits)(ball)
        corners = [[sign(row[j]) for row in W.rows] for j in range(m)]
        shares = [require_inside(image(real(ball, s, bits), W, b), out, bits) for s in corners]
        if size > 1000 and W.exponent >= -4 and ball.radius > 1 and max(map(abs, ball.centre)) < 1000:
            assert max(shares) > 0.5, "not much larger than it has to be"


def test_every_rounding_of_a_linear_layer_may_go_one_way() -> None:
    """Half a unit of each entry of W, for 512 of x; half a unit of b; and nearly one where the sum is cut off."""
    half = (1 << 19) - 1
    W, b = Matrix([[(1 << 20) + half], [half]], -28), Matrix([[half]], -28)
    ball = Ball([511, 1], 0)
    out = Linear(W, b, 8)(ball)
    with precision(WORST):
        assert require_inside(image(real(ball, [0, 0], 8), W, b), out, 8) * out.radius > 2
    assert out.radius == 3


def test_real_numbers_do_not_move() -> None:
    layer = Linear(Matrix([[1, 2]], 0), Matrix([[0, 0]], 0), 8, blocks=2)
    assert layer.moves(Ball([1], 1, 5), Ball([1, 1], 1, 5)) == [0, 0]
    assert layer(Ball([1], 1)).moved == 0


def test_a_linear_layer_refuses_numbers_that_are_too_long() -> None:
    """Of 2^14 bits and more."""
    one, longest = Matrix([[1]], 0), 16384
    assert Linear(one, one, 8)(Ball([1 << (longest - 1)], 1)).centre == [(1 << (longest - 1)) + 256]
    with pytest.raises(TooCoarse):
        Linear(one, one, 8)(Ball([1 << longest], 1))


def normalized(x: Vector, eps: Fraction) -> Vector:
    mean = sum(x, arb(0)) / len(x)
    centred = [a - mean for a in x]
    variance = sum((a * a for a in centred), arb(0)) / len(x) + arb(fmpq(*eps.as_integer_ratio()))
    return [a / variance.sqrt() for a in centred]


def steepest(centre: list[int], i: int) -> list[int]:
    """In which direction each entry moves entry i of the LayerNorm up."""
    n = len(centre)
    mean = sum(centre) / n
    variance = sum((c - mean) ** 2 for c in centre) / n or 1.0
    return [
        sign(int(1e9 * ((j == i) - 1 / n - (centre[i] - mean) * (c - mean) / n / variance)))
        for j, c in enumerate(centre)
    ]


@pytest.mark.parametrize("seed", range(40))
def test_layer_norms_contain_the_images_of_corners(seed: int) -> None:
    """Towards larger entries, and away from them; wide vectors with one large entry are the worst."""
    rng = random.Random(seed)
    n, bits = rng.choice([1, 2, 3, 30]), rng.choice([8, 20, 70])
    eps = rng.choice([Fraction(0), Fraction(1, 100_000), Fraction(3)])
    spread = 1 << rng.choice([bits - 3, bits, bits + 6])
    centre = [rng.randint(-spread, spread) // rng.choice([1, 1, 8]) for _ in range(n)]
    centre[0] *= rng.choice([1, 4])
    ball = Ball(centre, rng.choice([1, spread // 100 + 1, spread // 5, spread]))
    parts = [Matrix([[rng.randint(-3000, 3000) for _ in range(n)]], -10) for _ in range(2)] if seed % 2 else []
    try:
        out = LayerNorm(eps.as_integer_ratio(), parts, bits)(ball)
    except TooCoarse:
        assert eps == 0
        return
    with precision(WORST):
        for i in range(n):
            for turn in (1, -1):
                y = normalized(real(ball, [turn * s for s in steepest(centre, i)], bits), eps)
                if parts:
                    w, b = ([arb(x) / 1024 for x in part.rows[0]] for part in parts)
                    y = [a * x + c for a, x, c in zip(y, w, b, strict=True)]
                require_inside(y, out, bits)


def test_the_radius_of_a_layer_norm_needs_all_of_its_terms() -> None:
    """Moving every entry by r moves one by more than 2 r / sigma, and sigma itself matters."""
    bits, r, centre = 40, 1 << 36, [4 << 40, *[x << 40 for x in (1, -1) * 8], -4 << 40]
    out = LayerNorm((0, 1), [], bits)(Ball(centre, r))
    with precision(WORST):
        mean = sum(centre) / len(centre)
        sigma = (sum((c - mean) ** 2 for c in centre) / len(centre)) ** 0.5
        signs = steepest(centre, 0)
        y = normalized(real(Ball(centre, r), signs, bits), Fraction(0))
        moved = float(y[0] * arb(2) ** bits - out.centre[0])
    assert abs(moved) > 2 * r * 2**bits / sigma
    assert abs(moved) <= out.radius < 4 * abs(moved)


def test_the_radius_of_a_layer_norm_to_the_unit() -> None:
    """sigma is 2 and the largest entry 2, or a unit more; two units for sigma and what is cut off. With weights up to
    3, or a unit more, half a unit of each weight, and two units for the rest."""
    ball, one = Ball([4 << 8, *[-1 << 8] * 4], 100), 1 << 8
    plain = LayerNorm((0, 1), [], 8)(ball)
    radius = -(-100 * (2 * one + 2 * one + 1) // (2 * one - 100)) + 2
    assert plain == Ball([2 * one, *[-one // 2] * 4], radius, 0)
    weighted = LayerNorm((0, 1), [Matrix([[2, -3, 0, 0, 1]], 0), Matrix([[0, 0, 7, 0, 0]], 0)], 8)(ball)
    halves = -(-(2 * one + 1) // (2 * one))
    assert weighted.radius == -(-radius * (3 * one + 1) // one) + halves + 2
    assert weighted.centre == [4 * one, 3 * one // 2, 7 * one, 0, -one // 2]


@pytest.mark.parametrize("centre", [[5], [7, 7], [0, 0, 0]])
def test_dividing_by_zero_is_too_coarse(centre: list[int]) -> None:
    with pytest.raises(TooCoarse):
        LayerNorm((0, 1), [], 8)(Ball(centre, 1))
    assert LayerNorm((1, 100), [], 8)(Ball(centre, 1)).centre == [0] * len(centre)


def test_a_ball_that_holds_a_constant_vector_is_too_coarse() -> None:
    """sigma(c) is 3, and r is 3: a vector of the ball has no deviation."""
    with pytest.raises(TooCoarse):
        LayerNorm((0, 1), [], 8)(Ball([7, 1], 3))
    LayerNorm((0, 1), [], 8)(Ball([7, 1], 2))


def test_roots_and_lengths_are_rounded_up() -> None:
    assert [root(n) for n in (0, 1, 2, 3, 4, 5, 16, 17)] == [0, 1, 2, 2, 2, 3, 4, 5]
    assert [norm(x) for x in ([0, 0], [3, 4], [-3, -4], [1, 1], [1])] == [0, 5, 5, 2, 1]


def test_rounding_is_to_nearest_and_sums_add_radii_and_moves() -> None:
    assert rounded(Matrix([[5, 6, -5, -6, -7]], -2), 0) == [[1, 2, -1, -1, -2]]
    assert rounded(Matrix([[5, 6, -5]], -1), 0) == [[3, 3, -2]]
    assert rounded(Matrix([[5]], 3), 2) == [[160]]
    assert Ball([1, -2], 3, 10).plus(Ball([4, 4], 5, 20)) == Ball([5, 2], 8, 30)


@pytest.mark.parametrize("bits", [8, 40])
@pytest.mark.parametrize("size", [1, 15, 16, 17, 64])
def test_no_lane_of_a_linear_layer_reaches_into_the_next(size: int, bits: int) -> None:
    """All columns at their largest sums of either sign, beside each other and in turn."""
    big, most = 3 << bits, (1 << size) - 1  # entries of W in units of 2^-bits; of x
    columns = [(a, a * c) for a in (1, -1) for c in (1, -1)]  # the sign of W and of b
    for shift in range(len(columns)):
        turned = columns[shift:] + columns[:shift]
        W = Matrix([[a * big for a, _ in turned] for _ in range(5)], -bits)
        b = Matrix([[c * big for _, c in turned]], -bits)
        layer = Linear(W, b, bits)
        for turn in (1, -1):
            for x in ([turn * most] * 5, [turn * most, 0, 0, 0, -turn * most], [0] * 5):
                assert layer(Ball(x, 1)).centre == [((a * big * sum(x)) >> bits) + c * big for a, c in turned]
