"""What a request is called: its matched rule, never its raw path.

The raw path holds the identifiers of users and is without bound; as a label it would
fill any metrics store. `Match` is what a router made of a request, and which routes are
left out of captures and metrics.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import translate
from typing import Any

__all__ = ["EXCLUDE_ATTRIBUTE", "Exclusion", "Match", "RouteNamer", "werkzeug_match"]

# Set on a view function by `flaskprof.exclude`; true where metrics are meant too.
EXCLUDE_ATTRIBUTE = "_flaskprof_exclude_metrics"

# Bounds the memory of what is remembered of routes, were they without bound themselves.
_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Match:
    """A matched route with the prefix it is mounted at, and its endpoint; empty if none.

    `view` is the view function of the endpoint, where it is known; `sender` is the
    application whose router it was, as signals name it.
    """

    route: str = ""
    endpoint: str = ""
    is_captured: bool = True
    is_counted: bool = True
    view: object = None
    sender: object = None


def werkzeug_match(environ: Mapping[str, Any]) -> tuple[str, str]:
    """Return route and endpoint that Flask, or another werkzeug router, left behind."""
    request = environ.get("werkzeug.request")
    if request is None:
        return "", ""
    try:
        rule = request.url_rule
    except AttributeError:  # it is another router's request
        return "", ""
    return ("", "") if rule is None else (rule.rule, rule.endpoint)


class Exclusion:
    """Which routes are left out, by shell patterns (``*``, ``?``, ``[…]``)."""

    def __init__(self, captures: Sequence[str], metrics: Sequence[str]) -> None:
        self._captures = _compile((*captures, *metrics))
        self._metrics = _compile(metrics)

    def __bool__(self) -> bool:
        return self._captures is not None

    def captures(self, name: str) -> bool:
        """Whether the route or path of this name is never captured."""
        return self._captures is not None and self._captures.match(name) is not None

    def metrics(self, name: str) -> bool:
        """Whether the route or path of this name is not counted either."""
        return self._metrics is not None and self._metrics.match(name) is not None


def _compile(patterns: Sequence[str]) -> re.Pattern[str] | None:
    return re.compile("|".join(map(translate, patterns))) if patterns else None


class RouteNamer:
    """Turns a request's environ into its `Match`, remembering what does not change.

    `resolve` returns route and endpoint as the application knows them; `view_of` returns
    the view function of an endpoint, which may carry an exclusion; `sender` is the
    application.
    """

    def __init__(
        self,
        resolve: Callable[[Mapping[str, Any]], tuple[str, str]] = werkzeug_match,
        exclusion: Exclusion | None = None,
        view_of: Callable[[str], object] | None = None,
        sender: object = None,
    ) -> None:
        self._resolve = resolve
        self._exclusion = exclusion or Exclusion((), ())
        self._view_of = view_of
        self._sender = sender
        self._nothing = Match(sender=sender)
        self._matches: dict[tuple[str, str, str], Match] = {}

    def __call__(self, environ: Mapping[str, Any]) -> Match:
        """Return what the router made of this request; call it after the application."""
        route, endpoint = self._resolve(environ)
        if not route:
            return self._unmatched(environ)
        mount = environ.get("SCRIPT_NAME", "")
        try:
            return self._matches[mount, route, endpoint]
        except KeyError:
            match = self._named(mount, route, endpoint)
        if len(self._matches) < _REMEMBERED:
            self._matches[mount, route, endpoint] = match
        return match

    def of_werkzeug(self, environ: Mapping[str, Any]) -> Match:
        """Do the same, in one step where werkzeug's router found a route that is known."""
        try:
            rule = environ["werkzeug.request"].url_rule
            return self._matches[environ.get("SCRIPT_NAME", ""), rule.rule, rule.endpoint]
        except (KeyError, AttributeError):
            return self(environ)

    @property
    def quick(self) -> Callable[[Mapping[str, Any]], Match]:
        """What does the same as calling this, and is called faster."""
        return self.of_werkzeug if self._resolve is werkzeug_match else self.__call__

    def _named(self, mount: str, route: str, endpoint: str) -> Match:
        route = mount + route
        view = self._view_of(endpoint) if self._view_of else None
        excluded = getattr(view, EXCLUDE_ATTRIBUTE, None)
        return Match(
            route=route,
            endpoint=str(endpoint),
            is_captured=excluded is None and not self._exclusion.captures(route),
            is_counted=not excluded and not self._exclusion.metrics(route),
            view=view,
            sender=self._sender,
        )

    def _unmatched(self, environ: Mapping[str, Any]) -> Match:
        if not self._exclusion:
            return self._nothing
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        return Match(
            is_captured=not self._exclusion.captures(path),
            is_counted=not self._exclusion.metrics(path),
            sender=self._sender,
        )
