"""flaskprof around any WSGI application.

Usage::

    from flaskprof import ProfilerMiddleware

    application = ProfilerMiddleware(application)
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flaskprof.config import Settings
from flaskprof.routes import Exclusion, RouteNamer, werkzeug_match
from flaskprof.wiring import wire

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["ProfilerMiddleware"]


class ProfilerMiddleware:
    """Times every request of `wsgi_app`, captures those that are asked for, and shows both.

    `route` names a request, after the application answered it, by the rule that matched
    (``/orders/<id>``), never by the raw path; by default the rule of a werkzeug router is
    used, and the empty route where there is none. `profile_dir`, `restrictions` and
    `sort_by` are werkzeug's names for the data directory, the rows and the order of a
    profile's table. Further keywords are the settings in lower case; environment variables
    have the last word. Raises `ConfigError` for a value that is not allowed.
    """

    def __init__(
        self,
        wsgi_app: WSGIApplication,
        *,
        route: Callable[[Mapping[str, Any]], str] | None = None,
        profile_dir: str | os.PathLike[str] | None = None,
        restrictions: Iterable[str | int | float] | None = None,
        sort_by: Iterable[str] | None = None,
        **settings: Any,
    ) -> None:
        if profile_dir is not None:
            settings.setdefault("dir", profile_dir)
        loaded = Settings.load(
            restrictions=_listed(restrictions), sort_by=_listed(sort_by), **settings
        )
        self.app: WSGIApplication = wsgi_app
        if loaded.enabled:
            self.app = wire(
                wsgi_app,
                loaded,
                name_route=RouteNamer(
                    _resolver(route),
                    Exclusion(loaded.exclude, loaded.exclude_metrics),
                    sender=wsgi_app,
                ),
                is_development=lambda: loaded.dev,
            )

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Answer one request."""
        return self.app(environ, start_response)


def _listed(values: Iterable[Any] | None) -> Sequence[Any] | None:
    return values if values is None or isinstance(values, str) else list(values)


def _resolver(
    route: Callable[[Mapping[str, Any]], str] | None,
) -> Callable[[Mapping[str, Any]], tuple[str, str]]:
    if route is None:
        return werkzeug_match
    return lambda environ: (route(environ) or "", "")
