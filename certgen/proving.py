"""From a model to a certificate."""

from __future__ import annotations

from fractions import Fraction

from certgen.certificate.proof import require_expressible
from certgen.certificate.statement import Certificate
from certgen.errors import UserError
from certgen.models.circuits import Circuits
from certgen.models.model_file import Model
from certgen.progress import Track, quiet
from certgen.strategies import STRATEGIES
from certgen.strategies.adaptive import adaptive


def prove(
    model: Model,
    strategy: str = "adaptive",
    *,
    margin: Fraction | str | int = 0,
    max_length: int | None = None,
    target: Fraction | str | float | None = None,
    track: Track = quiet,
) -> Certificate:
    """A certificate that at least so many sequences are answered correctly, by more than `margin` (in logits).

    `margin` is an exact number: a Fraction, an integer, or text such as 1/8 or 0.125. `max_length` (operations of the
    check, as `certgen length` measures them) and `target` (a bound on the accuracy, from 0 to 1) are for the strategy
    adaptive. `track` shows the progress of the search. The certificate is a claim until the checker has verified it.
    Raises UserError for an unknown strategy, a margin or target that makes no sense, or a proof too large for the
    strategy. The cost is the strategy's; see `certgen strategies`.
    """
    if strategy not in STRATEGIES:
        raise UserError(f"there is no strategy {strategy!r}", f"choose one of: {', '.join(STRATEGIES)}")
    require_expressible(model)
    circuits = Circuits(model, read_margin(margin))
    if strategy == "adaptive":
        return adaptive(circuits, track, max_length, None if target is None else read_target(target))
    if max_length is not None or target is not None:
        raise UserError(f"the strategy {strategy} has no length or target to choose", "use --strategy adaptive")
    return STRATEGIES[strategy].prove(circuits, track)


def read_number(number: Fraction | str | float, what: str) -> Fraction:
    """An exact number; UserError if it is none."""
    try:
        return Fraction(number)
    except (ValueError, ZeroDivisionError, OverflowError):
        raise UserError(f"the {what} {number!r} is not a number", "write it as 0, 1/8 or 0.125") from None


def read_target(target: Fraction | str | float) -> Fraction:
    """A bound on the accuracy; UserError if it cannot be one."""
    exact_target = read_number(target, "target")
    if not 0 <= exact_target <= 1:
        raise UserError(f"the target {target} is no accuracy", "choose a number from 0 to 1")
    return exact_target


def read_margin(margin: Fraction | str | int) -> Fraction:
    """The margin as an exact number of logits; UserError if it is none, or negative."""
    exact_margin = read_number(margin, "margin")
    if exact_margin < 0:
        raise UserError(f"the margin {margin} is negative", "a claim with a negative margin would count wrong answers")
    return exact_margin
