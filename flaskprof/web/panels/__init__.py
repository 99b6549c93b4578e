"""The views of one profile, a module each: what stands below the tabs of its page.

Each has a function that takes a `Subject` and the function that is selected, if one is, and
returns a `Panel`. What it shows beside that is in the query of the visit, so that every state
is an address.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from flaskprof.profiles.model import Function
from flaskprof.web.subject import Subject

__all__ = ["Panel", "PanelOf"]


class Panel(NamedTuple):
    """`view` is printed by the template, `data` returns the same as JSON."""

    template: str
    view: Any
    data: Callable[[], Mapping[str, Any]]


PanelOf = Callable[[Subject, Function | None], Panel]
