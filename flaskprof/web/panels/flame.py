"""The flame view: the stacks as boxes as wide as their time, which a script draws.

Below it stand the few functions that took the most time themselves, for whoever reads first
or has no script.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from markupsafe import Markup

from flaskprof.errors import BadProfile
from flaskprof.late import Late
from flaskprof.profiles.model import Function
from flaskprof.profiles.table import rows_of
from flaskprof.web.panels import Panel
from flaskprof.web.rows import FunctionRow, function_row
from flaskprof.web.subject import Subject

__all__ = ["elsewhere", "flame"]

_table = Late("flaskprof.web.panels.table:table")


class FlamePanel(NamedTuple):
    """Where the script finds what it draws, and whoever has no script the same in rows.

    `data_url` has the whole of it, which the script itself restricts to the application's own
    code; `widest` returns what it draws at first, as JSON. `elsewhere` has other views, where
    a box is looked at further.
    """

    data_url: str
    widest: Callable[[], Markup]
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
    view = FlamePanel(
        data_url=subject.tree_data(app=""),
        widest=partial(_widest, subject),
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
            for row in rows_of(subject.graph, subject.overall.first)
        ],
        is_sampled=subject.truth == "sampled",
    )
    return Panel("_flame_panel.html", view, lambda: _table(subject, function).data())


def _widest(subject: Subject) -> Markup:
    """Return what the page holds of the drawing; nothing where the stacks cannot be read.

    The script then asks for the whole, and is told what is wrong with them.
    """
    try:
        return Markup(subject.widest.decode())  # noqa: S704  nothing in it ends its element
    except BadProfile:
        return Markup()
