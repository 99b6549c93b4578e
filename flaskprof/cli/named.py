"""Files that a command line names, standard input among them."""

from __future__ import annotations

import atexit
import sys
import tempfile
from functools import cache
from pathlib import Path

from flaskprof.errors import ConfigError
from flaskprof.profiles.marshal_reader import MAX_BYTES

__all__ = ["named_file"]


def named_file(name: str) -> Path:
    """Return the path of a file; of ``-`` that of one with what standard input holds.

    That file goes when this process ends. Raises `ConfigError` where nothing was piped in.
    """
    return _standard_input() if name == "-" else Path(name)


@cache  # it can be read once
def _standard_input() -> Path:
    if sys.stdin is None or sys.stdin.isatty():
        raise ConfigError("standard input is no file: pipe a profile into it, or name one")
    folder = tempfile.TemporaryDirectory(prefix="flaskprof-")
    atexit.register(folder.cleanup)
    path = Path(folder.name, "standard input")
    path.write_bytes(sys.stdin.buffer.read(MAX_BYTES + 1))
    return path
