"""``flaskprof diff``: what changed from one profile to another."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click

from flaskprof.cli.captures import Loaded, Reference, load
from flaskprof.cli.program import Command, json_option, load_settings, setting
from flaskprof.cli.terminal import Column, figure, layout, place, terminal_width
from flaskprof.profiles.diff import Change, Comparison, Mean, alike, compare
from flaskprof.profiles.model import Function
from flaskprof.profiles.paths import label
from flaskprof.profiles.sums import call_graph
from flaskprof.text.captures import heading
from flaskprof.text.functions import name_of
from flaskprof.web.differences import count_difference, seconds_difference, sentence
from flaskprof.web.figures import count, seconds

__all__ = ["command"]

_COLUMNS = (
    Column("Calls", is_number=True, spare=1),
    Column("after", is_number=True, spare=1),
    Column("+/-", is_number=True, spare=1),
    Column("Self", is_number=True),
    Column("after", is_number=True),
    Column("+/-", is_number=True),
    Column("Cumulative", is_number=True, spare=2),
    Column("after", is_number=True, spare=2),
    Column("+/-", is_number=True, spare=2),
    Column("Function", gives_way=True, keeps_end=True),
)
_ROWS = 20


@click.command(
    "diff",
    cls=Command,
    examples=[
        "flaskprof diff before.prof after.prof",
        "flaskprof diff 019aa8ce77f2 latest --rows 5",
    ],
)
@click.argument("before", metavar="BEFORE", type=Reference())
@click.argument("after", metavar="AFTER", type=Reference())
@click.option(
    "--rows",
    type=click.IntRange(1),
    default=_ROWS,
    show_default=True,
    metavar="ROWS",
    help="How many functions to show.",
)
@setting("dir", metavar="DIR")
@json_option
def command(*, before: str, after: str, rows: int, dir: str | None, as_json: bool) -> None:
    """Show what changed from one profile to another.

    BEFORE and AFTER are each a capture's ID, 8 or more of its first digits, 'latest', the path
    of a profile, or - for one that is piped in. Functions are known by file and name, whatever
    line and folder they are in now. The greatest difference in self time comes first; in JSON
    all of them are given.
    """
    settings = load_settings(dir=dir)
    sides = load(before, settings), load(after, settings)
    graphs = [call_graph(side.profile) for side in sides]
    found = compare(*alike(*graphs))
    if as_json:
        click.echo(json.dumps(_data(sides, found), indent=2))
        return
    for word, side, graph in zip(("Before", "After"), sides, graphs, strict=True):
        click.echo(f"{word + ':':9}" + ", ".join(heading(side.record, graph)[:2]))
    click.echo("\n" + sentence(found))
    if not found.changes:
        return
    shown = found.changes[:rows]
    table = layout(_COLUMNS, [_cells(change, found) for change in shown], terminal_width())
    click.echo("\n" + "\n".join(table))
    if len(shown) < len(found.changes):
        click.echo(
            f"{len(shown):,} of {len(found.changes):,} functions that changed: see --rows."
        )


def _cells(change: Change, found: Comparison) -> Sequence[str]:
    function = change.function
    calls = count_difference(change.calls) if found.has_like_counts else count(None)
    old, new = change.sums_before, change.sums_after
    return (
        figure(count(old.calls)),
        figure(count(new.calls)),
        figure(calls),
        figure(seconds(old.self_seconds)),
        figure(seconds(new.self_seconds)),
        figure(seconds_difference(change.self_seconds)),
        figure(seconds(old.cumulative_seconds)),
        figure(seconds(new.cumulative_seconds)),
        figure(seconds_difference(change.cumulative_seconds)),
        name_of(function, place),
    )


def _data(sides: Sequence[Loaded], found: Comparison) -> dict[str, Any]:
    def side(function: Function | None, sums: Mean) -> dict[str, Any] | None:
        return None if function is None else {**function._asdict(), **sums._asdict()}

    before, after = sides
    return {
        "before": {"id": before.record.id, "name": before.record.name},
        "after": {"id": after.record.id, "name": after.record.name},
        "summary": sentence(found),
        "total_seconds_before": found.seconds_before,
        "total_seconds_after": found.seconds_after,
        "total_seconds_difference": found.seconds,
        "has_like_counts": found.has_like_counts,
        "unchanged": found.unchanged,
        "functions": [
            {
                "function": label(change.function),
                "before": side(change.before, change.sums_before),
                "after": side(change.after, change.sums_after),
                "calls_difference": change.calls,
                "self_seconds_difference": change.self_seconds,
                "cumulative_seconds_difference": change.cumulative_seconds,
            }
            for change in found.changes
        ],
    }
