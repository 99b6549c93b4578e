"""Marks that a developer puts on view functions.

Usage::

    @app.get("/orders/<int:id>")
    @flaskprof.profile_endpoint
    def order(id): ...
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar, overload

from flaskprof import log
from flaskprof.routes import EXCLUDE_ATTRIBUTE
from flaskprof.sections import Section, observe, timed

__all__ = ["exclude", "profile_endpoint"]

SLOW_SECONDS = 1.0

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


@overload
def profile_endpoint(view: V, /) -> V: ...
@overload
def profile_endpoint(
    *, name: str = "", slow_seconds: float = SLOW_SECONDS
) -> Callable[[V], V]: ...
def profile_endpoint(
    view: V | None = None, /, *, name: str = "", slow_seconds: float = SLOW_SECONDS
) -> V | Callable[[V], V]:
    """Log what each run of a view took, and count it as a section of that name.

    The line is ``Endpoint NAME took S seconds``, in the log of the Flask application: a
    warning from `slow_seconds` on, else information. The name is the endpoint's, outside of
    a request the function's. Use it below the route decorator, or in the ``decorators`` of a
    class-based view.
    """

    def mark(view: V) -> V:
        def begin() -> Section:
            called = name or _endpoint() or view.__name__

            def done(spent_ns: int) -> None:
                observe(called, spent_ns)
                seconds = spent_ns / 1e9
                level = logging.WARNING if seconds >= slow_seconds else logging.INFO
                _logger().log(level, "Endpoint %s took %.3f seconds", called, seconds)

            return Section(called, done)

        return timed(view, begin)

    return mark if view is None else mark(view)


def _endpoint() -> str:
    from flask import has_request_context, request  # noqa: PLC0415  only where it is used

    return (request.endpoint or "") if has_request_context() else ""


def _logger() -> logging.Logger:
    from flask import current_app, has_app_context  # noqa: PLC0415  as above

    return current_app.logger if has_app_context() else log.logger
