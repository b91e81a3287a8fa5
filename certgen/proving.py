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

    Raises UserError for an unknown strategy, a negative margin, or a proof too large for the strategy. The cost is the
    strategy's; see `certgen strategies`.
    """
    if strategy not in STRATEGIES:
        raise UserError(f"there is no strategy {strategy!r}", f"choose one of: {', '.join(STRATEGIES)}")
    try:
        exact_margin = Fraction(margin)
    except (ValueError, ZeroDivisionError):
        raise UserError(f"the margin {margin!r} is not a number", "write it as 0, 1/8 or 0.125") from None
    if exact_margin < 0:
        raise UserError(f"the margin {margin} is negative", "a claim with a negative margin would count wrong answers")
    return STRATEGIES[strategy].prove(Circuits(model, exact_margin), track)
