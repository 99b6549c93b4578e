"""flaskprof in a Flask application.

Usage::

    from flaskprof import FlaskProf

    FlaskProf(app)

or, with an application factory::

    prof = FlaskProf()

    def create_app():
        app = Flask(__name__)
        prof.init_app(app)
        return app

The application's URL map, hooks, error handlers, blueprints and session stay as they are.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from flaskprof.async_views import following
from flaskprof.config import Settings
from flaskprof.explore import Captures
from flaskprof.flask_hooks import (
    current_capture,
    follow_exceptions,
    follow_templates,
    time_views,
)
from flaskprof.routes import Exclusion, RouteNamer, werkzeug_match
from flaskprof.store.directory import DirectoryStore
from flaskprof.wiring import wire

if TYPE_CHECKING:
    from flask import Flask

__all__ = ["FlaskProf"]

_NAME = "flaskprof"

Access = Callable[[str, dict[str, Any]], object]

_OF_BODY = frozenset({"CONTENT_LENGTH", "CONTENT_TYPE", "HTTP_TRANSFER_ENCODING"})


class FlaskProf:
    """The extension. Keywords are the settings in lower case.

    The application's configuration (``FLASKPROF_…``) goes before `keywords`, environment
    variables before both. Raises `ConfigError` for a value that is not allowed.
    """

    def __init__(self, app: Flask | None = None, **settings: Any) -> None:
        self.keywords = settings
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Wrap `app.wsgi_app`; a second call on the same application does nothing."""
        if _NAME in app.extensions:
            return
        settings = Settings.load(app.config, **self.keywords)
        app.extensions[_NAME] = self
        if not settings.enabled:
            return
        app.wsgi_app = wire(  # type: ignore[method-assign]  # Flask's own documented way
            app.wsgi_app,
            settings,
            name_route=RouteNamer(
                werkzeug_match,
                Exclusion(settings.exclude, settings.exclude_metrics),
                app.view_functions.get,
                app,
            ),
            is_development=lambda: settings.dev or app.debug,
            host_paths=lambda: _static_parts(app),
            decide=_within(app, settings.access),
            import_name=app.import_name,
        )
        app.async_to_sync = following(app.async_to_sync)  # type: ignore[method-assign]  # as above
        follow_exceptions(app)
        if "templates" in settings.measure:
            follow_templates(app)
        if settings.server_timing:
            time_views(app)
        if settings.context_processor:
            processors = app.template_context_processors[None]
            processors.insert(0, lambda: {"flaskprof_capture": current_capture()})
        # The first of the list, so that a name of the application's own goes before ours.
        app.shell_context_processors.insert(0, lambda: {"prof": _captures(settings)})


def _captures(settings: Settings) -> Captures:
    return Captures(DirectoryStore(settings.dir), settings.dir)


def _within(app: Flask, access: Access | None) -> Access | None:
    """Return the application's access function as it runs within a request's context.

    It finds session and user as a view does. The request that it sees has no body, which is
    the application's to read, and what it changes in the session is not sent.
    """
    if access is None:
        return None

    def decide(wanted: str, environ: dict[str, Any]) -> object:
        seen = {name: value for name, value in environ.items() if name not in _OF_BODY}
        with app.request_context(seen | {"wsgi.input": io.BytesIO()}):
            return access(wanted, environ)

    return decide


def _static_parts(app: Flask) -> Iterator[str]:
    """Yield what each rule begins with before its first variable part."""
    for rule in app.url_map.iter_rules():
        yield rule.rule.partition("<")[0]
