"""Words, numbers and paragraphs that `certgen explain` is made of."""

from __future__ import annotations

import decimal

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

MOST_ROWS = 12
MOST_BITS = 64  # of a number that is written out in a table or a sentence


def context(digits: int, rounding: str) -> decimal.Context:
    """For numbers of any size."""
    least, most = decimal.MIN_EMIN, decimal.MAX_EMAX
    return decimal.Context(digits, rounding, Emin=least, Emax=most, traps=[decimal.InvalidOperation])


ROUNDED_DOWN = context(5, decimal.ROUND_DOWN)
TOWARDS_LESS, TOWARDS_MORE = context(4, decimal.ROUND_FLOOR), context(4, decimal.ROUND_CEILING)


class Paragraph:
    """A text wrapped once, at the width there is, below a head that later lines leave free. No markup, no trailing
    spaces."""

    def __init__(self, text: str, head: str = "", style: str = "") -> None:
        self.text, self.head = Text(text, style), head

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = self.text.wrap(console, max(options.max_width - len(self.head), 1))
        for number, line in enumerate(lines):
            line.rstrip()
            yield Text(self.head if number == 0 else " " * len(self.head)) + line


def written(number: int, most_bits: int = MOST_BITS) -> str:
    """With separators; what is too long to be read, rounded down to five digits."""
    return f"{number:,}" if number.bit_length() <= most_bits else str(ROUNDED_DOWN.create_decimal(number))


def counted(number: int, noun: str) -> str:
    """1 region, 2 regions."""
    return f"{written(number)} {noun}{'' if number == 1 else 's'}"


def scaled(number: int, exponent: int) -> str:
    """number * 2^exponent to four digits, or as a power of two where floating-point numbers end."""
    size = number.bit_length() + exponent
    if number and abs(size) > 1000:
        return f"{'-' if number < 0 else ''}2^{size}"
    return f"{number / (1 << -exponent) if exponent < 0 else float(number << exponent):.4g}"


def scaled_down(number: int, bits: int) -> str:
    """number * 2^-bits to four digits, rounded down: a lower bound."""
    return shown(TOWARDS_LESS.divide(decimal.Decimal(number), decimal.Decimal(1 << bits)))


def scaled_up(number: int, bits: int) -> str:
    """number * 2^-bits to four digits, rounded up: an upper bound."""
    return shown(TOWARDS_MORE.divide(decimal.Decimal(number), decimal.Decimal(1 << bits)))


def in_brief(number: int, bits: int) -> str:
    """number * 2^-bits rounded up to three digits, and to thousandths: for narrow columns."""
    brief = context(3, decimal.ROUND_CEILING).divide(decimal.Decimal(number), decimal.Decimal(1 << bits))
    return shown(brief.quantize(decimal.Decimal("0.001"), decimal.ROUND_CEILING) if abs(brief) < 1 else brief)


def shown(number: decimal.Decimal) -> str:
    """Without an exponent where that can be read."""
    return f"{number:f}" if -6 <= number.adjusted() <= 6 else str(number)
