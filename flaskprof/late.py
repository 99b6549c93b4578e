"""Functions whose module is imported when they are first called.

A process uses few of the many rows of a table. One that says where its functions are costs
nothing for the others::

    VIEWS = {"captures": Late("flaskprof.web.views.captures:captures")}
    VIEWS["captures"](visit)
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["Late"]


class Late:
    """The function at `home`, which names its module and, after a colon, itself."""

    __slots__ = ("_function", "home")

    def __init__(self, home: str) -> None:
        self.home = home
        self._function: Any = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.home!r})"

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        """Call the function; what importing it raises passes."""
        if self._function is None:
            module, _, name = self.home.partition(":")
            self._function = getattr(import_module(module), name)
        return self._function(*args, **keywords)
