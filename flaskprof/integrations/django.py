"""The routes of a Django application.

Django keeps what it matched to itself, so that its resolver is asked once more, when the
response starts: with the URL configuration that the request was answered by.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

__all__ = ["django_match", "django_module", "is_django"]

_FOUND = "flaskprof.django_match"


def is_django(application: object) -> bool:
    """Whether this is what Django's ``get_wsgi_application`` returns."""
    return any(
        kind.__module__ == "django.core.handlers.wsgi" for kind in type(application).__mro__
    )


def django_module() -> str:
    """Return the name of the module with the settings; nothing where they are no module."""
    from django.conf import settings  # noqa: PLC0415  the application's

    return getattr(settings, "SETTINGS_MODULE", None) or ""


def django_match(environ: Mapping[str, Any]) -> tuple[str, str]:
    """Return the route that Django matches and the name of its view; empty where none does."""
    known = environ.get(_FOUND)
    if known is None:
        # Behind the end of the response the URL configuration may be another.
        known = cast("dict[str, Any]", environ)[_FOUND] = _resolved(environ)
    return cast("tuple[str, str]", known)


def _resolved(environ: Mapping[str, Any]) -> tuple[str, str]:
    from django.core.handlers.wsgi import get_path_info  # noqa: PLC0415  the application's
    from django.urls import Resolver404, get_urlconf, resolve  # noqa: PLC0415  as above

    try:
        match = resolve(get_path_info(environ), get_urlconf())
    except Resolver404:
        return "", ""
    return "/" + match.route, match.view_name or ""
