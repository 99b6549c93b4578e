"""``flaskprof show``: the functions of a capture that took the time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import click

from flaskprof.cli.captures import Reference, locate
from flaskprof.cli.program import Command, json_option, load_settings, setting
from flaskprof.cli.terminal import Column, layout, place, terminal_width
from flaskprof.config import Settings
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
_ORDERS = {
    "calls": "calls",
    "cumulative": "cumulative time",
    "file": "file",
    "line": "line",
    "name": "name",
    "per_call": "self time per call",
    "primitive": "primitive calls",
    "self": "self time",
}


@click.command(
    "show",
    cls=Command,
    examples=[
        "flaskprof show latest --sort cumulative --limit 10",
        "flaskprof show 019aa8ce77f2 --limit shop,20",
        "flaskprof show latest --limit execute --callers --callees",
        "flaskprof show before.prof --json",
        "ssh shop cat night.prof | flaskprof show -",
    ],
)
@click.argument("reference", metavar="ID", type=Reference())
@setting("sort_by", "--sort", metavar="KEYS", is_list=True)
@setting("restrictions", "--limit", metavar="ROWS", is_list=True)
@click.option(
    "--callers",
    is_flag=True,
    help="Show below each function who called it, with what these calls took.",
)
@click.option("--callees", is_flag=True, help="Show below each function what it called.")
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
    callers: bool,
    callees: bool,
    strip: bool,
    dir: str | None,
    as_json: bool,
) -> None:
    """Show where the time of a capture went.

    ID is a capture's ID, 8 or more of its first digits, 'latest', the path of a profile, or -
    for one that is piped in. Without --limit the first 20 functions are shown, in JSON all.
    --sort and --limit may be given several times: a --limit is applied to what the one before
    it left.
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
    relations = ["callers"] * callers + ["callees"] * callees
    if as_json:
        click.echo(json.dumps(_data(record, graph, found, relations), indent=2))
        return
    shown = found if settings.restrictions else found[:_ROWS]
    click.echo("\n".join(heading(record, graph)) + "\n")
    if shown:
        columns: Sequence[Column] = COLUMNS
        cells = [function_cells(row, place) for row in shown]
        if relations:
            columns, cells = EDGE_COLUMNS, edge_cells(graph, shown, relations, place)
        click.echo("\n".join(layout(columns, cells, terminal_width())) + "\n")
    click.echo(_shown(len(shown), graph, settings))


def _shown(number: int, graph: CallGraph, settings: Settings) -> str:
    """Say which rows these are, in which order, and how to have others."""
    every = len(graph.functions)
    order = ", ".join(_ORDERS[key] for key in settings.sort_by)
    limits = ", ".join(map(str, settings.restrictions))
    if not number and limits:
        return f"None of {every:,} functions is left by the limit {limits}."
    which = f"All {every:,}" if number == every else f"{number:,} of {every:,}"
    limited = f", limited to {limits}" if limits else ""
    hint = "" if number == every else "; --sort and --limit show others"
    return f"{which} functions by {order}{limited}{hint}."


def _data(
    record: CaptureRecord, graph: CallGraph, found: Sequence[Row], relations: Sequence[str]
) -> dict[str, Any]:
    edges = {relation: related(graph, found, relation) for relation in relations}
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
                **{
                    relation: [_edge_data(edge) for edge in of_rows[number]]
                    for relation, of_rows in edges.items()
                },
            }
            for number, row in enumerate(found)
        ],
    }


def _edge_data(edge: Edge) -> dict[str, Any]:
    return {
        **edge.function._asdict(),
        **edge.sums._asdict(),
        "function": label(edge.function),
    }
