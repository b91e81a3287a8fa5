"""Numbers as text, rounded in the direction of the claim: what is printed is never stronger than what is known."""

import math
from decimal import Decimal
from fractions import Fraction

Number = Fraction | float
PLACES = 4  # of a share of 1; two fewer in percent are as many digits


def at_least(number: Number, places: int = PLACES) -> str:
    """Decimals of a lower bound: rounded down, so that 1.0000 is 1."""
    return shifted(math.floor(Fraction(number) * 10**places), places)


def at_most(number: Number, places: int = PLACES) -> str:
    """Decimals of an upper bound: rounded up, so that 0.0000 is 0."""
    return shifted(math.ceil(Fraction(number) * 10**places), places)


def percent_at_least(share: Number, places: int = 3) -> str:
    """A share of 1 in percent, rounded down."""
    return f"{at_least(Fraction(share) * 100, places)}%"


def percent_at_most(share: Number, places: int = 3) -> str:
    """A share of 1 in percent, rounded up."""
    return f"{at_most(Fraction(share) * 100, places)}%"


def shifted(digits: int, places: int) -> str:
    return f"{Decimal(digits).scaleb(-places):f}"
