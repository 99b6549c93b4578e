"""``flaskprof show``: the functions of a capture that took the time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import click

from flaskprof.cli.captures import locate
from flaskprof.cli.program import Command, json_option, load_settings, setting
from flaskprof.cli.terminal import Column, layout, terminal_width
from flaskprof.errors import BadProfile
from flaskprof.profiles.marshal_reader import read_profile
from flaskprof.profiles.model import CallGraph
from flaskprof.profiles.paths import label
from flaskprof.profiles.strip import stripped
from flaskprof.profiles.table import Edge, Row, rows
from flaskprof.record import CaptureRecord
from flaskprof.text.captures import heading, is_sampled
from flaskprof.text.functions import (
    COLUMNS,
    EDGE_COLUMNS,
    edge_cells,
    function_cells,
    related,
)

__all__ = ["command"]

_ROWS = 20


@click.command(
    "show",
    cls=Command,
    examples=[
        "flaskprof show latest --sort cumulative --limit 10",
        "flaskprof show 019aa8ce77f2 --limit shop,20",
        "flaskprof show latest --limit execute --callers",
        "flaskprof show before.prof --json",
    ],
)
@click.argument("reference", metavar="ID")
@setting("sort_by", "--sort", metavar="KEYS")
@setting("restrictions", "--limit", metavar="ROWS")
@click.option(
    "--callers",
    "relation",
    flag_value="callers",
    help="Show below each function who called it, with what these calls took.",
)
@click.option(
    "--callees",
    "relation",
    flag_value="callees",
    help="Show below each function what it called.",
)
@click.option(
    "--strip",
    is_flag=True,
    help="Leave folders out of file names; what is then the same is added up.",
)
@setting("dir", metavar="DIR")
@json_option
def command(
    *,
    reference: str,
    sort_by: str | None,
    restrictions: str | None,
    relation: str | None,
    strip: bool,
    dir: str | None,
    as_json: bool,
) -> None:
    """Show where the time of a capture went.

    ID is a capture's ID, 8 or more of its first digits, 'latest', or the path of a profile.
    Without --limit the first 20 functions are shown, in JSON all.
    """
    settings = load_settings(sort_by=sort_by, restrictions=restrictions, dir=dir)
    store, capture_id = locate(reference, settings)
    record = store.record(capture_id)
    try:
        graph = read_profile(store.read(capture_id, ".prof"))
    except BadProfile as error:
        raise BadProfile(f"the profile of {reference} cannot be read: {error}") from error
    if strip:
        graph = stripped(graph)
    found = rows(graph, settings.sort_by, settings.restrictions)
    if as_json:
        click.echo(json.dumps(_data(record, graph, found, relation), indent=2))
        return
    shown = found if settings.restrictions else found[:_ROWS]
    click.echo("\n".join(heading(record, graph)) + "\n")
    columns: Sequence[Column] = COLUMNS
    cells = [function_cells(row) for row in shown]
    if relation:
        columns, cells = EDGE_COLUMNS, edge_cells(graph, shown, relation)
    click.echo("\n".join(layout(columns, cells, terminal_width())))
    if len(shown) < len(graph.functions):
        click.echo(f"{len(shown):,} of {len(graph.functions):,} functions: see --limit.")


def _data(
    record: CaptureRecord, graph: CallGraph, found: Sequence[Row], relation: str | None
) -> dict[str, Any]:
    edges = related(graph, found, relation) if relation else [[] for _ in found]
    return {
        "capture": asdict(record),
        "total_seconds": graph.total_seconds,
        "total_calls": graph.total_calls,
        "is_sampled": is_sampled(record, graph),
        "functions": [
            {
                **asdict(row),
                **row.function._asdict(),
                "function": label(row.function),
                **({relation: [_edge_data(edge) for edge in of_row]} if relation else {}),
            }
            for row, of_row in zip(found, edges, strict=True)
        ],
    }


def _edge_data(edge: Edge) -> dict[str, Any]:
    return {
        **edge.function._asdict(),
        **edge.sums._asdict(),
        "function": label(edge.function),
    }
