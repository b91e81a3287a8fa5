"""Lines above and below an activation on an interval; theorem: docs/rules.md, section "Lines"."""

from checker.arithmetic.activations import Activation
from checker.arithmetic.balls import Ball
from checker.arithmetic.enclosures import shift_up

PIECES = 64  # of an interval, for the smooth activations: |f''| <= 1, so a chord is off by at most width^2 / 8


def intercept(act: Activation, low: int, high: int, slope: int, above: bool) -> int:
    """b such that f(z) <= slope z + b for all z from low to high, or >= if not above. All in units of 2^-bits.

    f - slope z is, but for the error of a chord, extreme at the ends of pieces: of a ReLU those where it is linear.
    """
    if act.name == "relu":
        points, doubt = [low, high, min(max(low, 0), high)], 1
    else:
        points = [low + (high - low) * i // PIECES for i in range(PIECES + 1)]
        width = (high - low) // PIECES + 1
        doubt = shift_up(width * width, act.bits + 3) + 1
    centre, radius, _ = act(Ball(points, 0))
    rest = [f - ((slope * z) >> act.bits) for f, z in zip(centre, points, strict=True)]
    return max(rest) + radius + doubt if above else min(rest) - radius - doubt
