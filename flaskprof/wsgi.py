"""flaskprof around any WSGI application.

Usage::

    from flaskprof import ProfilerMiddleware

    application = ProfilerMiddleware(application)

or, without a change to the application, from the command line of any server::

    FLASKPROF_APP='shop:create_app()' gunicorn flaskprof.wsgi:app

``app`` is made when it is first looked at.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

from flaskprof.config import Settings
from flaskprof.errors import ConfigError
from flaskprof.integrations.django import django_match, django_module, is_django
from flaskprof.routes import Exclusion, RouteNamer, werkzeug_match
from flaskprof.wiring import wire

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["ProfilerMiddleware", "load_application"]


class ProfilerMiddleware:
    """Times every request of `wsgi_app`, captures those that are asked for, and shows both.

    `route` names a request by the rule that matched (``/orders/<id>``), never by the raw path;
    by default the rule of a werkzeug router or of Django is used, and the empty route where
    there is none. `import_name` is the name of the module that makes the application, its
    ``__name__``: what is in the same package is the application's own code, also where that is
    installed. It is known of Flask and Django. `profile_dir`, `restrictions` and
    `sort_by` are werkzeug's names for the data directory, the rows and the order of a
    profile's table. Further keywords are the settings in lower case; environment variables
    have the last word. Raises `ConfigError` for a value that is not allowed.
    """

    def __init__(
        self,
        wsgi_app: WSGIApplication,
        *,
        import_name: str = "",
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
                    _resolver(loaded.route, wsgi_app),
                    Exclusion(loaded.exclude, loaded.exclude_metrics),
                    sender=wsgi_app,
                ),
                is_development=lambda: loaded.dev,
                import_name=import_name or _import_name(wsgi_app),
            )

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Answer one request."""
        return self.app(environ, start_response)


def _listed(values: Iterable[Any] | None) -> Sequence[Any] | None:
    return values if values is None or isinstance(values, str) else list(values)


def _resolver(
    route: Callable[[dict[str, Any]], object] | None, application: WSGIApplication
) -> Callable[[Mapping[str, Any]], tuple[str, str]]:
    if route is None:
        return django_match if is_django(application) else werkzeug_match
    return lambda environ: (str(route(dict(environ)) or ""), "")


def _import_name(application: WSGIApplication) -> str:
    """Return the module that made an application, where its framework knows it."""
    if is_django(application):
        return django_module()
    # Given is Flask's application, or the method of it that is to be replaced.
    name = getattr(getattr(application, "__self__", application), "import_name", "")
    return name if isinstance(name, str) else ""


def load_application(name: str) -> WSGIApplication:
    """Return the application of a name with flaskprof around it.

    `name` is ``module``, ``module:application`` or ``module:factory()``, whose arguments are
    literals; a module alone has an ``app`` or an ``application``. A Flask application gets the
    extension unless it has it. Raises `ConfigError` where there is no such application.
    """
    module_name, _, expression = name.strip().partition(":")
    if os.getcwd() not in sys.path:  # noqa: PTH109  which is what is in it
        sys.path.insert(0, os.getcwd())  # noqa: PTH109  as above
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # it is there, and what it needs is not
        raise ConfigError(f"FLASKPROF_APP: there is no module {module_name!r}") from None
    application: WSGIApplication = _found(module, expression)
    if not callable(application):
        raise ConfigError(f"FLASKPROF_APP: {name!r} is no application")
    if not _takes_requests(application):
        raise ConfigError(
            f"FLASKPROF_APP: what {name!r} is does not take an environ and a start_response; "
            "a function that makes the application is written with its arguments, such as "
            "'shop:create_app()'"
        )
    flask = sys.modules.get("flask")
    if flask is not None and isinstance(application, flask.Flask):
        from flaskprof.extension import FlaskProf  # noqa: PLC0415  only where Flask is

        FlaskProf(application)
    elif not isinstance(application, ProfilerMiddleware):
        application = ProfilerMiddleware(application, import_name=module_name)
    return application


def _found(module: ModuleType, expression: str) -> Any:
    """Return the application, or what the factory made."""
    names = (expression,) if expression else ("app", "application")
    for name in names:
        factory, arguments, keywords = _parsed(name)
        found = getattr(module, factory, None)
        if found is not None:
            return found if arguments is None else found(*arguments, **keywords)
    raise ConfigError(f"FLASKPROF_APP: {module.__name__} has no {' or '.join(names)}")


def _takes_requests(application: Callable[..., Any]) -> bool:
    """Whether it can be called as a server calls an application, as far as it says."""
    try:
        signature = inspect.signature(application)
    except ValueError:
        return True  # written in C, and does not say
    try:
        signature.bind({}, None)
    except TypeError:
        return False
    return True


def _parsed(expression: str) -> tuple[str, list[Any] | None, dict[str, Any]]:
    """Return a name, and the arguments that it is called with if it is called."""
    try:
        tree = ast.parse(expression, mode="eval").body
        if isinstance(tree, ast.Name):
            return tree.id, None, {}
        if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name):
            return (
                tree.func.id,
                [ast.literal_eval(argument) for argument in tree.args],
                {str(each.arg): ast.literal_eval(each.value) for each in tree.keywords},
            )
    except (SyntaxError, ValueError):
        pass  # refused below
    raise ConfigError(
        f"FLASKPROF_APP: {expression!r} is neither a name nor a call with literals"
    )


def __getattr__(name: str) -> Any:
    """Make ``app``, of the application that FLASKPROF_APP names."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    wanted = os.environ.get("FLASKPROF_APP", "")
    if not wanted:
        raise ConfigError(
            "flaskprof.wsgi:app needs FLASKPROF_APP to say where the application is, such as "
            "shop:app or 'shop:create_app()'"
        )
    made = globals()["app"] = load_application(wanted)
    return made
