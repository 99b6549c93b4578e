"""``flaskprof ls``: the list of captures."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from flaskprof.cli.program import Command, json_option, load_settings, setting
from flaskprof.cli.terminal import layout, terminal_width
from flaskprof.store import CapturePage, CaptureQuery
from flaskprof.store.directory import DirectoryStore
from flaskprof.text.captures import COLUMNS, capture_cells

__all__ = ["command"]


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
    lines = layout(COLUMNS, capture_cells(page.records), terminal_width())
    if page.matching > len(page.records):
        lines.append(
            f"The newest {len(page.records):,} of {page.matching:,}: --limit shows more."
        )
    return lines


def _nothing(page: CapturePage, path: Path) -> str:
    if page.routes:
        return f"No capture in {path} matches."
    return f"There is no capture in {path} yet."
