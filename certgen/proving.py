"""From a model to a certificate."""

from __future__ import annotations

import os
import re
from decimal import Decimal
from fractions import Fraction
from numbers import Integral, Rational
from typing import TypeAlias

from certgen.certificate.proof import require_expressible
from certgen.certificate.statement import Certificate
from certgen.errors import UserError, did_you_mean
from certgen.models.circuits import Circuits
from certgen.models.model_file import MAX_DIGITS, Model, load_model
from certgen.progress import Track, quiet
from certgen.strategies import STRATEGIES
from certgen.strategies.adaptive import adaptive

Number: TypeAlias = Fraction | Decimal | str | float


def prove(
    model: Model | str | os.PathLike[str],
    strategy: str = "adaptive",
    *,
    margin: Number = 0,
    max_length: int | None = None,
    target: Number | None = None,
    track: Track = quiet,
) -> Certificate:
    """A certificate of a lower bound on the sequences answered correctly, by more than `margin` (in logits).

    `model` comes from `load_model`, or is the path of a model file. `margin` is an exact number: a Fraction, an
    integer, or text such as 1/8 or 0.125. `max_length` (operations of the check, as `certgen length` measures them) and
    `target` (a bound on the accuracy, from 0 to 1) are for the strategy adaptive. `track` shows the progress of the
    search. The certificate is a claim until the checker has verified it. Raises UserError for an unknown strategy, a
    margin or target that makes no sense, or a proof too large for the strategy, and TypeError for an argument of a
    wrong type. The cost is the strategy's; see `certgen strategies`.
    """
    if not isinstance(model, Model | str | os.PathLike):
        raise wrong_type("model", "a Model from load_model(), or the path of a model file", model)
    if not isinstance(strategy, str):
        raise wrong_type("strategy", "a name such as 'adaptive'", strategy)
    if max_length is not None and not isinstance(max_length, Integral):
        raise wrong_type("max_length", "a number of operations, an int", max_length)
    exact_margin = read_margin(margin)
    exact_target = None if target is None else read_target(target)
    if strategy not in STRATEGIES:
        hint = did_you_mean(strategy, STRATEGIES, "certgen strategies")
        raise UserError(f"there is no strategy {strategy!r}", hint)
    if strategy != "adaptive" and (max_length is not None or target is not None):
        raise UserError(f"the strategy {strategy} has no length or target to choose", "the strategy adaptive has both")
    loaded = model if isinstance(model, Model) else load_model(model)
    require_expressible(loaded)
    circuits = Circuits(loaded, exact_margin)
    if strategy == "adaptive":
        return adaptive(circuits, track, None if max_length is None else int(max_length), exact_target)
    return STRATEGIES[strategy].prove(circuits, track)


def wrong_type(name: str, wanted: str, given: object) -> TypeError:
    """The error for an argument of the Python API that is of another type than is `wanted`."""
    return TypeError(f"{name} must be {wanted}, not {type(given).__name__}")


def read_number(number: Number, what: str) -> Fraction:
    """An exact number; UserError if it is none, TypeError if it could not be one."""
    if not isinstance(number, Rational | Decimal | float | str):
        raise wrong_type(what, "a number, or text such as 1/8 or 0.125", number)
    try:
        if isinstance(number, str | Decimal):
            exponent = re.search(r"e([+-]?\d+)\s*$", str(number), re.IGNORECASE)
            if len(str(number)) > MAX_DIGITS or (exponent and abs(int(exponent[1])) > MAX_DIGITS):
                raise UserError(f"the {what} has more than {MAX_DIGITS:,} digits", "a certificate cannot hold it")
        return Fraction(number)
    except (ValueError, ZeroDivisionError, OverflowError):
        raise UserError(f"the {what} {number!r} is not a number", "write it as 0, 1/8 or 0.125") from None


def read_target(target: Number) -> Fraction:
    """A bound on the accuracy; UserError if it cannot be one."""
    exact_target = read_number(target, "target")
    if not 0 <= exact_target <= 1:
        raise UserError(f"the target {target} is no accuracy", "choose a number from 0 to 1")
    return exact_target


def read_margin(margin: Number) -> Fraction:
    """The margin as an exact number of logits; UserError if it is none, or negative."""
    exact_margin = read_number(margin, "margin")
    if exact_margin < 0:
        raise UserError(f"the margin {margin} is negative", "a claim with a negative margin would count wrong answers")
    return exact_margin
