"""The flame view: the whole tree of calls as boxes, as wide as their time.

A script draws it from data of an address of its own; what it shows is in its address too.
"""

from __future__ import annotations

from dataclasses import dataclass

from flaskprof.profiles.model import Function
from flaskprof.web.panels import Panel
from flaskprof.web.subject import Subject

__all__ = ["flame"]


@dataclass(frozen=True, slots=True)
class FlameView:
    """Where the script finds the tree and, for each function, its page."""

    tree_url: str
    function_url: str
    rows_url: str


def flame(subject: Subject, _function: Function | None) -> Panel:
    """Show the frame that the tree is drawn in."""
    view = FlameView(
        tree_url=subject.tree_data(app=""),
        function_url=subject.page(view="sandwich", fn="KEY", app=""),
        rows_url=subject.page(view="tree"),
    )
    return Panel("_flame_panel.html", view, lambda: {"tree": view.tree_url})
