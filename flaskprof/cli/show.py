"""``flaskprof show``: the functions of a capture that took the time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import click

from flaskprof.cli.captures import locate
from flaskprof.cli.program import Command, json_option, load_settings, setting
from flaskprof.cli.terminal import Column, figure, layout, terminal_width
from flaskprof.errors import BadProfile
from flaskprof.profiles.marshal_reader import read_profile
from flaskprof.profiles.model import CallGraph, Function
from flaskprof.profiles.paths import label, short_path
from flaskprof.profiles.table import Row, rows
from flaskprof.record import CaptureRecord
from flaskprof.web.figures import calls, seconds, share, visible

__all__ = ["command"]

_COLUMNS = (
    Column("Calls", is_number=True),
    Column("Self", is_number=True),
    Column("%", is_number=True),
    Column("Cumulative", is_number=True),
    Column("%", is_number=True),
    Column("Function", gives_way=True, keeps_end=True),
)
_ROWS = 20


@click.command(
    "show",
    cls=Command,
    examples=[
        "flaskprof show latest --sort cumulative --limit 10",
        "flaskprof show 019aa8ce77f2 --limit shop,20",
        "flaskprof show before.prof --json",
    ],
)
@click.argument("reference", metavar="ID")
@setting("sort_by", "--sort", metavar="KEYS")
@setting("restrictions", "--limit", metavar="ROWS")
@setting("dir", metavar="DIR")
@json_option
def command(
    *,
    reference: str,
    sort_by: str | None,
    restrictions: str | None,
    dir: str | None,
    as_json: bool,
) -> None:
    """Show where the time of a capture went.

    ID is a capture's ID, 8 or more of its first digits, 'latest', or the path of a .prof
    file. Without --limit the first 20 functions are shown, in JSON all.
    """
    settings = load_settings(sort_by=sort_by, restrictions=restrictions, dir=dir)
    store, capture_id = locate(reference, settings)
    record = store.record(capture_id)
    try:
        graph = read_profile(store.read(capture_id, ".prof"))
    except BadProfile as error:
        raise BadProfile(f"the profile of {reference} cannot be read: {error}") from error
    found = rows(graph, settings.sort_by, settings.restrictions)
    if as_json:
        click.echo(json.dumps(_data(record, graph, found), indent=2))
        return
    shown = found if settings.restrictions else found[:_ROWS]
    click.echo("\n".join(_heading(record, graph)) + "\n")
    click.echo("\n".join(layout(_COLUMNS, [_cells(row) for row in shown], terminal_width())))
    if len(shown) < len(graph.functions):
        click.echo(f"{len(shown):,} of {len(graph.functions):,} functions: see --limit.")


def _is_sampled(record: CaptureRecord, graph: CallGraph) -> bool:
    return graph.is_sampled or record.exactness == "sampled"


def _heading(record: CaptureRecord, graph: CallGraph) -> list[str]:
    when = datetime.fromtimestamp(record.started).astimezone()
    facts = [
        f"{when:%Y-%m-%d %H:%M:%S %z}",
        "" if record.status is None else f"status {record.status}",
        figure(seconds(record.duration_seconds)),
        f"trigger {record.trigger}" if record.trigger else "",
        "sampled" if _is_sampled(record, graph) else record.exactness,
    ]
    measured = "samples" if _is_sampled(record, graph) else "calls"
    covered = figure(seconds(graph.total_seconds))
    lines = [
        f"{record.name}  {record.id}",
        ", ".join(filter(None, facts)),
        *record.notes,
        f"{graph.total_calls:,} {measured} of {len(graph.functions):,} functions in {covered}",
    ]
    return [visible(line) for line in lines]


def _cells(row: Row) -> Sequence[str]:
    return (
        calls(row.calls, row.primitive_calls).text,
        figure(seconds(row.self_seconds)),
        share(row.self_share).text,
        figure(seconds(row.cumulative_seconds)),
        share(row.cumulative_share).text,
        label(Function(short_path(row.function.file), row.function.line, row.function.name)),
    )


def _data(record: CaptureRecord, graph: CallGraph, found: Sequence[Row]) -> dict[str, Any]:
    return {
        "capture": asdict(record),
        "total_seconds": graph.total_seconds,
        "total_calls": graph.total_calls,
        "is_sampled": _is_sampled(record, graph),
        "functions": [
            {**asdict(row), **row.function._asdict(), "function": label(row.function)}
            for row in found
        ],
    }
