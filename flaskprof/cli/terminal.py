"""What commands print tables with, and how wide the terminal is."""

from __future__ import annotations

import os
import shutil
import sys

from flaskprof.text.layout import Column, figure, layout

__all__ = ["Column", "figure", "layout", "terminal_width"]


def terminal_width() -> int | None:
    """Return how many cells a line has; None where lines may be of any length."""
    if sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdecimal():
        return shutil.get_terminal_size().columns
    return None
