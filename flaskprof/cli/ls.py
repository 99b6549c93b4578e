"""``flaskprof ls``: the list of captures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import click

from flaskprof.cli.program import Command, json_option, load_settings, setting
from flaskprof.cli.terminal import Column, figure, layout, terminal_width
from flaskprof.record import CaptureRecord
from flaskprof.store import CapturePage, CaptureQuery
from flaskprof.store.directory import DirectoryStore
from flaskprof.web.figures import seconds

__all__ = ["command"]

_COLUMNS = (
    Column("ID"),
    Column("Started"),
    Column("Method"),
    Column("Route", gives_way=True),
    Column("Status", is_number=True),
    Column("Duration", is_number=True),
    Column("Trigger"),
)

# The digits of an ID that are its time; a prefix of these is shown where it is enough.
_TIME_DIGITS = 12


@click.command(
    "ls",
    cls=Command,
    examples=["flaskprof ls --route '/orders/<int:id>' --limit 5", "flaskprof ls --json"],
)
@click.option("--route", metavar="ROUTE", help="Only this route, as /orders/<int:id>.")
@click.option("--method", metavar="METHOD", help="Only this method, as GET.")
@click.option("--trigger", metavar="TRIGGER", help="Only this trigger, as header.")
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    metavar="COUNT",
    help="How many to list.",
)
@setting("dir", metavar="DIR")
@json_option
def command(
    *,
    route: str | None,
    method: str | None,
    trigger: str | None,
    limit: int,
    dir: str | None,
    as_json: bool,
) -> None:
    """List captures, newest first."""
    settings = load_settings(dir=dir)
    store = DirectoryStore(settings.dir)
    page = store.list(CaptureQuery(route=route, method=method, trigger=trigger, limit=limit))
    if as_json:
        captures = [asdict(record) for record in page.records]
        click.echo(json.dumps({"matching": page.matching, "captures": captures}, indent=2))
    elif page.records:
        click.echo("\n".join(_table(page)))
    else:
        click.echo(_nothing(page, store.path), err=True)


def _table(page: CapturePage) -> list[str]:
    digits = _telling_digits([record.id for record in page.records])
    today = datetime.now().astimezone().date()
    rows = [
        (
            record.id[:digits],
            _moment(record, today_is=today.isoformat()),
            record.method,
            record.title or record.route or "(no route)",
            "" if record.status is None else str(record.status),
            figure(seconds(record.duration_seconds)),
            record.trigger,
        )
        for record in page.records
    ]
    lines = layout(_COLUMNS, rows, terminal_width())
    if page.matching > len(rows):
        lines.append(f"The newest {len(rows):,} of {page.matching:,}: --limit shows more.")
    return lines


def _moment(record: CaptureRecord, *, today_is: str) -> str:
    """Return the local time, and the day where it is not today."""
    when = datetime.fromtimestamp(record.started).astimezone()
    day = when.date().isoformat()
    return f"{when:%H:%M:%S}" if day == today_is else f"{day} {when:%H:%M}"


def _telling_digits(ids: Sequence[str]) -> int:
    """Return how many digits tell `ids` apart."""
    digits = _TIME_DIGITS
    while len({capture_id[:digits] for capture_id in ids}) < len(ids):
        digits += 1
    return digits


def _nothing(page: CapturePage, path: Path) -> str:
    if page.routes:
        return f"No capture in {path} matches."
    return f"There is no capture in {path} yet."
