"""Captures as objects, for a shell, a notebook or a script.

``flask shell`` has the captures of its application as ``prof``::

    prof.latest().top(5)
    prof.captures(route="/orders/<int:id>")[0].callers("execute")

`load` gives the same for a data directory, and one capture for a file::

    flaskprof.load(".flaskprof").latest()
    flaskprof.load("before.prof").top()
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Generic, TypeVar, overload

from flaskprof.errors import CaptureNotFound
from flaskprof.profiles.model import CallGraph, Profile
from flaskprof.profiles.sums import call_graph
from flaskprof.profiles.table import Edge, Row, rows
from flaskprof.record import CaptureRecord
from flaskprof.store import CaptureQuery, Store
from flaskprof.store.directory import DirectoryStore
from flaskprof.store.files import FileStore
from flaskprof.store.profiles import profile_of
from flaskprof.text import captures as captures_text
from flaskprof.text import functions as functions_text
from flaskprof.text.layout import Column, layout
from flaskprof.web.figures import visible

__all__ = ["Capture", "Captures", "Listing", "load"]

T = TypeVar("T")

_WIDTH = (120, 24)  # where there is no terminal


class Listing(Sequence[T], Generic[T]):
    """A sequence that shows itself as a table, also in notebooks."""

    def __init__(
        self,
        items: Sequence[T],
        columns: Sequence[Column],
        cells: Sequence[Sequence[str]],
        heading: Sequence[str] = (),
    ) -> None:
        self._items = tuple(items)
        self._columns = columns
        self._cells = cells
        self._heading = heading

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[T]:
        return iter(self._items)

    def __repr__(self) -> str:
        width = shutil.get_terminal_size(_WIDTH).columns
        lines = layout(self._columns, self._cells, width) if self._cells else ["(nothing)"]
        return "\n".join([*self._heading, *lines])

    def _repr_html_(self) -> str:
        """Return the table for a notebook."""
        heads = "".join(f"<th>{escape(column.heading)}</th>" for column in self._columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(visible(cell))}</td>" for cell in row) + "</tr>"
            for row in self._cells
        )
        above = "<br>".join(map(escape, self._heading))
        return (
            f"<p>{above}</p><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
        )


class Capture:
    """One capture: `record` is what is known of it, `profile` what was recorded.

    The profile is read when it is first needed; whatever needs it raises `BadProfile` where
    it cannot be read, `CaptureNotFound` where it was deleted meanwhile.
    """

    def __init__(self, record: CaptureRecord, store: Store) -> None:
        self.record = record
        self._store = store

    @property
    def id(self) -> str:
        """Its ID."""
        return self.record.id

    @cached_property
    def profile(self) -> Profile:
        """The call tree where whole stacks are kept, else the call graph."""
        return profile_of(self._store, self.record)

    @cached_property
    def graph(self) -> CallGraph:
        """The sums of its functions, and of who called whom."""
        return call_graph(self.profile)

    def top(self, count: int = 20, sort: str = "self", search: str = "") -> Listing[Row]:
        """Return the first `count` functions by `sort`, of those that match `search`.

        `sort` is calls, cumulative, file, line, name, per_call, primitive or self.
        """
        found = rows(self.graph, (sort,), search=search)[:count]
        cells = [functions_text.function_cells(row) for row in found]
        return Listing(found, functions_text.COLUMNS, cells, self._heading())

    def callers(self, name: str) -> Listing[Edge]:
        """Return who called the functions of that name, by time.

        Where no function has just that name, those are meant whose label holds it.
        """
        return self._related(name, "callers")

    def callees(self, name: str) -> Listing[Edge]:
        """Return what the functions of that name called, by time; named as in `callers`."""
        return self._related(name, "callees")

    def _related(self, name: str, relation: str) -> Listing[Edge]:
        named = [row for row in rows(self.graph) if row.function.name == name]
        meant = named or rows(self.graph, ("cumulative",), search=name)
        edges = [
            edge
            for of_row in functions_text.related(self.graph, meant, relation)
            for edge in of_row
        ]
        cells = functions_text.edge_cells(self.graph, meant, [relation])
        return Listing(edges, functions_text.EDGE_COLUMNS, cells)

    def _heading(self) -> list[str]:
        return captures_text.heading(self.record, self.graph)

    def __repr__(self) -> str:
        return "\n".join(self._heading())

    def _repr_html_(self) -> str:
        """Return what `top` shows, for a notebook."""
        return self.top()._repr_html_()


class Captures:
    """The captures of a store, newest first."""

    def __init__(self, store: Store, place: str | os.PathLike[str]) -> None:
        self._store = store
        self._place = os.fspath(place)

    def captures(
        self,
        route: str | None = None,
        method: str | None = None,
        trigger: str | None = None,
        limit: int = 20,
    ) -> Listing[Capture]:
        """Return the newest captures that match; raises `StoreError`."""
        query = CaptureQuery(route=route, method=method, trigger=trigger, limit=limit)
        records = self._store.list(query).records
        return Listing(
            [Capture(record, self._store) for record in records],
            captures_text.COLUMNS,
            captures_text.capture_cells(records),
        )

    def latest(self, route: str | None = None) -> Capture:
        """Return the newest capture, of a route if one is given.

        Raises `CaptureNotFound` where there is none.
        """
        found = self.captures(route, limit=1)
        if not found:
            of_route = f" of {route}" if route else ""
            raise CaptureNotFound(f"there is no capture{of_route} in {self._place} yet")
        return found[0]

    def get(self, capture_id: str) -> Capture:
        """Return the capture of an ID; raises `CaptureNotFound`."""
        return Capture(self._store.record(capture_id), self._store)

    def __repr__(self) -> str:
        matching = self._store.list(CaptureQuery(limit=1)).matching
        return (
            f"{matching:,} captures in {self._place}: latest(), captures(route=…), get(id); "
            "of each of them top(), callers(name), callees(name)"
        )


def load(path: str | os.PathLike[str]) -> Capture | Captures:
    """Return the captures of a data directory, or the one that a file is.

    A file may have any format that can be read: what cProfile wrote, pprof, collapsed
    stacks. A directory that is not one of flaskprof's stands for the ``.prof`` files in it.
    Raises `BadProfile` for a file that is no profile, `CaptureNotFound` or `StoreError`
    where nothing is there.
    """
    place = Path(path)
    if place.is_dir():
        if any((place / name).is_dir() for name in ("captures", "metrics")):
            return Captures(DirectoryStore(place), place)
        return Captures(FileStore([place]), place)
    files = FileStore([place])
    return Capture(files.list(CaptureQuery(limit=1)).records[0], files)
