"""The paths of source files: what is installed, what is Python's own, and how they are shown.

Everything is decided from the text of the path, since the file may be of another machine.
"""

from __future__ import annotations

import re

from flaskprof.profiles.model import Function

__all__ = ["installed_path", "is_standard_library", "label", "short_path"]

_KEPT_PARTS = 3

_PACKAGES = re.compile(r".*[/\\](?:site|dist)-packages[/\\]")
# .../lib/python3.12/json/decoder.py, python312.zip/json/..., C:\Python312\Lib\json\...
_STANDARD_LIBRARY = re.compile(
    r".*[/\\](?:lib(?:64|32)?[/\\]?(?:python|pypy)\d+\.\d+t?|python\d+\.zip)[/\\]"
    r"|[A-Za-z]:\\(?:.*\\)?python[^\\]*\\lib\\",
    re.IGNORECASE,
)
_FROZEN = "<frozen "


def installed_path(file: str) -> str | None:
    """Return the path below ``site-packages`` or the like; None of what is not there."""
    found = _PACKAGES.match(file)
    return file[found.end() :] if found else None


def is_standard_library(file: str) -> bool:
    """Whether a file that is not installed is one of Python itself."""
    return file.startswith(_FROZEN) or _STANDARD_LIBRARY.match(file) is not None


def short_path(file: str) -> str:
    r"""Return what identifies a file to a reader, for display only.

    That is the path below ``site-packages`` or the standard library, and the last three
    parts of any other path, after an ellipsis where more were there.
    """
    for place in (_PACKAGES, _STANDARD_LIBRARY):
        if found := place.match(file):
            return file[found.end() :]
    parts = re.split(r"[/\\]", file)
    if len(parts) <= _KEPT_PARTS + 1:
        return file
    start = len(file) - len("/".join(parts[-_KEPT_PARTS:]))
    return "…" + file[start - 1 :]


def label(function: Function) -> str:
    """Return a function as pstats prints it: ``file:line(name)``, a builtin as ``{name}``."""
    file, line, name = function
    if (file, line) != ("~", 0):
        return f"{file}:{line}({name})"
    is_bracketed = name.startswith("<") and name.endswith(">")
    return f"{{{name[1:-1]}}}" if is_bracketed else name
