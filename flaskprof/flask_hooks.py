"""What flaskprof hears from a Flask application about the request it answers.

Every receiver is a function of this module: signals hold them weakly, and an application
that is gone leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from flask import (
    before_render_template,
    got_request_exception,
    has_request_context,
    request,
    template_rendered,
)

from flaskprof.middleware import EXCHANGE, RENDERING, VIEW_NS, Announced, Exchange
from flaskprof.rendering import Rendering

if TYPE_CHECKING:
    from flask import Flask
    from jinja2 import Template

__all__ = ["current_capture", "follow_exceptions", "follow_templates", "time_views"]


def follow_exceptions(app: Flask) -> None:
    """Note exceptions that Flask turns into a response itself."""
    got_request_exception.connect(_note_exception, app)


def follow_templates(app: Flask) -> None:
    """Time the templates that are rendered for a request."""
    before_render_template.connect(_begin_template, app)
    template_rendered.connect(_end_template, app)


def time_views(app: Flask) -> None:
    """Time the view functions of the application, without the hooks around them."""
    app.dispatch_request = _timed(app.dispatch_request)  # type: ignore[method-assign]  # Flask names it to be overridden


def current_capture() -> Announced | None:
    """Return the capture that is made of the present request, by `id` and `url`; else None."""
    exchange = _exchange()
    return None if exchange is None else exchange.announced()


def _exchange() -> Exchange | None:
    return request.environ.get(EXCHANGE) if has_request_context() else None


def _note_exception(_app: Flask, exception: Exception, **_: Any) -> None:
    exchange = _exchange()
    if exchange is not None:
        exchange.note_exception(exception)


def _begin_template(_app: Flask, template: Template, **_: Any) -> None:
    if _exchange() is not None:
        rendering = request.environ.get(RENDERING)
        if rendering is None:
            rendering = request.environ[RENDERING] = Rendering()
        rendering.begin(template)


def _end_template(_app: Flask, template: Template, **_: Any) -> None:
    exchange = _exchange()
    if exchange is not None and RENDERING in request.environ:
        name = template.name or "(string)"
        own_ns = request.environ[RENDERING].end(template, name)
        if own_ns is not None:
            exchange.count_template(name, own_ns)


def _timed(dispatch: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(dispatch)
    def timed(*args: Any) -> Any:
        started = perf_counter_ns()
        try:
            return dispatch(*args)
        finally:
            request.environ[VIEW_NS] = perf_counter_ns() - started

    return timed
