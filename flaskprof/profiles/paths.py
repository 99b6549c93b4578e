"""Shortens the paths of source files for display and tells whose code a function is.

Everything is decided from the text of the path, since the file may be of another machine.
"""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache

from flaskprof.profiles.model import Function

__all__ = ["Kind", "kind_of", "label", "short_path"]

_KEPT_PARTS = 3

_PACKAGES = re.compile(r".*[/\\](?:site|dist)-packages[/\\]")
# .../lib/python3.12/json/decoder.py, python312.zip/json/..., C:\Python312\Lib\json\...
_STANDARD_LIBRARY = re.compile(
    r".*[/\\](?:lib(?:64|32)?[/\\]?(?:python|pypy)\d+\.\d+t?|python\d+\.zip)[/\\]"
    r"|[A-Za-z]:\\(?:.*\\)?python[^\\]*\\lib\\",
    re.IGNORECASE,
)
# What carries a web application: frameworks, what they are made of, and servers.
_FRAMEWORKS = re.compile(
    r"(?:flask(?:_\w+)?|werkzeug|blinker|click|itsdangerous|jinja2|markupsafe|flaskprof"
    r"|django|rest_framework|falcon|bottle|pyramid|webob|tornado|cherrypy|starlette"
    r"|gunicorn|waitress|gevent|greenlet|eventlet|uvicorn|uwsgi\w*|asgiref)(?:[/\\.]|\Z)",
    re.IGNORECASE,
)
# The shop that shows what flaskprof does is an application, wherever it is installed.
_DEMO = re.compile(r"flaskprof[/\\]demo[/\\]")
_FROZEN = "<frozen "
_NOT_IN_FILES = ("", "~")


class Kind(Enum):
    """Whose code a function is; the value is what a page says."""

    APPLICATION = "application"
    FRAMEWORK = "framework"
    LIBRARY = "library"
    STANDARD_LIBRARY = "standard library"
    BUILTIN = "builtin"

    # Sums by kind are made of every function of a profile; members are what they are.
    __hash__ = object.__hash__


def kind_of(function: Function) -> Kind:
    """Tell whose code a function is by its path.

    Of what is installed, web frameworks and servers are told by the names of their packages.
    What is neither installed nor of Python itself is the application's, code that was
    compiled from a string or a template included.
    """
    return _kind_of_file(function.file)


# Of a profile with many thousands of functions the files are far fewer.
@lru_cache(maxsize=8192)
def _kind_of_file(file: str) -> Kind:
    if file in _NOT_IN_FILES:
        return Kind.BUILTIN
    if installed := _PACKAGES.match(file):
        if _DEMO.match(file, installed.end()):
            return Kind.APPLICATION
        is_framework = _FRAMEWORKS.match(file, installed.end())
        return Kind.FRAMEWORK if is_framework else Kind.LIBRARY
    if file.startswith(_FROZEN) or _STANDARD_LIBRARY.match(file):
        return Kind.STANDARD_LIBRARY
    return Kind.APPLICATION


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
