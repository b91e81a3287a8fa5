"""Text from data as markup: of the page, and of plotly's labels."""

import html
import math
import re
import textwrap

from certgen.decimals import at_most


def visible(data: object) -> str:
    r"""Data with what cannot be seen written out, as \x1b: control characters, marks of the writing direction."""
    return "".join(c if c.isprintable() or c == "\u00a0" else ascii(c)[1:-1] for c in str(data))


def text(data: object) -> str:
    """Data as HTML text or attribute."""
    return html.escape(visible(data))


def label(data: object) -> str:
    """Data as plotly shows it literally; its parser knows &lt; &gt; &amp; and no other entities."""
    return html.escape(visible(data), quote=False)


def wrapped(data: str) -> str:
    """Label text in lines that fit a hover box; nothing is dropped."""
    return "<br>".join(map(label, textwrap.wrap(visible(data), 80)))


def powers(escaped: str) -> str:
    """v^3 with its exponent raised, in either kind of markup."""
    return re.sub(r"\^(\w+)", r"<sup>\1</sup>", escaped)


def scientific(number: float) -> str:
    """A length of at most 6.3 × 10<sup>8</sup>, in either kind of markup."""
    exponent = math.floor(math.log10(number))
    mantissa = at_most(number / 10**exponent, 1)
    return f"1.0 × 10<sup>{exponent + 1}</sup>" if mantissa == "10.0" else f"{mantissa} × 10<sup>{exponent}</sup>"
