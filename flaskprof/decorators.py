"""Marks that a developer puts on view functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, overload

from flaskprof.routes import EXCLUDE_ATTRIBUTE

__all__ = ["exclude"]

V = TypeVar("V", bound=Callable[..., Any])


@overload
def exclude(view: V, /) -> V: ...
@overload
def exclude(*, metrics: bool = False) -> Callable[[V], V]: ...
def exclude(view: V | None = None, /, *, metrics: bool = False) -> V | Callable[[V], V]:
    """Keep a view out of captures; with ``metrics=True`` out of the metrics too.

    Use it as ``@flaskprof.exclude`` or ``@flaskprof.exclude(metrics=True)``, below the
    route decorator; for a class-based view, list it in ``decorators``.
    """

    def mark(view: V) -> V:
        setattr(view, EXCLUDE_ATTRIBUTE, metrics)
        return view

    return mark if view is None else mark(view)
