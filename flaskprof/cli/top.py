"""``flaskprof top``: the requests in flight, refreshed like ``top``."""

from __future__ import annotations

import json
import os
import select
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime

import click

from flaskprof.cli.program import Command, json_option, load_settings, setting
from flaskprof.cli.terminal import Column, figure, layout, terminal_width
from flaskprof.metrics.in_flight import (
    Flying,
    flying,
    in_flight_directory,
    read_workers,
)
from flaskprof.web.figures import count, seconds

if sys.platform != "win32":
    import termios
    import tty

__all__ = ["command"]

_COLUMNS = (
    Column("Age", is_number=True),
    Column("Method"),
    Column("Route", gives_way=True),
    Column("Worker", is_number=True),
    Column("Thread", gives_way=True),
)
_HOME_AND_CLEAR = "\x1b[H\x1b[J"
_ENDING = {b"q", b"Q", b""}  # the last is the end of a keyboard that was closed


@click.command(
    "top",
    cls=Command,
    examples=["flaskprof top", "flaskprof top --interval 0.5", "flaskprof top --once --json"],
)
@click.option(
    "--interval",
    type=click.FloatRange(0.1, 3600),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait before looking again.",
)
@click.option("--once", is_flag=True, help="Print once and end, as without a terminal.")
@setting("dir", metavar="DIR")
@json_option
def command(*, interval: float, once: bool, dir: str | None, as_json: bool) -> None:
    """Show the requests that are being answered, the oldest first.

    Those of all workers that use the data directory, from an age of a twentieth of a second
    on, by route and never by path. In a terminal they are shown again and again, until q or
    Control-C.
    """
    directory = in_flight_directory(load_settings(dir=dir).dir)

    def look() -> Flying:
        return flying(read_workers(directory), time.perf_counter_ns())

    if as_json:
        click.echo(json.dumps(look().plain(), indent=2))
    elif once or not (sys.stdin.isatty() and sys.stdout.isatty()):
        click.echo("\n".join(_lines(look())))
    else:
        _refresh(look, interval)


def _lines(found: Flying) -> list[str]:
    workers = "worker" if found.workers == 1 else "workers"
    number = len(found.requests) + found.more
    requests = "request" if number == 1 else "requests"
    head = (
        f"{datetime.now().astimezone():%H:%M:%S}  {count(number).text} {requests} in flight "
        f"in {count(found.workers).text} {workers}"
    )
    rows = [
        (
            figure(seconds(request.age_seconds)),
            request.method,
            request.route or "(no route yet)",
            str(request.pid),
            request.thread,
        )
        for request in found.requests
    ]
    lines = [head, *(layout(_COLUMNS, rows, terminal_width()) if rows else [])]
    if found.more:
        lines.append(f"and {count(found.more).text} younger ones")
    return lines


def _refresh(look: Callable[[], Flying], interval: float) -> None:
    """Print again and again, as many lines as the terminal has, until a key ends it."""
    with suppress(KeyboardInterrupt), _keys() as next_key:
        key: bytes | None = None
        while key not in _ENDING:
            lines = _lines(look())
            room = shutil.get_terminal_size().lines - 1
            if len(lines) > room:
                lines = [*lines[: room - 1], "…"]
            click.echo(_HOME_AND_CLEAR + "\n".join(lines))
            key = next_key(interval)


@contextmanager
def _keys() -> Iterator[Callable[[float], bytes | None]]:
    """Yield what returns the key that is pressed in so many seconds, None where none is."""
    if sys.platform == "win32":
        yield time.sleep
        return
    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)
    tty.setcbreak(keyboard)

    def next_key(seconds: float) -> bytes | None:
        ready, _, _ = select.select([keyboard], [], [], seconds)
        return os.read(keyboard, 1) if ready else None

    try:
        yield next_key
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
