"""Which line of the application issued a query, as the stack tells."""

from __future__ import annotations

from pathlib import Path
from types import FrameType

import flaskprof
from flaskprof.profiles.kinds import Kind, Kinds
from flaskprof.profiles.model import Function

__all__ = ["place_of_call"]

Place = tuple[str, int, str]

_PACKAGE = str(Path(flaskprof.__file__).parent) + "/"
# The demonstration is an application like any other, wherever it is installed.
_APPLICATION = _PACKAGE + "demo/"
_OUTERMOST = _PACKAGE + "middleware.py"
# Libraries that ask for someone else, wherever they are installed.
_BETWEEN = ("sqlalchemy", "flask_sqlalchemy")

_INSTALLED = (Kind.LIBRARY, Kind.FRAMEWORK)

_NOWHERE: Place = ("", 0, "")

# Of each file whose code it is, as those tell who know the packages of the key.
_known: dict[Kinds, dict[str, Kind | None]] = {}
_MANY_FILES = 10_000


def place_of_call(frame: FrameType | None, kinds: Kinds) -> Place:
    """Return file, line and function of the nearest frame of the application, from `frame` up.

    `kinds` tells which frames are the application's. Where there is none it is the nearest
    frame of a library that is not a database's; file and function are empty where there is
    none either. The line of a Jinja template is the template's own.
    """
    nearest: FrameType | None = None
    known = _known.setdefault(kinds, {})
    while frame is not None:
        file = frame.f_code.co_filename
        if file == _OUTERMOST:
            break  # beyond it there are servers, whose scripts look like applications
        try:
            kind = known[file]
        except KeyError:
            kind = _kind_of(frame, file, kinds)
            if len(known) < _MANY_FILES:
                known[file] = kind
        if kind is Kind.APPLICATION:
            return _place(frame)
        if nearest is None and kind in _INSTALLED:
            nearest = frame
        frame = frame.f_back
    return _NOWHERE if nearest is None else _place(nearest)


def _kind_of(frame: FrameType, file: str, kinds: Kinds) -> Kind | None:
    """Return whose code a frame is; None for our own and what lies in between."""
    if file.startswith(_PACKAGE):
        return Kind.APPLICATION if file.startswith(_APPLICATION) else None
    return None if _is_between(frame) else kinds.of(Function(file, 1, ""))


def _is_between(frame: FrameType) -> bool:
    package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
    return package in _BETWEEN


def _place(frame: FrameType) -> Place:
    code = frame.f_code
    template = frame.f_globals.get("__jinja_template__")
    line = frame.f_lineno or code.co_firstlineno
    if template is not None:
        line = template.get_corresponding_lineno(line)
        return code.co_filename, line, str(template.name or code.co_name)
    return code.co_filename, line, code.co_name
