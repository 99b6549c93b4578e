"""The flame view: the stacks as boxes as wide as their time, which a script draws.

Below it stand the few functions that took the most time themselves, for whoever reads first
or has no script.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from flaskprof.late import Late
from flaskprof.profiles.model import Function
from flaskprof.profiles.table import hottest, rows_of
from flaskprof.web.panels import Panel
from flaskprof.web.rows import FunctionRow, function_row
from flaskprof.web.subject import Subject

__all__ = ["elsewhere", "flame"]

_ROWS = 10
_table = Late("flaskprof.web.panels.table:table")

_PART = "widest"
# What an address may aim at; it need not be among the widest boxes.
_AIMS = ("zoom", "range", "search", "fn", "at")


class FlamePanel(NamedTuple):
    """Where the script finds what it draws, and whoever has no script the same in rows.

    The script itself restricts it to the application's own code. `first_url` is what it asks
    for at first: `part` of the data, unless the address of the page is aimed at some box.
    `elsewhere` has other views, where a box is looked at further.
    """

    data_url: str
    part: str
    first_url: str
    elsewhere: Mapping[str, str]
    tree_url: str
    table_url: str
    svg_url: str
    rows: Sequence[FunctionRow]
    is_sampled: bool


def elsewhere(subject: Subject, function: Function | None = None) -> Mapping[str, str]:
    """Return the views where there is more of a box; the script sets its function."""
    views = {"Callers": "sandwich", "Tree": "tree", "Source": "source"}
    key = subject.key(function)
    return {text: subject.page(view=view, fn=key) for text, view in views.items()}


def flame(subject: Subject, function: Function | None) -> Panel:
    """Show the stacks as boxes; a program gets the functions with their times."""
    is_aimed = any(subject.visit.query.get(name) for name in _AIMS)
    view = FlamePanel(
        data_url=subject.tree_data(app=""),
        part=_PART,
        first_url=subject.tree_data(part="" if is_aimed else _PART),
        elsewhere=elsewhere(subject, function),
        tree_url=subject.page(view="tree", fn=subject.key(function)),
        table_url=subject.page(view="table", fn=subject.key(function)),
        svg_url=subject.export("svg"),
        rows=[
            function_row(
                row,
                url=subject.function_page(row.function),
                kinds=subject.kinds,
                recording_ns=subject.recording_ns(row.function),
            )
            for row in rows_of(subject.graph, hottest(subject.graph, _ROWS))
        ],
        is_sampled=subject.truth == "sampled",
    )
    return Panel("_flame_panel.html", view, lambda: _table(subject, function).data())
