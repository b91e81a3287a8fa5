"""Figures as PNG and SVG files; drawing them takes a browser."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import kaleido
import plotly.graph_objects as go
from kaleido.errors import BrowserClosedError, BrowserFailedError, ChromeNotFoundError, KaleidoError

from certgen.errors import UserError
from certgen.files import make_directory

FORMATS = ("png", "svg")
WIDTH = 1100  # pixels; the height is the figure's own


class NoImages(UserError):
    """Images cannot be drawn here; a report does without them."""


def write_images(figures: Mapping[str, go.Figure], directory: Path) -> None:
    """Write each figure into `directory` under its name, in all FORMATS, without any access to the network.

    NoImages says what to install when there is no browser; UserError when the directory cannot be written.
    """
    make_directory(directory)
    wanted = [
        {"fig": figure, "path": directory / f"{name}.{kind}", "opts": {"format": kind, "width": WIDTH, "scale": 2}}
        for name, figure in figures.items()
        for kind in FORMATS
    ]
    try:
        kaleido.write_fig_from_object_sync(wanted, kopts={"mathjax": False})  # by default it would fetch MathJax
    except ChromeNotFoundError:
        raise NoImages(
            "no PNG and SVG files: drawing them needs a browser, and none was found",
            "install Chromium or Chrome (Debian: apt-get install chromium), or set BROWSER_PATH to one",
        ) from None
    except (BrowserClosedError, BrowserFailedError, KaleidoError, OSError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise NoImages(f"no PNG and SVG files: {reason}", "check that the browser starts with --headless") from None
