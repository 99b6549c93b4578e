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

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from flask import got_request_exception, request

from flaskprof.async_views import following
from flaskprof.config import Settings
from flaskprof.explore import Captures
from flaskprof.middleware import EXCHANGE
from flaskprof.routes import Exclusion, RouteNamer, werkzeug_match
from flaskprof.store.directory import DirectoryStore
from flaskprof.wiring import wire

if TYPE_CHECKING:
    from flask import Flask

__all__ = ["FlaskProf"]

_NAME = "flaskprof"


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
            ),
            is_development=lambda: settings.dev or app.debug,
            host_paths=lambda: _static_parts(app),
        )
        app.async_to_sync = following(app.async_to_sync)  # type: ignore[method-assign]  # as above
        got_request_exception.connect(_note_exception, app)
        # The first of the list, so that a name of the application's own goes before ours.
        app.shell_context_processors.insert(0, lambda: {"prof": _captures(settings)})


def _captures(settings: Settings) -> Captures:
    return Captures(DirectoryStore(settings.dir), settings.dir)


def _note_exception(_app: Flask, exception: Exception, **_: Any) -> None:
    """Let the exchange know of an exception that Flask turns into a response itself."""
    exchange = request.environ.get(EXCHANGE)
    if exchange is not None:
        exchange.note_exception(exception)


def _static_parts(app: Flask) -> Iterator[str]:
    """Yield what each rule begins with before its first variable part."""
    for rule in app.url_map.iter_rules():
        yield rule.rule.partition("<")[0]
