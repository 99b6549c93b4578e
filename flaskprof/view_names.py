"""Which function a view is: its name, and where it is written.

What a router calls is often a wrapper: that of a decorator, or the function that Flask makes
of a class-based view, which chooses a method of the class by that of the request.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass

__all__ = ["ViewName", "view_name"]


@dataclass(frozen=True, slots=True)
class ViewName:
    """A view's dotted name, its file and the line on which it begins."""

    name: str
    file: str
    line: int


def view_name(view: object, method: str) -> ViewName | None:
    """Return the name of the function behind `view` for requests of `method`.

    A class-based view gives the class and its method; a decorated function what was
    decorated, where the decorator says so as `functools.wraps` does. None where it is not
    written in Python.
    """
    owner = getattr(view, "view_class", None)
    if owner is not None:
        view = _handler(owner, method)
    if not callable(view):
        return None
    function = inspect.unwrap(view)
    code = getattr(function, "__code__", None)
    if code is None:
        return None
    name = getattr(function, "__qualname__", code.co_name)
    if owner is not None:
        # As it was called: a method that is inherited belongs to the class all the same.
        name = f"{owner.__qualname__}.{name.rpartition('.')[2]}"
    module = getattr(owner if owner is not None else function, "__module__", None)
    return ViewName(
        f"{module}.{name}" if module else name, code.co_filename, code.co_firstlineno
    )


def _handler(owner: type, method: str) -> object:
    """Return the method of a class-based view that answers; HEAD is answered by GET's."""
    dispatch: object = getattr(owner, "dispatch_request", None)
    if getattr(dispatch, "__module__", "") != "flask.views":
        return dispatch
    handler = getattr(owner, method.lower(), None)
    return getattr(owner, "get", None) if handler is None and method == "HEAD" else handler
