"""Puts the concrete parts together for one application, embedded in its process."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from flaskprof.access import AccessRules
from flaskprof.capture.recorder import Recorder, recorder_for
from flaskprof.config import Settings
from flaskprof.integrations import sqlalchemy
from flaskprof.metrics.exposition import metrics_app
from flaskprof.metrics.live import Live
from flaskprof.metrics.ring import recent_directory
from flaskprof.middleware import Middleware
from flaskprof.own_packages import own_packages
from flaskprof.routes import RouteNamer
from flaskprof.web.app import Viewer
from flaskprof.web.pages import OwnPages

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["wire"]


def wire(
    app: WSGIApplication,
    settings: Settings,
    *,
    name_route: RouteNamer,
    is_development: Callable[[], bool],
    host_paths: Callable[[], Iterable[str]] = tuple,
    decide: Callable[[str, dict[str, Any]], object] | None = None,
    import_name: str = "",
) -> Middleware:
    """Return the middleware around `app`, with viewer and metrics of its data directory.

    `is_development` is asked at each request; `host_paths` are the static parts of the
    application's own rules, asked once, after they are all there. `decide` is the setting
    `access`, with what it needs around it. `import_name` is the module that made `app`, empty
    where that is not known.
    """
    recorder = recorder_for(settings)
    recorder.add_packages((*settings.app_packages, *own_packages(import_name)))
    if settings.sqlalchemy:
        recorder.watch_queries = sqlalchemy.watch
    rules = AccessRules(settings.secrets, is_development, decide or settings.access)
    pages = OwnPages(
        viewer=Viewer(
            recorder.store,
            settings=settings,
            is_development=is_development,
            live=_live_of(recorder),
        ),
        prefix=settings.prefix,
        metrics=_metrics_of(recorder),
        metrics_path=settings.metrics_path,
        metrics_access=settings.metrics,
        rules=rules,
        host_paths=host_paths,
    )
    return Middleware(app, recorder=recorder, pages=pages, rules=rules, name_route=name_route)


def _live_of(recorder: Recorder) -> Live:
    # Metrics and flights are others after a fork, so they are looked up each time.
    return Live(
        reading=lambda: recorder.metrics.collector.reading(),  # noqa: PLW0108  as said
        workers=lambda: recorder.in_flight.workers(),  # noqa: PLW0108  as said
        recent=recent_directory(recorder.directory),
    )


def _metrics_of(recorder: Recorder) -> WSGIApplication:
    def serve(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        # The metrics are others after a fork, so they are looked up at each scrape.
        return metrics_app(recorder.metrics.collector)(environ, start_response)

    return serve
