"""Which functions of a profile are flaskprof's own and are left out of it."""

from __future__ import annotations

from pathlib import Path

import flaskprof
from flaskprof.profiles.model import Function

__all__ = ["is_own"]

_PACKAGE = str(Path(flaskprof.__file__).parent) + "/"
# How builtins are called that are written in C here.
_IN_C = ("of 'flaskprof.", "method flaskprof.")
_OWN = ("capture/", "integrations/", "metrics/", "queries/")


def is_own(function: Function) -> bool:
    """Whether this function is part of what flaskprof runs inside a request.

    That is the top level of the package with its captures, metrics and queries; viewer, command
    line and demonstration are programs like any other.
    """
    if function.file == "~":
        return any(part in function.name for part in _IN_C)
    if not function.file.startswith(_PACKAGE):
        return False
    place = function.file[len(_PACKAGE) :]
    return "/" not in place or place.startswith(_OWN)
