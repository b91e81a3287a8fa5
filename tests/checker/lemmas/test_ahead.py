"""How far outputs are ahead: bounds against all vectors of a ball, and all activations of arguments in ranges."""

from fractions import Fraction
from itertools import product
from types import SimpleNamespace
from typing import Any

from checker.arithmetic.activations import Activation
from checker.arithmetic.balls import Ball
from checker.arithmetic.enclosures import Enclosure
from checker.arithmetic.matrices import Matrix
from checker.budget import Budget
from checker.lemmas.ahead import Ahead
from checker.problem.regions import Group, Region

BITS, MARGIN = 4, 3
UNIT = 1 << BITS
OUT = Matrix([[3, -5, 1], [-7, 2, 1]], -3)  # two neurons, three outputs
BIAS = Matrix([[1, -9, 4]], -6)
GROUP = Group(1, 1, (5,), (0,), ((0,),), (0,))


def ahead(values: list[Any] | None = None, scale: tuple[int, int] = (UNIT, UNIT)) -> Any:
    """Features are three logits and two neurons; without a model."""
    found: Any = object.__new__(Ahead)
    found.bits, found.margin, found.budget = BITS, MARGIN, Budget(1 << 30)
    found.layer = SimpleNamespace(
        out=OUT,
        bias=BIAS,
        neurons=2,
        words=1,
        act=Activation("relu", BITS),
        scale=Enclosure(*scale),
        values=values,
        direct=lambda query: Ball([7, -20, 3, 11, -6], 2),
    )
    return found


def favours(y: int, c: int) -> list[Fraction]:
    return [(row[y] - row[c]) * Fraction(2) ** OUT.exponent for row in OUT.rows]


def largest(x: Ball, y: int, c: int, slopes: list[int]) -> Fraction:
    """Over the corners of the ball, with a line of each slope through 0 for each neuron."""
    return max(
        sum((f * s * z / UNIT for f, s, z in zip(favours(y, c), slopes, corner[3:], strict=True)), Fraction(0))
        + (corner[y] - corner[c])
        for corner in product(*[(z - x.radius, z + x.radius) for z in x.centre])
    )


def test_a_difference_is_that_of_the_worst_vector_of_its_ball() -> None:
    for radius, slopes, (y, c) in product((0, 1, 5), ([9, -20], [0, 16], [-3, 1]), ((0, 1), (2, 0), (1, 2))):
        x = Ball([7, -20, 3, 11, -6], radius)
        factors = [f * s for f, s in zip(ahead().favours(y, c), slopes, strict=True)]
        assert 0 <= ahead().difference(x, y, c, factors) - largest(x, y, c, slopes) < 1
        assert ahead().difference(x, y, c, []) == x.centre[y] - x.centre[c] + 2 * radius


def test_a_class_is_ahead_as_far_as_its_largest() -> None:
    """Of outputs 0 and 2 over 1, once the one and once the other."""
    balls = [Ball([90, 0, -90, 4, 5], 3), Ball([-90, 0, 90, 4, 5], 3)]
    slopes = [9, -20]
    ((table,),) = ahead([[dict(enumerate(balls))]]).of_attention(1, 0b101, tuple(slopes))
    for t, x in enumerate(balls):
        assert 0 <= table[t] - max(largest(x, y, 1, slopes) for y in (0, 2)) < 1


def test_a_constant_is_that_of_the_worst_activations() -> None:
    """More than every difference with ReLUs of any arguments in their ranges, and hardly more than one: less what lines
    through 0 say of the arguments."""
    bias = [x * Fraction(2) ** BIAS.exponent * UNIT for x in BIAS.rows[0]]
    own = ahead().layer.direct(0)
    for slopes, ranges, scale in product(
        ((9, 5), (16, 0)), ((-30, 40, -8, 100), (5, 9, -7, -2)), ((UNIT, UNIT), (2 * UNIT, 3 * UNIT))
    ):
        worst = {}
        for y in (0, 2):
            bent = sum(
                max(f * (max(z, 0) - Fraction(s * z, UNIT)) for z in range(low, high + 1))
                for f, s, low, high in zip(favours(y, 1), slopes, ranges[::2], ranges[1::2], strict=True)
            )
            fixed = max((bias[y] - bias[1] + MARGIN) * Fraction(end, UNIT) for end in scale)
            worst[y] = largest(own, y, 1, list(slopes)) + fixed + bent
        region = Region(0, GROUP, 0, [])
        found = {rivals: ahead(scale=scale).constant(region, rivals, slopes, ranges) for rivals in (0b1, 0b100, 0b101)}
        assert 0 <= found[0b1] - worst[0] <= 12
        assert 0 <= found[0b100] - worst[2] <= 12
        assert found[0b101] == max(found[0b1], found[0b100])
