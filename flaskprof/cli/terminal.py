"""What commands print tables with, and how wide the terminal is."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from flaskprof.profiles.kinds import Kind, Kinds
from flaskprof.profiles.model import Function
from flaskprof.profiles.paths import short_path
from flaskprof.text.layout import Column, figure, layout

__all__ = ["Column", "figure", "layout", "place", "terminal_width"]


def place(file: str) -> str:
    """Return what of a file's path a reader needs, and a terminal opens.

    That is the path from the working directory for what of the application lies below it,
    else its `short_path`.
    """
    here = f"{Path.cwd()}{os.sep}"
    is_here = file.startswith(here) and Kinds().of(Function(file, 0, "")) is Kind.APPLICATION
    return file.removeprefix(here) if is_here else short_path(file)


def terminal_width() -> int | None:
    """Return how many cells a line has; None where lines may be of any length."""
    # Standard output may be closed, and is None then.
    if (sys.stdout and sys.stdout.isatty()) or os.environ.get("COLUMNS", "").isdecimal():
        return shutil.get_terminal_size().columns
    return None
