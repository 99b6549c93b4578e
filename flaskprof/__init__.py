"""Performance profiling and monitoring for Flask and every other WSGI application.

In a Flask application::

    from flaskprof import FlaskProf

    FlaskProf(app)

In any other WSGI application::

    from flaskprof import ProfilerMiddleware

    application = ProfilerMiddleware(application)

The names are resolved on first use, so that a process without Flask's application
machinery does not import it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from flaskprof.decorators import exclude as exclude
    from flaskprof.explore import load as load
    from flaskprof.extension import FlaskProf as FlaskProf
    from flaskprof.wsgi import ProfilerMiddleware as ProfilerMiddleware

_HOMES = {
    "FlaskProf": "flaskprof.extension",
    "ProfilerMiddleware": "flaskprof.wsgi",
    "exclude": "flaskprof.decorators",
    "load": "flaskprof.explore",
}

__all__ = ["FlaskProf", "ProfilerMiddleware", "__version__", "exclude", "load"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
