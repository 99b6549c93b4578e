"""Which of our own pages a request asks for, if its sender may see it.

Whoever may not look reaches the application, as if flaskprof were not there. A rule of
the application whose static part begins with one of our paths keeps it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

from werkzeug.http import dump_cookie
from werkzeug.urls import iri_to_uri
from werkzeug.wsgi import get_current_url

from flaskprof import log
from flaskprof.access import COOKIE, AccessRules, token_in_query
from flaskprof.peer import came_through_proxy
from flaskprof.web.problems import problem_or_text

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["OwnPages"]

_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class OwnPages:
    """The viewer under its prefix and the metrics at their path.

    `host_paths` returns the static parts of the application's own rules; it is asked at
    the first request for one of our paths, when all rules are known. `metrics_access` is
    "open", "token" or "off".
    """

    def __init__(
        self,
        *,
        viewer: WSGIApplication,
        prefix: str,
        metrics: WSGIApplication,
        metrics_path: str,
        metrics_access: str,
        rules: AccessRules,
        host_paths: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self._viewer = viewer
        self._prefix = prefix
        self._metrics = metrics
        self._metrics_path = metrics_path
        self._metrics_access = metrics_access
        self._rules = rules
        self._host_paths = host_paths
        self._kept_by_host: tuple[str, ...] | None = None
        served = (prefix,) if metrics_access == "off" else (prefix, metrics_path)
        self.starts: tuple[str, ...] = served

    def find(self, environ: WSGIEnvironment) -> WSGIApplication | None:
        """Return the page for this request; None if the application is to answer it."""
        path = environ.get("PATH_INFO", "")
        if self._is_kept_by_host(path):
            return None
        if path == self._metrics_path and self._metrics_access != "off":
            return self._total if self._may_read_metrics(environ) else None
        if path != self._prefix and not path.startswith(self._prefix + "/"):
            return None
        if not self._rules.may_look(environ):
            return None
        return self._page(environ)

    def _page(self, environ: WSGIEnvironment) -> WSGIApplication:
        """Return the page for someone who may look."""
        method = environ["REQUEST_METHOD"]
        if method == "GET" and token_in_query(environ):
            return self._sign_in
        if method not in _READING and not self._rules.may_change(environ):
            return _refuse
        return self._view

    def _is_kept_by_host(self, path: str) -> bool:
        kept = self._kept_by_host
        if kept is None:
            kept = self._kept_by_host = tuple(
                host_path
                for host_path in self._host_paths()
                if any(_begins(host_path, start) for start in self.starts)
            )
            for host_path in kept:
                log.once(
                    f"host path {host_path}",
                    "the application has a rule of its own at %s, which it keeps; set "
                    "FLASKPROF_PREFIX or FLASKPROF_METRICS_PATH to another path",
                    host_path,
                )
        return any(_begins(path, host_path.rstrip("/")) for host_path in kept)

    def _may_read_metrics(self, environ: WSGIEnvironment) -> bool:
        if self._metrics_access == "open" and not came_through_proxy(environ):
            return True
        return self._rules.may_look(environ)

    def _total(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        try:
            return self._metrics(environ, start_response)  # which collects before it answers
        except Exception:  # noqa: BLE001  neither the application nor its server is to see it
            log.once("metrics page", "the metrics cannot be served", exc_info=True)
        return _answer(
            environ, start_response, 503, "The metrics cannot be read; the log says why."
        )

    def _view(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        mounted = dict(environ)
        mounted["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "") + self._prefix
        mounted["PATH_INFO"] = environ["PATH_INFO"][len(self._prefix) :]
        return self._viewer(mounted, start_response)

    def _sign_in(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Keep the token of a link in a cookie and go on to the link without it."""
        text = token_in_query(environ)
        token = self._rules.token_in(text)
        headers: list[tuple[str, Any]] = [
            ("Location", _without_token(environ)),
            ("Cache-Control", "no-store"),
            ("Referrer-Policy", "no-referrer"),
            ("Content-Length", "0"),
        ]
        if token is not None:
            cookie = dump_cookie(
                COOKIE,
                text,
                path=environ.get("SCRIPT_NAME", "") + self._prefix,
                expires=token.expires,
                httponly=True,
                samesite="Lax",
                secure=environ["wsgi.url_scheme"] == "https",
            )
            headers.append(("Set-Cookie", cookie))
        start_response("303 See Other", headers)
        return [b""]


def _refuse(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer whoever may look and not change."""
    return _answer(environ, start_response, 403, "You may look here, and not change anything.")


def _answer(
    environ: WSGIEnvironment, start_response: StartResponse, status: int, message: str
) -> Iterable[bytes]:
    line, headers, body = problem_or_text(environ, status, message)
    start_response(line, [*headers, ("Content-Length", str(len(body)))])
    return [body]


def _without_token(environ: WSGIEnvironment) -> str:
    query = [
        (name, value)
        for name, value in parse_qsl(environ.get("QUERY_STRING", ""))
        if name != "token"
    ]
    url = iri_to_uri(get_current_url(environ, strip_querystring=True))
    return f"{url}?{urlencode(query)}" if query else url


def _begins(path: str, start: str) -> bool:
    """Whether `path` is `start` or lies below it."""
    return path == start or path.startswith(start + "/")
