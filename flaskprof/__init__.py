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
    from flaskprof.custom import counter as counter
    from flaskprof.custom import histogram as histogram
    from flaskprof.decorators import exclude as exclude
    from flaskprof.decorators import profile_endpoint as profile_endpoint
    from flaskprof.explore import load as load
    from flaskprof.extension import FlaskProf as FlaskProf
    from flaskprof.flask_hooks import current_capture as current_capture
    from flaskprof.log_filter import LogFilter as LogFilter
    from flaskprof.sections import profile as profile
    from flaskprof.wsgi import ProfilerMiddleware as ProfilerMiddleware

_HOMES = {
    "FlaskProf": "flaskprof.extension",
    "LogFilter": "flaskprof.log_filter",
    "ProfilerMiddleware": "flaskprof.wsgi",
    "counter": "flaskprof.custom",
    "current_capture": "flaskprof.flask_hooks",
    "exclude": "flaskprof.decorators",
    "histogram": "flaskprof.custom",
    "load": "flaskprof.explore",
    "profile": "flaskprof.sections",
    "profile_endpoint": "flaskprof.decorators",
}

__all__ = [
    "FlaskProf",
    "LogFilter",
    "ProfilerMiddleware",
    "__version__",
    "counter",
    "current_capture",
    "exclude",
    "histogram",
    "load",
    "profile",
    "profile_endpoint",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return __all__
