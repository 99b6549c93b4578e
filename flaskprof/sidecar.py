"""The sidecar: viewer and metrics of a data directory, beside the application.

It needs nothing but the data directory: neither the application's processes nor its code.
What it serves lies at the same paths as inside the application, so that one address is
right for both; ``/`` leads to the viewer, ``/healthz`` says whether all is well::

    sidecar = Sidecar(settings)
    sidecar.start()
    waitress.serve(sidecar, listen=settings.bind)
    sidecar.close()
"""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from prometheus_client import make_wsgi_app
from werkzeug.urls import iri_to_uri

from flaskprof.access import AccessRules
from flaskprof.capture.upkeep import Upkeep, chores_for, usage_of
from flaskprof.config import Settings
from flaskprof.errors import ConfigError, StoreError
from flaskprof.metrics.collector import DirectoryCollector
from flaskprof.metrics.exposition import sidecar_registry
from flaskprof.metrics.in_flight import in_flight_directory, read_workers
from flaskprof.metrics.layout import metrics_directory
from flaskprof.metrics.live import Live
from flaskprof.metrics.ring import recent_directory
from flaskprof.store.directory import DirectoryStore
from flaskprof.store.owner import claim, owner_of
from flaskprof.web.app import Viewer
from flaskprof.web.pages import OwnPages
from flaskprof.web.problems import problem_or_text

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["HEALTH_PATH", "Sidecar", "check_bind"]

HEALTH_PATH = "/healthz"

_CLOSE_SECONDS = 5.0

_JSON = ("Content-Type", "application/json")
_NO_STORE = ("Cache-Control", "no-store")

# What follows the base in the addresses of the viewer: with or without the prefix in
# FLASKPROF_URL, an address that an application gave out leads to its page.
_BELOW_BASE = ("/c/", "/r/")


class Sidecar:
    """A WSGI application over the data directory of `settings`, and what keeps that in order.

    `is_loopback` says that only this machine can reach it: without a secret that is what
    lets people look. Raises `ConfigError` where the directory belongs to another service.
    """

    def __init__(self, settings: Settings, *, is_loopback: bool = True) -> None:
        self.settings = settings
        self.store = DirectoryStore(settings.dir)
        self.service = self._find_service()
        self.rules = AccessRules(
            settings.secrets,
            lambda: settings.dev or (is_loopback and not settings.secrets),
        )
        self._failures = 0
        self.upkeep = Upkeep(
            self.store.path, chores_for(settings, self.store), self._note_failure
        )
        registry = sidecar_registry(
            metrics_directory(self.store.path),
            lambda: usage_of(self.store),
            # A place of its own, beside those of the workers: it begins at zero with each
            # start, which their sum must not do.
            lambda: {"sidecar": self._failures},
        )
        self._pages = OwnPages(
            viewer=Viewer(self.store, settings=settings, live=self._live()),
            prefix=settings.prefix,
            metrics=make_wsgi_app(registry),
            metrics_path=settings.metrics_path,
            metrics_access=settings.metrics,
            rules=self.rules,
        )

    def _note_failure(self, _chore: str) -> None:
        self._failures += 1  # by the thread of the upkeep alone

    def _live(self) -> Live:
        path = self.store.path
        return Live(
            reading=DirectoryCollector(metrics_directory(path), role="sidecar").reading,
            workers=lambda: read_workers(in_flight_directory(path)),
            recent=recent_directory(path),
        )

    def start(self) -> None:
        """Start what keeps the directory in order."""
        self.upkeep.start()

    def close(self) -> None:
        """End it; nothing that was under way is lost."""
        self.upkeep.close(_CLOSE_SECONDS)

    def explain(self) -> str:
        """Say in one phrase who may look, for the line at start."""
        if self.settings.secrets:
            return "holders of a token (flaskprof token)"
        return "anyone on this machine"

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Answer one request."""
        if environ.get("PATH_INFO") == HEALTH_PATH:
            answer: WSGIApplication = self._health
        else:
            answer = self._pages.find(environ) or self._elsewhere
        return answer(environ, start_response)

    def problems(self) -> list[str]:
        """Return what keeps the sidecar from its work, in sentences; nothing if all is well."""
        path = self.store.path
        problems = [trouble] if (trouble := self.upkeep.trouble()) else []
        # Where it is not there yet, the application has not written anything.
        if path.exists() and not os.access(path, os.R_OK | os.W_OK | os.X_OK):
            problems.append(f"the data directory {path} cannot be read and written")
        return problems

    def _find_service(self) -> str:
        path, name = self.store.path, self.settings.service_name
        try:
            if path.is_dir() and (rival := claim(path, name)):
                raise ConfigError(
                    f"the data directory {path} belongs to the service {rival!r}, not to "
                    f"{name!r}: give each service a directory and a sidecar of its own "
                    "(FLASKPROF_DIR), or delete the file 'service' in it if the service has "
                    "a new name"
                )
            return owner_of(path) or name
        except OSError as error:
            raise StoreError(
                f"the data directory {path} cannot be used: {error.strerror}; run the sidecar "
                "as the user of the application"
            ) from error

    def _health(
        self, _environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        problems = self.problems()
        start_response("503 Service Unavailable" if problems else "200 OK", [_JSON, _NO_STORE])
        status = {"status": "failing" if problems else "ok", "problems": problems}
        return [json.dumps(status).encode() + b"\n"]

    def _elsewhere(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Lead to the viewer, or say why there is nothing."""
        path = environ.get("PATH_INFO", "")
        prefix = self.settings.prefix
        if path in {"", "/"} or path.startswith(_BELOW_BASE):
            below = iri_to_uri(path.encode("latin-1").decode("utf-8", "replace") or "/")
            query = environ.get("QUERY_STRING", "")
            target = environ.get("SCRIPT_NAME", "") + prefix + below
            location = f"{target}?{query}" if query else target
            start_response("307 Temporary Redirect", [("Location", location), _NO_STORE])
            return [b""]
        answer = (404, f"The viewer is at {prefix}/.")
        if any(path == start or path.startswith(start + "/") for start in self._pages.starts):
            answer = (403, self._refusal())
        status, headers, body = problem_or_text(environ, *answer)
        start_response(status, headers)
        return [body]

    def _refusal(self) -> str:
        if self.settings.secrets:
            return "Only holders of a token may look: flaskprof token makes one."
        return "Only this machine may look, at a name of its own such as 127.0.0.1."


def check_bind(address: str, settings: Settings) -> bool:
    """Whether `address`, an IP address to listen on, can be reached by this machine alone.

    Raises `ConfigError` where it cannot and there is no secret to keep others out.
    """
    is_loopback = ipaddress.ip_address(address.partition("%")[0]).is_loopback
    if not is_loopback and not settings.secrets:
        raise ConfigError(
            f"FLASKPROF_BIND: {address} can be reached by other machines, which may look only "
            "with a token: set FLASKPROF_SECRET or FLASKPROF_SECRET_FILE to the secret of the "
            "application, or listen on 127.0.0.1"
        )
    return is_loopback
