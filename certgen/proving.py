"""From a model to a certificate."""

from __future__ import annotations

from fractions import Fraction

from certgen.certificate import Certificate
from certgen.circuits import Circuits
from certgen.errors import UserError
from certgen.models import Model
from certgen.progress import Track, quiet
from certgen.strategies import STRATEGIES


def prove(model: Model, strategy: str, *, margin: Fraction | str | int = 0, track: Track = quiet) -> Certificate:
    """A certificate that at least so many sequences are answered correctly, by more than `margin` (in logits).

    `margin` is an exact number: a Fraction, an integer, or text such as 1/8 or 0.125. `track` shows the progress of the
    search. The certificate is a claim until the checker has verified it. Raises UserError for an unknown strategy, a
    margin that is negative or no number, or a proof too large for the strategy. The cost is the strategy's; see
    `certgen strategies`.
    """
    if strategy not in STRATEGIES:
        raise UserError(f"there is no strategy {strategy!r}", f"choose one of: {', '.join(STRATEGIES)}")
    return STRATEGIES[strategy].prove(Circuits(model, read_margin(margin)), track)


def read_margin(margin: Fraction | str | int) -> Fraction:
    """The margin as an exact number of logits; UserError if it is none, or negative."""
    try:
        exact_margin = Fraction(margin)
    except (ValueError, ZeroDivisionError):
        raise UserError(f"the margin {margin!r} is not a number", "write it as 0, 1/8 or 0.125") from None
    if exact_margin < 0:
        raise UserError(f"the margin {margin} is negative", "a claim with a negative margin would count wrong answers")
    return exact_margin
