"""``flaskprof serve``: the sidecar, on waitress, in one process."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import sys
import time
from datetime import UTC, datetime
from types import FrameType
from typing import NoReturn

import click

from flaskprof import __version__, log
from flaskprof.cli.program import Command, load_settings, setting
from flaskprof.cli.serving import listen_on
from flaskprof.config import Settings
from flaskprof.errors import ConfigError
from flaskprof.sidecar import HEALTH_PATH, Sidecar, check_bind

__all__ = ["command"]

_THREADS = 4

# What a record of the standard library carries; anything else was given by whoever logged.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


@click.command(
    "serve",
    cls=Command,
    examples=[
        "flaskprof serve",
        "flaskprof serve --dir /var/lib/shop --bind 0.0.0.0:9180 --secret-file /run/secret",
    ],
)
@setting("dir", metavar="DIR")
@setting("bind", metavar="ADDRESS")
@setting("secret_file", metavar="FILE")
def command(*, dir: str | None, bind: str | None, secret_file: str | None) -> None:
    """Serve viewer and metrics of a data directory: the sidecar.

    It runs beside an application that has flaskprof in it, needs nothing of it but the
    data directory, sums up the metrics of all its workers and deletes old captures.
    Prometheus scrapes it instead of the application, never both. It logs a line of JSON
    for its start, its end and every error, until SIGTERM or Control-C.
    """
    settings = load_settings(dir=dir, bind=bind, secret_file=secret_file)
    family, address = _resolve(settings.bind)
    sidecar = Sidecar(settings, is_loopback=check_bind(address[0], settings))
    with _listen(settings, family, address) as listener:
        _log_lines_of_json()
        _serve(sidecar, listener)


def _resolve(bind: str) -> tuple[socket.AddressFamily, tuple[str, int]]:
    host, _, port = bind.rpartition(":")
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise ConfigError(f"FLASKPROF_BIND: {host} is not known: {error.strerror}") from error
    return family, (str(address[0]), int(address[1]))


def _listen(
    settings: Settings, family: socket.AddressFamily, address: tuple[str, int]
) -> socket.socket:
    try:
        return listen_on(family, address)
    except OSError as error:
        raise ConfigError(
            f"{settings.bind} cannot be used: {error.strerror}; choose another with --bind"
        ) from error


def _serve(sidecar: Sidecar, listener: socket.socket) -> None:
    try:
        # It may not be installed, and has no types.
        from waitress.server import create_server  # type: ignore[import-untyped]  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ConfigError(
            "the sidecar needs waitress: pip install 'flaskprof[serve]'"
        ) from error
    server = create_server(
        sidecar,
        sockets=[listener],
        threads=_THREADS,
        ident="flaskprof",
        # They are what tells a request that came through a proxy from one that did not.
        clear_untrusted_proxy_headers=False,
    )
    # It warns of requests that wait for a thread, be it for an instant: that is no error.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    started = time.monotonic()
    try:
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, _end)
        _say("start", "the sidecar serves", **_facts(sidecar, listener))
        sidecar.start()
        server.run()  # returns at the KeyboardInterrupt below, when answers are sent
    except KeyboardInterrupt:
        pass  # it came before the server ran, and there is nothing to wait for
    finally:
        server.close()
        sidecar.close()
    _say("stop", "the sidecar ends", uptime_seconds=round(time.monotonic() - started, 3))


def _facts(sidecar: Sidecar, listener: socket.socket) -> dict[str, object]:
    settings = sidecar.settings
    host, port = listener.getsockname()[:2]
    base = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    return {
        "version": __version__,
        "pid": os.getpid(),
        "viewer": f"{base}{settings.prefix}/",
        "metrics": None if settings.metrics == "off" else f"{base}{settings.metrics_path}",
        "health": f"{base}{HEALTH_PATH}",
        "application_metrics": os.environ.get("PROMETHEUS_MULTIPROC_DIR")
        or "not served: they can be had from PROMETHEUS_MULTIPROC_DIR alone",
        "dir": str(sidecar.store.path),
        "service": sidecar.service,
        "may_look": sidecar.explain(),
    }


def _end(_signal: int, _frame: FrameType | None) -> NoReturn:
    # What comes now is the end; a second signal is not to tear it apart.
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, signal.SIG_IGN)
    raise KeyboardInterrupt


def _say(event: str, message: str, **facts: object) -> None:
    log.logger.info(message, extra={"event": event, **facts})


class JsonLines(logging.Formatter):
    """A record as one line of JSON: time, level, event, message, and what it was given."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, in ASCII."""
        given = {key: value for key, value in vars(record).items() if key not in _STANDARD}
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(
                timespec="milliseconds"
            ),
            "level": record.levelname.lower(),
            "event": given.pop("event", "error"),
            "message": record.getMessage(),
            **given,
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def _log_lines_of_json() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    # A request that waits for another is no error.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    log.logger.setLevel(logging.INFO)
