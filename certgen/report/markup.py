"""Text from data as markup: of the page, and of plotly's labels."""

import html
import re
import textwrap


def text(data: object) -> str:
    """Data as HTML text or attribute."""
    return html.escape(str(data))


def label(data: object) -> str:
    """Data as plotly shows it literally; its parser knows &lt; &gt; &amp; and no other entities."""
    return html.escape(str(data), quote=False)


def wrapped(data: str) -> str:
    """Label text in lines that fit a hover box; nothing is dropped."""
    return "<br>".join(map(label, textwrap.wrap(data, 80)))


def powers(escaped: str) -> str:
    """v^3 with its exponent raised, in either kind of markup."""
    return re.sub(r"\^(\w+)", r"<sup>\1</sup>", escaped)


def scientific(number: float) -> str:
    """6.2 × 10<sup>8</sup>, in either kind of markup."""
    mantissa, _, exponent = f"{number:.1e}".partition("e")
    return f"{mantissa} × 10<sup>{int(exponent)}</sup>"
