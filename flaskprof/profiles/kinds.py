"""Whose code a function is: the application's own, a framework's, a library's, Python's.

Everything is decided from the text of the path, since the file may be of another machine. An
application that is installed lies among libraries, so that its packages have to be named::

    kinds = Kinds(frozenset({"shop"}))
    kinds.of(Function("/venv/lib/python3.12/site-packages/shop/views.py", 7, "order"))
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from flaskprof.profiles.model import Function
from flaskprof.profiles.paths import installed_path, is_standard_library

__all__ = ["Kind", "Kinds", "is_builtin"]

# What carries a web application: frameworks, what they are made of, and servers.
_FRAMEWORKS = re.compile(
    r"(?:flask(?:_\w+)?|werkzeug|blinker|click|itsdangerous|jinja2|markupsafe|flaskprof"
    r"|django|rest_framework|falcon|bottle|pyramid|webob|tornado|cherrypy|starlette"
    r"|gunicorn|waitress|gevent|greenlet|eventlet|uvicorn|uwsgi\w*|asgiref)(?:[/\\.]|\Z)",
    re.IGNORECASE,
)
# The shop that shows what flaskprof does is an application, wherever it is installed.
_DEMO = re.compile(r"flaskprof[/\\]demo[/\\]")
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


@dataclass(frozen=True, slots=True)
class Kinds:
    """Tells whose code functions are.

    `packages` are the application's own although they are installed: packages and modules by
    the names under which they are imported, such as ``shop`` or ``acme.shop``.
    """

    packages: frozenset[str] = frozenset()

    def of(self, function: Function) -> Kind:
        """Tell whose code a function is by its path.

        Of what is installed, `packages` are the application's, and web frameworks and servers
        are told by the names of theirs. What is neither installed nor of Python itself is the
        application's, code that was compiled from a string or a template included.
        """
        return _kind_of_file(function.file, self.packages)

    def is_foreign(self, function: Function) -> bool:
        """Whether a function is not of the application's own code."""
        return _kind_of_file(function.file, self.packages) is not Kind.APPLICATION

    def __or__(self, other: Kinds) -> Kinds:
        """Return such that know the packages of both."""
        return Kinds(self.packages | other.packages)


def is_builtin(function: Function) -> bool:
    """Whether a function is written in C."""
    return function.file in _NOT_IN_FILES


# Of a profile with many thousands of functions the files are far fewer.
@lru_cache(maxsize=8192)
def _kind_of_file(file: str, packages: frozenset[str]) -> Kind:
    if file in _NOT_IN_FILES:
        return Kind.BUILTIN
    installed = installed_path(file)
    if installed is not None:
        if _DEMO.match(installed) or _is_in(packages, installed):
            return Kind.APPLICATION
        return Kind.FRAMEWORK if _FRAMEWORKS.match(installed) else Kind.LIBRARY
    return Kind.STANDARD_LIBRARY if is_standard_library(file) else Kind.APPLICATION


def _is_in(packages: frozenset[str], installed: str) -> bool:
    """Whether a file is one of these modules, or in one of these packages."""
    path = installed.replace("\\", "/")
    return any(
        path.startswith(own) and path[len(own) : len(own) + 1] in ("/", ".")
        for own in (name.replace(".", "/") for name in packages)
    )
